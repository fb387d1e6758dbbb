"""Recognises the words of `tone_models` without a model, for fake engines and services."""

import numpy as np
from numpy.typing import NDArray

from tests.support.tone_models import PIECES, TONES_HZ

_RATE_HZ = 16_000
_WINDOW = 320
_PRESENT = 0.25
"""Smallest share of a window's energy at a tone's frequency; a pure tone has half of it."""


def words_of(samples: NDArray[np.float32]) -> str:
    """The words of a clip, float32, shape (samples,), 16 kHz."""
    return "".join(piece for piece, _ in pieces_of(samples)).replace("▁", " ").strip()


def pieces_of(samples: NDArray[np.float32]) -> list[tuple[str, float]]:
    """The tokens of a clip's words, with the start of each in seconds."""
    windows = samples[: samples.size // _WINDOW * _WINDOW].reshape(-1, _WINDOW).astype(np.float64)
    phase = 2 * np.pi * np.outer(np.arange(_WINDOW), TONES_HZ) / _RATE_HZ
    power = np.abs(windows @ np.exp(-1j * phase)) ** 2 / _WINDOW
    energy = np.sum(windows**2, axis=1, keepdims=True)
    numbers = np.where((power / np.maximum(energy, 1e-9)).max(axis=1) > _PRESENT, power.argmax(axis=1), -1)
    onsets = np.flatnonzero(np.diff(numbers, prepend=-1))
    return [(PIECES[numbers[at]], float(at) * _WINDOW / _RATE_HZ) for at in onsets if numbers[at] >= 0]

"""Hears the words of `tone_models` without a model, for servers that tests run."""

import numpy as np
from numpy.typing import NDArray

from tests.support.tone_models import PIECES, TONES_HZ

_RATE_HZ = 16_000
_WINDOW = 320
_PRESENT = 0.25
"""A tone alone in a window has half of the window's energy in either direction of its phase."""


def heard(samples: NDArray[np.float32]) -> str:
    """The words of a clip, float32, shape (samples,), 16 kHz."""
    return "".join(piece for piece, _ in pieces(samples)).replace("▁", " ").strip()


def pieces(samples: NDArray[np.float32]) -> list[tuple[str, float]]:
    """The pieces of a clip's words, and when each begins, in seconds."""
    windows = samples[: samples.size // _WINDOW * _WINDOW].reshape(-1, _WINDOW).astype(np.float64)
    phase = 2 * np.pi * np.outer(np.arange(_WINDOW), TONES_HZ) / _RATE_HZ
    power = np.abs(windows @ np.exp(-1j * phase)) ** 2 / _WINDOW
    energy = np.sum(windows**2, axis=1, keepdims=True)
    numbers = np.where((power / np.maximum(energy, 1e-9)).max(axis=1) > _PRESENT, power.argmax(axis=1), -1)
    onsets = np.flatnonzero(np.diff(numbers, prepend=-1))
    return [(PIECES[numbers[at]], float(at) * _WINDOW / _RATE_HZ) for at in onsets if numbers[at] >= 0]

"""Syllable-boundary detector: finds the ends of vowels and the energy valleys between syllables in running speech.

It owns the state of one stream, which the kernels advance by frames of 10 ms. It does not know that boundaries trigger
partials. `warm_up` compiles the kernels, or loads them from Numba's cache.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trio_stt.dsp.boundary_kernels import (
    CONTEXT_SAMPLES,
    FOUND,
    FRAME,
    FRAME_SAMPLES,
    FRAMES_AFTER,
    FRAMES_BEFORE,
    SILENCE,
    STATE,
    Thresholds,
    advance,
)

_DEFAULT_SENSITIVITY = 0.6
"""Up to here the minimal score and gap of RealtimeSTT hold: 2.0 and 16 frames. A lower sensitivity raises the score, a
higher one shortens the gap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """The end of a syllable.

    Attributes:
        sample: The middle of its frame, counted from the first sample of the stream.
        decided_sample: Position up to which audio was needed for the decision, 35 ms later.
        reason: Whether speech continues at once, or a pause follows.
        score: How clear the boundary is, 2.0 to 4.575.
    """

    sample: int
    decided_sample: int
    reason: Literal["vowel-ended", "vowel-to-pause"]
    score: float


def _thresholds(sensitivity: float) -> Thresholds:
    s = min(max(sensitivity, 0.0), 1.0)
    return Thresholds(
        speech_db=10.5 - 4.5 * s,
        drop_db=5.8 - 3.2 * s,
        valley_db=3.2 - 1.8 * s,
        recovery_db=2.2 - 1.1 * s,
        vowel_db=14.0 - 5.0 * s,
        voicing=0.62 - 0.12 * s,
        zero_crossings=0.20 + 0.05 * s,
        score=2.0 + 2.0 * max(0.0, _DEFAULT_SENSITIVITY - s),
        gap_frames=16 - round(17.5 * max(0.0, s - _DEFAULT_SENSITIVITY)),
    )


class BoundaryDetector:
    """Finds the boundaries of one stream of int16 samples, mono, 16 kHz. The split into packets has no effect.

    Args:
        sensitivity: 0 (clear boundaries only) to 1; values outside are clamped.
    """

    def __init__(self, sensitivity: float) -> None:
        self._thresholds = _thresholds(sensitivity)
        self._audio = np.zeros(CONTEXT_SAMPLES, np.int16)  # silence before the stream
        self._states = np.array([SILENCE], STATE)
        self._frames = np.zeros(FRAMES_BEFORE + 1 + FRAMES_AFTER, FRAME)

    def push(self, samples: NDArray[np.int16]) -> list[Boundary]:
        """Process the next samples, shape (n,), n >= 0; returns the boundaries decided with them, in order."""
        audio = np.concatenate((self._audio, samples))
        frames = (audio.size - CONTEXT_SAMPLES) // FRAME_SAMPLES
        found = np.empty(frames // self._thresholds.gap_frames + 1, FOUND)
        count = advance(audio.astype(np.float64), self._thresholds, self._states, self._frames, found)
        self._audio = audio[frames * FRAME_SAMPLES :].copy()
        return [_boundary(*row) for row in found[:count].tolist()]


def _boundary(frame: int, speech_after: bool, score: float) -> Boundary:
    return Boundary(
        sample=frame * FRAME_SAMPLES + FRAME_SAMPLES // 2,
        decided_sample=(frame + 1 + FRAMES_AFTER) * FRAME_SAMPLES,
        reason="vowel-ended" if speech_after else "vowel-to-pause",
        score=score,
    )


def warm_up() -> None:
    """Compile the kernels, or load them from Numba's cache."""
    BoundaryDetector(0.5).push(np.zeros(FRAME_SAMPLES, np.int16))

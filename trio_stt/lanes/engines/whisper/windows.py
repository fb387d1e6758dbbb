"""Whisper's windows of at most 30 s: cuts clips into them, and concatenates them to the audio of one batch.

Pure functions. It must not import a backend.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ

WINDOW_S = 30
"""Whisper's input length, in seconds."""

NO_SPEECH_THRESHOLD = 0.6
LOG_PROBABILITY_THRESHOLD = -1.0
"""Whisper's rule for silence: a window whose no-speech probability is above the first, and whose mean log probability
is below the second, holds no words. Source: the defaults of openai-whisper's `transcribe`."""

Clip = NDArray[np.float32]
Stretch = tuple[int, int]
"""First sample of a part of a clip, and the sample after its last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The samples `start` to `end` of clip number `clip`, placed at second `at_s` of the batch audio."""

    clip: int
    start: int
    end: int
    at_s: int

    @property
    def after_s(self) -> int:
        """The second at which the next window can start: whole seconds, so that no rounding moves a window."""
        return self.at_s - (self.start - self.end) // SAMPLE_RATE_HZ

    def clip_time_s(self, batch_time_s: float) -> float:
        """Convert a time in the batch audio to a time in the clip, inside this window."""
        start_s, end_s = self.start / SAMPLE_RATE_HZ, self.end / SAMPLE_RATE_HZ
        return min(max(start_s, start_s + batch_time_s - self.at_s), end_s)


def cut(clips: Sequence[Clip], speech: Callable[[Clip], Sequence[Stretch]], *, filtered: bool) -> Iterator[Window]:
    """Cut clips into windows. A clip that fits into one window stays whole, unless `filtered`.

    Args:
        clips: float32, shape (n,), 16 kHz.
        speech: Finds the parts of a clip that hold speech, in order, none longer than a window.
        filtered: Remove silence before, after and between the windows.
    """
    at_s = 0
    for number, clip in enumerate(clips):
        whole = clip.size <= WINDOW_S * SAMPLE_RATE_HZ and not filtered
        for start, end in [(0, clip.size)] if whole else _joined(speech(clip)):
            window = Window(clip=number, start=start, end=end, at_s=at_s)
            at_s = window.after_s
            yield window


def lay(windows: Sequence[Window], clips: Sequence[Clip]) -> Clip:
    """Return the batch audio with all windows: float32, shape (n,), zeros between them."""
    audio = np.zeros(windows[-1].after_s * SAMPLE_RATE_HZ, np.float32)
    for window in windows:
        first = window.at_s * SAMPLE_RATE_HZ
        audio[first : first + window.end - window.start] = clips[window.clip][window.start : window.end]
    return audio


def _joined(stretches: Sequence[Stretch]) -> list[Stretch]:
    """Join parts to as few as possible, each within a window; the pauses inside are kept."""
    joined: list[Stretch] = []
    for start, end in stretches:
        if joined and end - joined[-1][0] <= WINDOW_S * SAMPLE_RATE_HZ:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined

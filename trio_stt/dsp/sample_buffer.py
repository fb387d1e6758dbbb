"""The samples of one stream, by absolute position, kept as far back as somebody still needs them.

It owns storage only: what is worth keeping is its caller's decision.
"""

import numpy as np
from numpy.typing import NDArray

_FIRST_CAPACITY_SAMPLES = 16_384  # a second: an idle session holds its pre-roll and no more


class SampleBuffer:
    """A growing and forgetting stretch of int16 mono samples; position 0 is the first sample ever appended."""

    def __init__(self) -> None:
        self._buffer: NDArray[np.int16] = np.empty(_FIRST_CAPACITY_SAMPLES, np.int16)
        self._start_sample = 0
        self._length = 0

    @property
    def start_sample(self) -> int:
        """Position of the oldest sample that is still kept."""
        return self._start_sample

    @property
    def end_sample(self) -> int:
        """Position after the newest sample."""
        return self._start_sample + self._length

    def append(self, samples: NDArray[np.int16]) -> None:
        """Copy samples, shape (n,), to the end."""
        needed = self._length + samples.size
        if needed > self._buffer.size:
            grown = np.empty(max(needed, 2 * self._buffer.size), np.int16)
            grown[: self._length] = self._buffer[: self._length]
            self._buffer = grown
        self._buffer[self._length : needed] = samples
        self._length = needed

    def read(self, start_sample: int, end_sample: int) -> NDArray[np.int16]:
        """A copy of the samples from `start_sample` up to `end_sample`.

        Raises:
            IndexError: Some of them are forgotten or not there yet.
        """
        if not self._start_sample <= start_sample <= end_sample <= self.end_sample:
            held = f"{self._start_sample} to {self.end_sample}"
            raise IndexError(f"samples {start_sample} to {end_sample} are not on the tape, which holds {held}")
        first = start_sample - self._start_sample
        return self._buffer[first : end_sample - self._start_sample].copy()

    def forget_before(self, sample: int) -> None:
        """Allow everything before `sample` to be overwritten. Memory moves only when half of it is free."""
        drop = min(sample - self._start_sample, self._length)
        if drop <= 0 or (drop < self._buffer.size // 2 and self._length < self._buffer.size):
            return
        kept = self._length - drop
        capacity = self._buffer.size
        while capacity > _FIRST_CAPACITY_SAMPLES and kept < capacity // 4:
            capacity //= 2
        buffer = np.empty(capacity, np.int16) if capacity != self._buffer.size else self._buffer
        buffer[:kept] = self._buffer[drop : self._length]
        self._buffer = buffer
        self._start_sample += drop
        self._length = kept

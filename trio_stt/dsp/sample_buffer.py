"""Buffer of one stream's newest samples, addressed by absolute position.

It owns storage only. The caller decides how far back samples are needed.
"""

import numpy as np
from numpy.typing import NDArray

_INITIAL_CAPACITY_SAMPLES = 16_384  # a second: an idle session holds only its pre-roll


class SampleBuffer:
    """Growing buffer of int16 mono samples that forgets its oldest; position 0 is the first sample ever appended."""

    def __init__(self) -> None:
        self._buffer: NDArray[np.int16] = np.empty(_INITIAL_CAPACITY_SAMPLES, np.int16)
        self._start_sample = 0
        self._length = 0

    @property
    def start_sample(self) -> int:
        """Position of the oldest sample in the buffer."""
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
        """Copy of the samples from `start_sample` up to `end_sample`: int16, shape (n,).

        Raises:
            IndexError: Some of them are forgotten already or not appended yet.
        """
        if not self._start_sample <= start_sample <= end_sample <= self.end_sample:
            held = f"{self._start_sample} to {self.end_sample}"
            raise IndexError(f"samples {start_sample} to {end_sample} are not in the buffer, which holds {held}")
        first = start_sample - self._start_sample
        return self._buffer[first : end_sample - self._start_sample].copy()

    def forget_before(self, sample: int) -> None:
        """Allow everything before `sample` to be overwritten.

        Samples are moved only when half of the buffer is free, so that the cost per appended sample stays constant.
        """
        drop = min(sample - self._start_sample, self._length)
        if drop <= 0 or (drop < self._buffer.size // 2 and self._length < self._buffer.size):
            return
        kept = self._length - drop
        capacity = self._buffer.size
        while capacity > _INITIAL_CAPACITY_SAMPLES and kept < capacity // 4:
            capacity //= 2
        buffer = np.empty(capacity, np.int16) if capacity != self._buffer.size else self._buffer
        buffer[:kept] = self._buffer[drop : self._length]
        self._buffer = buffer
        self._start_sample += drop
        self._length = kept

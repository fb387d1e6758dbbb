"""Buffer of one stream's newest samples, addressed by absolute position.

It owns storage only. The caller decides how far back samples are needed.
"""

import numpy as np
from numpy.typing import NDArray

_LEAST_CAPACITY_SAMPLES = 16_384  # a second: an idle session holds only its pre-roll


class SampleBuffer:
    """Growing buffer of int16 mono samples that forgets its oldest; position 0 is the first sample ever appended."""

    def __init__(self) -> None:
        self._buffer: NDArray[np.int16] = np.empty(_LEAST_CAPACITY_SAMPLES, np.int16)
        self._start_sample = 0
        # Where the kept samples lie in the buffer. What lies before them is forgotten, and is overwritten later.
        self._first = self._end = 0

    @property
    def start_sample(self) -> int:
        """Position of the oldest sample in the buffer."""
        return self._start_sample

    @property
    def end_sample(self) -> int:
        """Position after the newest sample."""
        return self._start_sample + self._end - self._first

    @property
    def nbytes(self) -> int:
        """Memory of the buffer, in bytes."""
        return self._buffer.nbytes

    def append(self, samples: NDArray[np.int16]) -> None:
        """Copy samples, shape (n,), to the end."""
        if self._end + samples.size > self._buffer.size:
            needed = self._end - self._first + samples.size
            # A quarter stays free, so that the cost per appended sample is constant. Doubling would hold 16 s of memory
            # for an utterance of 9 s, the usual length of a long sentence.
            fits = needed <= self._buffer.size * 3 // 4
            self._move(self._buffer.size if fits else max(self._buffer.size * 3 // 2, needed * 4 // 3))
        self._buffer[self._end : self._end + samples.size] = samples
        self._end += samples.size

    def read(self, start_sample: int, end_sample: int) -> NDArray[np.int16]:
        """Copy of the samples from `start_sample` up to `end_sample`: int16, shape (n,).

        Raises:
            IndexError: Some of them are forgotten already or not appended yet.
        """
        if not self._start_sample <= start_sample <= end_sample <= self.end_sample:
            held = f"{self._start_sample} to {self.end_sample}"
            raise IndexError(f"samples {start_sample} to {end_sample} are not in the buffer, which holds {held}")
        offset = self._first - self._start_sample
        return self._buffer[start_sample + offset : end_sample + offset].copy()

    def forget_before(self, sample: int) -> None:
        """Forget all samples before `sample`, and free memory where little is left."""
        dropped = min(sample - self._start_sample, self._end - self._first)
        if dropped <= 0:
            return
        self._start_sample += dropped
        self._first += dropped
        kept = self._end - self._first
        if self._buffer.size > _LEAST_CAPACITY_SAMPLES and kept < self._buffer.size // 4:
            self._move(max(_LEAST_CAPACITY_SAMPLES, 2 * kept))

    def _move(self, capacity: int) -> None:
        """Move the kept samples to the beginning of a buffer of this capacity."""
        kept = self._buffer[self._first : self._end]
        if capacity != self._buffer.size:
            self._buffer = np.empty(capacity, np.int16)
        self._buffer[: kept.size] = kept  # NumPy copies overlapping parts correctly
        self._first, self._end = 0, kept.size

"""One stream of audio to 16 kHz, whatever the packets it comes in.

It owns the filter of each rate and the stream of one talker at one rate. It must not keep audio beyond the filter's
own, nor time anything.

Why not a library's stream: soxr's holds 37 to 118 ms back, by which every partial and final is later. And among many
sessions, whose caches are cold, it takes 0.7 ms of CPU for a second of audio at 48 kHz, and this 0.35.
"""

from functools import lru_cache
from math import ceil, gcd

import numpy as np
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.dsp.kernels import resample
from trio_stt.errors import PacketError

MIN_RATE_HZ = 8_000
MAX_RATE_HZ = 192_000

_HALF = 40
"""Half of a filter's length, at least, in samples of the slower of both rates: 2.5 ms at 16 kHz, where the edge is then
1 kHz wide. With 1.5 ms, 1.6 kHz wide, Moonshine gets 18 of 100 words in noise wrong instead of 16."""

_EDGE = 0.9625
"""Where a filter is 6 dB down, in halves of the slower rate. That is flat to 7.2 kHz, 30 dB down at 8 and 74 at 8.2."""

_KAISER_BETA = 7.2
"""74 dB, by Kaiser's own formula, 0.1102 * (dB - 8.7): what 16 bits hold of speech."""

_LANES = 32
"""Rows are as long as a multiple of so many taps, with zeros for the oldest samples: the kernel adds up four vectors of
eight at once, and what is left over one by one. At 48 kHz, with warm caches, that takes 0.6 of what 240 taps take."""

_PHASES = 96
"""Filters for each sample of the slower of both rates, at most. What interpolation between two gets wrong is
(pi / 96) ** 2 / 8 of a tone at 8 kHz, 77 dB less, and of a lower one less still."""


def _half(rate_hz: int) -> int:
    """Half of the length of a rate's filter, in samples."""
    return 8 * ceil(_HALF * max(1.0, rate_hz / SAMPLE_RATE_HZ) / 8)


@lru_cache(maxsize=16)
def _filters(rate_hz: int) -> NDArray[np.float32]:
    """The rows of `kernels.resample` for a rate: a sinc in a Kaiser window, each row with a sum of 1.

    Returns:
        float32, shape (phases + 1, taps): 42 KB at most, made within a millisecond. Row r is for times r / phases of a
        sample behind the last sample but `_half` of those under it.
    """
    ratio = max(1.0, rate_hz / SAMPLE_RATE_HZ)  # how much slower what leaves is
    half = _half(rate_hz)
    taps = 2 * half
    phases = min(SAMPLE_RATE_HZ // gcd(rate_hz, SAMPLE_RATE_HZ), ceil(_PHASES / ratio))
    behind = np.arange(phases + 1)[:, np.newaxis] / phases + half - 1 - np.arange(taps)
    window = np.i0(_KAISER_BETA * np.sqrt(1 - (2 * behind / taps) ** 2))
    rows = np.sinc(_EDGE / ratio * behind) * window
    rows /= rows.sum(axis=1, keepdims=True)
    return np.pad(rows, ((0, 0), (-taps % _LANES, 0))).astype(np.float32)


class StreamResampler:
    """Converts one talker's mono samples to 16 kHz.

    The output depends on the samples alone, never on how they were split into packets, and lies on the input's time
    axis: sample n of the output belongs to time n / 16000 s of the input. 16 kHz passes through untouched.

    It holds half of its filter back until a later push or `flush`: 2.5 to 2.7 ms from 22.05 kHz up, 5 ms at 8 kHz.
    """

    def __init__(self, rate_hz: int) -> None:
        """Make a stream at `rate_hz`, 8,000 to 192,000.

        Raises:
            PacketError: The rate is out of range.
        """
        if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
            raise PacketError(f"sampleRate is {rate_hz} Hz; allowed are {MIN_RATE_HZ} to {MAX_RATE_HZ}")
        self.rate_hz = rate_hz
        self._rows = _filters(rate_hz)
        self._start_anew()

    def _start_anew(self) -> None:
        self._past = np.zeros(self._rows.shape[1] - 1, np.float32)
        self._at = _half(self.rate_hz) * SAMPLE_RATE_HZ  # as `kernels.resample` has it
        self._taken = self._given = 0

    def push(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """Take the next samples and give what is ready.

        Args:
            samples: int16, shape (samples,), mono, at `rate_hz`; may be empty.

        Returns:
            int16, shape (n,), at 16 kHz. At 16 kHz it is `samples` itself, not a copy.

        Raises:
            ValueError: The samples have another type or shape.
        """
        if self.rate_hz == SAMPLE_RATE_HZ:
            return samples
        ready = resample(samples, self._past, self._rows, self._at, self.rate_hz)
        self._at += ready.size * self.rate_hz - samples.size * SAMPLE_RATE_HZ
        self._taken += samples.size
        self._given += ready.size
        return ready

    def flush(self) -> NDArray[np.int16]:
        """End the stream and give what it held back; the resampler is then as new.

        In all, n samples became round(n * 16000 / rate_hz).

        Returns:
            int16, shape (n,), at 16 kHz; empty when nothing was held back.
        """
        missing = round(self._taken * SAMPLE_RATE_HZ / self.rate_hz) - self._given
        tail = self.push(np.zeros(self._rows.shape[1], np.int16))
        self._start_anew()
        return tail[:missing]

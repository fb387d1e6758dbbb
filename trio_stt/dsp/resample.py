"""Resampling of one live stream to 16 kHz with soxr; the packet sizes do not change the output.

It owns the choice of soxr's mode for a rate, and the soxr stream. It keeps no audio except the filter's own.
"""

import numpy as np
import soxr
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.dsp.kernels import to_float32, to_int16
from trio_stt.errors import PacketError

MIN_RATE_HZ = 8_000
MAX_RATE_HZ = 192_000

_NOTHING = np.empty(0, np.float32)


def _new_stream(rate_hz: int) -> soxr.ResampleStream:
    """A soxr stream from `rate_hz` to 16 kHz, in the mode that suits the rate.

    Above 16 kHz: a fixed rate at medium quality. It is flat to 7.3 kHz and holds back 21 to 33 ms on average, at 48 kHz
    38 ms at most. The variable-rate mode holds back a constant 12.5 ms at 48 kHz, but takes nine times the CPU time
    (2.8 instead of 0.3 ms per second of audio, a quarter of what a silent session costs), and Moonshine gets as many
    words right with either. Low quality holds back 11 ms, but is 3 dB down at 6.5 kHz, where an "s" lies; in noise at
    9 dB Moonshine fell into a loop on such audio.

    Below 16 kHz: the variable rate. It holds back 15 to 30 ms, the fixed rates at the same bandwidth 47 to 118 ms.

    Measured with `python -m benchmarks.resampling`.
    """
    variable = rate_hz < SAMPLE_RATE_HZ
    # Not dtype="int16": soxr adds dither to 16-bit output, and then the packet sizes would change the samples.
    return soxr.ResampleStream(
        rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ" if variable else "MQ", vr=variable
    )


class StreamResampler:
    """Converts the mono samples of one stream to 16 kHz.

    The output depends on the samples alone, never on how they were split into packets. It lies on the input's time
    axis: sample n of the output belongs to time n / 16000 s of the input (within 16 µs below 16 kHz). So what soxr
    holds back delays the output and shifts no position. Audio at 16 kHz passes through unchanged.
    """

    def __init__(self, rate_hz: int) -> None:
        """Start a stream at `rate_hz`, 8,000 to 192,000.

        Raises:
            PacketError: The rate is out of range.
        """
        if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
            raise PacketError(f"sampleRate is {rate_hz} Hz; allowed are {MIN_RATE_HZ} to {MAX_RATE_HZ}")
        self.rate_hz = rate_hz
        self._stream = None if rate_hz == SAMPLE_RATE_HZ else _new_stream(rate_hz)
        self._input_samples = self._output_samples = 0

    def push(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """Take the next samples; return the output that is ready.

        Args:
            samples: int16, shape (samples,), mono, at `rate_hz`; may be empty.

        Returns:
            int16, shape (n,), at 16 kHz, rounded half to even and clipped. At 16 kHz it is `samples` itself, not a
            copy.

        Raises:
            ValueError: The samples have another type or shape.
        """
        if self._stream is None:
            return samples
        ready = to_int16(self._stream.resample_chunk(to_float32(samples)))
        self._input_samples += samples.size
        self._output_samples += ready.size
        return ready

    def flush(self) -> NDArray[np.int16]:
        """End the stream and return what it held back. The next sample starts a new stream at the same rate.

        In all, n samples became round(n * 16000 / rate_hz).

        Returns:
            int16, shape (n,), at 16 kHz; empty if nothing was held back.
        """
        if self._stream is None:
            return np.empty(0, np.int16)
        tail = to_int16(self._stream.resample_chunk(_NOTHING, last=True))
        # soxr rounds the length up in its variable-rate mode. Cut to the nearest length, so that a stream of many
        # flushes keeps the sample clock.
        missing = round(self._input_samples * SAMPLE_RATE_HZ / self.rate_hz) - self._output_samples
        self._stream.clear()  # a stream that has ended takes no more samples; clearing costs less than a new one
        self._input_samples = self._output_samples = 0
        return tail[:missing]

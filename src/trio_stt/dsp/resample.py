"""One stream of audio to 16 kHz, whatever the packets it comes in.

It owns the soxr stream of one talker at one rate. It must not keep audio beyond the filter's own, nor time anything.
"""

import numpy as np
import soxr
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.dsp.kernels import to_float32, to_int16
from trio_stt.errors import PacketError

MIN_RATE_HZ = 8_000
MAX_RATE_HZ = 192_000

_QUALITY = "MQ"
"""soxr's 16-bit recipe. All recipes cost the same here. HQ is exact beyond the 16 bits that come out, and from 88.2 kHz
up it holds back twice as much audio. LQ holds back half as much but is 3 dB down at 6.5 kHz, and Moonshine
then makes 10 to 40 % more errors on noisy speech."""

_NOTHING = np.empty(0, np.float32)


class StreamResampler:
    """Converts one talker's mono samples to 16 kHz.

    The output depends on the samples alone, never on how they were split into packets, and lies on the input's time
    axis: sample n of the output belongs to time n / 16000 s of the input. 16 kHz passes through untouched.

    It holds samples back until a later push or `flush`: at most 0.125 s of audio (measured in output samples: none at
    16 kHz, 600 to 660 from 22.05 kHz up, 940 at 32 kHz, 1370 at 11.025 kHz, 1890 at 8 kHz).
    """

    def __init__(self, rate_hz: int) -> None:
        """Make a stream at `rate_hz`, 8,000 to 192,000.

        Raises:
            PacketError: The rate is out of range.
        """
        if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
            raise PacketError(f"sampleRate is {rate_hz} Hz; allowed are {MIN_RATE_HZ} to {MAX_RATE_HZ}")
        self.rate_hz = rate_hz
        self._stream = (
            None
            if rate_hz == SAMPLE_RATE_HZ
            else soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality=_QUALITY)
        )

    def push(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """Take the next samples and give what is ready.

        Args:
            samples: int16, shape (samples,), mono, at `rate_hz`; may be empty.

        Returns:
            int16, shape (n,), at 16 kHz. At 16 kHz it is `samples` itself, not a copy.

        Raises:
            ValueError: The samples have another type or shape.
        """
        if self._stream is None:
            return samples
        return to_int16(self._stream.resample_chunk(to_float32(samples), last=False))

    def flush(self) -> NDArray[np.int16]:
        """End the stream and give what it held back; the resampler is then as new.

        In all, n samples became round(n * 16000 / rate_hz) samples, give or take one.

        Returns:
            int16, shape (n,), at 16 kHz; empty when nothing was held back.
        """
        if self._stream is None:
            return np.empty(0, np.int16)
        tail = to_int16(self._stream.resample_chunk(_NOTHING, last=True))
        self._stream.clear()
        return tail

"""The telephone band of one stream: what a sound holds below 3.4 kHz, at whatever rate it was sampled.

It owns the filter and the end of what it heard. It must not judge what it lets through.

A stream at 8 kHz has nothing above 4 kHz, so no hiss of an "s". Silero, shown the full band of faster streams, ends
words in "s" up to nine windows later there. Shown this band alone, it hears the same at every rate.
"""

import numpy as np
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.dsp.kernels import filtered

_EDGE_HZ = 3_400
"""Where telephony ends (ITU-T G.712), and so far below 4 kHz that no resampler's own edge shows."""

_TAPS = 161
_KAISER_BETA = 6.8
"""A sinc in a Kaiser window: within 0.1 dB up to 3.2 kHz and 70 dB down from 3.65 kHz. With 50 dB the hiss that is left
still moves Silero's probability by 0.15 at the end of a word."""


def _low_pass() -> NDArray[np.float32]:
    step = 2 * _EDGE_HZ / SAMPLE_RATE_HZ
    taps = np.sinc(step * (np.arange(_TAPS) - _TAPS // 2)) * np.kaiser(_TAPS, _KAISER_BETA)
    return np.asarray(taps / taps.sum(), np.float32)


_LOW_PASS = _low_pass()


class TelephoneBand:
    """The low-pass of one talker. It answers 80 samples, 5 ms, late."""

    def __init__(self) -> None:
        """Start with nothing heard."""
        self._heard: NDArray[np.float32]
        self.reset()

    def reset(self) -> None:
        """Forget everything heard."""
        self._heard = np.zeros(_TAPS - 1, np.float32)

    def push(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """The band of the stream's next samples.

        Args:
            samples: int16, shape (n,), mono, 16 kHz.

        Returns:
            int16, shape (n,): a new array.

        Raises:
            ValueError: The samples have another type or shape.
        """
        return filtered(samples, self._heard, _LOW_PASS)

"""The telephone band of one stream: what a sound holds below 3.4 kHz, at whatever rate it was sampled.

It owns the filter, the end of what it heard and the end of what it let through. It must not judge what it lets through.

A stream at 8 kHz has nothing above 4 kHz, so no hiss of an "s". Silero, shown the full band of faster streams, ends
words in "s" up to nine windows later there. Shown this band alone, it hears the same at every rate.
"""

import numpy as np
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.dsp.kernels import append_filtered

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
    """The low-pass of one talker. It answers 80 samples, 5 ms, late.

    Attributes:
        recent: int16, shape (kept_samples,): the newest samples of the band, oldest first; zeros before there are any.
            `push` moves them on in place.
    """

    def __init__(self, kept_samples: int) -> None:
        """Start with nothing heard."""
        self.recent = np.zeros(kept_samples, np.int16)
        self._heard = np.zeros(_TAPS - 1, np.float32)

    def reset(self) -> None:
        """Forget everything heard."""
        self.recent[:] = 0
        self._heard[:] = 0

    def push(self, samples: NDArray[np.int16]) -> float:
        """Hear the stream's next samples; their band is then the end of `recent`.

        Args:
            samples: int16, shape (n,), mono, 16 kHz; no more than are kept.

        Returns:
            The level of their band: root mean square in int16 units, 0.0 to 32768.0.

        Raises:
            ValueError: The samples have another type or shape.
        """
        return append_filtered(self.recent, samples, self._heard, _LOW_PASS)

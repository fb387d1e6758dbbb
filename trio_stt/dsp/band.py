"""Low-pass filter to the telephone band, below 3.4 kHz, in front of the voice detectors.

It owns the filter and its newest output.

A stream at 8 kHz has nothing above 4 kHz, so it lacks the hiss of an "s". With the hiss of faster streams, Silero
ends words in "s" up to nine windows (0.3 s) later. With this band alone, its results are the same at every rate.
"""

import numpy as np
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.dsp.kernels import append_filtered

_EDGE_HZ = 3_400
"""Upper edge of the telephone band (ITU-T G.712); the resampler's own edge lies above it at every rate."""

_TAPS = 161
_KAISER_BETA = 6.8
"""A Kaiser-windowed sinc: flat within 0.1 dB up to 3.2 kHz, 70 dB down from 3.65 kHz. At 50 dB the remaining hiss still
changes Silero's probability by 0.15 at the end of a word."""


def _low_pass() -> NDArray[np.float32]:
    step = 2 * _EDGE_HZ / SAMPLE_RATE_HZ
    taps = np.sinc(step * (np.arange(_TAPS) - _TAPS // 2)) * np.kaiser(_TAPS, _KAISER_BETA)
    return np.asarray(taps / taps.sum(), np.float32)


_LOW_PASS = _low_pass()


class TelephoneBand:
    """The low-pass filter of one stream. Its output is 80 samples, 5 ms, late.

    Attributes:
        recent: int16, shape (kept_samples,): the newest samples of the band, oldest first; zeros at the start. `push`
            shifts them in place.
    """

    def __init__(self, kept_samples: int) -> None:
        """Start with silence."""
        self.recent = np.zeros(kept_samples, np.int16)
        self._past = np.zeros(_TAPS - 1, np.float32)

    def reset(self) -> None:
        """Go back to the initial state."""
        self.recent[:] = 0
        self._past[:] = 0

    def push(self, samples: NDArray[np.int16]) -> float:
        """Filter the stream's next samples and append the output to `recent`.

        Args:
            samples: int16, shape (n,), mono, 16 kHz; at most `kept_samples`.

        Returns:
            The level of the output: root mean square in int16 units, 0.0 to 32768.0.

        Raises:
            ValueError: The samples have another type or shape.
        """
        return append_filtered(self.recent, samples, self._past, _LOW_PASS)

"""The quietest place of running speech: where a forced cut most likely falls between two words."""

from collections.abc import Sequence

import numpy as np

_WEIGHTS = np.bartlett(11)[1:-1] / 5
"""Weights of a window and of the four on each side, 0.29 s in all. One soft window may be the closure of a /t/ within a
word; in a pause, the windows around it are soft, too. The triangle prefers the middle of a long pause."""

_EARLIER_DB = 0.01
"""What a place must be softer for each window that it is earlier: 3 dB in 10 s. Of equal pauses, the latest leaves the
longest segment and moves the least live text to the next one."""

_LEAST_RMS = 1.0
"""Windows below the level of dither, int16 units, count as equally quiet."""


def quietest_window(levels: Sequence[float]) -> int:
    """Index of the quietest place.

    Args:
        levels: RMS of consecutive windows, int16 units, at least one. Beyond the ends, their levels go on.
    """
    decibels = 20.0 * np.log10(np.maximum(levels, _LEAST_RMS))
    padded = np.pad(decibels, _WEIGHTS.size // 2, mode="edge")
    smooth = np.convolve(padded, _WEIGHTS, mode="valid")
    return int(np.argmin(smooth - _EARLIER_DB * np.arange(smooth.size)))

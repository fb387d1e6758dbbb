"""WebRTC's voice detector on 32 ms windows.

It owns one detector and its noise model. It must not decide what follows from its answer.
"""

import numpy as np
import webrtcvad
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ, WINDOW_SAMPLES

_FRAME_BYTES = SAMPLE_RATE_HZ // 100 * 2
"""10 ms of int16 samples, the shortest frame that the detector knows."""


class WebRtcVad:
    """One talker's WebRTC voice detector."""

    def __init__(self, mode: int) -> None:
        """Make a detector.

        Args:
            mode: Aggressiveness, 0 (passes most) to 3 (passes least).

        Raises:
            ValueError: The mode is out of range.
        """
        if not 0 <= mode <= 3:  # noqa: PLR2004 - WebRTC's modes are these four
            raise ValueError(f"WebRTC's mode is {mode}; allowed are 0 to 3")
        self._mode = mode
        self._vad = webrtcvad.Vad(mode)

    def is_speech(self, window: NDArray[np.int16]) -> bool:
        """Whether any of the window's three whole 10 ms frames sounds like speech; the last 2 ms are not heard.

        All three frames are always shown to the detector, whose noise model follows every frame that it hears.

        Args:
            window: int16, shape (512,), mono, 16 kHz; the windows of one talker in order.

        Raises:
            ValueError: The window has another type or shape.
        """
        if window.dtype != np.int16 or window.shape != (WINDOW_SAMPLES,):
            raise ValueError(f"a window is int16 of shape (512,), not {window.dtype} {window.shape}")
        pcm = window.tobytes()
        first = self._vad.is_speech(pcm[:_FRAME_BYTES], SAMPLE_RATE_HZ)
        second = self._vad.is_speech(pcm[_FRAME_BYTES : 2 * _FRAME_BYTES], SAMPLE_RATE_HZ)
        third = self._vad.is_speech(pcm[2 * _FRAME_BYTES : 3 * _FRAME_BYTES], SAMPLE_RATE_HZ)
        return bool(first or second or third)

    def reset(self) -> None:
        """Forget the noise model."""
        self._vad = webrtcvad.Vad(self._mode)

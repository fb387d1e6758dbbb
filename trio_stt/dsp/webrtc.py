"""WebRTC's voice activity detector, applied to windows of 32 ms."""

import numpy as np
import webrtcvad
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ, WINDOW_SAMPLES

_FRAME_BYTES = SAMPLE_RATE_HZ // 100 * 2
"""Bytes of 10 ms of int16 samples, the shortest frame that the detector accepts."""


class WebRtcVad:
    """WebRTC voice detector of one stream."""

    def __init__(self, mode: int) -> None:
        """Start with a fresh noise model.

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
        """Whether any of the window's three whole 10 ms frames is speech; the last 2 ms are not used.

        The detector always gets all three frames, because its noise model adapts with every frame.

        Args:
            window: int16, shape (512,), mono, 16 kHz; the windows of one stream in order.

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
        """Start again with a fresh noise model."""
        self._vad = webrtcvad.Vad(self._mode)

"""Numba kernels for PCM samples: down-mixing, conversion, loudness.

Public functions check their arguments and call a private kernel; none keeps state. The kernels release the GIL.
`warm_up` compiles them or loads them from the cache, so that a client's first packet does not wait for it.
"""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from trio_stt.errors import PacketError

MAX_CHANNELS = 8
"""Maximum number of interleaved channels in a packet."""
_PCM = np.dtype("<i2")


@njit(cache=True, nogil=True)
def _downmix(interleaved: NDArray[np.int16], channels: int) -> NDArray[np.int16]:
    frames = interleaved.size // channels
    mono = np.empty(frames, np.int16)
    for frame in range(frames):
        total = 0
        for channel in range(channels):
            total += interleaved[frame * channels + channel]
        # `//` rounds down, but the mean is rounded toward zero (docs/protocol.md, Audio packets).
        mono[frame] = total // channels if total >= 0 else -(-total // channels)
    return mono


@njit(cache=True, nogil=True)
def _to_float32(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    scaled = np.empty(samples.size, np.float32)
    for i in range(samples.size):
        scaled[i] = samples[i] * np.float32(1 / 32768)
    return scaled


@njit(cache=True, nogil=True)
def _to_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    rounded = np.empty(samples.size, np.int16)
    for i in range(samples.size):
        value = np.rint(samples[i] * np.float32(32768))
        rounded[i] = min(max(value, np.float32(-32768)), np.float32(32767))
    return rounded


@njit(cache=True, nogil=True)
def _sum_of_squares(samples: NDArray[np.int16]) -> np.int64:
    total = np.int64(0)
    for i in range(samples.size):
        value = np.int64(samples[i])
        total += value * value
    return total


def _checked(samples: NDArray[Any], dtype: type[np.generic], name: str) -> NDArray[Any]:
    """`samples` in the layout that the kernels are compiled for: one dimension, `dtype`, contiguous, aligned.

    Raises:
        ValueError: They have another type or shape.
    """
    if samples.dtype != dtype or samples.ndim != 1:
        raise ValueError(f"{name} takes {dtype.__name__} of shape (samples,), not {samples.dtype} {samples.shape}")
    if samples.flags.c_contiguous and samples.flags.aligned:
        return samples
    return samples.copy()


def downmix_pcm16(payload: bytes | bytearray | memoryview, channels: int) -> NDArray[np.int16]:
    """Decode interleaved little-endian 16-bit PCM and mix it down to one channel.

    Args:
        payload: Whole frames of `channels` samples each; may be empty.
        channels: Interleaved channels, 1 to 8.

    Returns:
        int16, shape (frames,): the arithmetic mean over the channels, rounded toward zero. A single channel is returned
        as a view of `payload` if it is aligned, so the payload must not be changed afterwards.

    Raises:
        PacketError: `channels` is out of range, or the payload ends within a frame.
    """
    if not 1 <= channels <= MAX_CHANNELS:
        raise PacketError(f"channels is {channels}; allowed are 1 to {MAX_CHANNELS}")
    if len(payload) % (2 * channels):
        raise PacketError(f"{len(payload)} bytes of audio are not a whole number of {2 * channels}-byte frames")
    interleaved = np.frombuffer(payload, _PCM)
    if not (_PCM.isnative and interleaved.flags.aligned):  # unaligned after metadata of an odd length
        interleaved = interleaved.astype(np.int16)
    if channels == 1:
        return interleaved
    mono: NDArray[np.int16] = _downmix(interleaved, channels)
    return mono


def to_float32(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Scale int16 samples, shape (samples,), by 1/32768: a new float32 array of that shape, -1 to 1, exact.

    Raises:
        ValueError: They have another type or shape.
    """
    scaled: NDArray[np.float32] = _to_float32(_checked(samples, np.int16, "to_float32"))
    return scaled


def to_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Scale float32 samples, shape (samples,), by 32768, round half to even and clip: a new int16 array of that shape.

    The result for NaN is not defined.

    Raises:
        ValueError: They have another type or shape.
    """
    rounded: NDArray[np.int16] = _to_int16(_checked(samples, np.float32, "to_int16"))
    return rounded


def rms(samples: NDArray[np.int16]) -> float:
    """Root mean square of int16 samples, shape (samples,), in int16 units: 0.0 to 32768.0; 0.0 for no samples.

    Raises:
        ValueError: They have another type or shape.
    """
    total = int(_sum_of_squares(_checked(samples, np.int16, "rms")))
    return math.sqrt(total / samples.size) if samples.size else 0.0


def warm_up() -> None:
    """Compile every kernel, or load it from Numba's cache, for all array types that occur."""
    # Numba compiles separately for read-only arrays, and a `bytes` payload gives one.
    for payload in (bytes(8), bytearray(8)):
        mono = downmix_pcm16(payload, 1)
        downmix_pcm16(payload, 2)
        rms(mono)
        to_int16(to_float32(mono))

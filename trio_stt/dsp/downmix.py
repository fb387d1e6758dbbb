"""Mixes the channels of one stream down to one, even if they cancel each other out.

The mean of two channels in opposite phase is silence; wrongly wired and "widened" recordings have them. There the
loudest channel is used instead. The output depends on the samples alone, never on how they were split into packets.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from trio_stt.dsp import kernels

_AVERAGE_S = 0.05
"""Seconds over which the energy is averaged: a few periods of a low voice."""
_HOLD_S = 0.02
"""Seconds for which the channels must cancel, without a break, before one of them is used."""
_FADE_S = 0.01
"""Seconds of the change between mean and channel, which would click if it were abrupt."""
_CANCELLED = 0.3
_RESTORED = 0.6
"""Energy of the sum as a share of the energies of all channels: 0 where they cancel, 1 where they have nothing in
common, the number of channels where they are equal. The two
values differ, so that the choice does not alternate quickly."""
_QUIET_ENERGY = 100.0
"""Energy of all channels, in squared int16 units, below which nothing is decided: rounding errors have any phase."""

_WEIGHT, _CHOSEN, _HELD, _SUM = range(4)
_ENERGIES = 4
"""Places in the state: the share of the chosen channel in the output, its number, the samples since the channels began
to cancel, the energy of the sum, and then the energy of each channel."""


@njit(cache=True, nogil=True)
def _mix(  # noqa: PLR0917 - a kernel has no keywords
    interleaved: NDArray[np.int16],
    mean: NDArray[np.int16],
    state: NDArray[np.float64],
    decay: float,
    hold_samples: float,
    fade_step: float,
) -> NDArray[np.int16]:
    channels = state.size - _ENERGIES
    mixed = np.empty(mean.size, np.int16)
    for frame in range(mean.size):
        start = frame * channels
        total = 0.0
        energy = 0.0
        for channel in range(channels):
            value = float(interleaved[start + channel])
            total += value
            state[_ENERGIES + channel] += (value * value - state[_ENERGIES + channel]) * decay
            energy += state[_ENERGIES + channel]
        state[_SUM] += (total * total - state[_SUM]) * decay
        if energy > _QUIET_ENERGY:
            if state[_SUM] < _CANCELLED * energy:
                state[_HELD] += 1
            elif state[_SUM] > _RESTORED * energy:
                state[_HELD] = 0
        if state[_HELD] > hold_samples:
            if state[_WEIGHT] == 0.0:
                state[_CHOSEN] = np.argmax(state[_ENERGIES:])
            state[_WEIGHT] = min(1.0, state[_WEIGHT] + fade_step)
        elif state[_WEIGHT] > 0.0:
            state[_WEIGHT] = max(0.0, state[_WEIGHT] - fade_step)
        weight = state[_WEIGHT]
        mixed[frame] = mean[frame]
        if weight > 0.0:
            chosen = float(interleaved[start + int(state[_CHOSEN])])
            mixed[frame] = np.int16(np.rint((1.0 - weight) * mean[frame] + weight * chosen))
    return mixed


class Downmixer:
    """Mixes the packets of one stream."""

    def __init__(self) -> None:
        self._state = np.zeros(0)

    def push(self, payload: bytes | bytearray | memoryview, *, channels: int, rate_hz: int) -> NDArray[np.int16]:
        """Mix the next samples.

        Args:
            payload: Interleaved little-endian 16-bit PCM, whole frames of `channels` samples each; may be empty.
            channels: 1 to 8; a change starts a new stream.
            rate_hz: Its sample rate.

        Returns:
            int16, shape (frames,): the mean over the channels, rounded toward zero, or the loudest channel where they
            cancel each other out. A single channel is returned as `downmix_pcm16` does.

        Raises:
            PacketError: `channels` is out of range, or the payload ends within a frame.
        """
        mean = kernels.downmix_pcm16(payload, channels)
        if channels == 1:
            return mean
        if self._state.size != _ENERGIES + channels:
            self._state = np.zeros(_ENERGIES + channels)
        interleaved = np.frombuffer(payload, "<i2").astype(np.int16)  # aligned
        mixed: NDArray[np.int16] = _mix(
            interleaved, mean, self._state, 1 / (_AVERAGE_S * rate_hz), _HOLD_S * rate_hz, 1 / (_FADE_S * rate_hz)
        )
        return mixed


def warm_up() -> None:
    """Compile the kernel, or load it from Numba's cache, for all array types that occur."""
    for payload in (bytes(8), bytearray(8)):
        Downmixer().push(payload, channels=2, rate_hz=8_000)

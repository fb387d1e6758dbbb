"""The interface of the decoders of sound, without their libraries."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

OPUS_RATE_HZ = 48_000
"""Sample rate of decoded Opus, whatever the rate of its source was (RFC 6716, section 2)."""


class DamagedSound(Exception):  # noqa: N818 - a state; `reader` names the file
    """A file cannot be opened or decoded, or not to its end; the message gives the reason."""


class NoAudioFound(DamagedSound):
    """The container is known, but holds no audio, or audio of an unknown codec."""


@dataclass(frozen=True, slots=True, eq=False)
class SoundBlock:
    """Some mono audio: int16, shape (n,), and its sample rate, 8,000 to 192,000 Hz."""

    samples: NDArray[np.int16]
    rate_hz: int


class Decoder(Protocol):
    """An open sound file.

    Attributes:
        rate_hz: Its sample rate, above 0.
        channels: Its number of channels, above 0.
        length_s: Its length in seconds as the file states it, which may be wrong; None if it states none.
    """

    rate_hz: int
    channels: int
    length_s: float | None

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Its audio from the start: float32, shape (n, channels), n at most a second; -1 to 1, or a little beyond.

        Raises:
            DamagedSound: The rest cannot be decoded; everything before was returned.
        """

    def close(self) -> None:
        """Release the decoder; the file itself stays open."""

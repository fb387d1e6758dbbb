"""The interface of the decoders of sound files."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class DamagedSound(Exception):  # noqa: N818 - a state; `reader` names the file
    """A file cannot be opened or decoded, or not to its end; the message gives the reason."""


class NoAudioFound(DamagedSound):
    """The container is known, but holds no audio, or audio of an unknown codec."""


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

"""Sound without a header: 16-bit PCM, little-endian, mono, at a rate that its sender states."""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.sound.reader import Sound

_SAMPLE_BYTES = 2


class PcmDecoder:
    """See `Decoder`.

    Args:
        source: At its start.
        rate_hz: Its sample rate.
    """

    def __init__(self, source: BinaryIO, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self.channels = 1
        self.length_s: float | None = None
        self._source = source

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """See `Decoder.blocks`; half a sample at the end is left out."""
        while data := self._source.read(self.rate_hz * _SAMPLE_BYTES):
            # An unbuffered file may return less than was asked for, in the middle of a sample.
            if len(data) % _SAMPLE_BYTES:
                data += self._source.read(1)
            samples = np.frombuffer(data, "<i2", count=len(data) // _SAMPLE_BYTES)
            if samples.size:
                yield (samples.astype(np.float32) / np.float32(32_768)).reshape(-1, 1)

    def close(self) -> None:
        """Do nothing: the file is the sound's."""


def read_pcm(
    source: BinaryIO,
    *,
    name: str,
    max_length_s: float | None = None,
    is_copy: bool = False,
    rate_hz: int = SAMPLE_RATE_HZ,
) -> Sound:
    """Read PCM samples from a file that is open, from its start; see `read_sound`."""
    source.seek(0)
    decoder = PcmDecoder(source, rate_hz)
    return Sound(name=name, source=source, decoder=decoder, max_length_s=max_length_s, is_copy=is_copy)

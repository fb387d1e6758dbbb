"""Audio of Wyoming's clients: PCM of 1 to 4 bytes a sample, any rate and channels, as 16-bit mono. Sans-IO."""

from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from trio_stt.dsp.downmix import Downmixer
from trio_stt.dsp.kernels import MAX_CHANNELS
from trio_stt.dsp.resample import MAX_RATE_HZ, MIN_RATE_HZ

_MAX_TIMESTAMP_MS = float(1 << 53)
"""Beyond it, a float holds no single milliseconds; a detection repeats it as an integer of at most 64 bits."""


class AudioFormat(msgspec.Struct, frozen=True, kw_only=True):
    """The format of a chunk.

    Attributes:
        rate: Samples a second.
        width: Bytes of a sample; one byte is unsigned, more are signed and little-endian.
        channels: Samples of one moment, one after the other.
        timestamp: Milliseconds, from a start that the client chose.
    """

    rate: Annotated[int, msgspec.Meta(ge=MIN_RATE_HZ, le=MAX_RATE_HZ)]
    width: Annotated[int, msgspec.Meta(ge=1, le=4)]
    channels: Annotated[int, msgspec.Meta(ge=1, le=MAX_CHANNELS)]
    timestamp: Annotated[float, msgspec.Meta(ge=-_MAX_TIMESTAMP_MS, le=_MAX_TIMESTAMP_MS)] | None = None

    def has_samples_of(self, other: "AudioFormat") -> bool:
        """Whether samples of both are the same but for their place in time."""
        return (self.rate, self.width, self.channels) == (other.rate, other.width, other.channels)


class MonoConverter:
    """Converts the chunks of one stream."""

    def __init__(self) -> None:
        self._downmixer = Downmixer()
        self._format: AudioFormat | None = None
        self._rest = b""  # of a frame that a chunk cut

    def push(self, payload: memoryview, audio_format: AudioFormat) -> NDArray[np.int16]:
        """Convert the next chunk: int16, shape (n,), at the rate of the format. A cut frame waits for its rest."""
        if self._format is None or not audio_format.has_samples_of(self._format):
            self._format, self._rest = audio_format, b""
        data = self._rest + bytes(payload)
        frame_bytes = audio_format.width * audio_format.channels
        whole = len(data) - len(data) % frame_bytes
        self._rest = data[whole:]
        pcm = _to_int16(data[:whole], audio_format.width)
        return self._downmixer.push(pcm, channels=audio_format.channels, rate_hz=audio_format.rate)


def _to_int16(data: bytes, width: int) -> bytes:
    """Samples of any width as int16 bytes: the upper two bytes of wider ones."""
    match width:
        case 1:
            return (((np.frombuffer(data, np.uint8).astype(np.int16)) - 128) << 8).astype("<i2").tobytes()
        case 2:
            return data
    return np.frombuffer(data, np.uint8).reshape(-1, width)[:, width - 2 :].tobytes()

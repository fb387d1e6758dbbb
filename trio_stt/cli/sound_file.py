"""Sound files as a stream of packets, for `trio-stt transcribe`.

It owns reading and what is wrong with a file. It must not resample or judge: the session does, as for any client.
"""

import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import soundfile

from trio_stt.dsp import kernels
from trio_stt.errors import AudioFileError
from trio_stt.protocol.packets import MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ, build_packet

_PACKET_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundFile:
    """An open sound file.

    Attributes:
        name: As the user gave it.
        reader: The decoder behind it.
    """

    name: str
    reader: soundfile.SoundFile

    @property
    def duration_s(self) -> float:
        """Its length in seconds."""
        return float(self.reader.frames / self.reader.samplerate)

    def packets(self) -> Iterator[tuple[float, bytes]]:
        """Its audio as packets of the wire, each with its length in seconds.

        Raises:
            AudioFileError: It breaks off in a way that cannot be read.
        """
        rate_hz, channels = self.reader.samplerate, self.reader.channels
        try:
            # Read as float: libsndfile casts float files to integers without scaling. 16-bit samples survive exactly.
            for block in self.reader.blocks(max(1, round(_PACKET_S * rate_hz)), dtype="float32", always_2d=True):
                pcm = kernels.to_int16(block.reshape(-1)).astype("<i2", copy=False).tobytes()
                yield len(block) / rate_hz, build_packet(pcm, rate_hz=rate_hz, channels=channels)
        except soundfile.LibsndfileError as error:
            raise AudioFileError(f"{self.name}: cannot be read to its end: {error.error_string}") from None


def open_sound(name: str) -> SoundFile:
    """Open a sound file; `-` is a WAV on standard input.

    Raises:
        AudioFileError: It is not there, not audio, or audio that the wire cannot carry.
    """
    shown = name.encode(errors="replace").decode()  # a name that is no UTF-8 can be opened, but not printed
    try:
        # Opened here: libsndfile tells neither a missing file nor a folder from other trouble.
        source = io.BytesIO(sys.stdin.buffer.read()) if name == "-" else Path(name).open("rb")  # noqa: SIM115 - kept open by the reader
        reader = soundfile.SoundFile(source)
    except soundfile.LibsndfileError as error:
        raise AudioFileError(f"{shown}: not a sound file that can be read: {error.error_string}") from None
    except OSError as error:
        raise AudioFileError(f"{shown}: cannot be opened: {error.strerror or error}") from None
    if not MIN_RATE_HZ <= reader.samplerate <= MAX_RATE_HZ:
        raise AudioFileError(f"{shown}: sampled at {reader.samplerate} Hz; {MIN_RATE_HZ} to {MAX_RATE_HZ} is possible")
    if reader.channels > MAX_CHANNELS:
        raise AudioFileError(f"{shown}: has {reader.channels} channels; at most {MAX_CHANNELS} are possible")
    return SoundFile(name=shown, reader=reader)

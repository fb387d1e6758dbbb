"""Sound files as streams of packets, for `trio-stt transcribe`.

It owns reading and the errors of files. It must not resample: the session does, as for any client.
"""

import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import soundfile

from trio_stt.dsp import kernels
from trio_stt.errors import AudioFileError
from trio_stt.protocol.packets import MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ, build_packet

_PACKET_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundFile:
    """An open sound file.

    Attributes:
        name: The name that the user gave.
        source: The open file.
        reader: Its decoder.
    """

    name: str
    source: BinaryIO
    reader: soundfile.SoundFile

    def close(self) -> None:
        """Close the decoder and the file."""
        self.reader.close()
        self.source.close()

    @property
    def duration_s(self) -> float:
        """Its length in seconds."""
        return float(self.reader.frames / self.reader.samplerate)

    def packets(self) -> Iterator[tuple[float, bytes]]:
        """Its audio as packets of the protocol, each with its length in seconds.

        Raises:
            AudioFileError: The rest of the file cannot be decoded.
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
        AudioFileError: The file cannot be opened or decoded, or the protocol does not carry its rate or channels.
    """
    shown = name.encode(errors="replace").decode()  # a name that is not UTF-8 can be opened, but not printed
    try:
        # Opened here because libsndfile does not tell a missing file or a folder from other errors.
        source: BinaryIO = io.BytesIO(sys.stdin.buffer.read()) if name == "-" else Path(name).open("rb")  # noqa: SIM115 - the reader keeps it open
    except OSError as error:
        raise AudioFileError(f"{shown}: cannot be opened: {error.strerror or error}") from None
    try:
        reader = soundfile.SoundFile(source)
    except soundfile.LibsndfileError as error:
        source.close()
        raise AudioFileError(f"{shown}: not a readable sound file: {error.error_string}") from None
    if not MIN_RATE_HZ <= reader.samplerate <= MAX_RATE_HZ:
        raise AudioFileError(
            f"{shown}: its sample rate is {reader.samplerate} Hz; {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz are supported"
        )
    if reader.channels > MAX_CHANNELS:
        raise AudioFileError(f"{shown}: has {reader.channels} channels; at most {MAX_CHANNELS} are supported")
    return SoundFile(name=shown, source=source, reader=reader)

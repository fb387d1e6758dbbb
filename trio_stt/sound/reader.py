"""Opens sound files of any kind and reads them block by block, in constant memory.

It owns the choice of the decoder, which follows the content and never the name, and the limits, which count decoded
audio and never trust a header. Reading is blocking: in a server, call it in a thread.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import soxr
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.dsp.downmix import Downmixer
from trio_stt.dsp.kernels import MAX_CHANNELS, to_int16
from trio_stt.dsp.resample import MAX_RATE_HZ, MIN_RATE_HZ
from trio_stt.errors import AudioFileError
from trio_stt.sound.decoder import DamagedSound, Decoder, NoAudioFound
from trio_stt.sound.sndfile import SndfileDecoder
from trio_stt.sound.source import duplicate, open_source, shown_name

_RATES_HZ = (2_000, 768_000)
"""Lowest and highest sample rate of a file. Rates that a session does not take are resampled here."""

_MP4_BOXES = frozenset({b"ftyp", b"mdat", b"moov", b"wide", b"free", b"skip"})
"""What an MP4, M4A or MOV begins with, behind four bytes of length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """An open sound file.

    Attributes:
        name: The name for messages.
        source: The open file.
        decoder: The decoder that reads it.
        max_length_s: Seconds of audio after which reading fails; None for no limit.
        is_copy: Whether the file is a copy of something that can be read only once.
    """

    name: str
    source: BinaryIO
    decoder: Decoder
    max_length_s: float | None
    is_copy: bool

    @property
    def channels(self) -> int:
        """Channels of `blocks`, 1 to 8."""
        return self.decoder.channels

    @property
    def rate_hz(self) -> int:
        """Sample rate of `blocks`, 8,000 to 192,000."""
        return self.decoder.rate_hz if MIN_RATE_HZ <= self.decoder.rate_hz <= MAX_RATE_HZ else SAMPLE_RATE_HZ

    @property
    def length_s(self) -> float | None:
        """Its length in seconds as the file states it, which may be wrong; None where it states none."""
        return self.decoder.length_s

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Its audio: float32, shape (n, channels), -1 to 1 or a little beyond. Call it once.

        Raises:
            AudioFileError: The rest cannot be decoded, or it is too long; everything before was returned.
        """
        decoder = self.decoder
        stream = None
        if self.rate_hz != decoder.rate_hz:
            stream = soxr.ResampleStream(decoder.rate_hz, self.rate_hz, decoder.channels, dtype="float32")
        frames = 0
        try:
            for block in decoder.blocks():
                frames += len(block)
                if self.max_length_s is not None and frames > self.max_length_s * decoder.rate_hz:
                    raise AudioFileError(f"{self.name}: is longer than {self.max_length_s:g} s")
                yield block if stream is None else stream.resample_chunk(block)
        except DamagedSound as error:
            raise AudioFileError(f"{self.name}: cannot be read to its end: {error}") from None
        if stream is not None:
            yield stream.resample_chunk(np.empty((0, decoder.channels), np.float32), last=True)

    def mono_blocks(self, channel: int | None = None) -> Iterator[NDArray[np.int16]]:
        """Its audio in one channel: int16, shape (n,), at `rate_hz`; raises as `blocks` does.

        Args:
            channel: Which of its channels, from 1; None for a mix of all.
        """
        downmixer = Downmixer()
        for block in self.blocks():
            if channel is not None:
                yield to_int16(np.ascontiguousarray(block[:, channel - 1]))
                continue
            pcm = to_int16(np.ascontiguousarray(block).reshape(-1)).astype("<i2", copy=False).tobytes()
            yield downmixer.push(pcm, channels=self.channels, rate_hz=self.rate_hz)

    def again(self) -> "Sound":
        """Open the same sound once more, from its start.

        Raises:
            AudioFileError: It cannot be opened any more.
        """
        source = duplicate(self.source, is_copy=self.is_copy)
        return read_sound(source, name=self.name, max_length_s=self.max_length_s, is_copy=self.is_copy)

    def close(self) -> None:
        """Close the decoder and the file."""
        self.decoder.close()
        self.source.close()


def open_sound(name: str, *, max_length_s: float | None = None) -> Sound:
    """Open a sound file by its name; `-` is standard input. See `read_sound`.

    Raises:
        AudioFileError: The file cannot be opened or decoded, or its rate or channels are out of range.
    """
    source, is_copy = open_source(name)
    return read_sound(source, name=shown_name(name), max_length_s=max_length_s, is_copy=is_copy)


def read_sound(source: BinaryIO, *, name: str, max_length_s: float | None = None, is_copy: bool = False) -> Sound:
    """Read a sound file that is open, from its start; it is closed with the sound, and where this raises.

    Args:
        source: Unbuffered and seekable, with a file descriptor, such as a temporary file with the body of a request.
        name: The name for messages.
        max_length_s: Seconds of audio after which reading fails; None for no limit.
        is_copy: Whether it is a copy of something that can be read only once.

    Raises:
        AudioFileError: It cannot be decoded, or its rate or channels are out of range.
    """
    try:
        decoder = _decoder(source)
    except DamagedSound as error:
        source.close()
        raise AudioFileError(f"{name}: not a readable sound file: {error}") from None
    low_hz, high_hz = _RATES_HZ
    refusal = ""
    if not low_hz <= decoder.rate_hz <= high_hz:
        refusal = f"its sample rate is {decoder.rate_hz} Hz; {low_hz} to {high_hz} Hz are supported"
    if not 1 <= decoder.channels <= MAX_CHANNELS:
        refusal = f"has {decoder.channels} channels; at most {MAX_CHANNELS} are supported"
    if refusal:
        decoder.close()
        source.close()
        raise AudioFileError(f"{name}: {refusal}")
    return Sound(name=name, source=source, decoder=decoder, max_length_s=max_length_s, is_copy=is_copy)


def _is_ogg_or_mpeg(head: bytes) -> bool:
    """Whether a file begins like Ogg, or like MPEG audio with or without a tag.

    libsndfile must not read these: it never ends in some broken Ogg files, and believes the number of frames that an
    MP3 states, so that it repeats the end of one that is cut off.
    """
    return head.startswith((b"OggS", b"ID3")) or (head[:1] == b"\xff" and head[1:2] >= b"\xe0")


def _decoder(source: BinaryIO) -> Decoder:
    """The decoder that reads a file.

    Raises:
        DamagedSound: None does.
    """
    source.seek(0)
    head = source.read(8)
    source.seek(0)
    if not head:
        raise DamagedSound("it is empty")
    fault: DamagedSound | None = None
    sndfile: SndfileDecoder | None = None
    if not _is_ogg_or_mpeg(head):
        try:
            sndfile = SndfileDecoder(source)
        except DamagedSound as error:
            fault = error
        else:
            if not sndfile.is_empty:
                return sndfile
    # Imported here: its libraries take 100 MB of address space and a tenth of a second, and WAV and FLAC need none.
    from trio_stt.sound.ffmpeg import FFmpegDecoder  # noqa: PLC0415

    source.seek(0)
    try:
        return FFmpegDecoder(source, may_be_empty=sndfile is not None)
    except DamagedSound as error:
        if sndfile is not None:
            return sndfile
        raise _clearer_fault(error, fault, head) from None


def _clearer_fault(ffmpeg_fault: DamagedSound, sndfile_fault: DamagedSound | None, head: bytes) -> DamagedSound:
    """The fault that tells the user more, where no decoder reads a file."""
    if head[4:] in _MP4_BOXES and not isinstance(ffmpeg_fault, NoAudioFound):
        return DamagedSound("it is an MP4 without its index, which stands at the end: it was cut off")
    return ffmpeg_fault if sndfile_fault is None or isinstance(ffmpeg_fault, NoAudioFound) else sndfile_fault

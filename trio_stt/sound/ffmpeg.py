"""Decoding with FFmpeg through PyAV: Ogg, MP3, M4A, WebM and everything else that libsndfile does not read.

The container is detected from the content, among those that hold audio or video and name no other file. Only the first
audio stream is decoded.
"""

import os
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.packet import Packet
from numpy.typing import NDArray

from trio_stt.errors import first_line
from trio_stt.sound.decoder import DamagedSound, NoAudioFound
from trio_stt.sound.tags import tag_bytes

CONTAINERS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dts,eac3,flac,flv,g722,g726,gsm,loas,matroska,mov,mp3,mpeg,mpegts,"
    "ogg,rm,tak,tta,voc,w64,wav,webm,wv,xwma"
)
"""Allowed demuxers of FFmpeg. Without a list, a file could be a playlist that names other files or addresses."""
_MAX_READ_FACTOR = 20
_READ_ALLOWANCE_BYTES = 64 << 20
"""FFmpeg may read a file's size this many times, plus the allowance. A demuxer seeks back now and then, but one in an
endless loop would never stop reading."""
_MIN_LOSS_S = 0.5
"""Seconds by which a file may end before its stated length and still be whole: encoders round, and cut the padding."""
_STATED = frozenset({"mp4", "matroska", "flv", "avi", "asf", "wav"})
"""Containers with their length in the header. Elsewhere FFmpeg often estimates it from the file's size and a bit rate,
which says nothing about the end."""
_CONSTANT_RATE = frozenset({"mp3", "ac3", "eac3", "dts"})
"""Streams of frames whose decoders take a part of the last one for a whole one. Where they state no number of frames,
their bit rate is constant."""
_TAGGED = frozenset({"mp3", "aac"})
"""Containers that are only frames, between which tags may stand."""
_PADDING_BYTES = 2
"""Frames of a constant bit rate differ by this at most."""
_BLOCK_S = 0.5
"""Blocks are gathered up to this length, because each costs the caller a switch to a thread."""
_TAIL_BYTES = 1 << 17
"""Bytes at the end of an Ogg file in which its last page begins: a page takes 65,307 bytes at most."""
_TOO_LONG_S = 1e6
_MIN_GAP_S = 0.1
"""Shortest gap between two packets of an Ogg file that means lost pages. Times of other containers jump in silence."""


class _CountedFile:
    """The file as FFmpeg gets it: without a name from which it could guess the format, and with a limit on reading."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.size_bytes = os.fstat(source.fileno()).st_size
        self._left_bytes = self.size_bytes * _MAX_READ_FACTOR + _READ_ALLOWANCE_BYTES

    def read(self, size_bytes: int) -> bytes:
        content = self._source.read(size_bytes)
        # Each call counts as at least a block, because a loop may read at the end of the file again and again.
        self._left_bytes -= max(len(content), 4096)
        return content if self._left_bytes > 0 else b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._source.seek(offset, whence)

    def tell(self) -> int:
        return self._source.tell()


class FFmpegDecoder:
    """See `Decoder`.

    Args:
        source: Seekable, at its start, with a file descriptor.
        may_be_empty: Whether a file without audio is no fault.

    Raises:
        DamagedSound: FFmpeg does not read it, or finds no audio in it.
    """

    def __init__(self, source: BinaryIO, *, may_be_empty: bool = False) -> None:
        self._source = source
        self._may_be_empty = may_be_empty
        try:
            self._container = av.open(
                _CountedFile(source), mode="r", options={"format_whitelist": CONTAINERS}, metadata_errors="replace"
            )
        except (av.FFmpegError, ValueError, OSError) as error:
            raise DamagedSound(reason_of(error)) from None
        streams = self._container.streams.audio
        context = streams[0].codec_context if streams else None
        if context is None:
            self._container.close()
            raise NoAudioFound("its codec is not supported" if streams else "it contains no audio")
        self._stream = streams[0]
        self._last_sizes: deque[int] = deque(maxlen=3)
        self._packet_end_s: float | None = None
        self._fault = ""
        self.rate_hz = context.sample_rate
        self.channels = context.channels
        self.length_s = self._stated_length_s()

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """See `Decoder.blocks`."""
        waiting: list[NDArray[np.float32]] = []
        waiting_frames = 0
        fault: DamagedSound | None = None
        try:
            for block in self._frames():
                waiting.append(block)
                waiting_frames += len(block)
                if waiting_frames >= _BLOCK_S * self.rate_hz:
                    yield np.concatenate(waiting)
                    waiting, waiting_frames = [], 0
        except DamagedSound as error:
            fault = error
        if waiting:
            yield np.concatenate(waiting)
        if fault is not None:
            raise fault

    def _frames(self) -> Iterator[NDArray[np.float32]]:
        """The audio as it is decoded, mostly 20 to 60 ms at a time; raises as `blocks` does."""
        converter = _Converter(self._stream.codec_context.layout.name, self.rate_hz, self.channels)
        frames = 0
        try:
            for frame in self._decoded():
                for block in converter.convert(frame):
                    frames += len(block)
                    yield block
        except (av.FFmpegError, ValueError, OSError) as error:
            raise DamagedSound(reason_of(error)) from None
        if self._is_cut(frames / self.rate_hz) or self._ends_within_a_frame():
            raise DamagedSound(f"it is cut off after {frames / self.rate_hz:.1f} s")
        if self._fault:
            raise DamagedSound(self._fault)
        if not frames and not self._may_be_empty:
            raise DamagedSound("nothing in it can be decoded")

    def _decoded(self) -> Iterator[AudioFrame | None]:
        """The frames that can be decoded, and None at the end; the first fault is noted."""
        # Elsewhere, packets are exactly what the container says, and may begin with any bytes.
        has_tags, tag_end = self._container.format.name in _TAGGED, 0
        is_ogg = self._container.format.name == "ogg"
        for packet in self._container.demux(self._stream):
            if packet.size:
                self._last_sizes.append(packet.size)
            if has_tags and packet.size and packet.pos is not None:
                if packet.pos >= tag_end:
                    tag_end = packet.pos + tag_bytes(bytes(packet))
                if packet.pos < tag_end:  # files that were appended to each other have tags between their frames
                    continue
            if is_ogg:
                self._note_gap(packet)
            try:
                yield from packet.decode()
            except av.FFmpegError as error:
                self._fault = self._fault or reason_of(error)
        yield None

    def _note_gap(self, packet: "Packet[AudioStream]") -> None:
        """Compare the time of a packet with the end of the one before: FFmpeg skips lost and damaged pages silently."""
        if packet.pts is None or packet.time_base is None:
            return
        begins_s = float(packet.pts * packet.time_base)
        gap_s = begins_s - (begins_s if self._packet_end_s is None else self._packet_end_s)
        if gap_s >= _MIN_GAP_S:
            self._fault = self._fault or f"{gap_s:.1f} s are missing after {self._packet_end_s:.1f} s"
        self._packet_end_s = begins_s + float((packet.duration or 0) * packet.time_base)

    def close(self) -> None:
        """See `Decoder.close`."""
        self._container.close()

    def _stated_length_s(self) -> float | None:
        stream = self._stream
        length_s: float | None = None
        if stream.duration is not None and stream.time_base is not None:
            length_s = float(stream.duration * stream.time_base)
        elif self._container.duration is not None and len(self._container.streams) == 1:  # else it may be the film's
            length_s = self._container.duration / av.time_base
        return length_s if length_s is not None and 0 < length_s < _TOO_LONG_S else None

    def _is_cut(self, decoded_s: float) -> bool:
        format_name = self._container.format.name
        if format_name == "ogg":
            return _ends_within_a_page(self._source)
        if format_name == "mp3":
            frames = _stated_mp3_frames(self._source)
            stated_s = None if frames is None else frames * self._stream.codec_context.frame_size / self.rate_hz
        else:
            stated_s = self.length_s if _STATED & set(format_name.split(",")) else None
        return stated_s is not None and decoded_s < stated_s - _MIN_LOSS_S

    def _ends_within_a_frame(self) -> bool:
        """Whether the last packet is shorter than the two before, where all have the same bit rate."""
        is_constant = self._container.format.name in _CONSTANT_RATE and not _stated_mp3_frames(self._source)
        if not is_constant or len(self._last_sizes) < 3:  # noqa: PLR2004 - as unpacked below
            return False
        first, second, last = self._last_sizes
        return abs(first - second) <= _PADDING_BYTES and last < min(first, second) - _PADDING_BYTES


class _Converter:
    """Converts frames, whose format may change on the way, to float32 of one rate and number of channels."""

    def __init__(self, layout: str, rate_hz: int, channels: int) -> None:
        self._layout, self._rate_hz, self._channels = layout, rate_hz, channels
        self._resampler: AudioResampler | None = None
        self._form: tuple[str, str, int] | None = None

    def convert(self, frame: AudioFrame | None) -> Iterator[NDArray[np.float32]]:
        """The audio of the next frame, float32, shape (n, channels); None ends the stream."""
        form = None if frame is None else (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is not None and form != self._form:
            yield from self._arrays(self._resampler.resample(None))
            self._resampler = None
        if frame is None:
            return
        if self._resampler is None:
            self._resampler = AudioResampler(format="flt", layout=self._layout, rate=self._rate_hz)
            self._form = form
        yield from self._arrays(self._resampler.resample(frame))

    def _arrays(self, frames: list[AudioFrame]) -> Iterator[NDArray[np.float32]]:
        for frame in frames:
            yield frame.to_ndarray().astype(np.float32, copy=False).reshape(-1, self._channels)


def reason_of(error: Exception) -> str:
    """What FFmpeg says, without its number and the file's name."""
    return getattr(error, "strerror", None) or first_line(error)


def _ends_within_a_page(source: BinaryIO) -> bool:
    """Whether the last page of an Ogg file is longer than what is there."""
    tail = _read_at(source, max(0, os.fstat(source.fileno()).st_size - _TAIL_BYTES), _TAIL_BYTES)
    page = tail[tail.rfind(b"OggS") :] if b"OggS" in tail else b""
    segments = page[27 : 27 + page[26]] if len(page) > 26 else b""  # noqa: PLR2004 - the header's size, its last byte counts the segments
    return bool(page) and (len(page) < 27 or len(page) < 27 + page[26] + sum(segments))  # noqa: PLR2004 - as above


def _stated_mp3_frames(source: BinaryIO) -> int | None:
    """The number of frames that an MP3 states in a Xing header, as variable bit rates need it, without that one."""
    first = _read_at(source, tag_bytes(_read_at(source, 0, 10)), 256)
    at = max(first.find(b"Xing"), first.find(b"Info"))
    has_frames = at >= 0 and len(first) >= at + 12 and first[at + 7] & 1
    return int.from_bytes(first[at + 8 : at + 12]) if has_frames else None


def _read_at(source: BinaryIO, offset: int, size_bytes: int) -> bytes:
    source.seek(offset)
    return source.read(size_bytes)

"""Decoding of compressed sound while it arrives, with FFmpeg: containers such as WebM and Ogg, and single Opus packets.

Nothing can be sought in, and the end is not known. The container is detected from the content. Reading a container is
blocking: in a server, call it in a thread.
"""

from collections.abc import Callable, Iterator
from typing import Any

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.resampler import AudioResampler

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.dsp.downmix import Downmixer
from trio_stt.dsp.kernels import MAX_CHANNELS
from trio_stt.dsp.resample import MAX_RATE_HZ, MIN_RATE_HZ
from trio_stt.sound.decoder import OPUS_RATE_HZ, DamagedSound, SoundBlock
from trio_stt.sound.ffmpeg import CONTAINERS, reason_of

_OPTIONS = {
    "format_whitelist": CONTAINERS,
    # Both at their least, so that the first words do not wait: a header tells all that is needed.
    "probesize": "2048",
    "analyzeduration": "1",
}
_BUFFER_BYTES = 4096
"""FFmpeg reads as much at a time, and takes less where less has arrived."""
_MAX_EMPTY_BYTES = 4 << 20
"""Bytes without any audio in them after which a stream is given up: twice what the largest cover picture takes."""


class _Pipe:
    """What arrives, as FFmpeg reads it. Without a method `seek`, FFmpeg does not try to."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self.empty_bytes = 0

    def read(self, size_bytes: int) -> bytes:
        content = self._read(size_bytes)
        self.empty_bytes += len(content)
        return content if self.empty_bytes < _MAX_EMPTY_BYTES else b""


def container_blocks(read: Callable[[int], bytes]) -> Iterator[SoundBlock]:
    """The audio of a container, as it arrives; the sample rate is the same in all blocks.

    Args:
        read: Blocks until there are bytes; returns at most the wanted number, and none at the end.

    Raises:
        DamagedSound: It is no container that is supported, or contains no audio.
    """
    pipe = _Pipe(read)
    try:
        with av.open(
            pipe, mode="r", options=_OPTIONS, buffer_size=_BUFFER_BYTES, metadata_errors="replace"
        ) as container:
            streams = container.streams.audio
            context = streams[0].codec_context if streams else None
            if context is None:
                raise DamagedSound("its codec is not supported" if streams else "it contains no audio")
            to_mono = _Mono(context)
            for packet in container.demux(streams[0]):
                yield from to_mono.decode(packet)
                pipe.empty_bytes = 0
    except (av.FFmpegError, ValueError, OSError) as error:
        raise DamagedSound(reason_of(error)) from None


class OpusPackets:
    """Decodes the packets of one Opus stream."""

    def __init__(self) -> None:
        context = av.CodecContext.create("libopus", "r")
        assert isinstance(context, AudioCodecContext)  # noqa: S101 - for the type checker: the codec is of audio
        context.sample_rate, context.layout = OPUS_RATE_HZ, "mono"
        self._to_mono = _Mono(context)

    def decode(self, packet: bytes) -> list[SoundBlock]:
        """The audio of the next packet; none if it is damaged or empty."""
        # An empty packet would end the stream.
        return list(self._to_mono.decode(av.Packet(packet))) if packet else []


class _Mono:
    """Decodes packets to mono, 16 bits, at one sample rate."""

    def __init__(self, context: AudioCodecContext) -> None:
        if not 1 <= context.channels <= MAX_CHANNELS:
            raise DamagedSound(f"has {context.channels} channels; at most {MAX_CHANNELS} are supported")
        self._context = context
        self._channels = context.channels
        self._rate_hz = context.sample_rate if MIN_RATE_HZ <= context.sample_rate <= MAX_RATE_HZ else SAMPLE_RATE_HZ
        self._layout = context.layout.name
        self._downmixer = Downmixer()
        self._form: tuple[str, str, int] | None = None  # of the frames, which may change
        self._resampler: AudioResampler

    def decode(self, packet: "av.Packet[Any]") -> Iterator[SoundBlock]:
        """The audio of the next packet. A damaged packet is left out, as players do."""
        try:
            frames = self._context.decode(packet)
        except av.FFmpegError:
            return
        for frame in frames:
            form = (frame.format.name, frame.layout.name, frame.sample_rate)
            if form != self._form:
                self._form = form
                self._resampler = AudioResampler(format="s16", layout=self._layout, rate=self._rate_hz)
            for converted in self._resampler.resample(frame):
                pcm = converted.to_ndarray().tobytes()
                samples = self._downmixer.push(pcm, channels=self._channels, rate_hz=self._rate_hz)
                yield SoundBlock(samples, self._rate_hz)

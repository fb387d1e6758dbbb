"""Takes the audio of binary frames apart into whole samples, as a session takes them. Sans-IO.

Containers need a thread: see `container`. A WAV with plain samples needs none: `WavSniffer` reads its header.
"""

import struct
from typing import Protocol

import numpy as np

from trio_stt.api.deepgram.options import Encoding, ListenOptions
from trio_stt.api.dialect import ClientAudio
from trio_stt.dsp.kernels import MAX_CHANNELS, to_int16
from trio_stt.dsp.resample import MAX_RATE_HZ, MIN_RATE_HZ
from trio_stt.protocol.packets import SampleFormat
from trio_stt.sound.decoder import OPUS_RATE_HZ

_SAMPLE_BYTES = {Encoding.LINEAR16: 2, Encoding.LINEAR32: 4, Encoding.MULAW: 1, Encoding.ALAW: 1}
_FORMATS = {Encoding.MULAW: SampleFormat.MULAW, Encoding.ALAW: SampleFormat.ALAW}
"""What the session decodes itself; all else becomes samples of 16 bits."""
_HEADER = struct.Struct("<HHIIHH")
_MAX_HEADER_BYTES = 8192
"""Bytes before the samples of a WAV, above which it is read as any other container."""
_EXTENSIBLE = 0xFFFE
_SUBFORMAT = slice(24, 26)
_WAV_ENCODINGS = {
    (1, 16): Encoding.LINEAR16,
    (3, 32): Encoding.LINEAR32,
    (6, 8): Encoding.ALAW,
    (7, 8): Encoding.MULAW,
}
"""By format code and bits of a sample; all others are left to FFmpeg."""


class AudioDecoder(Protocol):
    """Decodes one stream."""

    @property
    def rate_hz(self) -> int:
        """Its sample rate."""

    def decode(self, data: bytes) -> tuple[ClientAudio, int] | None:
        """The next audio and its number of samples for each channel; None if there is none.

        What is left of an incomplete sample waits for the rest of its bytes.
        """


def decoder_for(options: ListenOptions) -> AudioDecoder | None:
    """The decoder of raw audio; None for containers."""
    if options.encoding is Encoding.CONTAINER:
        return None
    if options.encoding is Encoding.OPUS:
        return OpusDecoder()
    return RawDecoder(options.encoding, options.sample_rate_hz, options.channels)


class RawDecoder:
    """See `AudioDecoder`.

    Args:
        encoding: One with a fixed number of bytes for each sample.
        rate_hz: Its sample rate.
        channels: 1 to 8, interleaved.
    """

    def __init__(self, encoding: Encoding, rate_hz: int, channels: int = 1) -> None:
        self.rate_hz = rate_hz
        self._encoding = encoding
        self._channels = channels
        self._frame_bytes = _SAMPLE_BYTES[encoding] * channels
        self._rest = b""

    def decode(self, data: bytes) -> tuple[ClientAudio, int] | None:
        """See `AudioDecoder.decode`."""
        data = self._rest + data if self._rest else data
        frames, rest = divmod(len(data), self._frame_bytes)
        self._rest = data[len(data) - rest :]
        if not frames:
            return None
        whole = data[: len(data) - rest]
        if self._encoding is Encoding.LINEAR32:
            floats = np.nan_to_num(np.frombuffer(whole, "<f4"), nan=0.0, posinf=1.0, neginf=-1.0)
            whole = to_int16(np.clip(floats, -1.0, 1.0)).astype("<i2").tobytes()
        coding = _FORMATS.get(self._encoding, SampleFormat.PCM_S16LE)
        return ClientAudio(whole, self.rate_hz, self._channels, coding), frames


class OpusDecoder:
    """See `AudioDecoder`; each frame is one packet, and one that is damaged has no audio."""

    rate_hz = OPUS_RATE_HZ

    def __init__(self) -> None:
        # Imported here: FFmpeg takes 18 MB, and few servers get compressed sound.
        from trio_stt.sound.live import OpusPackets  # noqa: PLC0415

        self._packets = OpusPackets()

    def decode(self, data: bytes) -> tuple[ClientAudio, int] | None:
        """See `AudioDecoder.decode`."""
        blocks = [block.samples.astype("<i2").tobytes() for block in self._packets.decode(data)]
        pcm = b"".join(blocks)
        return (ClientAudio(pcm, self.rate_hz), len(pcm) // 2) if pcm else None


def wav_header(options: ListenOptions) -> bytes:
    """The header of a WAV of unknown length for raw audio; empty for a container."""
    if options.encoding is Encoding.CONTAINER:
        return b""
    ((code, bits),) = [form for form, encoding in _WAV_ENCODINGS.items() if encoding is options.encoding]
    frame_bytes = bits // 8 * options.channels
    rate_hz = options.sample_rate_hz
    form = _HEADER.pack(code, options.channels, rate_hz, rate_hz * frame_bytes, frame_bytes, bits)
    return b"RIFF\xff\xff\xff\xffWAVEfmt " + len(form).to_bytes(4, "little") + form + b"data\xff\xff\xff\xff"


class WavSniffer:
    """Recognises a WAV with plain samples by the first bytes of a stream: FFmpeg would wait for 64 KiB of it."""

    def __init__(self) -> None:
        self._head = b""

    def feed(self, data: bytes) -> tuple[RawDecoder | None, bytes] | None:
        """Take the next bytes.

        Returns:
            None while the header is incomplete. Then the decoder and the first bytes of its samples; without a decoder
            it is another container, and the bytes are all that came so far.
        """
        self._head += data
        head = self._head
        if not (head.startswith(b"RIFF") if len(head) >= 4 else b"RIFF".startswith(head)):  # noqa: PLR2004 - its length
            return None, head
        decoder, position = None, 12
        while len(head) >= position + 8:
            kind, size = head[position : position + 4], int.from_bytes(head[position + 4 : position + 8], "little")
            position += 8
            if kind == b"data":
                return (decoder, head[position:]) if decoder else (None, head)
            if len(head) >= position + size and kind == b"fmt ":
                decoder = _wav_decoder(head[position : position + size])
            position += size + size % 2
            if position > _MAX_HEADER_BYTES:
                return None, head
        return (None, head) if len(head) > _MAX_HEADER_BYTES or not b"WAVE".startswith(head[8:12]) else None


def _wav_decoder(chunk: bytes) -> RawDecoder | None:
    """The decoder for the chunk `fmt ` of a WAV; None for what FFmpeg has to decode."""
    if len(chunk) < _HEADER.size:
        return None
    code, channels, rate_hz, _, _, bits = _HEADER.unpack_from(chunk)
    if code == _EXTENSIBLE:
        code = int.from_bytes(chunk[_SUBFORMAT], "little")
    encoding = _WAV_ENCODINGS.get((code, bits))
    if encoding is None or not 1 <= channels <= MAX_CHANNELS or not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        return None
    return RawDecoder(encoding, rate_hz, channels)

"""Parses and builds audio packets: binary frames with metadata and samples. See docs/protocol.md, Audio packets.

Layout: u32 little-endian metadata length, UTF-8 JSON metadata, interleaved samples. Samples stay bytes here; `dsp`
decodes them.
"""

from enum import StrEnum
from functools import lru_cache

import msgspec

from trio_stt.errors import PacketError
from trio_stt.protocol.json_text import json_object

MAX_METADATA_BYTES = 65_536
MIN_RATE_HZ = 8_000
MAX_RATE_HZ = 192_000
MAX_CHANNELS = 8
_LENGTH_BYTES = 4
_CACHED_METADATA = 64
"""Valid metadata texts that are cached: most clients send the same one with every packet. At most 4 MiB."""


class SampleFormat(StrEnum):
    """How samples are coded; the value is the packet's `format`."""

    PCM_S16LE = "pcm_s16le"
    MULAW = "mulaw"
    ALAW = "alaw"

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample of one channel: two for PCM, one for G.711."""
        return 2 if self is SampleFormat.PCM_S16LE else 1


_FORMATS = "pcm_s16le, mulaw or alaw"


class AudioPacket(msgspec.Struct, frozen=True, kw_only=True):
    """A checked packet.

    Attributes:
        rate_hz: 8,000 to 192,000.
        channels: 1 to 8.
        format: How the samples are coded.
        payload: Interleaved samples, a whole number of frames; may be empty. A view into the frame.
    """

    rate_hz: int
    channels: int
    format: SampleFormat
    payload: memoryview


def parse_packet(frame: bytes, *, max_payload_bytes: int) -> AudioPacket:
    """Validate a binary frame and split it into metadata and samples.

    Args:
        frame: The whole binary message.
        max_payload_bytes: Maximum size of the samples.

    Raises:
        PacketError: The first rule, in the documented order, that the frame breaks.
    """
    if len(frame) < _LENGTH_BYTES:
        raise PacketError("audio packet is missing metadata length")
    announced = int.from_bytes(frame[:_LENGTH_BYTES], "little")
    if announced > MAX_METADATA_BYTES:
        raise PacketError(f"audio packet metadata is {announced} bytes long; at most {MAX_METADATA_BYTES} are allowed")
    start = _LENGTH_BYTES + announced
    if len(frame) < start:
        raise PacketError(f"audio packet metadata is incomplete: {len(frame) - _LENGTH_BYTES} of {announced} bytes")
    payload = memoryview(frame)[start:]
    rate_hz, channels, coding = _checked_metadata(frame[_LENGTH_BYTES:start], len(payload), max_payload_bytes)
    return AudioPacket(rate_hz=rate_hz, channels=channels, format=coding, payload=payload)


def build_packet(
    payload: bytes, *, rate_hz: int, channels: int = 1, coding: SampleFormat = SampleFormat.PCM_S16LE
) -> bytes:
    """Build a frame for `parse_packet`, for clients written in Python."""
    frames = len(payload) // (channels * coding.sample_bytes)
    fields: dict[str, object] = {"sampleRate": rate_hz, "channels": channels, "format": coding}
    if frames:  # an empty packet has no `frames`: the field must be above 0
        fields["frames"] = frames
    metadata = msgspec.json.encode(fields)
    return len(metadata).to_bytes(_LENGTH_BYTES, "little") + metadata + payload


@lru_cache(maxsize=_CACHED_METADATA)
def _checked_metadata(text: bytes, payload_bytes: int, max_payload_bytes: int) -> tuple[int, int, SampleFormat]:
    """Sample rate, channels and format from the metadata, checked against the size of the payload."""
    metadata = json_object(text, "audio packet metadata", PacketError)
    if payload_bytes > max_payload_bytes:
        raise PacketError(f"audio packet carries {payload_bytes} bytes of PCM; at most {max_payload_bytes} are allowed")
    rate_hz = _sample_rate(metadata)
    channels = _channels(metadata)
    coding = _format(metadata)
    frame_bytes = channels * coding.sample_bytes
    if payload_bytes % frame_bytes:
        raise PacketError(
            f"audio packet payload of {payload_bytes} bytes is not a whole number of {frame_bytes}-byte frames"
        )
    _check_frames(metadata, payload_bytes // frame_bytes)
    return rate_hz, channels, coding


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _sample_rate(metadata: dict[str, object]) -> int:
    rate_hz = _integer(metadata.get("sampleRate"))
    if rate_hz is None or not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise PacketError(f"audio packet sampleRate must be an integer from {MIN_RATE_HZ} to {MAX_RATE_HZ}")
    return rate_hz


def _channels(metadata: dict[str, object]) -> int:
    channels = _integer(metadata.get("channels", 1))
    if channels is None or channels < 1:
        raise PacketError("audio packet channels must be a positive integer")
    if channels > MAX_CHANNELS:
        raise PacketError(f"audio packet channels must be at most {MAX_CHANNELS}")
    return channels


def _format(metadata: dict[str, object]) -> SampleFormat:
    try:
        return SampleFormat(metadata.get("format", SampleFormat.PCM_S16LE))  # type: ignore[arg-type] # any JSON value
    except ValueError:
        raise PacketError(f"audio packet format must be {_FORMATS}") from None


def _check_frames(metadata: dict[str, object], actual: int) -> None:
    if "frames" not in metadata:
        return
    frames = _integer(metadata["frames"])
    if frames is None or frames < 1:
        raise PacketError("audio packet frames must be a positive integer")
    if frames != actual:
        raise PacketError("audio packet frames does not match its payload")

"""The frames of Wyoming: a line of JSON, then perhaps more JSON, then perhaps bytes. Sans-IO, and bounded.

`{"type", "data"?, "data_length"?, "payload_length"?}`, a line feed, `data_length` bytes of JSON that are merged over
`data`, and `payload_length` bytes. A frame here is all of one event's bytes.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from trio_stt.errors import TrioSttError

T = TypeVar("T")

MAX_LINE_BYTES = 65_536
"""Longest line; the reference implementation reads no longer ones."""
MAX_DATA_BYTES = 1 << 17
"""Most JSON behind a line: the names of some thousand entities. A megabyte would take the loop 0.1 s to decode."""
MAX_PAYLOAD_BYTES = 1 << 20
"""A chunk holds some ten milliseconds of audio; this is 2.7 s of stereo in 32 bits at 48 kHz."""


class InvalidEvent(TrioSttError):  # noqa: N818 - names what was sent
    """Bytes that are no frame, or fields that the event cannot have: the connection cannot go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WyomingEvent:
    """One event.

    Attributes:
        type: Its name.
        data: Its fields.
        payload: Its bytes; empty for most events.
    """

    type: str
    data: dict[str, Any]
    payload: memoryview


class _Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    type: str
    version: str | None = None
    data: dict[str, Any] | None = None
    data_length: int | None = None
    payload_length: int | None = None


_VERSION = "1.10.0"
"""Of the protocol; clients show it, and decide nothing by it."""
_decode_header = msgspec.json.Decoder(_Header).decode
_decode_data = msgspec.json.Decoder(dict[str, Any]).decode


class FrameReader:
    """Cuts the bytes of one connection into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned_bytes = 0  # of the buffer; without a line feed
        self._frame_bytes = 0  # length of the frame at the start of the buffer; 0 until its line is complete

    @property
    def is_inside(self) -> bool:
        """Whether a frame has begun that is not complete."""
        return bool(self._buffer)

    def feed(self, data: bytes | bytearray) -> list[bytes]:
        """Take the next bytes; returns the frames that are complete now.

        Raises:
            InvalidEvent: They are no frame, or too long.
        """
        self._buffer += data
        frames: list[bytes] = []
        while (frame := self._take()) is not None:
            frames.append(frame)
        return frames

    def _take(self) -> bytes | None:
        if not self._frame_bytes:
            end = self._buffer.find(b"\n", self._scanned_bytes, MAX_LINE_BYTES + 1)
            if end < 0:
                self._scanned_bytes = len(self._buffer)
                if self._scanned_bytes > MAX_LINE_BYTES:
                    raise InvalidEvent(f"a line is longer than {MAX_LINE_BYTES} bytes")
                return None
            self._scanned_bytes = 0
            header = _header(self._buffer[:end])
            self._frame_bytes = end + 1 + (header.data_length or 0) + (header.payload_length or 0)
        if len(self._buffer) < self._frame_bytes:
            return None
        frame = bytes(memoryview(self._buffer)[: self._frame_bytes])
        del self._buffer[: self._frame_bytes]
        self._frame_bytes = 0
        return frame


def decode(frame: bytes) -> WyomingEvent:
    """Decode a frame that `FrameReader` returned.

    Raises:
        InvalidEvent: Its JSON is invalid.
    """
    line, _, _ = frame.partition(b"\n")
    header = _header(line)
    rest = memoryview(frame)[len(line) + 1 :]
    data, data_bytes = header.data or {}, header.data_length or 0
    if data_bytes:
        try:
            data = data | _decode_data(rest[:data_bytes])
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise InvalidEvent(f"the data of an event is not a JSON object: {error}") from None
    return WyomingEvent(type=header.type, data=data, payload=rest[data_bytes:])


def fields_of(event: WyomingEvent, type_: type[T]) -> T:
    """The fields of an event, checked.

    Raises:
        InvalidEvent: They are missing, of the wrong type or out of range; the message names the event and the field.
    """
    try:
        return msgspec.convert(event.data, type_)
    except msgspec.ValidationError as error:
        raise InvalidEvent(f"{event.type}: {error}") from None


def encode(type_: str, data: object = None) -> bytes:
    """Encode an event without a payload.

    The data stands behind the line, and its length in it: Python's clients read no line above 64 KiB.
    """
    body = b"" if data is None else msgspec.json.encode(data)
    header = _Header(type=type_, version=_VERSION, data_length=len(body) or None)
    return msgspec.json.encode(header) + b"\n" + body


def _header(line: bytes | bytearray) -> _Header:
    try:
        header = _decode_header(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise InvalidEvent(f"a line is not the JSON of an event: {error}") from None
    for length, limit, name in (
        (header.data_length, MAX_DATA_BYTES, "data_length"),
        (header.payload_length, MAX_PAYLOAD_BYTES, "payload_length"),
    ):
        if length is not None and not 0 <= length <= limit:
            raise InvalidEvent(f"{name} is {length}; allowed are 0 to {limit}")
    return header

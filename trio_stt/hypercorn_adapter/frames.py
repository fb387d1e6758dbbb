"""WebSocket frames: whole messages out of received bytes, for a quarter of what wsproto costs.

It reads plain frames only: a message in one frame of at most 64 KiB, as clients send audio and commands. All else
(control frames, fragments, large frames, invalid bytes) it passes on unchanged for wsproto to handle. It must not know
limits, nor what messages say. With wsproto alone, a silent session costs 24 % more CPU (benchmarks.session_cost, 50
clients: 11.26 instead of 9.05 ms a second of audio).

Source: RFC 6455, sections 5.2 (the layout of a frame), 5.3 (masking) and 5.4 (fragments).
"""

import math
from dataclasses import dataclass

import numpy as np

_TEXT, _BINARY, _CONTINUATION = 0x01, 0x02, 0x00
_FINAL = 0x80
_WHOLE = frozenset({_FINAL | _TEXT, _FINAL | _BINARY})
_CLOSE, _PING, _PONG = 0x88, 0x89, 0x8A
_FIRST_BYTES = frozenset({_TEXT, _BINARY, _CONTINUATION, *_WHOLE, _FINAL | _CONTINUATION, _CLOSE, _PING, _PONG})
"""Valid first bytes of a frame: a known opcode, no reserved bit, control frames unfragmented."""
_MASKED = 0x80
_KEY_BYTES = 4
_LONG = 126
"""7-bit length that means that the length follows in 2 bytes; one more means 8 bytes."""
_MAX_PLAIN_BYTES = 65_535


@dataclass(frozen=True, slots=True)
class Passthrough:
    """Bytes of anything but a plain frame.

    Attributes:
        data: The bytes.
        announced_bytes: Length of the payload that the frame whose head begins here announces; 0 without a head.
    """

    data: bytes
    announced_bytes: int = 0


class Frames:
    """The frames of one client, from the first byte after the handshake on."""

    def __init__(self) -> None:
        self._data = b""
        self._at = 0
        self._passthrough_bytes: float = 0  # still to come of a frame that is passed through
        self._in_fragments = False

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        rest = self._data[self._at :]
        self._data, self._at = rest + data if rest else data, 0

    def next(self) -> str | bytes | Passthrough | None:
        """The next message or passed-through bytes, in the order received; None if more bytes are needed."""
        available = len(self._data) - self._at
        if not available:
            return None
        if self._passthrough_bytes:
            return self._pass_through(self._passthrough_bytes)
        sizes = self._sizes(available)
        if sizes is None:
            return None
        head_bytes, payload_bytes = sizes
        first = self._data[self._at]
        if first in _WHOLE and payload_bytes <= _MAX_PLAIN_BYTES and not self._in_fragments:
            is_text = first == _FINAL | _TEXT
            if available >= head_bytes + payload_bytes:
                message = self._message(self._at + head_bytes, int(payload_bytes), is_text=is_text)
                if message is not None:
                    self._at += head_bytes + int(payload_bytes)
                    return message
            elif not is_text:  # wsproto rejects invalid UTF-8 before the text is complete, so it must see text early
                return None
        if first in {_TEXT, _BINARY}:
            self._in_fragments = True
        elif first == _FINAL | _CONTINUATION:
            self._in_fragments = False
        announced_bytes = int(payload_bytes) if math.isfinite(payload_bytes) else 0  # wsproto reports an invalid frame
        return self._pass_through(math.inf if first == _CLOSE else head_bytes + payload_bytes, announced_bytes)

    def _sizes(self, available: int) -> tuple[int, float] | None:
        """Bytes of the next frame's head and payload; an infinite payload if it is invalid; None while unknown."""
        data, at = self._data, self._at
        if available < 2:  # noqa: PLR2004 - the shortest head
            return None
        first, size = data[at], data[at + 1] - _MASKED
        if first not in _FIRST_BYTES or size < 0 or (first >= _CLOSE and size >= _LONG):
            return 0, math.inf
        if size < _LONG:
            return 2 + _KEY_BYTES, size
        length_bytes = 2 if size == _LONG else 8
        if available < 2 + length_bytes:
            return None
        size = int.from_bytes(data[at + 2 : at + 2 + length_bytes])
        # RFC 6455 section 5.2: only the shortest form of a length is valid.
        if size < _LONG or (length_bytes > 2 and not _MAX_PLAIN_BYTES < size < 2**63):  # noqa: PLR2004 - as above
            return 0, math.inf
        return 2 + length_bytes + _KEY_BYTES, size

    def _message(self, start: int, size: int, *, is_text: bool) -> str | bytes | None:
        """A payload; None if it should be text and is not UTF-8."""
        payload = b""
        if size:
            key = self._data[start - _KEY_BYTES : start]
            mask = np.frombuffer(key * (size // _KEY_BYTES + 1), np.uint8, size)
            payload = np.bitwise_xor(np.frombuffer(self._data, np.uint8, size, start), mask).tobytes()
        if not is_text:
            return payload
        try:
            return payload.decode()
        except UnicodeDecodeError:
            return None

    def _pass_through(self, size: float, announced_bytes: int = 0) -> Passthrough:
        """Pass on up to `size` bytes; the rest follows when it is received."""
        available = len(self._data) - self._at
        end = self._at + int(min(size, available))
        passthrough = Passthrough(self._data[self._at : end], announced_bytes)
        self._at, self._passthrough_bytes = end, size - len(passthrough.data)
        return passthrough

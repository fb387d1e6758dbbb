"""WebSocket frames: whole messages out of bytes as they come, for a quarter of what wsproto takes.

It reads plain frames only: a message in one frame of at most 64 KiB, as clients send audio and commands. All else -
control frames, fragments, large frames and what is no frame - it hands over as it came, for wsproto to judge. It must
not know limits, nor what messages say.

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
"""That a frame may have: an opcode that exists, no reserved bit, control frames in one piece."""
_MASKED = 0x80
_KEY_BYTES = 4
_LONG = 126
"""This size says that the size follows in 2 bytes, the next one in 8."""
_MOST_BYTES = 65_535


@dataclass(frozen=True, slots=True)
class Passthrough:
    """Bytes that belong to something else than a plain frame, or to none."""

    data: bytes


class Frames:
    """What one client sends, from the first byte after the handshake on."""

    def __init__(self) -> None:
        self._data = b""
        self._at = 0
        self._odd_bytes: float = 0  # of an odd frame, still to come
        self._in_fragments = False

    def feed(self, data: bytes) -> None:
        """Take what came."""
        rest = self._data[self._at :]
        self._data, self._at = rest + data if rest else data, 0

    def next(self) -> str | bytes | Passthrough | None:
        """The next message or odd bytes, in the order in which they came; None when more has to come."""
        available = len(self._data) - self._at
        if not available:
            return None
        if self._odd_bytes:
            return self._hand_over(self._odd_bytes)
        sizes = self._sizes(available)
        if sizes is None:
            return None
        head_bytes, payload_bytes = sizes
        first = self._data[self._at]
        if first in _WHOLE and payload_bytes <= _MOST_BYTES and not self._in_fragments:
            is_text = first == _FINAL | _TEXT
            if available >= head_bytes + payload_bytes:
                message = self._message(self._at + head_bytes, int(payload_bytes), is_text=is_text)
                if message is not None:
                    self._at += head_bytes + int(payload_bytes)
                    return message
            elif not is_text:  # text may turn out to be none before it is whole
                return None
        if first in {_TEXT, _BINARY}:
            self._in_fragments = True
        elif first == _FINAL | _CONTINUATION:
            self._in_fragments = False
        return self._hand_over(math.inf if first == _CLOSE else head_bytes + payload_bytes)

    def _sizes(self, available: int) -> tuple[int, float] | None:
        """Of the next frame's head and payload; a payload without an end where it is no frame; None while unknown."""
        data, at = self._data, self._at
        if available < 2:  # noqa: PLR2004 - the least head
            return None
        first, size = data[at], data[at + 1] - _MASKED
        if first not in _FIRST_BYTES or size < 0 or (first >= _CLOSE and size >= _LONG):
            return 0, math.inf
        if size < _LONG:
            return 2 + _KEY_BYTES, size
        more = 2 if size == _LONG else 8
        if available < 2 + more:
            return None
        size = int.from_bytes(data[at + 2 : at + 2 + more])
        if size < _LONG or (more > 2 and not _MOST_BYTES < size < 2**63):  # noqa: PLR2004 - the shortest form counts
            return 0, math.inf
        return 2 + more + _KEY_BYTES, size

    def _message(self, start: int, size: int, *, is_text: bool) -> str | bytes | None:
        """A payload; None where it should be text and is none."""
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

    def _hand_over(self, size: float) -> Passthrough:
        """Up to so many bytes; the rest of them follows when it comes."""
        available = len(self._data) - self._at
        end = self._at + int(min(size, available))
        passthrough = Passthrough(self._data[self._at : end])
        self._at, self._odd_bytes = end, size - len(passthrough.data)
        return passthrough

"""What a WebSocket's client may send: the size and fragments of its messages, and its control frames.

It puts messages together and counts; it reads and sends nothing. The fragments of a message and the rate of control
frames are limited because each costs as much as a message, and a read of 64 KiB can hold ten thousand of them.
"""

from dataclasses import dataclass

from hypercorn.protocol.ws_stream import FrameTooLargeError, WebsocketBuffer
from wsproto.events import BytesMessage, TextMessage
from wsproto.frame_protocol import CloseReason

from trio_stt.protocol.packets import MAX_METADATA_BYTES
from trio_stt.settings import Settings
from trio_stt.token_bucket import TokenBucket

MAX_FRAGMENTS = 1024
"""Most fragments of a message: with 1 KiB each, it can still be a megabyte."""
_MIN_MESSAGE_LIMIT_BYTES = 1_048_576
_CONTROL_FRAMES_PER_S = 10
_CONTROL_WINDOW_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketLimits:
    """The limits of one WebSocket.

    Attributes:
        max_message_bytes: Largest message, before it is decoded.
        liveness_timeout_s: Seconds for which a client may send nothing at all; 0 for no limit.
    """

    max_message_bytes: int
    liveness_timeout_s: float

    @classmethod
    def of(cls, settings: Settings) -> "WebSocketLimits":
        """The limits for settings: a packet slightly over its own limit still gets its `error` event."""
        packet_bytes = max(2 * settings.max_audio_packet_bytes, _MIN_MESSAGE_LIMIT_BYTES)
        return cls(max_message_bytes=packet_bytes + MAX_METADATA_BYTES, liveness_timeout_s=settings.liveness_timeout_s)


class LimitExceeded(Exception):  # noqa: N818 - it is the reason of a close frame, not an error of this server
    """A client has sent more than it may.

    Args:
        code: To close with.
        reason: To close with.
    """

    def __init__(self, code: CloseReason, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class LimitedMessages:
    """The messages of one client, as far as they are there."""

    def __init__(self) -> None:
        self._parts = WebsocketBuffer(0)
        self._fragments = 0
        self._control_frames = TokenBucket(_CONTROL_FRAMES_PER_S, _CONTROL_WINDOW_S)

    def announce(self, frame_bytes: int, max_bytes: int) -> None:
        """Note the length that the head of a frame announces: no byte of a message that is too large is waited for.

        Raises:
            LimitExceeded: The message would have more than `max_bytes`.
        """
        if self._parts.length + frame_bytes > max_bytes:
            raise _too_large(max_bytes)

    def add(self, part: TextMessage | BytesMessage, max_bytes: int) -> str | bytes | None:
        """Add a part of a message; returns the message if it is complete.

        Raises:
            LimitExceeded: It has more than `max_bytes`, or more than `MAX_FRAGMENTS`.
        """
        self._fragments += part.frame_finished  # wsproto gives several events for a frame that arrives in parts
        if self._fragments > MAX_FRAGMENTS:
            raise LimitExceeded(CloseReason.POLICY_VIOLATION, f"a message has more than {MAX_FRAGMENTS} fragments")
        self._parts.max_length = max_bytes
        try:
            self._parts.extend(part)
        except FrameTooLargeError:
            raise _too_large(max_bytes) from None
        if not part.message_finished or self._parts.value is None:
            return None
        message = self._parts.value.getvalue()
        self.clear()
        return message

    def count_control_frame(self, now_s: float) -> None:
        """Count a ping or pong.

        Raises:
            LimitExceeded: There are too many.
        """
        if self._control_frames.acquire(1, now_s):
            limit = f"more than {_CONTROL_FRAMES_PER_S} pings and pongs a second"
            raise LimitExceeded(CloseReason.POLICY_VIOLATION, limit)

    def clear(self) -> None:
        """Forget the message that is not complete."""
        self._parts.clear()
        self._fragments = 0


def _too_large(max_bytes: int) -> LimitExceeded:
    return LimitExceeded(CloseReason.MESSAGE_TOO_BIG, f"a message is larger than {max_bytes} bytes")

"""Below messages: what a WebSocket may cost before anybody sees a message of it, and whether its client is there.

It owns the one class of Hypercorn's that reads frames, made stricter. It must not know what messages say. Hosts other
than Hypercorn have limits of their own.

- Messages end at a size, also unfinished ones: Hypercorn 0.18 goes on collecting after it said that one is too big.
- Nothing is compressed: audio hardly shrinks, and a few bytes could stand for gigabytes.
- A message has a bounded number of fragments, and control frames a rate: each costs as much as a message, and a read
  of 64 KiB holds ten thousand of them.
- When a handler has ended, nobody waits for it: Hypercorn would hold a connection for good whose reader has one message
  more than the queue to the handler takes, as one that is killed while it floods.
- Hypercorn sends pings and never looks for their answers. Here, a client of which nothing at all comes for too long is
  given up: its cable was pulled, or it sleeps.

Source: RFC 6455 (frames, close codes), RFC 7692 (what compression can cost).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from hypercorn.protocol import h2, h11
from hypercorn.protocol.events import Body, Data, Event, StreamClosed
from hypercorn.protocol.ws_stream import FrameTooLargeError, WSStream
from hypercorn.typing import AppWrapper, ASGIReceiveCallable, Scope, WebsocketAcceptEvent
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.frame_protocol import CloseReason

from trio_stt.protocol.packets import MAX_METADATA_BYTES
from trio_stt.rates import Bucket
from trio_stt.settings import Settings

logger = logging.getLogger(__name__)

MAX_FRAGMENTS = 1024
"""Of one message: at 1 KiB each it may still be a megabyte."""
_LEAST_MESSAGE_BYTES = 1_048_576
_CONTROL_FRAMES_PER_S = 10
_CONTROL_WINDOW_S = 10.0
_PINGS_IN_A_TIMEOUT = 3
_IDLE_LOOK_S = 5.0
_FAREWELL_S = 2.0
"""For a client to read why it is closed: data that nobody takes would reset the connection before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireLimits:
    """What a socket may cost.

    Attributes:
        max_message_bytes: Of one message, before anything is made of it.
        liveness_timeout_s: Without any frame before a client is given up; 0 never gives up.
    """

    max_message_bytes: int
    liveness_timeout_s: float

    @classmethod
    def of(cls, settings: Settings) -> "WireLimits":
        """The limits that follow from settings: a packet that is somewhat too large still gets its own error."""
        packet_bytes = max(2 * settings.max_audio_packet_bytes, _LEAST_MESSAGE_BYTES)
        return cls(max_message_bytes=packet_bytes + MAX_METADATA_BYTES, liveness_timeout_s=settings.liveness_timeout_s)


def guard_wire(limits: Callable[[], WireLimits]) -> None:
    """Make Hypercorn read every WebSocket with these limits, as they are at each moment; call it before it serves."""
    stream = partial(_GuardedStream, limits)
    for protocol in (h11, h2):
        protocol.WSStream = stream  # type: ignore[attr-defined]  # imported there, and looked up for each handshake


class _GuardedStream(WSStream):
    """One WebSocket."""

    def __init__(self, limits: Callable[[], WireLimits], *args: Any) -> None:
        super().__init__(*args)
        self._limits = limits
        self._fragments = 0
        self._control_frames = Bucket(_CONTROL_FRAMES_PER_S, _CONTROL_WINDOW_S)
        self._heard_s = self.context.time()
        self._is_reading = False
        self._is_putting = False
        self._is_over = False  # nothing more is made of what comes; only its leaving is waited for
        self.app = partial(self._serve, self.app)
        self._clock = self.context.single_task_class()
        self._clock_ends = False

    async def handle(self, event: Event) -> None:
        if isinstance(event, Body | Data) and not self.handshake.accepted:
            await super().handle(event)
        elif isinstance(event, Body | Data):
            self._heard_s = self.context.time()
            if self._is_over or self.connection.state is ConnectionState.CLOSED:
                return  # nothing more is made of it
            self._is_reading = True  # messages may wait here for their turn
            try:
                await super().handle(event)
            finally:
                self._is_reading = False
                self._heard_s = self.context.time()
        else:
            if isinstance(event, StreamClosed) and not self._clock_ends:
                await self._clock.stop()
            await super().handle(event)

    async def _serve(self, app: AppWrapper, scope: Scope, receive: ASGIReceiveCallable, *rest: Any) -> None:
        try:
            await app(scope, receive, *rest)
        finally:
            self._is_over = True
            self.app_put = None
            if self._is_putting:
                # The queue is full: room for the one that waits, who is cancelled as well where this is.
                await receive()  # noqa: ASYNC102 - it never waits

    async def _accept(self, message: WebsocketAcceptEvent) -> None:
        self.handshake.extensions = None  # no compression
        await super()._accept(message)
        if not self.closed:
            await self._clock.restart(self.task_group, self._watch)

    async def _handle_events(self) -> None:
        self.buffer.max_length = self._limits().max_message_bytes
        for event in self.connection.events():
            if isinstance(event, TextMessage | BytesMessage):
                await self._take(event)
            elif isinstance(event, Ping | Pong):
                if self._control_frames.spend(1, self.context.time()):
                    limit = f"more than {_CONTROL_FRAMES_PER_S} pings and pongs a second"
                    await self._break_off(CloseReason.POLICY_VIOLATION, limit)
                elif isinstance(event, Ping):
                    await self._send_wsproto_event(event.response())
            elif isinstance(event, CloseConnection) and self.connection.state is ConnectionState.OPEN:
                # Nobody closed: this is how a frame that is none is told.
                await self._break_off(CloseReason(event.code), event.reason or "not a WebSocket frame")
            elif isinstance(event, CloseConnection):
                if self.connection.state is ConnectionState.REMOTE_CLOSING:
                    await self._send_wsproto_event(event.response())
                await self.send(StreamClosed(stream_id=self.stream_id))
            if self._is_over:
                return

    async def _take(self, event: TextMessage | BytesMessage) -> None:
        """Collect a message, and hand it over when it is whole."""
        self._fragments += event.frame_finished
        if self._fragments > MAX_FRAGMENTS:
            await self._break_off(CloseReason.POLICY_VIOLATION, f"a message has more than {MAX_FRAGMENTS} fragments")
            return
        try:
            self.buffer.extend(event)
        except FrameTooLargeError:
            limit = f"a message is larger than {self.buffer.max_length} bytes"
            await self._break_off(CloseReason.MESSAGE_TOO_BIG, limit)
            return
        if event.message_finished:
            whole = self.buffer.to_message()
            self.buffer.clear()
            self._fragments = 0
            if self.app_put is not None:
                self._is_putting = True
                try:
                    await self.app_put(whole)
                finally:
                    self._is_putting = False

    async def _break_off(self, code: CloseReason, reason: str) -> None:
        """Say why, forget what was collected, and leave when the client does, or soon."""
        self._is_over = True
        self.buffer.clear()
        logger.warning("closed a socket: %s", reason)
        await self._send_wsproto_event(CloseConnection(code=code, reason=reason))
        await self._clock.restart(self.task_group, self._leave_soon)

    async def _leave_soon(self) -> None:
        await self.context.sleep(_FAREWELL_S)
        await self._leave()

    async def _watch(self) -> None:
        """Ping, and give up a client of which nothing comes."""
        while True:
            timeout_s = self._limits().liveness_timeout_s
            await self.context.sleep(timeout_s / _PINGS_IN_A_TIMEOUT or _IDLE_LOOK_S)
            if not timeout_s:
                continue
            if not self._is_reading and self.context.time() - self._heard_s >= timeout_s:
                logger.info("gave up a client that gave no sign of life for %g s", timeout_s)
                await self._leave()
                return
            # By itself, for sending hangs while the client takes nothing.
            self.task_group.spawn(self._send_wsproto_event, Ping())

    async def _leave(self) -> None:
        """Close the connection beneath, and tell the app."""
        self._clock_ends = True  # it cannot wait for its own end
        await self.send(StreamClosed(stream_id=self.stream_id))

"""Below messages: what a WebSocket may cost before anybody sees a message of it, and whether its client is there.

It owns the one class of Hypercorn's that reads frames, made stricter. It must not know what messages say. Hosts other
than Hypercorn have limits of their own.

- Messages end at a size, also unfinished ones: Hypercorn 0.18 goes on collecting after it said that one is too big.
- Nothing is compressed: audio hardly shrinks, and a few bytes could stand for gigabytes.
- A message has a bounded number of fragments, and control frames a rate: each costs as much as a message, and a read
  of 64 KiB holds ten thousand of them.
- Plain messages are read in `frames`, past wsproto, and where it can the app reads its socket itself (`loan`): each
  task and queue on the way of a message costs as much as the message.
- When a handler has ended, nobody waits for it: Hypercorn would hold a connection for good whose reader has one message
  more than the queue to the handler takes, as one that is killed while it floods.
- With which code a client closed is noted (`closing`).
- Hypercorn sends pings and never looks for their answers. Here, a client of which nothing at all comes for too long is
  given up: its cable was pulled, or it sleeps.

Source: RFC 6455 (frames, close codes), RFC 7692 (what compression can cost).
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import trio
from hypercorn.protocol.events import Body, Data, Event, StreamClosed
from hypercorn.protocol.ws_stream import FrameTooLargeError, WSStream
from hypercorn.typing import (
    AppWrapper,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendEvent,
    Scope,
    WebsocketAcceptEvent,
    WebsocketReceiveEvent,
)
from wsproto import events as ws
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError

from trio_stt.api.websocket_transport import WebSocketTransport, attach_transport
from trio_stt.hypercorn_adapter.connection import SocketHandoff, reset_function, single_task
from trio_stt.hypercorn_adapter.direct_websocket import MORE
from trio_stt.hypercorn_adapter.frames import Frames, Passthrough
from trio_stt.protocol.packets import MAX_METADATA_BYTES
from trio_stt.settings import Settings
from trio_stt.token_bucket import TokenBucket

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
_READ_ON = cast(ASGIReceiveEvent, {"type": "trio_stt.read_on"})
"""To the app's side of the queue: behind all messages in it, nobody but the app reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketLimits:
    """What a socket may cost.

    Attributes:
        max_message_bytes: Of one message, before anything is made of it.
        liveness_timeout_s: Without any frame before a client is given up; 0 never gives up.
    """

    max_message_bytes: int
    liveness_timeout_s: float

    @classmethod
    def of(cls, settings: Settings) -> "WebSocketLimits":
        """The limits that follow from settings: a packet that is somewhat too large still gets its own error."""
        packet_bytes = max(2 * settings.max_audio_packet_bytes, _LEAST_MESSAGE_BYTES)
        return cls(max_message_bytes=packet_bytes + MAX_METADATA_BYTES, liveness_timeout_s=settings.liveness_timeout_s)


class LimitedWSStream(WSStream):
    """One WebSocket.

    Hypercorn reads the socket until something has come. Where it can, it lends the socket to the app then, and waits
    until the app has ended or nothing more comes.
    """

    def __init__(self, limits: Callable[[], WebSocketLimits], *args: Any) -> None:
        super().__init__(*args)
        self._limits = limits
        self._frames = Frames()
        self._events: Iterator[ws.Event] = iter(())  # of what wsproto was given
        self._fragments = 0
        self._control_frames = TokenBucket(_CONTROL_FRAMES_PER_S, _CONTROL_WINDOW_S)
        self._silent_looks = 0  # of the clock, since something came
        self._is_busy = False  # what came waits for its turn
        self._is_putting = False
        self._is_over = False  # nothing more is made of what comes; only its leaving is waited for
        self._handoff = SocketHandoff(self.send)
        self._transport = WebSocketTransport(reset=reset_function(self.send))
        self._held = b""  # frames that go out with the next one
        self._holds = False
        self.app = partial(self._serve, self.app)
        self._clock = single_task(self.context)
        self._clock_ends = False

    @property
    def _ignores(self) -> bool:
        """Whether nothing is made of what comes."""
        return self._is_over or self.closed or self.connection.state is ConnectionState.CLOSED

    # --- Hypercorn's side ---

    async def handle(self, event: Event) -> None:
        """Process an event from Hypercorn; once the handshake is accepted, bytes of the socket are read here."""
        if isinstance(event, Body | Data) and self.handshake.accepted:
            if not self._ignores:
                await self._read(event.data)
            return
        if isinstance(event, StreamClosed) and not self._clock_ends:
            await self._clock.stop()
        await super().handle(event)

    async def _read(self, data: bytes) -> None:
        """Queue for the app what came, and lend it the socket."""
        self._is_busy = True
        try:
            self._frames.feed(data)
            while (message := await self._next_message()) is not None:
                await self._put(_receive_event(message))
            if self._handoff.is_possible and not self._ignores:
                await self._put(_READ_ON)
                await self._handoff.wait_ended()
        finally:
            self._is_busy = False
            self._silent_looks = 0

    async def _put(self, event: ASGIReceiveEvent) -> None:
        if self.app_put is not None:
            self._is_putting = True
            try:
                await self.app_put(event)
            finally:
                self._is_putting = False

    # --- the app's side ---

    async def _serve(self, app: AppWrapper, scope: Scope, receive: ASGIReceiveCallable, *rest: Any) -> None:
        attach_transport(cast("dict[str, object]", scope), self._transport)
        try:
            await app(scope, partial(self._receive, receive), *rest)
        finally:
            self._is_over = True
            self.app_put = None
            self._handoff.end()
            del self.app  # by which it holds itself
            if self._is_putting:
                # The queue is full: room for the one that waits, who is cancelled as well where this is.
                await receive()  # noqa: ASYNC102 - it never waits

    async def _receive(self, from_queue: ASGIReceiveCallable) -> ASGIReceiveEvent:
        """The app's next event; others have their turn first, however much there is to read."""
        waited = False
        while True:
            while self._handoff.active:
                if not waited:
                    await trio.lowlevel.checkpoint_if_cancelled()
                message = await self._next_message()
                if message is not None:
                    if not waited:
                        await trio.lowlevel.cancel_shielded_checkpoint()  # a message that is taken is not lost
                    return _receive_event(message)
                self._is_busy = False
                data = b"" if self._ignores else await self._handoff.read()
                self._is_busy, self._silent_looks = True, 0
                if data:
                    self._frames.feed(data)
                else:  # nothing will come of it: Hypercorn's turn
                    self._handoff.end()
                waited = True
            event = await from_queue()
            if event is not _READ_ON:
                return event
            self._handoff.active = True

    async def app_send(self, message: ASGISendEvent | None) -> None:
        """Send an event of the app's; text that more follows is held back until then."""
        self._holds = message is not None and bool(message.get(MORE))
        await super().app_send(message)

    async def _send_wsproto_event(self, event: ws.Event) -> None:
        """As Hypercorn does, but what the app says at once goes out together, with whatever else is sent meanwhile."""
        if isinstance(event, CloseConnection) and self.connection.state is ConnectionState.REMOTE_CLOSING:
            self._transport.close_code = event.code  # the answer repeats it
        with suppress(LocalProtocolError):  # closed already
            self._held += self.connection.send(event)
        if self._held and not (self._holds and isinstance(event, TextMessage)):
            data, self._held = self._held, b""
            await self.send(Data(stream_id=self.stream_id, data=data))

    # --- frames ---

    async def _accept(self, message: WebsocketAcceptEvent) -> None:
        self.handshake.extensions = None  # no compression
        await super()._accept(message)
        if not self.closed:
            await self._clock.restart(self.task_group, self._watch)

    async def _next_message(self) -> str | bytes | None:
        """The next whole message of what came; None when there is none, or it is over."""
        while not self._ignores:
            for event in self._events:
                if (message := await self._take(event)) is not None or self._is_over:
                    return message
            read = self._frames.next()
            if not isinstance(read, Passthrough):
                return read
            self.buffer.max_length = self._limits().max_message_bytes
            self.connection.receive_data(read.data)
            self._events = self.connection.events()
        return None

    async def _take(self, event: ws.Event) -> str | bytes | None:
        """Do what an event of wsproto's asks for; returns a message that is whole now."""
        if isinstance(event, TextMessage | BytesMessage):
            return await self._collect(event)
        if isinstance(event, Ping | Pong):
            if self._control_frames.acquire(1, self.context.time()):
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
        return None

    async def _collect(self, event: TextMessage | BytesMessage) -> str | bytes | None:
        """Collect a message; returns it when it is whole."""
        self._fragments += event.frame_finished
        if self._fragments > MAX_FRAGMENTS:
            await self._break_off(CloseReason.POLICY_VIOLATION, f"a message has more than {MAX_FRAGMENTS} fragments")
            return None
        try:
            self.buffer.extend(event)
        except FrameTooLargeError:
            limit = f"a message is larger than {self.buffer.max_length} bytes"
            await self._break_off(CloseReason.MESSAGE_TOO_BIG, limit)
            return None
        if not event.message_finished or self.buffer.value is None:
            return None
        whole = self.buffer.value.getvalue()
        self.buffer.clear()
        self._fragments = 0
        return whole

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
            self._silent_looks += not self._is_busy
            if self._silent_looks > _PINGS_IN_A_TIMEOUT:
                logger.info("gave up a client that gave no sign of life for %g s", timeout_s)
                await self._leave()
                return
            # By itself, for sending hangs while the client takes nothing.
            self.task_group.spawn(self._send_wsproto_event, Ping())

    async def _leave(self) -> None:
        """Close the connection beneath, and tell the app."""
        self._clock_ends = True  # it cannot wait for its own end
        await self.send(StreamClosed(stream_id=self.stream_id))


def _receive_event(message: str | bytes) -> WebsocketReceiveEvent:
    text, binary = (message, None) if isinstance(message, str) else (None, message)
    return {"type": "websocket.receive", "bytes": binary, "text": text}

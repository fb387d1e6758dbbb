"""Hypercorn's WebSocket stream with limits below messages, a liveness check, and reads without queue or task.

`LimitedWSStream` takes the place of Hypercorn's class (see `replacements`). It must not know what messages say. Hosts
other than Hypercorn have limits of their own.

- A message has a maximum size, also before it is complete: Hypercorn 0.18 collects on after it reported one as too big.
- Nothing is compressed: audio hardly shrinks, and a few bytes could decompress to gigabytes.
- Fragments and control frames are limited (`websocket_limits`).
- Plain messages are parsed by `frames`, and the app reads the socket itself where it can (`connection.SocketHandoff`):
  each task and queue on the way of a message costs as much as the message.
- When a handler has ended, its connection ends: Hypercorn keeps one forever whose reader waits to put a message into
  the full queue of a handler that has ended.
- The client's close code is kept for the route (`websocket_transport`); Hypercorn 0.18 reports 1006 for every end.
- A client that sends nothing at all for too long, not even pongs, is disconnected: its cable was pulled, or it sleeps.
  Hypercorn sends pings, but never checks for an answer.

Source: RFC 6455 (frames, close codes), RFC 7692 (what compression can cost).
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, cast

import trio
from hypercorn.protocol.events import Body, Data, Event, StreamClosed
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

from trio_stt.access.rejection_log import RejectionLog
from trio_stt.api.websocket_transport import WebSocketTransport, attach_transport
from trio_stt.hypercorn_adapter.connection import SocketHandoff, end_function, reset_function, single_task
from trio_stt.hypercorn_adapter.direct_websocket import MORE
from trio_stt.hypercorn_adapter.frames import Frames, Passthrough
from trio_stt.hypercorn_adapter.websocket_handshake import CheckedHandshake
from trio_stt.hypercorn_adapter.websocket_limits import LimitedMessages, LimitExceeded, WebSocketLimits

logger = logging.getLogger(__name__)
_violations = RejectionLog(logger, time.monotonic)  # there is no Trio under an asyncio host

_PINGS_PER_TIMEOUT = 3
_DISABLED_CHECK_INTERVAL_S = 5.0
"""Interval at which a disabled liveness check looks whether it was enabled."""
_CLOSE_TIMEOUT_S = 2.0
"""Seconds for a client to read the close code: closing at once, with unread data, would reset the connection."""
_HAND_OVER = cast(ASGIReceiveEvent, {"type": "trio_stt.hand_over"})
"""Queued to the app: from here on, it reads the socket itself."""


class LimitedWSStream(CheckedHandshake):
    """One WebSocket.

    Hypercorn reads the socket until the first bytes arrive. Then, where the socket can be handed over, it waits until
    the app has ended or the connection has, and the app reads.
    """

    def __init__(self, limits: Callable[[], WebSocketLimits], *args: Any) -> None:
        super().__init__(*args)
        self._limits = limits
        self._frames = Frames()
        self._events: Iterator[ws.Event] = iter(())  # that wsproto made of passed-through bytes
        self._messages = LimitedMessages()
        self._silent_intervals = 0  # between pings, since the last bytes
        self._is_processing = False  # received bytes wait for the app: the client is not silent
        self._is_putting = False  # the reading task waits for a place in the app's queue
        self._is_over = False  # received bytes are ignored until the client disconnects
        self._handoff = SocketHandoff(self.send)
        self._transport = WebSocketTransport(reset=reset_function(self.send))
        self._unsent = b""  # frames that go out with the next one
        self._more_follows = False
        self.app = partial(self._serve, self.app)
        self._timer = single_task(self.context)
        self._timer_ends = False

    @property
    def _ignores_input(self) -> bool:
        return self._is_over or self.closed or self.connection.state is ConnectionState.CLOSED

    # --- Hypercorn's tasks ---

    async def handle(self, event: Event) -> None:
        """Process an event from Hypercorn; once the handshake is accepted, received bytes are processed here."""
        if isinstance(event, Body | Data) and self.handshake.accepted:
            if not self._ignores_input:
                await self._process(event.data)
            return
        if isinstance(event, StreamClosed) and not self._timer_ends:
            await self._timer.stop()
        await super().handle(event)

    async def _process(self, data: bytes) -> None:
        """Hand the socket over, or queue received messages for the app."""
        self._is_processing = True
        try:
            self._frames.feed(data)
            if self._handoff.is_possible:
                # The app reads these frames, too: so it answers a message before the close frame behind it is answered.
                await self._put(_HAND_OVER)
                await self._handoff.wait_ended()
                return
            while (message := await self._next_message()) is not None:
                await self._put(_receive_event(message))
        finally:
            self._is_processing = False
            self._silent_intervals = 0

    async def _put(self, event: ASGIReceiveEvent) -> None:
        if self.app_put is not None:
            self._is_putting = True
            try:
                await self.app_put(event)
            finally:
                self._is_putting = False

    # --- the app's task ---

    async def _serve(self, app: AppWrapper, scope: Scope, receive: ASGIReceiveCallable, *rest: Any) -> None:
        attach_transport(cast("dict[str, object]", scope), self._transport)
        try:
            await app(scope, partial(self._receive, receive), *rest)
        finally:
            self._is_over = True
            self.app_put = None
            self._handoff.end()  # wakes `_process`, so that Hypercorn reads again and sees the end of the connection
            del self.app  # a reference cycle: it is a partial of this method
            if self._is_putting:
                # The queue is full. Take one item so the blocked put() returns; if we were cancelled, so was it.
                await receive()  # noqa: ASYNC102 - never blocks: the queue is full

    async def _receive(self, from_queue: ASGIReceiveCallable) -> ASGIReceiveEvent:
        """The app's next event; always lets other tasks run, however many messages are there."""
        has_waited = False
        while True:
            while self._handoff.active:
                # Reading is a checkpoint; only a message that is there already needs one of its own.
                if not has_waited:
                    await trio.lowlevel.checkpoint_if_cancelled()
                message = await self._next_message()
                if message is not None:
                    if not has_waited:
                        await trio.lowlevel.cancel_shielded_checkpoint()  # a cancellation must not lose the message
                    return _receive_event(message)
                self._is_processing = False  # nothing is left to process: from here on, silence is the client's
                data = b"" if self._ignores_input else await self._handoff.read()
                self._is_processing, self._silent_intervals = True, 0
                if data:
                    self._frames.feed(data)
                else:  # the connection is over, which Hypercorn must see
                    self._handoff.end()
                has_waited = True
            event = await from_queue()
            if event is not _HAND_OVER:
                return event
            self._handoff.active = True

    async def app_send(self, message: ASGISendEvent | None) -> None:
        """Send an event of the app; text is held back while more follows at once."""
        self._more_follows = message is not None and bool(message.get(MORE))
        await super().app_send(message)

    async def _send_wsproto_event(self, event: ws.Event) -> None:
        """As Hypercorn's, but a text that more follows is sent with the next frame, in one write."""
        if isinstance(event, CloseConnection) and self.connection.state is ConnectionState.REMOTE_CLOSING:
            self._transport.close_code = event.code  # this is the reply, which repeats the client's code
        with suppress(LocalProtocolError):  # already closed
            self._unsent += self.connection.send(event)
        if self._unsent and not (self._more_follows and isinstance(event, TextMessage)):
            data, self._unsent = self._unsent, b""
            await self.send(Data(stream_id=self.stream_id, data=data))

    # --- frames ---

    async def _accept(self, message: WebsocketAcceptEvent) -> None:
        self.handshake.extensions = None  # no compression
        await super()._accept(message)
        if not self.closed:
            await self._timer.restart(self.task_group, self._watch)

    async def _next_message(self) -> str | bytes | None:
        """The next complete message; None if there is none, or input is ignored."""
        while not self._ignores_input:
            try:
                for event in self._events:
                    if (message := await self._process_event(event)) is not None or self._is_over:
                        return message
                read = self._frames.next()
                if not isinstance(read, Passthrough):
                    return read  # smaller than any limit
                self._messages.announce(read.announced_bytes, self._max_message_bytes)
            except LimitExceeded as error:
                await self._close(error.code, error.reason)
                return None
            self.connection.receive_data(read.data)
            self._events = self.connection.events()
        return None

    @property
    def _max_message_bytes(self) -> int:
        # Read anew each time, because a change of `max_audio_packet_bytes` applies at once.
        return max(self._limits().max_message_bytes, self._transport.max_message_bytes)

    async def _process_event(self, event: ws.Event) -> str | bytes | None:
        """Process an event of wsproto; returns a message that it completes.

        Raises:
            LimitExceeded: The client sent more than it may.
        """
        if isinstance(event, TextMessage | BytesMessage):
            return self._messages.add(event, self._max_message_bytes)
        if isinstance(event, Ping | Pong):
            self._messages.count_control_frame(self.context.time())
            if isinstance(event, Ping):
                await self._send_wsproto_event(event.response())
        elif isinstance(event, CloseConnection) and self.connection.state is ConnectionState.OPEN:
            # Neither side has closed: this is how wsproto reports an invalid frame.
            await self._close(CloseReason(event.code), event.reason or "not a WebSocket frame")
        elif isinstance(event, CloseConnection):
            if self.connection.state is ConnectionState.REMOTE_CLOSING:
                await self._send_wsproto_event(event.response())
            await self.send(StreamClosed(stream_id=self.stream_id))
        return None

    # --- the end ---

    async def _close(self, code: CloseReason, reason: str) -> None:
        """Close for a violation: send the code, discard further input, and disconnect when the client does, or soon."""
        self._is_over = True
        self._messages.clear()
        _violations.warn(f"closed WebSocket: {reason}")
        await self._send_wsproto_event(CloseConnection(code=code, reason=reason))
        if (end := end_function(self.send)) is not None:
            end()
        else:
            await self._timer.restart(self.task_group, self._disconnect_soon)

    async def _disconnect_soon(self) -> None:
        await self.context.sleep(_CLOSE_TIMEOUT_S)
        await self._disconnect()

    async def _watch(self) -> None:
        """Send pings, and disconnect a client that sends nothing for the timeout."""
        while True:
            timeout_s = self._limits().liveness_timeout_s
            await self.context.sleep(timeout_s / _PINGS_PER_TIMEOUT or _DISABLED_CHECK_INTERVAL_S)
            if not timeout_s:
                continue
            self._silent_intervals += not self._is_processing
            # The first interval may have begun just before bytes arrived, so only the ones after it count in full.
            if self._silent_intervals > _PINGS_PER_TIMEOUT:
                logger.info("closed WebSocket: no frame received for %g s (liveness_timeout_s)", timeout_s)
                await self._disconnect()
                return
            # In its own task, because a send hangs while the client does not read.
            self.task_group.spawn(self._send_wsproto_event, Ping())

    async def _disconnect(self) -> None:
        """Close the connection beneath, and let the app know."""
        self._timer_ends = True  # this runs in the timer's task, which cannot wait for its own end
        await self.send(StreamClosed(stream_id=self.stream_id))


def _receive_event(message: str | bytes) -> WebsocketReceiveEvent:
    text, binary = (message, None) if isinstance(message, str) else (None, message)
    return {"type": "websocket.receive", "bytes": binary, "text": text}

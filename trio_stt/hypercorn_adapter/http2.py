"""HTTP/2 connections that survive requests which Hypercorn 0.18 cannot read, and that have deadlines.

`CheckedH2Protocol` takes the place of Hypercorn's class (see `replacements`). It must not know routes.
"""

import time
from typing import Any

import h2.events
from hypercorn.events import Closed, Updated
from hypercorn.events import Event as ConnectionEvent
from hypercorn.protocol.events import Event
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.protocol.ws_stream import WSStream

from trio_stt.hypercorn_adapter.connection import single_task

_UNREADABLE = [(b":method", b"GET"), (b":path", b""), (b":scheme", b"http"), (b":authority", b"")]
"""A request without a path, which the access middleware answers with 400."""
_SENDING_S = 30.0
"""Seconds for a client to take 32 KB of an answer, because it may keep its flow-control window closed."""
_CHECKS_PER_TIMEOUT = 3


class CheckedH2Protocol(H2Protocol):
    """One HTTP/2 connection. Without it, the errors named below would end the connection with a traceback."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.streams = _Streams()
        self._sending_since_s: dict[int, float] = {}  # by stream, while its app waits for the client to take data
        self._watch = single_task(self.context)
        self._watch_ends = False  # the watch ends itself and must not wait for its own end

    async def initiate(self, *args: Any) -> None:
        """Begin, and start the deadlines: of the first request, and of each part of an answer."""
        await super().initiate(*args)
        await self.send(Updated(idle=self.idle))  # without TLS, the preface counted as a request of HTTP/1.1
        await self._watch.restart(self.task_group, self._watch_answers)

    async def handle(self, event: ConnectionEvent) -> None:
        """Process an event of the connection."""
        if isinstance(event, Closed) and not self._watch_ends:
            await self._watch.stop()
        await super().handle(event)

    async def _watch_answers(self) -> None:
        while not self._watch_ends:
            await self.context.sleep(_SENDING_S / _CHECKS_PER_TIMEOUT)
            earliest_s = time.monotonic() - _SENDING_S
            self._watch_ends = any(since_s < earliest_s for since_s in self._sending_since_s.values())
        await self.send(Closed())

    async def stream_send(self, event: Event) -> None:
        """Send an event of a stream; a part of an answer waits for the client's flow control."""
        self._sending_since_s[event.stream_id] = time.monotonic()
        try:
            await super().stream_send(event)
        finally:
            self._sending_since_s.pop(event.stream_id, None)

    async def _create_stream(self, request: h2.events.RequestReceived) -> None:
        """Hypercorn expects method and path in ASCII, and a path with every CONNECT."""
        fields = dict(request.headers)
        path, method = fields.get(b":path", b""), fields.get(b":method", b"")
        if not path or not (path + method).isascii():
            request.headers = _UNREADABLE
        await super()._create_stream(request)


class _Streams(dict[int, HTTPStream | WSStream]):
    """The open streams of a connection; any other one was answered before its body ended."""

    def __missing__(self, _stream_id: int) -> Any:
        return _AnsweredStream()


class _AnsweredStream:
    """Discards the rest of a request that was answered early."""

    async def handle(self, _event: Event) -> None:
        """Discard."""

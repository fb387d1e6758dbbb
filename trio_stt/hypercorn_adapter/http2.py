"""HTTP/2 connections that survive requests which Hypercorn 0.18 cannot read, and the rest of a body after its answer.

`CheckedH2Protocol` takes the place of Hypercorn's class (see `replacements`). It must not know routes.
"""

from typing import Any

import h2.events
from hypercorn.protocol.events import Event
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.protocol.ws_stream import WSStream

_UNREADABLE = [(b":method", b"GET"), (b":path", b""), (b":scheme", b"http"), (b":authority", b"")]
"""A request without a path, which the access middleware answers with 400."""


class CheckedH2Protocol(H2Protocol):
    """One HTTP/2 connection. Without it, the errors named below would end the connection with a traceback."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.streams = _Streams()

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

"""WebSocket clients for the start-up check: each returns whether the server reacts as trio-stt's replacements make it.

They break rules on purpose. `verification` serves the app that they talk to.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h2.config
import h2.connection
import h2.events
import trio
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Ping
from wsproto.frame_protocol import CloseReason

MESSAGE_BYTES = 1024
"""The limit that the server must have."""
ABORTED_PATH = "/aborted"
"""Path of the WebSocket that the app must abort."""
SLOW_PATH = "/slow"
"""Path of the request that the app must answer after a while."""
_MASK = b"\0\0\0\0"
_TOO_LARGE = b"\x02\xfe" + (2 * MESSAGE_BYTES).to_bytes(2) + _MASK + bytes(2 * MESSAGE_BYTES)
"""The first fragment of a binary message, twice as large as the limit."""
_MESSAGE = b"\x82\x80" + _MASK
_RECEIVE_BYTES = 65_536


async def is_limited(port: int) -> bool:
    """Nothing is compressed, and a message ends at its limit before it is whole."""
    async with _client(port) as client:
        await client.open()
        await client.stream.send_all(_TOO_LARGE)
        while client.close_code is None and await client.read():
            pass
        return b"permessage-deflate" not in client.answer and client.close_code == CloseReason.MESSAGE_TOO_BIG


async def is_aborted(port: int) -> bool:
    """The app can end the connection."""
    async with _client(port) as client:
        await client.open(ABORTED_PATH)
        while await client.read():
            pass
        return client.close_code is None


async def is_watched(port: int) -> bool:
    """A silent client is pinged and then closed."""
    async with _client(port) as client:
        await client.open()
        while await client.read():
            pass
        return client.pings > 0


async def is_unknown_version_rejected(port: int) -> bool:
    """A version of HTTP that does not exist gets 505."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(b"GET / HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n")
        return b" 505 " in await stream.receive_some(_RECEIVE_BYTES)


async def is_half_closed_answered(port: int) -> bool:
    """A client that sends nothing after its request gets the answer."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(f"GET {SLOW_PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        await stream.send_eof()
        return b" 400 " in await stream.receive_some(_RECEIVE_BYTES)


async def is_early_frame_refused(port: int) -> bool:
    """A frame before the answer to the handshake gets 400 and the end of the connection."""
    async with _client(port) as client:
        await client.open(early=_MESSAGE)
        while await client.read():
            pass
        return b" 400 " in client.answer


async def is_closed_after_error(port: int) -> bool:
    """An error in a connection, which the server makes in each, ends that connection and no other."""
    async with _client(port) as other:
        async with _client(port) as client:
            await client.open()
            while await client.read():
                pass
        await other.open()
        return b" 101 " in other.answer


async def is_limited_over_http2(port: int) -> bool:
    """As `is_limited`."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(validate_outbound_headers=False))
    connection.initiate_connection()
    fields = {
        ":method": "CONNECT",
        ":protocol": "websocket",
        ":scheme": "http",
        ":path": "/",
        ":authority": "127.0.0.1",
        "sec-websocket-version": "13",
        "sec-websocket-extensions": "permessage-deflate",
    }
    connection.send_headers(1, list(fields.items()))
    frames, is_compressed, close_code = Connection(ConnectionType.CLIENT), False, None
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(connection.data_to_send())
        while close_code is None and (data := await stream.receive_some(_RECEIVE_BYTES)):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    is_compressed = any(name == b"sec-websocket-extensions" for name, _ in event.headers or ())
                    connection.send_data(1, _TOO_LARGE)
                elif isinstance(event, h2.events.DataReceived):
                    frames.receive_data(event.data)
                    close_code = next((e.code for e in frames.events() if isinstance(e, CloseConnection)), close_code)
            await stream.send_all(connection.data_to_send())
        connection.close_connection()
        await stream.send_all(connection.data_to_send())
        while await stream.receive_some(_RECEIVE_BYTES):
            pass
    return not is_compressed and close_code == CloseReason.MESSAGE_TOO_BIG


async def is_unreadable_request_answered_over_http2(port: int) -> bool:
    """A CONNECT without a path, an error in Hypercorn 0.18, gets an answer of the app."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(validate_outbound_headers=False))
    connection.initiate_connection()
    connection.send_headers(1, [(":method", "CONNECT"), (":authority", "127.0.0.1")], end_stream=True)
    is_answered = False
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(connection.data_to_send())
        while not is_answered and (data := await stream.receive_some(_RECEIVE_BYTES)):
            # Only after the end of the answer: closing before it is an error in Hypercorn 0.18, too.
            is_answered = any(isinstance(e, h2.events.StreamEnded) for e in connection.receive_data(data))
            await stream.send_all(connection.data_to_send())
        connection.close_connection()
        await stream.send_all(connection.data_to_send())
        while await stream.receive_some(_RECEIVE_BYTES):
            pass
    return is_answered


class _Client:
    """A WebSocket over HTTP/1.1."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.answer = b""
        self.pings = 0
        self.close_code: int | None = None
        self._frames = Connection(ConnectionType.CLIENT)

    async def open(self, path: str = "/", *, early: bytes = b"") -> None:
        """Shake hands; `early` is sent with the handshake."""
        lines = (
            f"GET {path} HTTP/1.1",
            "Host: 127.0.0.1",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            "Sec-WebSocket-Extensions: permessage-deflate",
        )
        await self.stream.send_all("\r\n".join((*lines, "", "")).encode() + early)
        data = b""
        while b"\r\n\r\n" not in data:
            received = await self.stream.receive_some(_RECEIVE_BYTES)
            data += received
            if not received:
                return
        self.answer, _, rest = data.partition(b"\r\n\r\n")
        self._take(rest)

    async def read(self) -> bool:
        """Take what the server sends next; returns whether the connection is still open."""
        try:
            data = await self.stream.receive_some(_RECEIVE_BYTES)
        except trio.BrokenResourceError:  # it was reset
            return False
        self._take(data)
        return bool(data)

    def _take(self, data: bytes) -> None:
        if data and self.close_code is None:
            self._frames.receive_data(data)
            for event in self._frames.events():
                self.pings += isinstance(event, Ping)
                if isinstance(event, CloseConnection):
                    self.close_code = event.code


@asynccontextmanager
async def _client(port: int) -> AsyncIterator[_Client]:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        yield _Client(stream)

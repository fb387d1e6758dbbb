"""A talker's line to its server: what its WebSocket library sends and frames that are ready go out in one order.

It owns the connection beneath a WebSocket. It must not know what frames mean, and it never waits for itself.
"""

import os
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

import trio

_PORTS = {"ws": 80, "wss": 443}


class MultiplexedStream(trio.abc.Stream):
    """A stream that also takes frames without waiting.

    A server that does not read leaves part of such a frame, and all that comes behind it, to `flush`: nothing else
    gets in between, for what the library sends waits its turn, too.
    """

    def __init__(self, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]) -> None:
        """Take over an open stream. Only one without TLS can be written to without waiting."""
        self._stream = stream
        self._descriptor = stream.socket.fileno() if isinstance(stream, trio.SocketStream) else None
        self._send_lock = trio.StrictFIFOLock()
        self._backlog: list[bytes] = []

    @classmethod
    async def connect(cls, url: str) -> Self:
        """Connect to the server of a `ws:` or `wss:` address.

        Raises:
            OSError: Nobody answers.
        """
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        if parts.scheme == "wss":
            return cls(await trio.open_ssl_over_tcp_stream(host, port, https_compatible=True))
        return cls(await trio.open_tcp_stream(host, port))

    @property
    def has_backlog(self) -> bool:
        """Whether a frame would have to wait for others now."""
        return bool(self._backlog) or self._send_lock.locked()

    def send_soon(self, frame: bytes) -> None:
        """Send a frame at once, or as much of it as the connection takes now."""
        sent = 0
        if self._descriptor is not None and not self.has_backlog:
            with suppress(OSError):  # it is full, or broken: then `flush` tells
                sent = os.write(self._descriptor, frame)
        if sent < len(frame):
            self._backlog.append(frame[sent:])

    async def flush(self) -> None:
        """Wait until all that was put is gone.

        Raises:
            trio.BrokenResourceError: It broke.
            trio.ClosedResourceError: It is closed.
        """
        async with self._send_lock:
            await self._send_owed()

    async def _send_owed(self) -> None:
        while self._backlog:
            backlog, self._backlog = b"".join(self._backlog), []
            await self._stream.send_all(backlog)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send, behind all that was put before."""
        async with self._send_lock:
            await self._send_owed()
            await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream's."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """As the stream's."""
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        """Close the connection; its number may be somebody else's from then on."""
        self._descriptor = None
        await self._stream.aclose()


def host_and_resource(url: str) -> tuple[str, str]:
    """What a request to an address has in its `Host` header and its first line."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = f"?{parts.query}" if parts.query else ""
    return host.removesuffix(f":{_PORTS[parts.scheme]}"), (parts.path or "/") + query

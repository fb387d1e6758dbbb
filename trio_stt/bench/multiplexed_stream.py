"""The connection below a client's WebSocket: carries the library's output and pre-built frames in one order.

It owns the connection. It must not know what frames mean.
"""

import os
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

import trio

_PORTS = {"ws": 80, "wss": 443}


class MultiplexedStream(trio.abc.Stream):
    """A stream that also accepts frames without waiting.

    If the server does not read, the rest of such a frame and all later ones form a backlog that `flush` sends. What the
    library sends waits behind it, so frames never interleave.
    """

    def __init__(self, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]) -> None:
        """Take over an open stream. Only a stream without TLS can be written to without waiting."""
        self._stream = stream
        self._descriptor = stream.socket.fileno() if isinstance(stream, trio.SocketStream) else None
        self._send_lock = trio.StrictFIFOLock()
        self._backlog: list[bytes] = []

    @classmethod
    async def connect(cls, url: str) -> Self:
        """Connect to the server of a `ws:` or `wss:` address.

        Raises:
            OSError: The connection is refused or fails.
        """
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        if parts.scheme == "wss":
            return cls(await trio.open_ssl_over_tcp_stream(host, port, https_compatible=True))
        return cls(await trio.open_tcp_stream(host, port))

    @property
    def has_backlog(self) -> bool:
        """Whether a frame would have to wait behind others now."""
        return bool(self._backlog) or self._send_lock.locked()

    def send_soon(self, frame: bytes) -> None:
        """Send as much of a frame as the connection accepts now; the rest joins the backlog."""
        sent = 0
        if self._descriptor is not None and not self.has_backlog:
            with suppress(OSError):  # full, or broken: then `flush` raises
                sent = os.write(self._descriptor, frame)
        if sent < len(frame):
            self._backlog.append(frame[sent:])

    async def flush(self) -> None:
        """Send the backlog.

        Raises:
            trio.BrokenResourceError: The connection broke.
            trio.ClosedResourceError: The connection is closed.
        """
        async with self._send_lock:
            await self._send_backlog()

    async def _send_backlog(self) -> None:
        while self._backlog:
            backlog, self._backlog = b"".join(self._backlog), []
            await self._stream.send_all(backlog)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send data, behind the backlog."""
        async with self._send_lock:
            await self._send_backlog()
            await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Forward to the stream."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Forward to the stream."""
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        """Close the connection. Its descriptor is forgotten first, because the system may reuse the number."""
        self._descriptor = None
        await self._stream.aclose()


def host_and_resource(url: str) -> tuple[str, str]:
    """The `Host` header and the request target of a request to a URL."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = f"?{parts.query}" if parts.query else ""
    return host.removesuffix(f":{_PORTS[parts.scheme]}"), (parts.path or "/") + query

"""A socket that its host lends to the app: whoever receives reads, and no task or queue is between them.

It owns whose turn it is to read, and the one place that knows where Hypercorn keeps its socket. It must not look into
what is read. Only Hypercorn's Trio worker can lend, and only a connection that carries one stream, as HTTP/1.1's do.
"""

import os

import trio
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.tcp_server import MAX_RECV, TCPServer


class SocketHandoff:
    """Of one socket, once.

    Args:
        send: With which the host has a stream send: what can be lent is found behind it.

    Attributes:
        is_out: Whether it is the app that reads.
    """

    def __init__(self, send: object) -> None:
        protocol = getattr(send, "__self__", None)
        server = getattr(getattr(protocol, "send", None), "__self__", None)
        can_lend = isinstance(protocol, H11Protocol) and isinstance(server, TCPServer)
        self._stream: trio.abc.ReceiveStream | None = server.stream if can_lend else None  # type: ignore[union-attr]  # as was asked
        # Read past its stream where the system lets one: that saves a call in vain for each packet.
        self._socket = (
            self._stream.socket if isinstance(self._stream, trio.SocketStream) and os.name == "posix" else None
        )
        self.active = False
        self._ended = trio.Event()

    @property
    def is_possible(self) -> bool:
        """Whether there is a socket to lend, and it was not given back already."""
        return self._stream is not None and not self._ended.is_set()

    async def wait_ended(self) -> None:
        """Wait until it is the host's turn to read again."""
        await self._ended.wait()

    async def read(self) -> bytes:
        """What comes next; nothing where no more comes."""
        assert self._stream is not None  # noqa: S101 - it was lent
        try:
            if self._socket is None:
                return bytes(await self._stream.receive_some(MAX_RECV))
            while True:
                await trio.lowlevel.wait_readable(self._socket)
                try:
                    return os.read(self._socket.fileno(), MAX_RECV)
                except BlockingIOError:
                    continue
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    def end(self) -> None:
        """Give the socket back, if it was lent; from now on it is not."""
        self.active = False
        self._ended.set()

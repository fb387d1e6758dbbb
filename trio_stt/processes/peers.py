"""Calls between the processes of one server, over Unix sockets in a folder that only their user may enter.

A call is a name and a body; its answer is one body, or a stream of frames in both directions. A process that does not
answer in time, because it starts, ends or stands still, is left out.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from struct import Struct
from typing import Protocol

import trio

from trio_stt.processes.membership import Membership, socket_path
from trio_stt.processes.shared_table import SharedTable

logger = logging.getLogger(__name__)

ANSWER_S = 2.0
"""Seconds within which a process must answer: its event loop may be busy, but not for so long."""
_HEADER = Struct(">BI")
_READ_BYTES = 65_536
_ANSWER = "A"
_CALL = "C"
_BACKLOG = 256


class PeerLost(Exception):  # noqa: N818 - names a state
    """The other process is gone, or does not answer."""


class PeerStream:
    """Frames between two processes: a letter for the kind, and a body. It owns the socket."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._unread = bytearray()

    async def send(self, kind: str, body: bytes = b"") -> None:
        """Send one frame.

        Raises:
            PeerLost: The other process is gone.
        """
        try:
            await self._stream.send_all(_HEADER.pack(ord(kind), len(body)) + body)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise PeerLost from None

    async def receive(self) -> tuple[str, bytes]:
        """Receive one frame.

        Raises:
            PeerLost: The other process is gone.
        """
        kind, size_bytes = _HEADER.unpack(await self._take(_HEADER.size))
        return chr(kind), await self._take(size_bytes)

    async def _take(self, size_bytes: int) -> bytes:
        while len(self._unread) < size_bytes:
            try:
                more = await self._stream.receive_some(_READ_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise PeerLost from None
            if not more:
                raise PeerLost
            self._unread += more
        taken = bytes(self._unread[:size_bytes])
        del self._unread[:size_bytes]
        return taken

    def close(self) -> None:
        """Close at once; waiting tasks get `PeerLost`."""
        self._stream.socket.close()


Handler = Callable[[bytes], Awaitable[bytes]]
"""Answers a call: from its body to the body of the answer."""
StreamHandler = Callable[[PeerStream, bytes], Awaitable[None]]
"""Serves a call over a stream, which is closed when it returns."""


class Peers(Protocol):
    """The other processes of the server."""

    @property
    def instance(self) -> int:
        """The number of this process."""

    def instances(self) -> list[int]:
        """The numbers of all living processes."""

    def answer(self, call: str, handler: Handler) -> None:
        """Answer a call of others from now on."""

    def serve_stream(self, call: str, handler: StreamHandler) -> None:
        """Serve a call of others over a stream from now on."""

    async def gather(self, call: str, body: bytes = b"") -> list[bytes]:
        """The answers of all others that answer in time."""

    async def open(self, instance: int, call: str, body: bytes) -> PeerStream:
        """A stream to one other process, which the caller closes.

        Raises:
            PeerLost: There is no such process, or it does not answer.
        """

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Answer calls until cancelled."""


class _NoPeers:
    instance = 0

    def instances(self) -> list[int]:
        """This process alone."""
        return [0]

    def answer(self, call: str, handler: Handler) -> None:
        """Nothing asks."""

    def serve_stream(self, call: str, handler: StreamHandler) -> None:
        """Nothing asks."""

    async def gather(self, call: str, body: bytes = b"") -> list[bytes]:  # noqa: ARG002 - the signature of the port
        """Nothing answers."""
        await trio.lowlevel.checkpoint()
        return []

    async def open(self, instance: int, call: str, body: bytes) -> PeerStream:  # noqa: ARG002 - as above
        """There is none."""
        await trio.lowlevel.checkpoint()
        raise PeerLost

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Nothing asks."""
        await trio.lowlevel.checkpoint()
        task_status.started()


NO_PEERS: Peers = _NoPeers()
"""Those of a server with one process."""


class ProcessPeers:
    """The other processes of a server with several.

    Args:
        membership: Of this process.
        table: Knows which others live.
    """

    def __init__(self, membership: Membership, table: SharedTable) -> None:
        self._membership = membership
        self._table = table
        self._handlers: dict[str, StreamHandler] = {}

    @property
    def instance(self) -> int:
        """See `Peers.instance`."""
        return self._membership.instance

    def instances(self) -> list[int]:
        """See `Peers.instances`."""
        return self._table.instances()

    def answer(self, call: str, handler: Handler) -> None:
        """See `Peers.answer`."""

        async def respond(stream: PeerStream, body: bytes) -> None:
            await stream.send(_ANSWER, await handler(body))

        self._handlers[call] = respond

    def serve_stream(self, call: str, handler: StreamHandler) -> None:
        """See `Peers.serve_stream`."""
        self._handlers[call] = handler

    async def gather(self, call: str, body: bytes = b"") -> list[bytes]:
        """See `Peers.gather`."""
        answers: list[bytes] = []

        async def ask(instance: int) -> None:
            try:
                with trio.fail_after(ANSWER_S):
                    async with self._opened(instance, call, body) as stream:
                        answers.append((await stream.receive())[1])
            except PeerLost:
                logger.debug("process %d starts or ends: it does not answer %s", instance, call)
            except trio.TooSlowError:
                logger.warning("process %d does not answer %s within %g s", instance, call, ANSWER_S)

        async with trio.open_nursery() as nursery:
            for instance in self._table.instances():
                if instance != self._membership.instance:
                    nursery.start_soon(ask, instance)
        return answers

    async def open(self, instance: int, call: str, body: bytes) -> PeerStream:
        """See `Peers.open`."""
        if instance not in self._table.instances():
            await trio.lowlevel.checkpoint()
            raise PeerLost
        try:
            with trio.fail_after(ANSWER_S):
                connection = await trio.open_unix_socket(socket_path(self._membership.folder, instance))
                stream = PeerStream(connection)
                try:
                    await stream.send(_CALL, f"{call}\n".encode() + body)
                except BaseException:
                    stream.close()
                    raise
        except (OSError, trio.TooSlowError):
            raise PeerLost from None
        return stream

    @asynccontextmanager
    async def _opened(self, instance: int, call: str, body: bytes) -> AsyncIterator[PeerStream]:
        stream = await self.open(instance, call, body)
        try:
            yield stream
        finally:
            stream.close()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """See `Peers.run`."""
        with trio.socket.socket(trio.socket.AF_UNIX) as listener:
            await listener.bind(socket_path(self._membership.folder, self._membership.instance))
            listener.listen(_BACKLOG)
            task_status.started()
            await trio.serve_listeners(self._serve, [trio.SocketListener(listener)])

    async def _serve(self, connection: trio.SocketStream) -> None:
        stream = PeerStream(connection)
        call = ""
        try:
            _, request = await stream.receive()
            name, _, body = request.partition(b"\n")
            call = name.decode()
            await self._handlers[call](stream, body)
        except PeerLost:
            logger.debug("a process that asked for %s is gone", call)
        except Exception:
            logger.exception("the call %s of another process failed", call)
        finally:
            stream.close()

"""The TCP connection beneath Hypercorn's streams: finding it, resetting it, and reading it directly.

It owns all knowledge of where Hypercorn keeps its sockets. It must not look into what they carry.
"""

import os
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import cast

import trio
from hypercorn.asyncio.tcp_server import TCPServer as AsyncioTCPServer
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.tcp_server import MAX_RECV, TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import SingleTask, TaskGroup
from hypercorn.typing import WorkerContext as AnyWorkerContext

TrioStream = trio.SocketStream | trio.SSLStream[trio.SocketStream]
_LINGER_ZERO = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
"""Enabled, 0 s: closing discards unsent data and sends a reset."""


def reset_function(send: object) -> Callable[[], None] | None:
    """A function that resets the TCP connection beneath a stream; None for a connection of an unknown kind.

    Hypercorn shields its sends and has no call to end one, so a client that stops reading would hold its handler, its
    buffers and the server's shutdown for as long as it likes.

    Args:
        send: The stream's `send`, a bound method of its protocol.
    """
    server = _server_beneath(send)
    if isinstance(server, TCPServer):
        return partial(reset, server.stream)
    if isinstance(server, AsyncioTCPServer):
        return server.writer.transport.abort
    return None


def end_function(send: object) -> Callable[[], None] | None:
    """A function after which a connection is read for a limited time and closed; None where it cannot be, or must not.

    Args:
        send: The stream's `send`, as above; the connection must not carry other streams.
    """
    is_single = isinstance(getattr(send, "__self__", None), H11Protocol)
    return getattr(_server_beneath(send), "end", None) if is_single else None


def socket_of(stream: TrioStream) -> trio.socket.SocketType:
    """The socket beneath a stream. Closing it wakes the tasks that wait to read or write."""
    return (stream.transport_stream if isinstance(stream, trio.SSLStream) else stream).socket


def reset(stream: TrioStream) -> None:
    """Reset the TCP connection beneath a stream."""
    with suppress(OSError):  # already closed
        socket_of(stream).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    socket_of(stream).close()


def _server_beneath(send: object) -> object:
    """A stream sends through a method of its protocol, which sends through a method of the connection's server."""
    protocol = getattr(send, "__self__", None)
    return getattr(getattr(protocol, "send", None), "__self__", None)


class SocketHandoff:
    """Lets the app read a connection's socket itself, so that no task or queue lies between socket and handler.

    Only Hypercorn's Trio worker can hand its socket over, and only for a connection that carries a single stream, as in
    HTTP/1.1. Without it, a silent session costs 43 % more CPU (benchmarks.session_cost, 50 clients: 12.94 instead of
    9.05 ms a second of audio).

    Args:
        send: The stream's `send`, a bound method of its protocol.

    Attributes:
        active: Whether the app reads now.
    """

    def __init__(self, send: object) -> None:
        server = _server_beneath(send)
        is_single = isinstance(getattr(send, "__self__", None), H11Protocol) and isinstance(server, TCPServer)
        self._stream: trio.abc.ReceiveStream | None = cast(TCPServer, server).stream if is_single else None
        # On POSIX, read the socket directly: SocketStream.receive_some first tries a recv() that usually blocks.
        is_plain = isinstance(self._stream, trio.SocketStream) and os.name == "posix"
        self._socket = cast(trio.SocketStream, self._stream).socket if is_plain else None
        self.active = False
        self._ended = trio.Event()

    @property
    def is_possible(self) -> bool:
        """Whether there is a socket that can be handed over, and it was not handed back yet."""
        return self._stream is not None and not self._ended.is_set()

    async def wait_ended(self) -> None:
        """Wait until Hypercorn may read again."""
        await self._ended.wait()

    async def read(self) -> bytes:
        """Read what comes next; empty at the end of the connection."""
        assert self._stream is not None  # noqa: S101 - only a possible handoff becomes active
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
        """Hand the socket back for good."""
        self.active = False
        self._ended.set()


class TrioSingleTask:
    """Replaces Hypercorn's class of this name, which takes two tasks and two turns at a lock for each restart."""

    def __init__(self) -> None:
        self._scope: trio.CancelScope | None = None
        self._is_closed = False

    async def restart(self, task_group: TaskGroup, action: Callable[[], Awaitable[object]]) -> None:
        """Run an action in place of the one before."""
        await self.stop()
        if self._is_closed:
            return
        self._scope = trio.CancelScope()
        task_group.spawn(self._run, self._scope, action)

    async def stop(self) -> None:
        """Let the action end at its next checkpoint, if one runs."""
        if self._scope is not None:
            self._scope.cancel()
            self._scope = None

    async def close(self) -> None:
        """Stop, and never run an action again."""
        self._is_closed = True
        await self.stop()

    @staticmethod
    async def _run(scope: trio.CancelScope, action: Callable[[], Awaitable[object]]) -> None:
        with scope:
            await action()


def single_task(context: AnyWorkerContext) -> SingleTask:
    """A task that can be restarted, for the worker of this context."""
    return TrioSingleTask() if isinstance(context, WorkerContext) else context.single_task_class()

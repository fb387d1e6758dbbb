"""The TCP connection beneath Hypercorn's streams: finding it, resetting it, reading it directly, and its faults.

It owns all knowledge of where Hypercorn keeps its sockets. It must not look into what they carry.
"""

import os
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, cast

import h11
import trio
from hypercorn.asyncio.tcp_server import TCPServer as AsyncioTCPServer
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol, H11WSConnection
from hypercorn.trio.tcp_server import MAX_RECV, TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import SingleTask, TaskGroup
from hypercorn.typing import WorkerContext as AnyWorkerContext

_LINGER_ZERO = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
"""Enabled, 0 s: closing discards unsent data and sends a reset."""

_CLOSING_S = 2.0
"""Seconds for a client to end its request after the answer, and for an app to end after its answer."""
_SENDING_S = 30.0
"""Seconds for a client to read one write, of at most some 100 KB; longer than any session waits for its client."""
_DISCARDED_BYTES = 1_048_576
"""Rest of a request that is read after an early answer; with a longer one, the client loses the answer."""


def reset_function(send: object) -> Callable[[], None] | None:
    """A function that resets the TCP connection beneath a stream; None for a connection of an unknown kind.

    Hypercorn shields its sends and has no call to end one, so a client that stops reading would hold its handler, its
    buffers and the server's shutdown for as long as it likes.

    Args:
        send: The stream's `send`, a bound method of its protocol.
    """
    server = _server_beneath(send)
    if isinstance(server, TCPServer):
        return partial(_reset, server.stream)
    if isinstance(server, AsyncioTCPServer):
        return server.writer.transport.abort
    return None


def _reset(stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]) -> None:
    transport = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    with suppress(OSError):  # already closed
        transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    transport.socket.close()  # wakes the tasks that wait to read or write


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

    async def restart(self, task_group: TaskGroup, action: Callable[[], Awaitable[object]]) -> None:
        """Run an action in place of the one before."""
        await self.stop()
        self._scope = trio.CancelScope()
        task_group.spawn(self._run, self._scope, action)

    async def stop(self) -> None:
        """Let the action end at its next checkpoint, if one runs."""
        if self._scope is not None:
            self._scope.cancel()
            self._scope = None

    @staticmethod
    async def _run(scope: trio.CancelScope, action: Callable[[], Awaitable[object]]) -> None:
        with scope:
            await action()


def single_task(context: AnyWorkerContext) -> SingleTask:
    """A task that can be restarted, for the worker of this context."""
    return TrioSingleTask() if isinstance(context, WorkerContext) else context.single_task_class()


class IsolatedConnection(TCPServer):
    """A connection of Hypercorn's Trio worker that fails alone, and is closed when its last exchange is over.

    Hypercorn's asyncio worker needs neither. Version 0.18 of its Trio worker

    - lets an error in a connection's protocol handling leave the worker's nursery, so a client that sends a WebSocket
      frame before the handshake is answered ends the whole server (hypercorn issue 225);
    - leaves connections open after an answer to `Connection: close` or HTTP/1.0, because Quart cancels the task that
      closes them, and after a handshake that it rejects itself;
    - reads on after an answer that came before the end of the request, and keeps what it reads in memory;
    - keeps a connection that its client has closed until the keep-alive timeout;
    - sends for as long as the client takes, even while the server shuts down.

    Args:
        on_error: Called with an error that ended the connection.
        args: Those of Hypercorn's class.
    """

    def __init__(self, on_error: Callable[[BaseException], None], *args: Any) -> None:
        super().__init__(*args)
        self.idle_task = TrioSingleTask()  # type: ignore[assignment]  # has all that is used
        self._on_error = on_error
        self._reading = trio.CancelScope()
        self._is_over = False  # the last answer is sent
        self._is_read = False  # nothing more is read, so the connection cannot be idle

    async def run(self) -> None:
        """Serve the connection; never raises but for cancellation."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._reset_when_cancelled)
                await super().run()
                nursery.cancel_scope.cancel()  # ends `_reset_when_cancelled`
        except* Exception as error:  # noqa: BLE001 - whatever failed concerns this connection only
            self._on_error(error)
        finally:
            # The protocol holds this object and the streams, which hold the protocol: without this line, all that
            # the connection used would wait for the garbage collector.
            vars(self).pop("protocol", None)

    async def protocol_send(self, event: Event) -> None:
        """Carry out an event of the protocol; after the last byte of the last answer, the reading task closes."""
        if isinstance(event, RawData):
            await self._send(event.data)
            if not self._is_over and _is_last_answer_sent(self.protocol.protocol):
                self._is_over = True
                self._reading.cancel()  # it may wait for an app that has answered and takes no more
        elif not (self._is_over and isinstance(event, Closed)) and not (self._is_read and isinstance(event, Updated)):
            await super().protocol_send(event)

    async def _send(self, data: bytes) -> None:
        """Send despite cancellation, because an app may end before its answer has left; not for longer than a limit."""
        async with self.send_lock:
            try:
                with trio.move_on_after(_SENDING_S, shield=True) as sending:
                    await self.stream.send_all(data)
                if sending.cancelled_caught:
                    _reset(self.stream)
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
                await self.protocol.handle(Closed())  # busy: the connection is being closed for an invalid request

    async def _reset_when_cancelled(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            if self.send_lock.locked():  # by a client that does not read: it must not hold the server's shutdown
                _reset(self.stream)

    async def _read_data(self) -> None:
        with self._reading:
            await super()._read_data()
        self._is_read = True
        await self.idle_task.stop()
        if self._is_over:
            await self._close_when_read()

    async def _close_when_read(self) -> None:
        """Close after the rest of a request, or the limits: closing before unread data resets the connection.

        The client would lose an answer that it has not read yet.
        """
        protocol = self.protocol.protocol
        if _http1(protocol).their_state is h11.SEND_BODY:
            with suppress(AttributeError, trio.BrokenResourceError, trio.ClosedResourceError):  # TLS has no half-close
                await self.stream.send_eof()
            unread = _DISCARDED_BYTES
            with trio.move_on_after(_CLOSING_S), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                while unread > 0 and (data := await self.stream.receive_some(MAX_RECV)):
                    unread -= len(data)
        await self.stream.aclose()
        with trio.move_on_after(_CLOSING_S):  # an app that has answered need not take the end of its request
            await protocol.handle(Closed())
        nursery = self._task_group._nursery  # noqa: SLF001 - Hypercorn's own class reads it, too
        if nursery is not None:  # an app that goes on after its answer is cancelled
            nursery.cancel_scope.deadline = trio.current_time() + _CLOSING_S


def _is_last_answer_sent(protocol: object) -> bool:
    """Whether a connection has nothing more to send: not after an answer that keeps it alive, nor over HTTP/2."""
    if not isinstance(protocol, H11Protocol):
        return False
    http1 = _http1(protocol)
    if (
        http1.our_state is h11.DONE
    ):  # the answer is complete: keep alive only if the request is, too, never after a handshake
        return isinstance(protocol.connection, H11WSConnection) or http1.their_state is not h11.DONE
    return http1.our_state in {h11.MUST_CLOSE, h11.CLOSED, h11.ERROR}


def _http1(protocol: object) -> h11.Connection:
    connection = cast(H11Protocol, protocol).connection
    return connection.h11_connection if isinstance(connection, H11WSConnection) else connection

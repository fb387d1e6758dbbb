"""A connection of Hypercorn's Trio worker, with limits and deadlines that Hypercorn 0.18 lacks.

`TrioConnection` takes the place of Hypercorn's class (see `replacements`). It must not look into requests.
"""

import math
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar, cast

import h11
import trio
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.tcp_server import TCPServer

from trio_stt.access.connection_limits import ConnectionLimits
from trio_stt.access.host_and_origin import Rejection
from trio_stt.hypercorn_adapter.connection import TrioSingleTask, TrioStream, reset, socket_of
from trio_stt.hypercorn_adapter.connection_rules import (
    READ_BYTES,
    ConnectionBounds,
    admit,
    awaits_answer,
    http1,
    is_finished,
    is_last_answer_sent,
    read_bytes,
    refusal,
)


class TrioConnection(TCPServer):
    """A connection of Hypercorn's Trio worker that fails alone, and is closed when its last exchange is over.

    Version 0.18 of that worker

    - lets an error in a connection's protocol handling leave the worker's nursery, so a client that sends a WebSocket
      frame before the handshake is answered ends the whole server (hypercorn issue 225);
    - leaves connections open after an answer to `Connection: close` or HTTP/1.0, because Quart cancels the task that
      closes them, and after a handshake that it rejects itself;
    - reads on after an answer that came before the end of the request, and keeps what it reads in memory;
    - closes at once after a protocol error, so that unread data resets the connection and the client loses the answer;
    - treats the end of a client's sending side as the end of the connection, and drops the answer;
    - keeps a connection that its client has closed until the keep-alive timeout;
    - waits without a deadline for a client that does not read, even in a shutdown, and closes TLS without a deadline.

    Args:
        limits: Counts it; None counts nothing.
        on_error: Called with an error that ended the connection.
        args: Those of Hypercorn's class.
    """

    bounds: ClassVar[ConnectionBounds] = ConnectionBounds()
    _refusals: ClassVar[int] = 0  # connections that are being rejected

    def __init__(self, limits: ConnectionLimits | None, on_error: Callable[[BaseException], None], *args: Any) -> None:
        super().__init__(*args)
        self._idle_task = TrioSingleTask()
        self.idle_task = self._idle_task  # type: ignore[assignment]  # has all that Hypercorn uses
        self._limits = limits
        self._on_error = on_error
        self._reading = trio.CancelScope()
        self._is_over = False  # the last answer is sent
        self._is_half_closed = False  # the client sends nothing more
        self._is_closed_for_room = False

    async def run(self) -> None:
        """Serve the connection; never raises but for cancellation."""
        try:
            rejection = admit(self._limits, self, socket_of(self.stream))
            if rejection is not None:
                await self._refuse(rejection)
                return
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._reset_when_cancelled)
                await super().run()
                nursery.cancel_scope.cancel()  # ends `_reset_when_cancelled`
        except* Exception as error:  # noqa: BLE001 - whatever failed concerns this connection only
            if not self._is_closed_for_room:
                self._on_error(error)
        finally:
            if self._limits is not None:
                self._limits.remove(self)
            # The protocol holds this object and the streams, which hold the protocol: without this line, all that
            # the connection used would wait for the garbage collector.
            vars(self).pop("protocol", None)

    def close_waiting(self) -> None:
        """Close at once, to make room."""
        self._is_closed_for_room = True
        socket_of(self.stream).close()

    async def protocol_send(self, event: Event) -> None:
        """Carry out an event of the protocol; after the last byte of the last answer, the reading task closes."""
        if isinstance(event, RawData):
            await self._send(event.data)
            if not self._is_over and is_last_answer_sent(self.protocol.protocol):
                self.end()
        elif isinstance(event, Closed):
            if self._is_half_closed or isinstance(self.protocol.protocol, H2Protocol):
                self.end()
            elif not self._is_over:
                await super().protocol_send(event)
        elif isinstance(event, Updated):
            if self._limits is not None:
                self._limits.note(self, is_waiting=event.idle)
            if event.idle and self._is_half_closed:  # answered, and no further request can come
                self.end()
            else:
                await super().protocol_send(event)

    def end(self) -> None:
        """Let the reading task close the connection; it may wait for an app that has answered and reads no more."""
        self._is_over = True
        self._reading.cancel()

    async def _send(self, data: bytes) -> None:
        """Send despite cancellation, because an app may end before its answer has left; not for longer than a limit."""
        async with self.send_lock:
            try:
                with trio.move_on_after(self.bounds.sending_s, shield=True) as sending:
                    await self.stream.send_all(data)
                if not sending.cancelled_caught:
                    return
                reset(self.stream)
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
                pass  # busy: the connection is being closed for an invalid request
        await self.protocol.handle(Closed())
        self._reading.cancel()  # it may wait for this answer

    async def _reset_when_cancelled(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            if self.send_lock.locked():  # by a client that does not read: it must not hold the server's shutdown
                reset(self.stream)

    async def _read_data(self) -> None:
        with self._reading:
            try:
                while data := await self._receive():
                    await self.protocol.handle(RawData(data))
                self._is_half_closed = True
                if awaits_answer(self.protocol.protocol):
                    await self._wait_gone()  # `end` cancels it after the answer
            except (OSError, trio.ClosedResourceError, trio.BrokenResourceError, trio.TooSlowError):
                pass
            await self.protocol.handle(Closed())
        await self._idle_task.close()
        if self._is_over:
            await self._close_when_read()

    async def _wait_gone(self) -> None:
        """Wait until a client that sends nothing more takes nothing more, either, so that its work is not done in vain.

        Only an answer shows which of both it closed. An interim one, which every client skips, is sent for the purpose.
        """
        await trio.sleep(self.bounds.probe_s)
        exchange = http1(self.protocol.protocol)
        if exchange.our_state is h11.SEND_RESPONSE and exchange.their_http_version == b"1.1":
            await self._send(exchange.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        while not socket_of(self.stream).getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):  # noqa: ASYNC110 - no event tells
            await trio.sleep(self.bounds.probe_s)

    async def _receive(self) -> bytes:
        with trio.fail_after(self.config.read_timeout or math.inf):
            return bytes(await self.stream.receive_some(read_bytes(self.protocol.protocol)))

    async def _close_when_read(self) -> None:
        """Close after the rest of the client's data, or at the limits, and end the connection's tasks."""
        protocol = self.protocol.protocol
        if not self._is_half_closed:
            await self._discard(only_unfinished=isinstance(protocol, H11Protocol) and is_finished(protocol))
        await self._close()
        with trio.move_on_after(self.bounds.closing_s):  # an app that has answered need not take the end of its request
            await protocol.handle(Closed())
        nursery = self._task_group._nursery  # noqa: SLF001 - Hypercorn's own class reads it, too
        if nursery is not None:  # an app that goes on after its answer is cancelled
            nursery.cancel_scope.deadline = trio.current_time() + self.bounds.closing_s

    async def _discard(self, *, only_unfinished: bool = False) -> None:
        """End the sending side, and read until the client closes: closing with unread data would reset the connection.

        The client would then lose an answer that it has not read yet. TLS cannot close one side only, so over TLS the
        client of a finished exchange would wait for nothing.
        """
        if self._plain_stream is None and only_unfinished:
            return
        unread = self.bounds.discarded_bytes
        with (
            trio.move_on_after(self.bounds.closing_s),
            suppress(trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError),
        ):
            if self._plain_stream is not None:
                await self._plain_stream.send_eof()
            while unread > 0 and (data := await self.stream.receive_some(READ_BYTES)):
                unread -= len(data)

    @property
    def _plain_stream(self) -> trio.SocketStream | None:
        """The stream, if it is not TLS; Hypercorn declares that it always is."""
        stream = cast(TrioStream, self.stream)
        return stream if isinstance(stream, trio.SocketStream) else None

    async def _refuse(self, rejection: Rejection) -> None:
        """Answer without processing the request. Over TLS only close, because a handshake costs too much."""
        if self._plain_stream is None:
            return
        TrioConnection._refusals += 1
        try:
            with trio.move_on_after(self.bounds.closing_s), suppress(trio.BrokenResourceError):
                await self._plain_stream.send_all(refusal(rejection))
                if TrioConnection._refusals <= self.bounds.refusals:
                    await self._discard()
                else:  # a request that has arrived must be read, or closing would reset the connection
                    with suppress(OSError):
                        os.read(self._plain_stream.socket.fileno(), READ_BYTES)
        finally:
            TrioConnection._refusals -= 1

    async def _close(self) -> None:
        with trio.move_on_after(
            self.bounds.closing_s
        ):  # TLS sends a closing alert, which waits for a client that does not read
            await super()._close()

    async def _initiate_server_close(self) -> None:
        await self.protocol.handle(Closed())
        await self._close()

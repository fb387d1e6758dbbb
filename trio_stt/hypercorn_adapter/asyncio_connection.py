"""A connection of Hypercorn's asyncio worker, with the limits and deadlines of the Trio worker's.

`AsyncioConnection` takes the place of Hypercorn's class (see `replacements`). It must not look into requests.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar

from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol

from trio_stt.access.connection_limits import ConnectionLimits
from trio_stt.hypercorn_adapter.connection_rules import (
    READ_BYTES,
    ConnectionBounds,
    admit,
    awaits_answer,
    is_finished,
    is_last_answer_sent,
    read_bytes,
    refusal,
)


class AsyncioConnection(TCPServer):
    """A connection of Hypercorn's asyncio worker with the limits and deadlines of `TrioConnection`.

    Args:
        limits: Counts it; None counts nothing.
        on_error: Called with an error that ended the connection.
        args: Those of Hypercorn's class.
    """

    bounds: ClassVar[ConnectionBounds] = ConnectionBounds()

    def __init__(self, limits: ConnectionLimits | None, on_error: Callable[[BaseException], None], *args: Any) -> None:
        super().__init__(*args)
        self._limits = limits
        self._on_error = on_error
        self._serving = asyncio.timeout(None)
        self._reading = asyncio.timeout(None)  # ends by `end`
        self._is_reading = False
        self._is_over = False  # the last answer is sent
        self._answered = asyncio.Event()
        self._is_half_closed = False

    async def run(self) -> None:
        """Serve the connection; never raises."""
        rejection = admit(self._limits, self, self.writer.get_extra_info("socket"))
        if rejection is not None:
            self.writer.write(refusal(rejection))
            self.writer.close()
            return
        # A write then waits until the kernel has everything, so that closing has nothing left to send.
        self.writer.transport.set_write_buffer_limits(0)
        try:
            # The worker cancels what is open when it ends; CPython 3.11 would log each connection with a traceback.
            with suppress(asyncio.CancelledError):
                async with self._serving:
                    await super().run()
        except* TimeoutError:
            pass
        except* Exception as error:  # noqa: BLE001 - whatever failed concerns this connection only
            self._on_error(error)
        finally:
            if self._limits is not None:
                self._limits.remove(self)

    def close_waiting(self) -> None:
        """Close at once, to make room."""
        self.writer.transport.abort()

    def end(self) -> None:
        """Let the reading task close the connection; it may wait for an app that has answered and reads no more."""
        if self._is_reading and not self._is_over:
            self._reading.reschedule(self.loop.time())
        self._is_over = True
        self._answered.set()

    async def protocol_send(self, event: Event) -> None:
        """Carry out an event of the protocol."""
        if isinstance(event, Updated):
            if self._limits is not None:
                self._limits.note(self, is_waiting=event.idle)
            if event.idle and self._is_half_closed:
                self._answered.set()
            elif self._is_reading:
                await super().protocol_send(event)
        elif isinstance(event, RawData):
            await self._write(event)
        elif isinstance(event, Closed):
            self.end()

    async def _write(self, data: RawData) -> None:
        if self.writer.transport.is_closing():
            self._answered.set()
            await self.protocol.handle(Closed())  # asyncio would log each write
            return
        try:
            async with asyncio.timeout(self.bounds.sending_s):
                await super().protocol_send(data)
        except TimeoutError:
            self.writer.transport.abort()
        if self.writer.transport.is_closing():
            self._answered.set()
        elif is_last_answer_sent(self.protocol.protocol):
            self.end()

    async def _read_data(self) -> None:
        try:
            with suppress(OSError, TimeoutError):  # as Hypercorn; errors of TLS are OSErrors, too
                async with self._reading:
                    self._is_reading = True
                    while not self._is_over and (data := await self._receive()):
                        await self.protocol.handle(RawData(data))
                    self._is_half_closed = not self._is_over
                    if not self._is_over and awaits_answer(self.protocol.protocol):
                        await self._answered.wait()
        finally:
            self._is_reading = False
        await self.idle_task.stop()
        if self._is_over:
            await self._discard()
            await self._close()
            self._serving.reschedule(
                self.loop.time() + self.bounds.closing_s
            )  # cancels an app that goes on after its answer
        with suppress(TimeoutError):  # an app that has answered need not take the end of its request
            async with asyncio.timeout(self.bounds.closing_s if self._is_over else None):
                await self.protocol.handle(Closed())

    async def _receive(self) -> bytes:
        await asyncio.sleep(0)  # reading what is there already would let no other task run
        most_bytes = read_bytes(self.protocol.protocol)
        return await asyncio.wait_for(self.reader.read(most_bytes), self.config.read_timeout)

    async def _discard(self) -> None:
        """See `TrioConnection._discard`."""
        protocol, unread = self.protocol.protocol, self.bounds.discarded_bytes
        if not self.writer.can_write_eof() and isinstance(protocol, H11Protocol) and is_finished(protocol):
            return
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(self.bounds.closing_s):
                if self.writer.can_write_eof():  # not over TLS
                    self.writer.write_eof()
                while unread > 0 and (data := await self.reader.read(READ_BYTES)):
                    unread -= len(data)

    async def _close(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self.bounds.closing_s) as closing:  # TLS waits, as in `TrioConnection`
                await super()._close()
        if closing.expired():  # Hypercorn's method may end as if it had closed
            self.writer.transport.abort()

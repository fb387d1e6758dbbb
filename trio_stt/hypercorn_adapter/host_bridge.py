"""The ASGI bridge: one app object that serves under a Trio host and under an asyncio host.

It owns the Trio guest run that an asyncio host needs, the passage of scopes, events, errors and cancellations between
the two, and what Hypercorn's Trio worker needs to last and to be quick. It must not know what the app does: any ASGI 3
app that needs Trio will do.

Both loops share one thread, so each calls the other's synchronous functions directly; neither ever awaits the other.
"""

import asyncio
import contextvars
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import outcome
import sniffio
import trio
from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    Scope,
)

_T = TypeVar("_T")
_FAREWELLS = {"lifespan.startup.failed", "lifespan.shutdown.complete", "lifespan.shutdown.failed"}


class HostBridge:
    """An ASGI app that runs a Trio app on whichever event loop its host uses.

    Under a Trio host every call passes straight through. Under an asyncio host (plain `hypercorn`, uvicorn) Trio runs
    in guest mode on the host's loop, from the first open scope to the last: the lifespan scope, where the host has
    one, keeps it alive for as long as the server. Each scope is one Trio task:

    - `receive` and `send` return when the host's own returned, so order and backpressure are the host's.
    - Cancelling the host's task cancels the Trio task and breaks off what it awaits from the host: there, code under
      a Trio shield gets `trio.BrokenResourceError`. The host's task ends when the Trio task has ended.
    - What the app raises reaches the host, and what the host raises in `receive` or `send` reaches the app.
    - A host hears that the lifespan's startup failed or its shutdown ended only once the app has returned and, if
      nothing else is open, the guest run is over: it may then drop its loop at once.
    """

    def __init__(self, app: ASGIFramework) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve one scope, as ASGI 3 says.

        Raises:
            Exception: Whatever the app raised.
            trio.TrioInternalError: The guest run broke down beneath the app.
        """
        if sniffio.current_async_library() == "trio":
            await self.app(scope, receive, send)
        else:
            await _serve_as_guest(self.app, scope, receive, send)


async def _serve_as_guest(
    app: ASGIFramework, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
) -> None:
    guest = await _open_guest(asyncio.get_running_loop())
    call = _Call(guest.loop, scope, receive, send)
    guest.admit(call, app)
    cancelled = await _outlast(call.ended, call.cancel)
    if guest.dismiss(call):
        cancelled |= await _outlast(guest.ended, call.cancel)
    call.ended.result()
    if call.farewell is not None:
        await send(call.farewell)
    if cancelled:
        raise asyncio.CancelledError


async def _open_guest(loop: asyncio.AbstractEventLoop) -> "_Guest":
    """Find the loop's guest run, or start one where there is none or only one that is closing."""
    while (guest := _guests.get(loop)) is not None and guest.closing:
        await asyncio.wait([guest.ended])
    if guest is None:
        guest = _guests[loop] = _Guest(loop)
    return guest


async def _outlast(future: asyncio.Future[None], on_cancel: Callable[[], None]) -> bool:
    """Wait for `future` through any number of cancellations; True if there were some."""
    cancelled = False
    while not future.done():
        # The caller raises the cancellation once both sides have ended.
        with suppress(asyncio.CancelledError):
            await asyncio.wait([future])
            break
        cancelled = True
        on_cancel()
    return cancelled


class _Guest:
    """A Trio run on a host's loop, open while it has calls."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.closing = False
        self.ended: asyncio.Future[None] = loop.create_future()
        self._calls: set[_Call] = set()
        self._door, visitors = trio.open_memory_channel[Callable[[trio.Nursery], None]](math.inf)
        trio.lowlevel.start_guest_run(
            self._main,
            visitors,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            run_sync_soon_not_threadsafe=loop.call_soon,
            done_callback=self._finish,
            host_uses_signal_set_wakeup_fd=True,
        )

    def admit(self, call: "_Call", app: ASGIFramework) -> None:
        """Start the Trio side of `call`, in the contextvars of the host's task."""
        self._calls.add(call)
        context = contextvars.copy_context()
        self._door.send_nowait(lambda nursery: context.run(nursery.start_soon, call.run, app))

    def dismiss(self, call: "_Call") -> bool:
        """Let an ended call go; True if it was the last one and the run is now closing."""
        self._calls.discard(call)
        if not self._calls:
            self.closing = True
            self._door.close()
        return self.closing

    async def _main(self, visitors: trio.MemoryReceiveChannel[Callable[[trio.Nursery], None]]) -> None:
        async with trio.open_nursery() as nursery, visitors:
            async for start_in in visitors:
                start_in(nursery)

    def _finish(self, result: outcome.Outcome[None]) -> None:
        del _guests[self.loop]
        self.closing = True
        self._door.close()
        self.ended.set_result(None)
        if isinstance(result, outcome.Error):
            unfinished = [call.ended for call in self._calls if not call.ended.done()]
            for ended in unfinished:
                ended.set_exception(result.error)
            if not unfinished:
                self.loop.call_exception_handler(
                    {"message": "the Trio guest run failed while ending", "exception": result.error}
                )


_guests: dict[asyncio.AbstractEventLoop, _Guest] = {}
"""The guest run of each host loop that has one: Trio allows no second, whichever bridge asks."""


class _Call:
    """One scope: a task of the host and a Trio task that end together."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        scope: Scope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
    ) -> None:
        self.ended: asyncio.Future[None] = loop.create_future()
        self.farewell: ASGISendEvent | None = None  # the lifespan's last event, held back until the guest has gone
        self._loop = loop
        self._scope = scope
        self._host_receive = receive
        self._host_send = send
        self._host_work: set[asyncio.Future[Any]] = set()
        self._cancel_scope = trio.CancelScope()

    async def run(self, app: ASGIFramework) -> None:
        """Run the app's side, in Trio. Raises only Trio's cancellation, as the whole guest run breaks down."""
        try:
            with self._cancel_scope:
                await app(self._scope, self._receive, self._send)
        except trio.Cancelled:
            raise
        except BaseException as error:  # noqa: BLE001 - handed to the host's task, which raises it
            self.ended.set_exception(error)
        else:
            if self._cancel_scope.cancelled_caught and self.farewell is None:
                self.ended.cancel()
            else:
                self.ended.set_result(None)

    def cancel(self) -> None:
        """Cancel both sides, from the host; `ended` comes when the Trio task has ended."""
        self._cancel_scope.cancel()
        for future in self._host_work:
            future.cancel()

    async def _receive(self) -> ASGIReceiveEvent:
        return await self._on_host(self._host_receive())

    async def _send(self, event: ASGISendEvent) -> None:
        if event["type"] in _FAREWELLS:
            self.farewell = event
            if event["type"] == "lifespan.startup.failed":
                # Nothing comes after it: a host raises here, and some apps rely on that to leave.
                self._cancel_scope.cancel()
        else:
            await self._on_host(self._host_send(event))

    async def _on_host(self, work: Awaitable[_T]) -> _T:
        """Await the host's `work` from Trio; a Trio cancellation cancels it, outlasts it, and loses to its result."""
        future = asyncio.ensure_future(work, loop=self._loop)
        this_task = trio.lowlevel.current_task()
        cancellations: list[trio.lowlevel.RaiseCancelT] = []

        def abort(raise_cancel: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
            cancellations.append(raise_cancel)
            future.cancel()
            return trio.lowlevel.Abort.FAILED

        future.add_done_callback(lambda _: trio.lowlevel.reschedule(this_task))
        self._host_work.add(future)
        await trio.lowlevel.wait_task_rescheduled(abort)
        self._host_work.discard(future)
        if future.cancelled():
            for raise_cancel in cancellations:
                raise_cancel()
            self._cancel_scope.cancel()
            await trio.lowlevel.checkpoint_if_cancelled()
            raise trio.BrokenResourceError("the host broke off this connection")
        return future.result()

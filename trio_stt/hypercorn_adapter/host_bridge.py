"""The ASGI bridge: runs a Trio app under a Trio host or an asyncio host.

It owns the Trio guest run that an asyncio host needs, and passes scopes, events, errors and cancellations between the
two. It must not know what the app does: it works for any ASGI 3 app that needs Trio.

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
_FINAL_EVENTS = {"lifespan.startup.failed", "lifespan.shutdown.complete", "lifespan.shutdown.failed"}


class HostBridge:
    """An ASGI app that runs a Trio app on whichever event loop its host uses.

    Under a Trio host every call passes straight through. Under an asyncio host (plain `hypercorn`, uvicorn) Trio runs
    in guest mode on the host's loop, from the first open scope to the last: the lifespan scope, where the host has
    one, keeps it alive for as long as the server. Each scope is one Trio task:

    - `receive` and `send` return when the host's own returned, so order and backpressure are the host's.
    - Cancelling the host's task cancels the Trio task and what it awaits from the host: there, code under a Trio shield
      gets `trio.BrokenResourceError`. The host's task ends when the Trio task has ended.
    - Errors of the app are raised in the host, and errors of the host's `receive` or `send` in the app.
    - The host gets the event that startup failed or shutdown is complete only after the app has returned and, if no
      other scope is open, the guest run is over: the host may then drop its loop at once.
    """

    def __init__(self, app: ASGIFramework) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve one scope, as ASGI 3 says.

        Raises:
            Exception: Whatever the app raised.
            trio.TrioInternalError: The guest run itself failed.
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
    guest.start(call, app)
    cancelled = await _outlast(call.ended, call.cancel)
    if guest.remove(call):
        cancelled |= await _outlast(guest.ended, call.cancel)
    call.ended.result()
    if call.final_event is not None:
        await send(call.final_event)
    if cancelled:
        raise asyncio.CancelledError


async def _open_guest(loop: asyncio.AbstractEventLoop) -> "_Guest":
    """The loop's guest run; starts one if there is none, or only one that is closing."""
    while (guest := _guests.get(loop)) is not None and guest.closing:
        await asyncio.wait([guest.ended])
    if guest is None:
        guest = _guests[loop] = _Guest(loop)
    return guest


async def _outlast(future: asyncio.Future[None], on_cancel: Callable[[], None]) -> bool:
    """Wait for `future` despite cancellations; returns whether there were any."""
    cancelled = False
    while not future.done():
        # The caller raises the cancellation once both sides have ended. `wait`, unlike awaiting the future, leaves it
        # alone when it is cancelled.
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
        # Without a bound, because the host's side cannot wait for Trio.
        self._send_channel, calls_to_start = trio.open_memory_channel[Callable[[trio.Nursery], None]](math.inf)
        trio.lowlevel.start_guest_run(
            self._main,
            calls_to_start,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            run_sync_soon_not_threadsafe=loop.call_soon,
            done_callback=self._finish,
            host_uses_signal_set_wakeup_fd=True,  # asyncio's own, which Trio would replace
        )

    def start(self, call: "_Call", app: ASGIFramework) -> None:
        """Start the Trio task of `call`, in the contextvars of the host's task."""
        self._calls.add(call)
        context = contextvars.copy_context()
        self._send_channel.send_nowait(lambda nursery: context.run(nursery.start_soon, call.run, app))

    def remove(self, call: "_Call") -> bool:
        """Remove an ended call; returns whether it was the last one, so that the run is closing."""
        self._calls.discard(call)
        if not self._calls:
            self.closing = True
            self._send_channel.close()
        return self.closing

    async def _main(self, calls_to_start: trio.MemoryReceiveChannel[Callable[[trio.Nursery], None]]) -> None:
        async with trio.open_nursery() as nursery, calls_to_start:
            async for start_in in calls_to_start:
                start_in(nursery)

    def _finish(self, result: outcome.Outcome[None]) -> None:
        del _guests[self.loop]  # scopes that wait for `ended` start the next run
        self.closing = True
        self._send_channel.close()
        self.ended.set_result(None)
        if isinstance(result, outcome.Error):  # a TrioInternalError: the errors of apps end only their calls
            unfinished = [call.ended for call in self._calls if not call.ended.done()]
            for ended in unfinished:
                ended.set_exception(result.error)
            if not unfinished:
                self.loop.call_exception_handler(
                    {"message": "the Trio guest run failed while ending", "exception": result.error}
                )


_guests: dict[asyncio.AbstractEventLoop, _Guest] = {}
"""The guest run of each host loop that has one: Trio allows only one per loop, for all bridges."""


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
        self.final_event: ASGISendEvent | None = None  # of the lifespan, held back until the guest run is over
        self._loop = loop
        self._scope = scope
        self._host_receive = receive
        self._host_send = send
        self._host_work: set[asyncio.Future[Any]] = set()
        self._cancel_scope = trio.CancelScope()

    async def run(self, app: ASGIFramework) -> None:
        """Run the app, in Trio. Raises only Trio's cancellation, when the whole guest run fails."""
        try:
            with self._cancel_scope:
                await app(self._scope, self._receive, self._send)
        except trio.Cancelled:
            raise
        except BaseException as error:  # noqa: BLE001 - handed to the host's task, which raises it
            self.ended.set_exception(error)
        else:
            if self._cancel_scope.cancelled_caught and self.final_event is None:
                self.ended.cancel()  # the host's task then ends as cancelled, too
            else:
                self.ended.set_result(None)

    def cancel(self) -> None:
        """Cancel both sides, from the host; `ended` is set when the Trio task has ended."""
        self._cancel_scope.cancel()
        for future in self._host_work:
            future.cancel()

    async def _receive(self) -> ASGIReceiveEvent:
        return await self._on_host(self._host_receive())

    async def _send(self, event: ASGISendEvent) -> None:
        if event["type"] in _FINAL_EVENTS:
            self.final_event = event
            if event["type"] == "lifespan.startup.failed":
                # The last event: a host raises here, and some apps rely on that to end.
                self._cancel_scope.cancel()
        else:
            await self._on_host(self._host_send(event))

    async def _on_host(self, work: Awaitable[_T]) -> _T:
        """Await the host's `work` from Trio.

        A Trio cancellation cancels the work and waits for its end; if it has a result all the same, that is returned.
        """
        future = asyncio.ensure_future(work, loop=self._loop)
        this_task = trio.lowlevel.current_task()
        cancellations: list[trio.lowlevel.RaiseCancelT] = []

        def abort(raise_cancel: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
            cancellations.append(raise_cancel)
            future.cancel()
            # This task goes on only when the future has ended: a message that it received must not be lost.
            return trio.lowlevel.Abort.FAILED

        # Callbacks of a future run on the host's loop, in this thread, so they may call Trio.
        future.add_done_callback(lambda _: trio.lowlevel.reschedule(this_task))
        self._host_work.add(future)
        await trio.lowlevel.wait_task_rescheduled(abort)
        self._host_work.discard(future)
        if future.cancelled():
            for raise_cancel in cancellations:
                raise_cancel()
            # Trio did not cancel it, so the host did: the task ends by cancellation, or under a shield by the error.
            self._cancel_scope.cancel()
            await trio.lowlevel.checkpoint_if_cancelled()
            raise trio.BrokenResourceError("the host cancelled this connection")
        return future.result()

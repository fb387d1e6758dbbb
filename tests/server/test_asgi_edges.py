"""The ASGI bridge between an app and a host that a test plays: order, cancellation, errors and the guest's life."""

import asyncio
import contextvars
import signal
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGIReceiveEvent, ASGISendCallable, ASGISendEvent, Scope

from trio_stt.asgi import HostBridge

SCOPE = cast("Scope", {"type": "websocket"})
LIFESPAN = cast("Scope", {"type": "lifespan"})
UNUSED = cast("Any", object())
"""A host's `receive` or `send` that the app must not call: it cannot be called."""
App = Callable[[Scope, ASGIReceiveCallable, ASGISendCallable], Awaitable[None]]


def event(text: str) -> ASGISendEvent:
    return {"type": "websocket.send", "bytes": None, "text": text}


def run_host(main: Callable[[], Awaitable[None]]) -> None:
    """Run `main` on an asyncio loop; nothing may go wrong unheard and no task may be left."""
    unheard: list[dict[str, Any]] = []

    async def host() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
        async with asyncio.timeout(30):
            await main()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(host())
    assert unheard == []


async def call(app: App, receive: ASGIReceiveCallable = UNUSED, send: ASGISendCallable = UNUSED) -> None:
    await HostBridge(app)(SCOPE, receive, send)


async def sleeper(_scope: Scope, _receive: ASGIReceiveCallable, _send: ASGISendCallable) -> None:
    await trio.sleep_forever()


async def test_under_trio_the_app_gets_what_the_host_gave() -> None:
    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await trio.lowlevel.checkpoint()
        assert (scope, receive, send) == (SCOPE, UNUSED, UNUSED)
        raise LookupError("seen")

    with pytest.raises(LookupError, match="seen"):
        await call(app)


def test_send_returns_when_the_hosts_send_returned() -> None:
    log: list[str] = []

    async def app(_scope: Scope, _receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        for text in ("a", "b"):
            await send(event(text))
            log.append(f"app sent {text}")

    async def send(event: ASGISendEvent) -> None:
        assert event["type"] == "websocket.send"
        log.append(f"host begins {event['text']}")
        for _ in range(20):
            await asyncio.sleep(0)
        log.append(f"host sent {event['text']}")

    run_host(lambda: call(app, send=send))
    assert log == [f"{what} {text}" for text in "ab" for what in ("host begins", "host sent", "app sent")]


def test_a_receive_that_trio_cancels_loses_no_message() -> None:
    received: list[str | None] = []
    queue: asyncio.Queue[ASGIReceiveEvent] = asyncio.Queue(1)

    async def app(_scope: Scope, receive: ASGIReceiveCallable, _send: ASGISendCallable) -> None:
        while len(received) < 200:
            with trio.move_on_after(0.0002):
                message = await receive()
                assert message["type"] == "websocket.receive"
                received.append(message["text"])

    async def host() -> None:
        serving = asyncio.create_task(call(app, receive=queue.get))
        for i in range(200):
            await asyncio.sleep(0.0002)
            await queue.put({"type": "websocket.receive", "bytes": None, "text": str(i)})
        await serving

    run_host(host)
    assert received == [str(i) for i in range(200)]


def test_the_apps_error_is_the_hosts_error() -> None:
    error = ValueError("from the app")

    async def app(_scope: Scope, _receive: ASGIReceiveCallable, _send: ASGISendCallable) -> None:
        await trio.lowlevel.checkpoint()
        raise error

    async def host() -> None:
        with pytest.raises(ValueError, match="from the app") as caught:
            await call(app)
        assert caught.value is error

    run_host(host)


def test_the_hosts_error_is_the_apps_error() -> None:
    error = OSError("from the host")

    async def app(_scope: Scope, _receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        with pytest.raises(OSError, match="from the host") as caught:
            await send(event("a"))
        assert caught.value is error

    async def send(_event: ASGISendEvent) -> None:
        await asyncio.sleep(0)
        raise error

    run_host(lambda: call(app, send=send))


def test_cancelling_the_host_ends_both_sides_after_the_apps_cleanup() -> None:
    log: list[str] = []

    async def app(_scope: Scope, receive: ASGIReceiveCallable, _send: ASGISendCallable) -> None:
        try:
            log.append("app waits")
            await receive()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.01)
            log.append("app cleaned up")

    async def host() -> None:
        receiving = asyncio.Event()
        nothing: asyncio.Future[ASGIReceiveEvent] = asyncio.get_running_loop().create_future()

        async def receive() -> ASGIReceiveEvent:
            receiving.set()
            try:
                return await nothing
            except asyncio.CancelledError:
                log.append("host's receive cancelled")
                raise

        bystander = asyncio.create_task(call(sleeper))
        serving = asyncio.create_task(call(app, receive=receive))
        await receiving.wait()
        serving.cancel()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        log.append("host ended")
        assert not bystander.done()
        bystander.cancel()
        await asyncio.wait([bystander])

    run_host(host)
    assert log == ["app waits", "host's receive cancelled", "app cleaned up", "host ended"]


@pytest.mark.parametrize("what", ["the task", "the send alone"])
def test_cancelling_the_host_breaks_a_shielded_send(what: str) -> None:
    """A client that never reads must not keep a cancelled connection alive through the app's shield."""
    log: list[str] = []

    async def app(_scope: Scope, _receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        try:
            with trio.CancelScope(shield=True):
                await send(event("never taken"))
        except trio.BrokenResourceError as error:
            log.append(str(error))
        await trio.sleep_forever()

    async def host() -> None:
        sending: asyncio.Future[asyncio.Task[None] | None] = asyncio.get_running_loop().create_future()

        async def send(_event: ASGISendEvent) -> None:
            sending.set_result(asyncio.current_task())
            await asyncio.get_running_loop().create_future()

        serving = asyncio.create_task(call(app, send=send))
        sender = await sending
        assert sender is not None
        (serving if what == "the task" else sender).cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving

    run_host(host)
    assert log == ["the host broke off this connection"]


def test_a_cancelled_host_ends_as_cancelled_even_if_the_app_finishes_its_work() -> None:
    log: list[str] = []

    async def host() -> None:
        started = asyncio.Event()

        async def app(_scope: Scope, _receive: ASGIReceiveCallable, _send: ASGISendCallable) -> None:
            started.set()
            with trio.CancelScope(shield=True):
                await trio.sleep(0.01)
            log.append("finished")

        serving = asyncio.create_task(call(app))
        await started.wait()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving

    run_host(host)
    assert log == ["finished"]


def test_a_scope_cancelled_before_it_starts_ends() -> None:
    async def host() -> None:
        serving = asyncio.create_task(call(sleeper))
        await asyncio.sleep(0)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving

    run_host(host)


def test_concurrent_scopes_share_one_run_and_later_ones_get_a_new_one() -> None:
    """A host without a lifespan opens and closes the run with its requests."""
    tokens: list[trio.lowlevel.TrioToken] = []

    async def app(_scope: Scope, _receive: ASGIReceiveCallable, _send: ASGISendCallable) -> None:
        tokens.append(trio.lowlevel.current_trio_token())
        await trio.sleep(0.01)

    async def host() -> None:
        await asyncio.gather(call(app), call(app))
        assert tokens[0] is tokens[1]
        await asyncio.gather(call(app), call(app))
        assert tokens[2] is tokens[3]
        assert tokens[2] is not tokens[1]

    run_host(host)


def test_a_scope_that_arrives_while_the_run_ends_waits_for_a_new_one() -> None:
    served: list[int] = []

    async def app(_scope: Scope, _receive: ASGIReceiveCallable, _send: ASGISendCallable) -> None:
        served.append(1)
        await trio.lowlevel.checkpoint()

    async def host() -> None:
        for pause in range(60):
            first = asyncio.create_task(call(app))
            for _ in range(pause):
                await asyncio.sleep(0)
            await asyncio.gather(first, call(app), call(app))

    run_host(host)
    assert len(served) == 180


def test_the_shutdown_is_complete_when_the_run_is_over() -> None:
    log: list[str] = []

    async def app(_scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        await send({"type": "lifespan.shutdown.complete"})
        trio.lowlevel.spawn_system_task(system_task)
        await trio.sleep(0.01)
        log.append("app returned")

    async def system_task() -> None:
        try:
            await trio.sleep_forever()
        finally:
            log.append("run over")

    async def host() -> None:
        inbox: asyncio.Queue[ASGIReceiveEvent] = asyncio.Queue()
        started = asyncio.Event()

        async def send(event: ASGISendEvent) -> None:
            await asyncio.sleep(0)
            log.append(event["type"])
            started.set()

        serving = asyncio.create_task(HostBridge(app)(LIFESPAN, inbox.get, send))
        inbox.put_nowait({"type": "lifespan.startup"})
        await started.wait()
        assert not serving.done()
        inbox.put_nowait({"type": "lifespan.shutdown"})
        await serving

    run_host(host)
    assert log == ["lifespan.startup.complete", "app returned", "run over", "lifespan.shutdown.complete"]


def test_a_failed_startup_is_told_last_and_ends_the_app() -> None:
    """Hypercorn raises in `send`, and looks at once whether the lifespan's task has ended with that error."""
    log: list[str] = []

    async def app(_scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        try:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": "no model"})
            await receive()
        finally:
            log.append("app ended")

    async def host() -> None:
        inbox: asyncio.Queue[ASGIReceiveEvent] = asyncio.Queue()
        inbox.put_nowait({"type": "lifespan.startup"})

        async def send(event: ASGISendEvent) -> None:
            await asyncio.sleep(0)
            log.append(event["type"])
            raise RuntimeError("the host gives up")

        with pytest.raises(RuntimeError, match="the host gives up"):
            await HostBridge(app)(LIFESPAN, inbox.get, send)

    run_host(host)
    assert log == ["app ended", "lifespan.startup.failed"]


def test_a_run_that_breaks_down_fails_its_scopes() -> None:
    def break_down() -> None:
        raise ArithmeticError("in a callback")

    async def app(_scope: Scope, _receive: ASGIReceiveCallable, _send: ASGISendCallable) -> None:
        trio.lowlevel.current_trio_token().run_sync_soon(break_down)
        await trio.sleep_forever()

    async def healthy(_scope: Scope, _receive: ASGIReceiveCallable, _send: ASGISendCallable) -> None:
        await trio.lowlevel.checkpoint()

    async def host() -> None:
        with pytest.raises(trio.TrioInternalError) as caught:
            await call(app)
        assert isinstance(caught.value.__cause__, ExceptionGroup)
        assert caught.value.__cause__.subgroup(ArithmeticError) is not None
        await call(healthy)

    run_host(host)


def test_the_app_sees_the_context_of_its_own_host_task() -> None:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name")
    seen: list[str] = []

    async def app(_scope: Scope, _receive: ASGIReceiveCallable, _send: ASGISendCallable) -> None:
        await trio.sleep(0.01)
        seen.append(name.get())

    async def named_call(own: str) -> None:
        name.set(own)
        await call(app)

    async def host() -> None:
        await asyncio.gather(named_call("one"), named_call("two"))

    run_host(host)
    assert sorted(seen) == ["one", "two"]


def test_the_hosts_signal_handling_is_left_alone() -> None:
    handlers: list[object] = []
    wakeup_fds: list[int] = []

    def look() -> None:
        handlers.append(signal.getsignal(signal.SIGINT))
        fd = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(fd)
        wakeup_fds.append(fd)

    async def app(_scope: Scope, _receive: ASGIReceiveCallable, _send: ASGISendCallable) -> None:
        await trio.lowlevel.checkpoint()
        look()

    async def host() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, print)
        look()
        await call(app)
        look()
        loop.remove_signal_handler(signal.SIGTERM)

    run_host(host)
    assert len(set(handlers)) == 1
    assert len(set(wakeup_fds)) == 1

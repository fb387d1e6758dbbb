"""The ASGI bridge between an app and a scripted host: order, errors, cancellation and context."""

import asyncio
import contextvars

import pytest
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGIReceiveEvent, ASGISendCallable, ASGISendEvent, Scope

from tests.support.asgi_host import SCOPE, UNUSED, call, event, run_host, sleeper


async def test_under_trio_the_app_gets_the_callables_of_the_host() -> None:
    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await trio.lowlevel.checkpoint()
        assert (scope, receive, send) == (SCOPE, UNUSED, UNUSED)
        raise LookupError("seen")

    with pytest.raises(LookupError, match="seen"):
        await call(app)


def test_send_returns_when_the_send_of_the_host_returns() -> None:
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
    """The app's shield must not keep a cancelled connection of a client that never reads alive."""
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
    assert log == ["the host cancelled this connection"]


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

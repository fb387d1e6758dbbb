"""The Trio guest run of the ASGI bridge on a host's loop: when it starts, how it ends, what it does not touch."""

import asyncio
import signal

import pytest
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGIReceiveEvent, ASGISendCallable, ASGISendEvent, Scope

from tests.support.asgi_host import LIFESPAN, call, run_host
from trio_stt.hypercorn_adapter.host_bridge import HostBridge


def test_concurrent_scopes_share_one_run_and_later_ones_get_a_new_one() -> None:
    """Without a lifespan the run starts with a request and ends with the last one."""
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


def test_failed_startup_is_reported_last_and_ends_the_app() -> None:
    """Hypercorn raises in `send` and checks at once whether the lifespan's task ended with that error."""
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


def test_internal_error_of_the_run_fails_its_scopes() -> None:
    def fail_internally() -> None:
        raise ArithmeticError("in a callback")

    async def app(_scope: Scope, _receive: ASGIReceiveCallable, _send: ASGISendCallable) -> None:
        trio.lowlevel.current_trio_token().run_sync_soon(fail_internally)
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


def test_signal_handling_of_the_host_is_unchanged() -> None:
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

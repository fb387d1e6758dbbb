"""The step timers of `benchmarks.silent_server`: the timed functions exist, and a step excludes its inner steps."""

from types import SimpleNamespace

import pytest
import trio
import trio.testing

from benchmarks import silent_server
from benchmarks.silent_server import STEPS, Steps


class Clock:
    """CPU time that advances when a test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def work(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(silent_server.time, "thread_time", lambda: clock.now_s)
    return clock


@pytest.mark.parametrize(("owner", "function"), [step[:2] for step in STEPS])
def test_function_of_every_step_exists(owner: object, function: str) -> None:
    assert callable(getattr(owner, function))


def test_inner_step_pauses_the_outer(clock: Clock) -> None:
    steps = Steps()
    owner = SimpleNamespace(inner=lambda: clock.work(2.0))

    def outer() -> str:
        clock.work(1.0)
        owner.inner()
        owner.inner()
        clock.work(0.5)
        return "done"

    owner.outer = outer
    steps.follow(owner, "inner", "inner")
    steps.follow(owner, "outer", "outer")
    assert owner.outer() == "done"
    assert dict(steps.seconds) == {"inner": 4.0, "outer": 1.5}
    assert dict(steps.calls) == {"inner": 2, "outer": 1}


async def test_coroutine_is_timed_while_it_runs(clock: Clock) -> None:
    steps, gate = Steps(), trio.Event()

    async def listen() -> str:
        clock.work(1.0)
        await gate.wait()
        clock.work(2.0)
        return "done"

    owner = SimpleNamespace(listen=listen)
    steps.follow(owner, "listen", "listen")
    results: list[str] = []

    async def call() -> None:
        results.append(await owner.listen())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
        clock.work(100.0)
        gate.set()
    assert (results, dict(steps.seconds)) == (["done"], {"listen": 3.0})


async def test_clean_up_of_a_cancelled_coroutine_is_timed(clock: Clock) -> None:
    steps = Steps()

    async def listen() -> None:
        try:
            await trio.sleep_forever()
        finally:
            clock.work(3.0)

    owner = SimpleNamespace(listen=listen)
    steps.follow(owner, "listen", "listen")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(owner.listen)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert steps.seconds["listen"] == 3.0

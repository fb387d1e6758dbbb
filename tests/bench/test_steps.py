"""The step timers of `benchmarks.silent_server`: what they follow is there, and a step's time is its own."""

from types import SimpleNamespace

import pytest
import trio
import trio.testing

from benchmarks import silent_server
from benchmarks.silent_server import STEPS, Steps


class Clock:
    """CPU time that passes when a test says so."""

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
def test_every_step_is_entered_somewhere(owner: object, function: str) -> None:
    assert callable(getattr(owner, function))


def test_a_step_inside_another_pauses_it(clock: Clock) -> None:
    steps = Steps()
    room = SimpleNamespace(inner=lambda: clock.work(2.0))

    def outer() -> str:
        clock.work(1.0)
        room.inner()
        room.inner()
        clock.work(0.5)
        return "done"

    room.outer = outer
    steps.follow(room, "inner", "inner")
    steps.follow(room, "outer", "outer")
    assert room.outer() == "done"
    assert dict(steps.seconds) == {"inner": 4.0, "outer": 1.5}
    assert dict(steps.calls) == {"inner": 2, "outer": 1}


async def test_a_coroutine_is_timed_while_it_runs(clock: Clock) -> None:
    steps, gate = Steps(), trio.Event()

    async def listen() -> str:
        clock.work(1.0)
        await gate.wait()
        clock.work(2.0)
        return "heard"

    room = SimpleNamespace(listen=listen)
    steps.follow(room, "listen", "listen")
    heard: list[str] = []

    async def visit() -> None:
        heard.append(await room.listen())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(visit)
        await trio.testing.wait_all_tasks_blocked()
        clock.work(100.0)
        gate.set()
    assert (heard, dict(steps.seconds)) == (["heard"], {"listen": 3.0})


async def test_a_cancelled_coroutine_cleans_up(clock: Clock) -> None:
    steps = Steps()

    async def listen() -> None:
        try:
            await trio.sleep_forever()
        finally:
            clock.work(3.0)

    room = SimpleNamespace(listen=listen)
    steps.follow(room, "listen", "listen")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.listen)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert steps.seconds["listen"] == 3.0

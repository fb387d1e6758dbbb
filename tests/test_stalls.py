"""Detection of steps that block the event loop, on the real clock."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import trio

from trio_stt.runtime.loop_stalls import LoopStallMonitor

LIMIT_S = 0.2


@contextmanager
def watching(watch: LoopStallMonitor) -> Iterator[None]:
    trio.lowlevel.add_instrument(watch)
    try:
        yield
    finally:
        trio.lowlevel.remove_instrument(watch)


async def block_loop(for_s: float, times: int = 1) -> None:
    for _ in range(times):
        time.sleep(for_s)  # noqa: ASYNC251 - the monitor must find this call
        await wait_for_checkpoint()


async def wait_for_checkpoint() -> None:
    await trio.lowlevel.checkpoint()


async def run(
    for_s: float, *, times: int = 1, quiet_s: float = 0.0, on_stall: Callable[[float], object] = lambda _: None
) -> None:
    with watching(LoopStallMonitor(LIMIT_S, quiet_s=quiet_s, on_stall=on_stall)):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(block_loop, for_s, times)
            nursery.start_soon(wait_for_checkpoint)


async def test_stall_is_logged_with_task_and_stack(caplog: pytest.LogCaptureFixture) -> None:
    await run(0.5)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "block_loop blocked the event loop for " in line
    assert line.index("in wait_for_checkpoint") < line.index("in block_loop")


async def test_stall_of_a_task_that_ended_is_logged_without_stack(caplog: pytest.LogCaptureFixture) -> None:
    async def ends() -> None:
        time.sleep(0.5)  # noqa: ASYNC251 - as above

    with watching(LoopStallMonitor(LIMIT_S)):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ends)
            nursery.start_soon(wait_for_checkpoint)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "ends blocked the event loop for " in line
    assert line.endswith(" ms")


async def test_log_lines_are_rate_limited(caplog: pytest.LogCaptureFixture) -> None:
    await run(0.3, times=3)
    assert len(caplog.records) == 3
    caplog.clear()
    found: list[float] = []
    await run(0.3, times=3, quiet_s=600.0, on_stall=found.append)
    assert (len(caplog.records), len(found)) == (1, 3)  # those without a line are counted as well


async def test_unlogged_stalls_are_counted_in_the_next_line(caplog: pytest.LogCaptureFixture) -> None:
    await run(0.3, times=5, quiet_s=1.0)
    assert "more since the last such message" in caplog.records[-1].getMessage()


async def test_loop_without_stalls_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with watching(LoopStallMonitor(60.0)):  # no machine is that busy
        await run(0.0)
    assert caplog.text == ""

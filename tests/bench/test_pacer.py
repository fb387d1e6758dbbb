"""Schedules, in virtual time."""

from collections.abc import Iterator, Sequence

import pytest
import trio
import trio.testing

from tests.lanes.fakes import virtual_time
from trio_stt.bench.pacer import Pacer


class FakeSink:
    """A sink that has a backlog while it is blocked."""

    def __init__(self) -> None:
        self._open = trio.Event()
        self._open.set()

    @property
    def has_backlog(self) -> bool:
        return not self._open.is_set()

    def block(self) -> None:
        self._open = trio.Event()

    def unblock(self) -> None:
        self._open.set()

    async def flush(self) -> None:
        await self._open.wait()


def schedule(
    name: str, due_times: Sequence[float], sent: list[tuple[str, float]], sink: FakeSink | None = None
) -> Iterator[float]:
    for number, moment_s in enumerate(due_times):
        yield moment_s
        sent.append((name, trio.current_time()))
        if sink and number == 0:
            sink.block()


@virtual_time
async def test_schedules_advance_at_their_due_times() -> None:
    now_s, sent, pacer = trio.current_time(), list[tuple[str, float]](), Pacer()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pacer.run)
        async with trio.open_nursery() as clients:
            clients.start_soon(pacer.run_schedule, FakeSink(), schedule("a", [now_s + 5, now_s + 7], sent))
            await trio.sleep(1)  # the pacer sleeps until 5 already
            clients.start_soon(pacer.run_schedule, FakeSink(), schedule("b", [now_s + 2, now_s + 6], sent))
        nursery.cancel_scope.cancel()
    assert [(name, round(at_s - now_s, 6)) for name, at_s in sent] == [("b", 2), ("a", 5), ("b", 6), ("a", 7)]


@virtual_time
async def test_schedule_with_a_backlog_waits_alone_and_resumes_at_once() -> None:
    now_s, sent, pacer, sink = trio.current_time(), list[tuple[str, float]](), Pacer(), FakeSink()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pacer.run)
        async with trio.open_nursery() as clients:
            clients.start_soon(
                pacer.run_schedule, sink, schedule("slow", [now_s + 1, now_s + 2, now_s + 9], sent, sink)
            )
            clients.start_soon(pacer.run_schedule, FakeSink(), schedule("other", [now_s + 3], sent))
            await trio.sleep(5)
            sink.unblock()
        nursery.cancel_scope.cancel()
    result = [(name, round(at_s - now_s, 6)) for name, at_s in sent]
    assert result == [("slow", 1), ("other", 3), ("slow", 5), ("slow", 9)]


@virtual_time
async def test_cancelled_schedule_advances_no_more() -> None:
    now_s, sent, pacer = trio.current_time(), list[tuple[str, float]](), Pacer()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pacer.run)
        with trio.move_on_after(1.5):
            await pacer.run_schedule(FakeSink(), schedule("a", [now_s + 1, now_s + 2], sent))
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    assert [name for name, _ in sent] == ["a"]


async def test_errors_of_a_sink_propagate() -> None:
    class Broken(FakeSink):
        async def flush(self) -> None:
            await trio.lowlevel.checkpoint()
            raise trio.BrokenResourceError

    with pytest.raises(trio.BrokenResourceError):
        await Pacer().run_schedule(Broken(), iter([1.0]))

"""Turns, in virtual time: nothing here takes longer than it must."""

from collections.abc import Iterator, Sequence

import pytest
import trio
import trio.testing

from tests.lanes.fakes import virtual_time
from trio_stt.bench.pacer import Pacer


class FakeSink:
    """Behind until it is opened, once it was shut."""

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
async def test_each_has_its_turns_at_its_moments() -> None:
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
async def test_who_is_behind_waits_alone_and_goes_on_at_once() -> None:
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
async def test_who_has_left_has_no_more_turns() -> None:
    now_s, sent, pacer = trio.current_time(), list[tuple[str, float]](), Pacer()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pacer.run)
        with trio.move_on_after(1.5):
            await pacer.run_schedule(FakeSink(), schedule("a", [now_s + 1, now_s + 2], sent))
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    assert [name for name, _ in sent] == ["a"]


async def test_what_a_sink_raises_comes_out() -> None:
    class Broken(FakeSink):
        async def flush(self) -> None:
            await trio.lowlevel.checkpoint()
            raise trio.BrokenResourceError

    with pytest.raises(trio.BrokenResourceError):
        await Pacer().run_schedule(Broken(), iter([1.0]))

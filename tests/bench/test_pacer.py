"""Turns, in virtual time: nothing here takes longer than it must."""

from collections.abc import Iterator, Sequence

import pytest
import trio
import trio.testing

from tests.lanes.fakes import virtual_time
from trio_stt.bench.pacer import Pacer


class Door:
    """Behind until it is opened, once it was shut."""

    def __init__(self) -> None:
        self._open = trio.Event()
        self._open.set()

    @property
    def behind(self) -> bool:
        return not self._open.is_set()

    def shut(self) -> None:
        self._open = trio.Event()

    def open(self) -> None:
        self._open.set()

    async def catch_up(self) -> None:
        await self._open.wait()


def turns(
    name: str, moments: Sequence[float], said: list[tuple[str, float]], door: Door | None = None
) -> Iterator[float]:
    for number, moment_s in enumerate(moments):
        yield moment_s
        said.append((name, trio.current_time()))
        if door and number == 0:
            door.shut()


@virtual_time
async def test_each_has_its_turns_at_its_moments() -> None:
    now_s, said, pacer = trio.current_time(), list[tuple[str, float]](), Pacer()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pacer.run)
        async with trio.open_nursery() as talking:
            talking.start_soon(pacer.follow, Door(), turns("a", [now_s + 5, now_s + 7], said))
            await trio.sleep(1)  # the pacer sleeps until 5 already
            talking.start_soon(pacer.follow, Door(), turns("b", [now_s + 2, now_s + 6], said))
        nursery.cancel_scope.cancel()
    assert [(name, round(at_s - now_s, 6)) for name, at_s in said] == [("b", 2), ("a", 5), ("b", 6), ("a", 7)]


@virtual_time
async def test_who_is_behind_waits_alone_and_goes_on_at_once() -> None:
    now_s, said, pacer, door = trio.current_time(), list[tuple[str, float]](), Pacer(), Door()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pacer.run)
        async with trio.open_nursery() as talking:
            talking.start_soon(pacer.follow, door, turns("slow", [now_s + 1, now_s + 2, now_s + 9], said, door))
            talking.start_soon(pacer.follow, Door(), turns("other", [now_s + 3], said))
            await trio.sleep(5)
            door.open()
        nursery.cancel_scope.cancel()
    told = [(name, round(at_s - now_s, 6)) for name, at_s in said]
    assert told == [("slow", 1), ("other", 3), ("slow", 5), ("slow", 9)]


@virtual_time
async def test_who_has_left_has_no_more_turns() -> None:
    now_s, said, pacer = trio.current_time(), list[tuple[str, float]](), Pacer()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pacer.run)
        with trio.move_on_after(1.5):
            await pacer.follow(Door(), turns("a", [now_s + 1, now_s + 2], said))
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    assert [name for name, _ in said] == ["a"]


async def test_what_a_sink_raises_comes_out() -> None:
    class Broken(Door):
        async def catch_up(self) -> None:
            await trio.lowlevel.checkpoint()
            raise trio.BrokenResourceError

    with pytest.raises(trio.BrokenResourceError):
        await Pacer().follow(Broken(), iter([1.0]))

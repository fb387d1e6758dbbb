"""Garbage is found by the clock, and the process is left as it was."""

import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing

from tests.lanes.fakes import virtual_time
from trio_stt.runtime.gc_schedule import LOOK_S, LOOKS_TO_A_SECOND_LOOK, LOOKS_TO_A_WHOLE_LOOK, collect_periodically


class Knot:
    """Holds itself."""

    def __init__(self) -> None:
        self.own = self


@asynccontextmanager
async def looking() -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(collect_periodically, trio.lowlevel.checkpoint)
        await trio.testing.wait_all_tasks_blocked()
        yield
        nursery.cancel_scope.cancel()


@virtual_time
async def test_what_is_new_is_found_at_the_next_look() -> None:
    async with looking():
        knot = weakref.ref(Knot())
        await trio.sleep(1.5 * LOOK_S)
        assert knot() is None


@virtual_time
async def test_what_was_there_for_some_looks_is_found_in_the_end() -> None:
    async with looking():
        lasting = Knot()
        knot = weakref.ref(lasting)
        await trio.sleep(2 * LOOKS_TO_A_SECOND_LOOK * LOOK_S)
        del lasting
        await trio.sleep((LOOKS_TO_A_WHOLE_LOOK + 1) * LOOK_S)
        assert knot() is None


@virtual_time
async def test_the_process_is_left_as_it_was() -> None:
    before = gc.get_threshold(), gc.get_freeze_count()
    async with looking():
        assert gc.get_threshold() != before[0]
        assert gc.get_freeze_count() > before[1]
    assert (gc.get_threshold(), gc.get_freeze_count()) == before


@virtual_time
async def test_nothing_changes_before_all_is_loaded() -> None:
    before = gc.get_threshold()
    loaded = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(collect_periodically, loaded.wait)
        await trio.sleep(10)
        assert gc.get_threshold() == before
        loaded.set()
        await trio.testing.wait_all_tasks_blocked()
        assert gc.get_threshold() != before
        nursery.cancel_scope.cancel()

"""The garbage collector's settings apply once everything is loaded, and are undone at the end."""

import gc

import trio
import trio.testing

from tests.lanes.fakes import virtual_time
from trio_stt.runtime.gc_tuning import tune_gc


@virtual_time
async def test_settings_hold_once_loaded_and_are_undone_when_cancelled() -> None:
    before = gc.get_threshold(), gc.get_freeze_count()
    loaded = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tune_gc, loaded.wait)
        await trio.sleep(10)
        assert (gc.get_threshold(), gc.get_freeze_count()) == before
        loaded.set()
        await trio.testing.wait_all_tasks_blocked()
        assert gc.get_threshold() != before[0]
        assert gc.get_freeze_count() > before[1]
        nursery.cancel_scope.cancel()
    assert (gc.get_threshold(), gc.get_freeze_count()) == before


@virtual_time
async def test_garbage_is_still_collected() -> None:
    class Knot:
        def __init__(self) -> None:
            self.own = self

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tune_gc, trio.lowlevel.checkpoint)
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()
        for _ in range(20_000):
            Knot()
        assert sum(type(each) is Knot for each in gc.get_objects()) < 20_000
        nursery.cancel_scope.cancel()

"""Several workers of one lane, on virtual time; and the model that they may share."""

import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import trio
import trio.testing

from tests.lanes.fakes import FakeEngine, VirtualHost, asked, final, lane, limits, partial, reason, virtual_time
from trio_stt.errors import EngineUnavailable
from trio_stt.lanes.engine_pool import EnginePool
from trio_stt.lanes.job import TicketState
from trio_stt.lanes.lane_state import LaneState

HANG = 13


def makes(engines: list[FakeEngine]) -> Callable[[], FakeEngine]:
    def load() -> FakeEngine:
        engines.append(FakeEngine())
        return engines[-1]

    return load


@virtual_time
async def test_workers_take_jobs_side_by_side_each_on_an_engine_of_its_own(nursery: trio.Nursery) -> None:
    engines: list[FakeEngine] = []
    served = lane(makes(engines), workers=2)
    tickets = [served.submit(final("a", samples)) for samples in (1, 2, 3)]
    await nursery.start(served.run)
    assert [(await ticket.wait()).total_s for ticket in tickets] == [1.0, 1.0, 2.0]
    assert sorted(engine.clips for engine in engines) in ([[1], [2, 3]], [[1, 3], [2]])
    shown = served.statistics()
    assert (shown.engines.workers, shown.engines.serving) == (2, 2)
    assert shown.work.busy_ratio == 3 / 4  # of both


@virtual_time
async def test_turns_stay_fair_and_an_idle_worker_takes_what_comes(nursery: trio.Nursery) -> None:
    engines: list[FakeEngine] = []
    served = lane(makes(engines), workers=2)
    await nursery.start(served.run)
    await trio.testing.wait_all_tasks_blocked()
    heavy = [served.submit(final("a", samples)) for samples in range(1, 7)]
    light = served.submit(final("b", 7))
    assert (await light.wait()).total_s <= 2.0
    assert sum(ticket.state is TicketState.DONE for ticket in heavy) <= 3
    for ticket in heavy:
        await ticket.wait()
    assert trio.current_time() == 4.0


@virtual_time
async def test_a_worker_that_is_lost_leaves_its_finals_to_the_other_one(nursery: trio.Nursery) -> None:
    engines: list[FakeEngine] = []
    hung = False

    def inference_s(_: object) -> float:
        nonlocal hung
        hung, first = True, not hung
        return math.inf if first else 1.0

    served = lane(
        makes(engines), host=VirtualHost(inference_s=inference_s), workers=2, job_deadline_s=lambda: 5.0, shared=True
    )
    await nursery.start(served.run)
    unlucky = served.submit(final("a", 1))
    await trio.sleep(2.0)
    assert (await served.submit(final("b", 2)).wait()).total_s == 1.0
    # Nobody waits for the restart: the other one has it at once.
    assert (await unlucky.wait()).inference_s == pytest.approx(6.0, abs=0.01)
    assert served.state is LaneState.READY
    await trio.sleep(10.0)
    assert served.statistics().engines.serving == 2
    assert [engine.clips for engine in engines] == [[2, 1], []]  # What the hung thread holds is shared no more.


@virtual_time
async def test_a_lane_serves_with_the_engines_that_it_has(nursery: trio.Nursery) -> None:
    loads = 0

    def load() -> FakeEngine:
        nonlocal loads
        loads += 1
        if loads != 2:
            raise EngineUnavailable("no memory left")
        return FakeEngine()

    served = lane(load, workers=2)
    await nursery.start(served.run)
    await served.wait_loaded()
    assert (served.state, served.error) == (LaneState.READY, None)
    assert (await served.submit(final("a", 1)).wait()).transcript.text == "1"
    shown = served.statistics()
    assert (shown.engines.serving, shown.engines.last_error, shown.healthy) == (1, "no memory left", True)


@virtual_time
async def test_a_lane_fails_when_no_worker_gets_an_engine(nursery: trio.Nursery) -> None:
    waits = iter([1.0, 5.0])

    class Slow(VirtualHost):
        def anew(self) -> VirtualHost:
            return VirtualHost(load_s=next(waits, 1.0))

    def load() -> FakeEngine:
        raise EngineUnavailable("no memory left")

    served = lane(load, host=Slow(), workers=2)
    ticket = served.submit(final("a"))
    await nursery.start(served.run)
    await trio.sleep(4.0)
    assert (served.state, ticket.state) == (LaneState.LOADING, TicketState.QUEUED)
    await served.wait_loaded()
    assert (served.state, ticket.state) == (LaneState.FAILED, TicketState.FAILED)
    assert trio.current_time() == 5.0


@virtual_time
async def test_a_session_takes_what_every_worker_does_for_it_along(nursery: trio.Nursery) -> None:
    served = lane(makes([]), workers=2)
    await nursery.start(served.run)
    mine = [served.submit(final("a", 1)), served.submit(final("a", 2)), served.submit(partial("a", 3))]
    await trio.sleep(0.5)
    assert served.cancel_session("a") == 3
    assert [await reason(ticket.wait()) for ticket in mine] == ["cancelled"] * 3


@virtual_time
async def test_every_worker_ends_with_the_lane() -> None:
    engines: list[FakeEngine] = []
    served = lane(makes(engines), workers=3, limits=limits(jobs=3))
    async with trio.open_nursery() as nursery:
        await nursery.start(served.run)
        tickets = [served.submit(final("a")) for _ in range(3)]
        await trio.sleep(0.5)
        nursery.cancel_scope.cancel()
    assert [await reason(ticket.wait()) for ticket in tickets] == ["closed"] * 3
    assert trio.current_time() == 1.0
    assert [engine.closed for engine in engines] == [1, 1, 1]


def test_a_shared_model_is_loaded_once_and_closed_by_the_last() -> None:
    engines: list[FakeEngine] = []
    model = EnginePool(makes(engines), shared=True)
    with ThreadPoolExecutor(4) as threads:
        shares = list(threads.map(lambda _: model.lease().load(), range(4)))
    assert len(engines) == 1
    assert [share.transcribe(asked(3))[0].text for share in shares] == ["3"] * 4
    assert {share.info for share in shares} == {engines[0].info}
    for share in shares:
        assert engines[0].closed == 0
        share.close()
        share.close()
    assert engines[0].closed == 1
    model.lease().load()
    assert len(engines) == 2


def test_without_sharing_each_worker_has_its_own() -> None:
    engines: list[FakeEngine] = []
    model = EnginePool(makes(engines))
    assert [model.lease().load() for _ in range(2)] == engines
    lease = model.lease()
    lease.discard()
    lease.load()
    assert len(engines) == 3


def test_what_is_forsaken_is_shared_no_more_and_others_keep_it() -> None:
    engines: list[FakeEngine] = []
    model = EnginePool(makes(engines), shared=True)
    sources = [model.lease() for _ in range(3)]
    first, second = (lease.load() for lease in sources[:2])
    sources[0].discard()
    fresh = sources[0].load()
    sources[1].discard()  # It had the old one: the fresh one is not to blame.
    third = sources[2].load()
    assert len(engines) == 2
    for share in (first, second):
        share.close()
    assert [engine.closed for engine in engines] == [1, 0]
    for share in (fresh, third):
        share.close()
    assert [engine.closed for engine in engines] == [1, 1]


def test_a_load_that_hangs_or_fails_does_not_hold_up_what_is_loaded_after_it_was_forsaken() -> None:
    begun, release = threading.Event(), threading.Event()
    engines: list[FakeEngine] = []

    def load() -> FakeEngine:
        engines.append(FakeEngine())
        if len(engines) == 1:
            begun.set()
            assert release.wait(30)
            raise EngineUnavailable("too late")
        return engines[-1]

    model = EnginePool(load, shared=True)
    stuck, other = model.lease(), model.lease()
    with ThreadPoolExecutor(1) as threads:
        hanging = threads.submit(stuck.load)
        assert begun.wait(30)
        stuck.discard()
        assert other.load().info == engines[1].info
        release.set()
        with pytest.raises(EngineUnavailable, match="too late"):
            hanging.result(30)

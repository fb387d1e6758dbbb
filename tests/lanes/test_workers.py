"""Several workers of one lane, on virtual time."""

import math
from collections.abc import Callable

import pytest
import trio
import trio.testing

from tests.lanes.fakes import (
    FakeEngine,
    VirtualExecutor,
    drop_reason,
    engine_loader,
    final,
    limits,
    new_lane,
    partial,
    virtual_time,
)
from trio_stt.errors import EngineUnavailable
from trio_stt.lanes.job import TicketState
from trio_stt.lanes.lane_state import LaneState

HANG = 13


@virtual_time
async def test_workers_run_jobs_side_by_side_each_on_its_own_engine(nursery: trio.Nursery) -> None:
    engines: list[FakeEngine] = []
    lane = new_lane(engine_loader(engines), workers=2)
    tickets = [lane.submit(final("a", samples)) for samples in (1, 2, 3)]
    await nursery.start(lane.run)
    assert [(await ticket.wait()).total_s for ticket in tickets] == [1.0, 1.0, 2.0]
    assert sorted(engine.clips for engine in engines) in ([[1], [2, 3]], [[1, 3], [2]])
    shown = lane.statistics()
    assert (shown.engines.workers, shown.engines.serving) == (2, 2)
    assert shown.work.busy_ratio == 3 / 4  # of both


@virtual_time
async def test_turns_stay_fair_and_an_idle_worker_takes_the_next_job(nursery: trio.Nursery) -> None:
    engines: list[FakeEngine] = []
    lane = new_lane(engine_loader(engines), workers=2)
    await nursery.start(lane.run)
    await trio.testing.wait_all_tasks_blocked()
    heavy = [lane.submit(final("a", samples)) for samples in range(1, 7)]
    light = lane.submit(final("b", 7))
    assert (await light.wait()).total_s <= 2.0
    assert sum(ticket.state is TicketState.DONE for ticket in heavy) <= 3
    for ticket in heavy:
        await ticket.wait()
    assert trio.current_time() == 4.0


@virtual_time
async def test_files_leave_one_of_several_workers_to_live_speech(nursery: trio.Nursery) -> None:
    lane = new_lane(engine_loader([]), workers=2)
    await nursery.start(lane.run)
    await trio.testing.wait_all_tasks_blocked()
    await lane.submit(final("live", 1)).wait()
    for number in range(8):
        lane.submit(final("file", number + 2, from_file=True))
    await trio.sleep(0.5)
    assert (await lane.submit(final("live", 20)).wait()).total_s == 1.0  # at once, beside a clip of the file
    assert lane.statistics().work.completed_jobs == 3
    await trio.sleep(30.0)
    assert lane.statistics().work.completed_jobs == 10
    # Without live speech, a file has all workers.
    begun_s = trio.current_time()
    for ticket in [lane.submit(final("file", number + 30, from_file=True)) for number in range(8)]:
        await ticket.wait()
    assert trio.current_time() - begun_s == 4.0


@virtual_time
async def test_file_on_the_only_worker_is_not_held_back(nursery: trio.Nursery) -> None:
    lane = new_lane(engine_loader([]))
    await nursery.start(lane.run)
    await lane.submit(final("live", 1)).wait()
    assert (await lane.submit(final("file", 2, from_file=True)).wait()).total_s == 1.0


@virtual_time
async def test_finals_of_a_lost_engine_go_to_the_other_worker_at_once(nursery: trio.Nursery) -> None:
    engines: list[FakeEngine] = []
    hung = False

    def inference_s(_: object) -> float:
        nonlocal hung
        hung, first = True, not hung
        return math.inf if first else 1.0

    lane = new_lane(engine_loader(engines), inference_s=inference_s, workers=2, job_deadline_s=lambda: 5.0, shared=True)
    await nursery.start(lane.run)
    unlucky = lane.submit(final("a", 1))
    await trio.sleep(2.0)
    assert (await lane.submit(final("b", 2)).wait()).total_s == 1.0
    # The other worker retries it at once, without waiting for the restart.
    assert (await unlucky.wait()).inference_s == pytest.approx(6.0, abs=0.01)
    assert lane.state is LaneState.READY
    await trio.sleep(10.0)
    assert lane.statistics().engines.serving == 2
    assert [engine.clips for engine in engines] == [
        [2, 1],
        [],
    ]  # the hung engine is no longer shared


@virtual_time
async def test_lane_is_ready_with_one_of_its_engines(nursery: trio.Nursery) -> None:
    loads = 0

    def load() -> FakeEngine:
        nonlocal loads
        loads += 1
        if loads != 2:
            raise EngineUnavailable("no memory left")
        return FakeEngine()

    lane = new_lane(load, workers=2)
    await nursery.start(lane.run)
    await lane.wait_loaded()
    assert (lane.state, lane.error) == (LaneState.READY, None)
    assert (await lane.submit(final("a", 1)).wait()).transcript.text == "1"
    shown = lane.statistics()
    assert (shown.engines.serving, shown.engines.last_error, shown.healthy) == (1, "no memory left", True)


@virtual_time
async def test_lane_fails_when_the_first_load_of_every_worker_failed(nursery: trio.Nursery) -> None:
    waits = iter([1.0, 5.0])

    def slow(load: Callable[[], FakeEngine], **_: object) -> VirtualExecutor:
        return VirtualExecutor(load, load_s=next(waits, 1.0))

    def load() -> FakeEngine:
        raise EngineUnavailable("no memory left")

    lane = new_lane(load, new_executor=slow, workers=2)
    ticket = lane.submit(final("a"))
    await nursery.start(lane.run)
    await trio.sleep(4.0)
    assert (lane.state, ticket.state) == (LaneState.LOADING, TicketState.QUEUED)
    await lane.wait_loaded()
    assert (lane.state, ticket.state) == (LaneState.FAILED, TicketState.FAILED)
    assert trio.current_time() == 5.0


@virtual_time
async def test_cancel_session_cancels_its_jobs_on_every_worker(nursery: trio.Nursery) -> None:
    lane = new_lane(engine_loader([]), workers=2)
    await nursery.start(lane.run)
    mine = [lane.submit(final("a", 1)), lane.submit(final("a", 2)), lane.submit(partial("a", 3))]
    await trio.sleep(0.5)
    assert lane.cancel_session("a") == 3
    assert [await drop_reason(ticket.wait()) for ticket in mine] == ["cancelled"] * 3


@virtual_time
async def test_all_workers_end_with_the_lane() -> None:
    engines: list[FakeEngine] = []
    lane = new_lane(engine_loader(engines), workers=3, limits=limits(jobs=3))
    async with trio.open_nursery() as nursery:
        await nursery.start(lane.run)
        tickets = [lane.submit(final("a")) for _ in range(3)]
        await trio.sleep(0.5)
        nursery.cancel_scope.cancel()
    assert [await drop_reason(ticket.wait()) for ticket in tickets] == ["closed"] * 3
    assert trio.current_time() == 1.0
    assert [engine.closed for engine in engines] == [1, 1, 1]

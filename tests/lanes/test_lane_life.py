"""A lane's life on virtual time: loading, warm-up, shutdown, defects."""

import logging
from collections.abc import Sequence

import pytest
import trio
import trio.testing

from tests.lanes.fakes import (
    Batch,
    FakeEngine,
    VirtualExecutor,
    clip,
    drop_reason,
    final,
    lengths,
    new_lane,
    partial,
    virtual_time,
)
from trio_stt.errors import EngineUnavailable, JobRefused
from trio_stt.lanes.engines.base import Transcript
from trio_stt.lanes.job import Ticket, TicketState
from trio_stt.lanes.lane import Lane
from trio_stt.lanes.lane_state import LaneState


@pytest.mark.contract("7.5", "11/30")
@virtual_time
async def test_jobs_wait_for_the_engine_to_load_and_warm_up(nursery: trio.Nursery) -> None:
    engine = FakeEngine()
    lane = new_lane(engine, load_s=5.0, inference_s=lambda _: 1.0, warmup_clips=[clip(100)])
    early = lane.submit(final("a", 1))
    await nursery.start(lane.run)
    assert trio.current_time() == 0.0
    assert lane.statistics().state is LaneState.LOADING
    assert not lane.ready
    await lane.wait_loaded()
    assert trio.current_time() == 6.0
    assert lane.state is LaneState.READY
    assert lane.ready
    result = await early.wait()
    assert (result.queue_delay_s, result.inference_s) == (6.0, 1.0)
    assert engine.clips == [100, 1]
    # The warm-up does not count as work.
    assert lane.statistics().work.completed_jobs == 1
    assert lane.statistics().work.busy_ratio == pytest.approx(1 / 7)


async def fails_every_job(failed: Lane, waiting: Sequence[Ticket], message: str) -> None:
    await failed.wait_loaded()
    assert failed.state is LaneState.FAILED
    assert failed.ready
    assert failed.error == message
    for ticket in [*waiting, failed.submit(final("a")), failed.submit(partial("b"))]:
        assert ticket.state is TicketState.FAILED
        with pytest.raises(EngineUnavailable, match=message):
            await ticket.wait()
    shown = failed.statistics()
    assert (shown.ready, shown.healthy, shown.error) == (True, False, message)
    assert shown.queue.queued == 0
    assert shown.work.failed_jobs == len(waiting) + 2


@pytest.mark.contract("7.5")
@virtual_time
async def test_failed_load_fails_every_job_with_its_reason(nursery: trio.Nursery) -> None:
    def load() -> FakeEngine:
        raise EngineUnavailable("no model in /models; put one there")

    failed = new_lane(load, load_s=3.0)
    waiting = [failed.submit(final("a")), failed.submit(partial("a"))]
    await nursery.start(failed.run)
    await fails_every_job(failed, waiting, "no model in /models; put one there")
    assert trio.current_time() == 3.0
    assert failed.statistics().engine is None


@virtual_time
async def test_unavailable_in_the_warm_up_is_a_failed_load(nursery: trio.Nursery) -> None:
    def answer(_: Batch) -> list[Transcript]:
        raise EngineUnavailable("the card has no memory left")

    engine = FakeEngine(answer)
    failed = new_lane(engine, warmup_clips=[clip(100)])
    waiting = [failed.submit(final("a"))]
    await nursery.start(failed.run)
    await fails_every_job(failed, waiting, "the card has no memory left")
    await trio.testing.wait_all_tasks_blocked()
    assert engine.closed == 1


@virtual_time
async def test_other_warm_up_errors_are_only_logged(nursery: trio.Nursery, caplog: pytest.LogCaptureFixture) -> None:
    lane = new_lane(
        FakeEngine(lambda batch: None if len(batch[0]) == 100 else lengths(batch)), warmup_clips=[clip(100)]
    )
    await nursery.start(lane.run)
    assert (await lane.submit(final("a", 1)).wait()).transcript.text == "1"
    assert lane.error is None
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        "main lane: warm-up failed: fake returned NoneType instead of a list of transcripts"
    ]


@pytest.mark.contract("7.5")
@pytest.mark.parametrize("busy_s", [1.0, float("inf")])
@virtual_time
async def test_shutdown_drops_every_job_and_closes_the_engine_within_its_deadline(
    busy_s: float, nursery: trio.Nursery
) -> None:
    engine = FakeEngine()
    lane = new_lane(engine, inference_s=lambda _: busy_s, shutdown_timeout_s=10.0)
    dropped: list[tuple[str, float]] = []

    async def watch(ticket: Ticket) -> None:
        dropped.append((await drop_reason(ticket.wait()), trio.current_time()))

    async with trio.open_nursery() as running:
        await running.start(lane.run)
        for job in (final("a"), final("a"), partial("b")):
            nursery.start_soon(watch, lane.submit(job))
        await trio.sleep(0.5)
        running.cancel_scope.cancel()
    assert dropped == [("closed", 0.5)] * 3
    assert trio.current_time() == (1.0 if busy_s == 1.0 else 10.5)
    assert engine.closed == (busy_s == 1.0)
    with pytest.raises(JobRefused, match="the main lane is closed"):
        lane.submit(final("a"))
    assert lane.state is LaneState.CLOSED
    assert not lane.ready


@virtual_time
async def test_wait_loaded_returns_when_the_lane_ends_during_its_load() -> None:
    stuck = new_lane(FakeEngine(), load_s=float("inf"))
    async with trio.open_nursery() as waiting:
        waiting.start_soon(stuck.wait_loaded)
        with trio.move_on_after(1.0):
            await stuck.run()
    await stuck.wait_loaded()
    assert not stuck.ready


@virtual_time
async def test_defect_in_an_executor_ends_the_lane_and_drops_its_jobs() -> None:
    class Broken(VirtualExecutor):
        async def transcribe(self, batch: Batch) -> list[Transcript]:
            await super().transcribe(batch)
            raise KeyError("a defect")

    lane = new_lane(FakeEngine(), new_executor=Broken)
    tickets = [lane.submit(final("a")), lane.submit(final("b"))]
    with pytest.RaisesGroup(KeyError, flatten_subgroups=True):
        await lane.run()
    assert [await drop_reason(ticket.wait()) for ticket in tickets] == ["closed"] * 2


@virtual_time
async def test_lane_runs_once() -> None:
    lane = new_lane(FakeEngine())
    with trio.move_on_after(1.0):
        await lane.run()
    with pytest.raises(RuntimeError, match="runs once"):
        await lane.run()

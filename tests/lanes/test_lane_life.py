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
    final,
    lane,
    lengths,
    partial,
    reason,
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
    served = lane(engine, load_s=5.0, inference_s=lambda _: 1.0, warmup_clips=[clip(100)])
    early = served.submit(final("a", 1))
    await nursery.start(served.run)
    assert trio.current_time() == 0.0
    assert served.statistics().state is LaneState.LOADING
    assert not served.ready
    await served.wait_loaded()
    assert trio.current_time() == 6.0
    assert served.state is LaneState.READY
    assert served.ready
    result = await early.wait()
    assert (result.queue_delay_s, result.inference_s) == (6.0, 1.0)
    assert engine.clips == [100, 1]
    # Only jobs count as work.
    assert served.statistics().work.completed_jobs == 1
    assert served.statistics().work.busy_ratio == pytest.approx(1 / 7)


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
async def test_a_load_that_fails_fails_every_job_with_its_reason(nursery: trio.Nursery) -> None:
    def load() -> FakeEngine:
        raise EngineUnavailable("no model in /models; put one there")

    failed = lane(load, load_s=3.0)
    waiting = [failed.submit(final("a")), failed.submit(partial("a"))]
    await nursery.start(failed.run)
    await fails_every_job(failed, waiting, "no model in /models; put one there")
    assert trio.current_time() == 3.0
    assert failed.statistics().engine is None


@virtual_time
async def test_a_warm_up_that_says_unavailable_is_a_failed_load(nursery: trio.Nursery) -> None:
    def answer(_: Batch) -> list[Transcript]:
        raise EngineUnavailable("the card has no memory left")

    engine = FakeEngine(answer)
    failed = lane(engine, warmup_clips=[clip(100)])
    waiting = [failed.submit(final("a"))]
    await nursery.start(failed.run)
    await fails_every_job(failed, waiting, "the card has no memory left")
    await trio.testing.wait_all_tasks_blocked()
    assert engine.closed == 1


@virtual_time
async def test_another_warm_up_error_is_logged_and_no_more(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    served = lane(FakeEngine(lambda batch: None if len(batch[0]) == 100 else lengths(batch)), warmup_clips=[clip(100)])
    await nursery.start(served.run)
    assert (await served.submit(final("a", 1)).wait()).transcript.text == "1"
    assert served.error is None
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
    served = lane(engine, inference_s=lambda _: busy_s, shutdown_timeout_s=10.0)
    dropped: list[tuple[str, float]] = []

    async def watch(ticket: Ticket) -> None:
        dropped.append((await reason(ticket.wait()), trio.current_time()))

    async with trio.open_nursery() as running:
        await running.start(served.run)
        for job in (final("a"), final("a"), partial("b")):
            nursery.start_soon(watch, served.submit(job))
        await trio.sleep(0.5)
        running.cancel_scope.cancel()
    assert dropped == [("closed", 0.5)] * 3
    assert trio.current_time() == (1.0 if busy_s == 1.0 else 10.5)
    assert engine.closed == (busy_s == 1.0)
    with pytest.raises(JobRefused, match="the main lane is closed"):
        served.submit(final("a"))
    assert served.state is LaneState.CLOSED
    assert not served.ready


@virtual_time
async def test_whoever_waits_for_the_load_is_told_when_it_never_ends() -> None:
    stuck = lane(FakeEngine(), load_s=float("inf"))
    async with trio.open_nursery() as waiting:
        waiting.start_soon(stuck.wait_loaded)
        with trio.move_on_after(1.0):
            await stuck.run()
    await stuck.wait_loaded()
    assert not stuck.ready


@virtual_time
async def test_a_defect_of_the_host_ends_the_lane_loudly_and_leaves_nobody_waiting() -> None:
    class Broken(VirtualExecutor):
        async def transcribe(self, batch: Batch) -> list[Transcript]:
            await super().transcribe(batch)
            raise KeyError("a defect")

    served = lane(FakeEngine(), new_executor=Broken)
    tickets = [served.submit(final("a")), served.submit(final("b"))]
    with pytest.RaisesGroup(KeyError, flatten_subgroups=True):
        await served.run()
    assert [await reason(ticket.wait()) for ticket in tickets] == ["closed"] * 2


@virtual_time
async def test_a_lane_runs_once() -> None:
    served = lane(FakeEngine())
    with trio.move_on_after(1.0):
        await served.run()
    with pytest.raises(RuntimeError, match="runs once"):
        await served.run()

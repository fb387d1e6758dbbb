"""One job in a lane, on virtual time: results, waiters, cancellation, an engine that raises."""

import logging
from contextlib import nullcontext

import pytest
import trio
import trio.testing

from tests.lanes.fakes import (
    Batch,
    FakeEngine,
    drop_reason,
    final,
    lengths,
    limits,
    new_lane,
    partial,
    virtual_time,
)
from trio_stt.errors import EngineError, TranscriptionFailed
from trio_stt.lanes.engines.base import Transcript
from trio_stt.lanes.job import JobResult, TicketState
from trio_stt.lanes.lane_state import LaneState


@pytest.mark.contract("7.4")
@virtual_time
async def test_jobs_run_one_after_the_other_and_report_their_times(nursery: trio.Nursery) -> None:
    lane = new_lane(FakeEngine())
    await nursery.start(lane.run)
    first, second = lane.submit(final("a", 7)), lane.submit(final("b", 8))
    assert {first.state, second.state} == {TicketState.QUEUED}
    assert await second.wait() == JobResult(
        transcript=Transcript(text="8"), queue_delay_s=1.0, inference_s=1.0, total_s=2.0
    )
    assert await first.wait() == JobResult(
        transcript=Transcript(text="7"), queue_delay_s=0.0, inference_s=1.0, total_s=1.0
    )
    assert first.state is TicketState.DONE


@virtual_time
async def test_cancelled_wait_returns_at_once_and_the_job_continues(nursery: trio.Nursery) -> None:
    engine = FakeEngine()
    lane = new_lane(engine)
    await nursery.start(lane.run)
    left, next_job = lane.submit(final("a", 1)), lane.submit(final("b", 2))
    with trio.move_on_after(0.5) as scope:
        await left.wait()
    assert scope.cancelled_caught
    assert trio.current_time() == 0.5
    assert left.state is TicketState.RUNNING
    assert (await next_job.wait()).total_s == 2.0
    # The job itself was not cancelled: a later wait gets its result.
    assert (await left.wait()).transcript.text == "1"
    assert engine.clips == [1, 2]


@virtual_time
async def test_job_may_have_many_waiters_or_none(nursery: trio.Nursery) -> None:
    engine = FakeEngine()
    lane = new_lane(engine)
    await nursery.start(lane.run)
    lane.submit(final("a", 1))
    ticket = lane.submit(final("a", 2))
    texts: list[str] = []

    async def wait() -> None:
        texts.append((await ticket.wait()).transcript.text)

    async with trio.open_nursery() as waiters:
        for _ in range(3):
            waiters.start_soon(wait)
    assert texts == ["2"] * 3
    assert engine.clips == [1, 2]


@virtual_time
async def test_cancelled_job_leaves_the_queue_at_once(nursery: trio.Nursery) -> None:
    engine = FakeEngine()
    lane = new_lane(engine, limits=limits(finals=1))
    await nursery.start(lane.run)
    running = lane.submit(final("a", 1))
    await trio.testing.wait_all_tasks_blocked()
    queued = lane.submit(final("a", 2))
    assert queued.cancel()
    assert await drop_reason(queued.wait()) == "cancelled"
    assert trio.current_time() == 0.0
    after = lane.submit(final("a", 3))  # takes the freed place
    await after.wait()
    assert engine.clips == [1, 3]
    assert running.state is TicketState.DONE
    assert not running.cancel()
    assert not queued.cancel()
    assert (await running.wait()).transcript.text == "1"


@pytest.mark.parametrize("breaks", [False, True])
@virtual_time
async def test_result_of_a_cancelled_running_job_is_dropped(breaks: bool, nursery: trio.Nursery) -> None:
    engine = FakeEngine(lambda batch: None if breaks else lengths(batch))
    lane = new_lane(engine)
    await nursery.start(lane.run)
    running, after = lane.submit(final("a", 1)), lane.submit(final("b", 2))
    await trio.sleep(0.5)
    assert running.cancel()
    assert await drop_reason(running.wait()) == "cancelled"
    assert trio.current_time() == 0.5
    with pytest.raises(TranscriptionFailed) if breaks else nullcontext():
        assert (await after.wait()).total_s == 2.0  # the running call could not be stopped
    assert running.state is TicketState.DROPPED
    assert engine.clips == ([1, 2, 2] if breaks else [1, 2])  # no second attempt at the cancelled one


@pytest.mark.contract("2.9", "7.2")
@virtual_time
async def test_cancel_session_ends_all_its_jobs(nursery: trio.Nursery) -> None:
    engine = FakeEngine()
    lane = new_lane(engine)
    await nursery.start(lane.run)
    mine = [lane.submit(final("a", 1)), lane.submit(final("a", 2)), lane.submit(partial("a", 3))]
    other = lane.submit(final("b", 4))
    await trio.sleep(0.5)
    assert lane.cancel_session("a") == 3
    assert lane.cancel_session("a") == 0
    assert [await drop_reason(ticket.wait()) for ticket in mine] == ["cancelled"] * 3
    assert trio.current_time() == 0.5
    assert (await other.wait()).total_s == 2.0  # the running call could not be stopped
    assert engine.clips == [1, 4]
    assert dict(lane.statistics().queue.per_session) == {}


@pytest.mark.contract("7.3", "7.4")
@virtual_time
async def test_engine_that_raises_fails_only_that_job(nursery: trio.Nursery) -> None:
    def answer(batch: Batch) -> list[Transcript]:
        if len(batch[0]) == 13:
            raise ArithmeticError("thirteen")
        return lengths(batch)

    lane = new_lane(FakeEngine(answer))
    await nursery.start(lane.run)
    tickets = [lane.submit(final("a", samples)) for samples in (12, 13, 14)]
    assert (await tickets[2].wait()).total_s == 4.0  # the failed final was tried twice
    assert [ticket.state for ticket in tickets] == [TicketState.DONE, TicketState.FAILED, TicketState.DONE]
    for _ in range(2):
        with pytest.raises(TranscriptionFailed, match="fake raised ArithmeticError: thirteen"):
            await tickets[1].wait()
    work = lane.statistics().work
    assert (work.completed_jobs, work.failed_jobs, work.inference.count) == (2, 1, 3)
    assert lane.state is LaneState.READY


@virtual_time
async def test_transcripts_are_not_logged(nursery: trio.Nursery, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    lane = new_lane(FakeEngine(lambda batch: [Transcript(text="my secret")] * (3 - len(batch[0]))))
    await nursery.start(lane.run)
    await lane.submit(final("a", 2)).wait()
    with pytest.raises(EngineError):
        await lane.submit(final("a", 1)).wait()
    assert caplog.records
    assert "secret" not in caplog.text


@virtual_time
async def test_idle_engine_is_offered_first_come_first_served(nursery: trio.Nursery) -> None:
    lane = new_lane(FakeEngine())
    await nursery.start(lane.run)
    await lane.wait_idle_engine()
    assert trio.current_time() == 0.0
    came: list[tuple[str, float]] = []

    async def use_gap(session_id: str) -> None:
        await lane.wait_idle_engine()
        came.append((session_id, trio.current_time()))
        await lane.submit(partial(session_id)).wait()

    lane.submit(final("a"))
    await trio.testing.wait_all_tasks_blocked()
    async with trio.open_nursery() as waiters:
        for session_id in ("b", "c", "d"):
            waiters.start_soon(use_gap, session_id)
            await trio.testing.wait_all_tasks_blocked()
    assert came == [("b", 1.0), ("c", 2.0), ("d", 3.0)]

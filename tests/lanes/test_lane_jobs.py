"""One job in a lane, on virtual time: results, waiters, cancellation, an engine that raises."""

import logging
from contextlib import nullcontext

import pytest
import trio
import trio.testing

from tests.lanes.fakes import (
    Batch,
    FakeEngine,
    final,
    lane,
    lengths,
    limits,
    partial,
    reason,
    virtual_time,
)
from trio_stt.errors import EngineError, TranscriptionFailed
from trio_stt.lanes.engines.base import Transcript
from trio_stt.lanes.job import JobResult, TicketState
from trio_stt.lanes.lane_state import LaneState


@pytest.mark.contract("7.4")
@virtual_time
async def test_jobs_run_one_after_the_other_and_say_what_they_took(nursery: trio.Nursery) -> None:
    served = lane(FakeEngine())
    await nursery.start(served.run)
    first, second = served.submit(final("a", 7)), served.submit(final("b", 8))
    assert {first.state, second.state} == {TicketState.QUEUED}
    assert await second.wait() == JobResult(
        transcript=Transcript(text="8"), queue_delay_s=1.0, inference_s=1.0, total_s=2.0
    )
    assert await first.wait() == JobResult(
        transcript=Transcript(text="7"), queue_delay_s=0.0, inference_s=1.0, total_s=1.0
    )
    assert first.state is TicketState.DONE


@virtual_time
async def test_a_cancelled_waiter_leaves_at_once_and_the_lane_goes_on(nursery: trio.Nursery) -> None:
    engine = FakeEngine()
    served = lane(engine)
    await nursery.start(served.run)
    left, next_job = served.submit(final("a", 1)), served.submit(final("b", 2))
    with trio.move_on_after(0.5) as scope:
        await left.wait()
    assert scope.cancelled_caught
    assert trio.current_time() == 0.5
    assert left.state is TicketState.RUNNING
    assert (await next_job.wait()).total_s == 2.0
    # Nobody cancelled the job itself: who comes back gets its result.
    assert (await left.wait()).transcript.text == "1"
    assert engine.clips == [1, 2]


@virtual_time
async def test_a_job_may_have_many_waiters_or_none(nursery: trio.Nursery) -> None:
    engine = FakeEngine()
    served = lane(engine)
    await nursery.start(served.run)
    served.submit(final("a", 1))
    ticket = served.submit(final("a", 2))
    heard: list[str] = []

    async def listen() -> None:
        heard.append((await ticket.wait()).transcript.text)

    async with trio.open_nursery() as listeners:
        for _ in range(3):
            listeners.start_soon(listen)
    assert heard == ["2"] * 3
    assert engine.clips == [1, 2]


@virtual_time
async def test_a_cancelled_job_leaves_the_queue_at_once(nursery: trio.Nursery) -> None:
    engine = FakeEngine()
    served = lane(engine, limits=limits(finals=1))
    await nursery.start(served.run)
    running = served.submit(final("a", 1))
    await trio.testing.wait_all_tasks_blocked()
    queued = served.submit(final("a", 2))
    assert queued.cancel()
    assert await reason(queued.wait()) == "cancelled"
    assert trio.current_time() == 0.0
    after = served.submit(final("a", 3))  # Its place is free.
    await after.wait()
    assert engine.clips == [1, 3]
    assert running.state is TicketState.DONE
    assert not running.cancel()
    assert not queued.cancel()
    assert (await running.wait()).transcript.text == "1"


@pytest.mark.parametrize("breaks", [False, True])
@virtual_time
async def test_what_comes_of_a_cancelled_running_job_is_thrown_away(breaks: bool, nursery: trio.Nursery) -> None:
    engine = FakeEngine(lambda batch: None if breaks else lengths(batch))
    served = lane(engine)
    await nursery.start(served.run)
    running, after = served.submit(final("a", 1)), served.submit(final("b", 2))
    await trio.sleep(0.5)
    assert running.cancel()
    assert await reason(running.wait()) == "cancelled"
    assert trio.current_time() == 0.5
    with pytest.raises(TranscriptionFailed) if breaks else nullcontext():
        assert (await after.wait()).total_s == 2.0  # The engine could not be stopped.
    assert running.state is TicketState.DROPPED
    assert engine.clips == ([1, 2, 2] if breaks else [1, 2])  # Nobody wants a second attempt at the first.


@pytest.mark.contract("2.9", "7.2")
@virtual_time
async def test_a_session_that_goes_takes_all_its_jobs_along(nursery: trio.Nursery) -> None:
    engine = FakeEngine()
    served = lane(engine)
    await nursery.start(served.run)
    mine = [served.submit(final("a", 1)), served.submit(final("a", 2)), served.submit(partial("a", 3))]
    other = served.submit(final("b", 4))
    await trio.sleep(0.5)
    assert served.cancel_session("a") == 3
    assert served.cancel_session("a") == 0
    assert [await reason(ticket.wait()) for ticket in mine] == ["cancelled"] * 3
    assert trio.current_time() == 0.5
    assert (await other.wait()).total_s == 2.0  # The native call could not be stopped.
    assert engine.clips == [1, 4]
    assert dict(served.statistics().queue.per_session) == {}


@pytest.mark.contract("7.3", "7.4")
@virtual_time
async def test_an_engine_that_raises_fails_that_job_only(nursery: trio.Nursery) -> None:
    def answer(batch: Batch) -> list[Transcript]:
        if len(batch[0]) == 13:
            raise ArithmeticError("thirteen")
        return lengths(batch)

    served = lane(FakeEngine(answer))
    await nursery.start(served.run)
    tickets = [served.submit(final("a", samples)) for samples in (12, 13, 14)]
    assert (await tickets[2].wait()).total_s == 4.0  # A final is tried twice.
    assert [ticket.state for ticket in tickets] == [TicketState.DONE, TicketState.FAILED, TicketState.DONE]
    for _ in range(2):
        with pytest.raises(TranscriptionFailed, match="fake raised ArithmeticError: thirteen"):
            await tickets[1].wait()
    work = served.statistics().work
    assert (work.completed_jobs, work.failed_jobs, work.inference.count) == (2, 1, 3)
    assert served.state is LaneState.READY


@virtual_time
async def test_nothing_that_was_said_is_logged(nursery: trio.Nursery, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    served = lane(FakeEngine(lambda batch: [Transcript(text="my secret")] * (3 - len(batch[0]))))
    await nursery.start(served.run)
    await served.submit(final("a", 2)).wait()
    with pytest.raises(EngineError):
        await served.submit(final("a", 1)).wait()
    assert caplog.records
    assert "secret" not in caplog.text


@virtual_time
async def test_an_engine_with_nothing_to_do_is_offered_to_who_waited_first(nursery: trio.Nursery) -> None:
    served = lane(FakeEngine())
    await nursery.start(served.run)
    await served.wait_idle_engine()
    assert trio.current_time() == 0.0
    came: list[tuple[str, float]] = []

    async def use_gap(session_id: str) -> None:
        await served.wait_idle_engine()
        came.append((session_id, trio.current_time()))
        await served.submit(partial(session_id)).wait()

    served.submit(final("a"))
    await trio.testing.wait_all_tasks_blocked()
    async with trio.open_nursery() as waiters:
        for session_id in ("b", "c", "d"):
            waiters.start_soon(use_gap, session_id)
            await trio.testing.wait_all_tasks_blocked()
    assert came == [("b", 1.0), ("c", 2.0), ("d", 3.0)]

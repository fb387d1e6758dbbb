"""A lane on virtual time: jobs, waiters, refusals, failures, the end."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext

import numpy as np
import pytest
import trio
import trio.testing
from numpy.typing import NDArray

from tests.lanes.fakes import INFO, Batch, FakeEngine, VirtualHost, clip, final, lengths, limits, partial, virtual_time
from trio_stt.errors import EngineError, EngineUnavailable, JobDropped, JobRefused, TranscriptionFailed
from trio_stt.lanes.engines.base import Transcript
from trio_stt.lanes.fair_queue import QueueLimits, SessionDepth
from trio_stt.lanes.job import JobResult, Ticket, TicketState
from trio_stt.lanes.lane import Lane, LaneState


def lane(
    engine: FakeEngine,
    *,
    host: VirtualHost | None = None,
    limits: Callable[[], QueueLimits] = limits(),  # noqa: B008 - a constant
    warmup_clips: Sequence[NDArray[np.float32]] = (),
) -> Lane:
    """A lane whose engine takes one second for a clip, unless `host` says otherwise."""
    return Lane(
        "main",
        host=host or VirtualHost(inference_s=lambda _: 1.0),
        load=lambda: engine,
        limits=limits,
        warmup_clips=warmup_clips,
    )


async def reason(waiting: Awaitable[JobResult]) -> str:
    """Why the lane gave a job up."""
    with pytest.raises(JobDropped) as caught:
        await waiting
    return caught.value.reason


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
async def test_jobs_wait_for_the_engine_to_load_and_warm_up(nursery: trio.Nursery) -> None:
    engine = FakeEngine()
    served = lane(engine, host=VirtualHost(load_s=5.0, inference_s=lambda _: 1.0), warmup_clips=[clip(100)])
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
    assert engine.clips == [1, 2]


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


@virtual_time
async def test_an_engine_that_raises_fails_that_job_only(nursery: trio.Nursery) -> None:
    def answer(batch: Batch) -> list[Transcript]:
        if len(batch[0]) == 13:
            raise ArithmeticError("thirteen")
        return lengths(batch)

    served = lane(FakeEngine(answer))
    await nursery.start(served.run)
    tickets = [served.submit(final("a", samples)) for samples in (12, 13, 14)]
    assert (await tickets[2].wait()).total_s == 3.0
    assert [ticket.state for ticket in tickets] == [TicketState.DONE, TicketState.FAILED, TicketState.DONE]
    for _ in range(2):
        with pytest.raises(TranscriptionFailed, match="fake raised ArithmeticError: thirteen"):
            await tickets[1].wait()
    work = served.statistics().work
    assert (work.completed_jobs, work.failed_jobs, work.inference.count) == (2, 1, 3)
    assert served.state is LaneState.READY


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


@virtual_time
async def test_a_load_that_fails_fails_every_job_with_its_reason(nursery: trio.Nursery) -> None:
    def load() -> FakeEngine:
        raise EngineUnavailable("no model in /models; put one there")

    failed = Lane("main", host=VirtualHost(load_s=3.0), load=load, limits=limits())
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


@pytest.mark.parametrize("busy_s", [1.0, float("inf")])
@virtual_time
async def test_shutdown_drops_every_job_and_closes_the_engine_within_its_deadline(
    busy_s: float, nursery: trio.Nursery
) -> None:
    engine = FakeEngine()
    served = lane(engine, host=VirtualHost(inference_s=lambda _: busy_s, shutdown_timeout_s=10.0))
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
async def test_whoever_waits_for_the_load_is_told_when_it_never_ends(nursery: trio.Nursery) -> None:
    stuck = lane(FakeEngine(), host=VirtualHost(load_s=float("inf")))
    nursery.start_soon(stuck.wait_loaded)
    with trio.move_on_after(1.0):
        await stuck.run()
    await stuck.wait_loaded()
    assert not stuck.ready


@virtual_time
async def test_a_defect_of_the_host_ends_the_lane_loudly_and_leaves_nobody_waiting() -> None:
    class Broken(VirtualHost):
        async def transcribe(self, batch: Batch) -> list[Transcript]:
            await super().transcribe(batch)
            raise KeyError("a defect")

    served = lane(FakeEngine(), host=Broken())
    tickets = [served.submit(final("a")), served.submit(final("b"))]
    with pytest.raises(KeyError):
        await served.run()
    assert [await reason(ticket.wait()) for ticket in tickets] == ["closed"] * 2


@virtual_time
async def test_a_lane_runs_once() -> None:
    served = lane(FakeEngine())
    with trio.move_on_after(1.0):
        await served.run()
    with pytest.raises(RuntimeError, match="runs once"):
        await served.run()


@virtual_time
async def test_a_chatty_session_delays_nobody_longer_than_a_round(nursery: trio.Nursery) -> None:
    served = lane(FakeEngine(), limits=limits(finals=8, jobs=200))
    await nursery.start(served.run)
    chatty = [served.submit(final("chatty")) for _ in range(8)]
    rounds: list[tuple[float, int]] = []

    async def keep_chatting() -> None:
        while True:
            await chatty.pop(0).wait()
            chatty.append(served.submit(final("chatty")))
            served.submit(partial("chatty"))

    async def speak_once(session_id: str, at_s: float) -> None:
        await trio.sleep_until(at_s)
        sessions_with_work = len(served.statistics().queue.per_session)
        result = await served.submit(final(session_id)).wait()
        rounds.append((result.queue_delay_s, sessions_with_work))

    async with trio.open_nursery() as talk:
        talk.start_soon(keep_chatting)
        async with trio.open_nursery() as quiet:
            for number in range(99):
                quiet.start_soon(speak_once, f"quiet {number}", number * 0.25)
        talk.cancel_scope.cancel()
    assert len(rounds) == 99
    # One job of one second for each session that has work, after the one that runs already.
    assert [late for late in rounds if late[0] > late[1] + 1] == []
    assert max(sessions for _, sessions in rounds) > 50


@virtual_time
async def test_one_lane_for_both_kinds_keeps_their_rules(nursery: trio.Nursery) -> None:
    engine = FakeEngine()
    served = lane(engine)
    await nursery.start(served.run)
    served.submit(final("a", 1))
    await trio.testing.wait_all_tasks_blocked()  # The engine has it.
    replaced = served.submit(partial("a", 2, deadline_s=9.0))
    kept = served.submit(partial("a", 3, deadline_s=9.0))
    stale = served.submit(partial("b", 4, deadline_s=2.5))
    finals = [served.submit(final("a", 5)), served.submit(final("b", 6)), served.submit(final("a", 7))]
    assert await reason(replaced.wait()) == "coalesced"
    assert trio.current_time() == 0.0
    assert (await kept.wait()).queue_delay_s == 5.0 - 1.0
    assert await reason(stale.wait()) == "stale"
    assert [ticket.state for ticket in finals] == [TicketState.DONE] * 3
    assert engine.clips == [1, 5, 6, 7, 3]
    shown = served.statistics().queue
    assert (shown.coalesced, shown.stale, shown.rejected) == (1, 1, 0)


@virtual_time
async def test_behind_a_slow_engine_only_the_latest_partial_is_worked_on(nursery: trio.Nursery) -> None:
    engine = FakeEngine()
    served = lane(engine, host=VirtualHost(inference_s=lambda _: 9.75), limits=limits(jobs=1))
    await nursery.start(served.run)
    tickets = []
    for samples in range(1, 31):  # One each second, for 30 seconds.
        tickets.append(served.submit(partial("a", samples)))
        await trio.sleep(1.0)
    assert (await tickets[-1].wait()).transcript.text == "30"
    assert engine.clips == [1, 10, 20, 30]
    assert served.statistics().queue.coalesced == 26
    states = [ticket.state for ticket in tickets]
    assert states.count(TicketState.DONE) == 4
    assert states.count(TicketState.DROPPED) == 26


@virtual_time
async def test_refusals_name_the_limit_and_limits_are_read_live(nursery: trio.Nursery) -> None:
    now = QueueLimits(max_finals_per_session=1, max_jobs=2)
    served = lane(FakeEngine(), limits=lambda: now)
    await nursery.start(served.run)
    served.submit(final("a"))
    with pytest.raises(JobRefused, match=r"holds 1 finals .*\(max_final_queue_depth_per_session is 1\)"):
        served.submit(final("a"))
    served.submit(final("b"))
    with pytest.raises(JobRefused, match=r"holds 2 jobs \(max_global_inference_queue_depth is 2\)"):
        served.submit(partial("c"))
    now = QueueLimits(max_finals_per_session=2, max_jobs=3)
    await served.submit(final("a")).wait()
    assert served.statistics().queue.rejected == 2


@virtual_time
async def test_statistics_show_the_lane_as_it_is(nursery: trio.Nursery) -> None:
    served = lane(FakeEngine(), host=VirtualHost(inference_s=lambda batch: float(len(batch[0]))))
    idle = served.statistics()
    assert (idle.state, idle.engine, idle.work.busy_ratio) == (LaneState.LOADING, None, 0.0)
    await nursery.start(served.run)
    await trio.sleep(2.0)
    served.submit(final("a", 1))
    served.submit(final("b", 4))
    served.submit(final("c", 1))
    served.submit(partial("c", 1))
    await trio.sleep(3.0)  # One job is done, the second runs for two seconds already.
    shown = served.statistics()
    assert (shown.name, shown.ready, shown.healthy, shown.error, shown.engine) == ("main", True, True, None, INFO)
    assert shown.queue.queued == 2
    assert dict(shown.queue.per_session) == {"c": SessionDepth(finals=1, partials=1)}
    assert shown.work.completed_jobs == 1
    assert shown.work.busy_ratio == pytest.approx(3 / 5)
    await trio.sleep(5.0)
    work = served.statistics().work
    assert (work.completed_jobs, work.failed_jobs) == (4, 0)
    assert work.busy_ratio == pytest.approx(7 / 10)
    assert (work.inference.count, work.inference.max_ms, work.inference.avg_ms) == (4, 4000.0, 1750.0)
    assert (work.queue_delay.max_ms, work.total.max_ms) == (6000.0, 7000.0)


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

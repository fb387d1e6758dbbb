"""Many jobs in a lane, on virtual time: fairness, both kinds, limits, room, statistics."""

import pytest
import trio
import trio.testing

from tests.lanes.fakes import INFO, FakeEngine, drop_reason, final, limits, new_lane, partial, virtual_time
from trio_stt.errors import EngineUnavailable, JobRefused
from trio_stt.lanes.fair_queue import QueueLimits, SessionDepth
from trio_stt.lanes.job import TicketState
from trio_stt.lanes.lane_state import LaneState


@virtual_time
async def test_busy_session_delays_others_by_one_round_at_most(nursery: trio.Nursery) -> None:
    lane = new_lane(FakeEngine(), limits=limits(finals=8, jobs=200))
    await nursery.start(lane.run)
    chatty = [lane.submit(final("chatty")) for _ in range(8)]
    rounds: list[tuple[float, int]] = []

    async def submit_repeatedly() -> None:
        while True:
            await chatty.pop(0).wait()
            chatty.append(lane.submit(final("chatty")))
            lane.submit(partial("chatty"))

    async def submit_once(session_id: str, at_s: float) -> None:
        await trio.sleep_until(at_s)
        sessions_with_work = len(lane.statistics().queue.per_session)
        result = await lane.submit(final(session_id)).wait()
        rounds.append((result.queue_delay_s, sessions_with_work))

    async with trio.open_nursery() as talk:
        talk.start_soon(submit_repeatedly)
        async with trio.open_nursery() as quiet:
            for number in range(99):
                quiet.start_soon(submit_once, f"quiet {number}", number * 0.25)
        talk.cancel_scope.cancel()
    assert len(rounds) == 99
    # At most one job of one second for each session with jobs, after the running one.
    assert [late for late in rounds if late[0] > late[1] + 1] == []
    assert max(sessions for _, sessions in rounds) > 50


@pytest.mark.contract("7.2", "11/31")
@virtual_time
async def test_lane_for_both_kinds_keeps_the_rules_of_each(nursery: trio.Nursery) -> None:
    engine = FakeEngine()
    lane = new_lane(engine)
    await nursery.start(lane.run)
    lane.submit(final("a", 1))
    await trio.testing.wait_all_tasks_blocked()  # the engine has it
    replaced = lane.submit(partial("a", 2, deadline_s=9.0))
    kept = lane.submit(partial("a", 3, deadline_s=9.0))
    stale = lane.submit(partial("b", 4, deadline_s=2.5))
    finals = [lane.submit(final("a", 5)), lane.submit(final("b", 6)), lane.submit(final("a", 7))]
    assert await drop_reason(replaced.wait()) == "coalesced"
    assert trio.current_time() == 0.0
    assert (await kept.wait()).queue_delay_s == 5.0 - 1.0
    assert await drop_reason(stale.wait()) == "stale"
    assert [ticket.state for ticket in finals] == [TicketState.DONE] * 3
    assert engine.clips == [1, 5, 6, 7, 3]
    shown = lane.statistics().queue
    assert (shown.coalesced, shown.stale, shown.rejected) == (1, 1, 0)


@pytest.mark.contract("7.2", "11/32", "11/33")
@virtual_time
async def test_behind_a_slow_engine_only_the_latest_partial_is_worked_on(nursery: trio.Nursery) -> None:
    engine = FakeEngine()
    lane = new_lane(engine, inference_s=lambda _: 9.75, limits=limits(jobs=1))
    await nursery.start(lane.run)
    tickets = []
    for samples in range(1, 31):  # one job each second
        tickets.append(lane.submit(partial("a", samples)))
        await trio.sleep(1.0)
    assert (await tickets[-1].wait()).transcript.text == "30"
    assert engine.clips == [1, 10, 20, 30]
    assert lane.statistics().queue.coalesced == 26
    states = [ticket.state for ticket in tickets]
    assert states.count(TicketState.DONE) == 4
    assert states.count(TicketState.DROPPED) == 26


@virtual_time
async def test_refusals_name_the_limit_which_is_read_live(nursery: trio.Nursery) -> None:
    now = QueueLimits(max_finals_per_session=1, max_jobs=2)
    lane = new_lane(FakeEngine(), limits=lambda: now)
    await nursery.start(lane.run)
    lane.submit(final("a"))
    with pytest.raises(JobRefused, match=r"holds 1 finals .*\(max_final_queue_depth_per_session is 1\)"):
        lane.submit(final("a"))
    lane.submit(final("b"))
    with pytest.raises(JobRefused, match=r"holds 2 jobs \(max_global_inference_queue_depth is 2\)"):
        lane.submit(partial("c"))
    now = QueueLimits(max_finals_per_session=2, max_jobs=3)
    await lane.submit(final("a")).wait()
    assert lane.statistics().queue.rejected == 2


@virtual_time
async def test_wait_room_returns_whenever_a_job_leaves_the_queue(nursery: trio.Nursery) -> None:
    lane = new_lane(FakeEngine(), limits=limits(jobs=3))
    await nursery.start(lane.run)
    announced: list[float] = []

    async def watch() -> None:
        while True:
            await lane.wait_room()
            announced.append(trio.current_time())

    lane.submit(final("a"))
    await trio.sleep(0.25)  # the engine has it
    nursery.start_soon(watch)
    withdrawn, *_ = [lane.submit(job) for job in (final("b"), partial("c", deadline_s=0.5), final("d"))]
    with pytest.raises(JobRefused):
        lane.submit(final("e"))
    await trio.sleep(0.25)
    withdrawn.cancel()
    await trio.sleep(1.0)  # at 1.0 the engine is free: the stale partial is dropped, the next final starts
    lane.submit(final("e"))
    await trio.sleep(0.25)
    lane.cancel_session("e")
    await trio.sleep(0.25)
    assert announced == [0.5, 1.0, 1.75]


@virtual_time
async def test_wait_room_returns_when_the_lane_closes() -> None:
    lane = new_lane(FakeEngine(), limits=limits(jobs=1))
    async with trio.open_nursery() as waiting, trio.open_nursery() as running:
        await running.start(lane.run)
        for session_id in "ab":
            lane.submit(final(session_id))
            await trio.sleep(0.25)
        waiting.start_soon(lane.wait_room)
        assert lane.accepting
        running.cancel_scope.cancel()
    await lane.wait_room()
    assert lane.statistics().state is LaneState.CLOSED


@virtual_time
async def test_wait_room_returns_when_the_load_fails(nursery: trio.Nursery) -> None:
    def load() -> FakeEngine:
        raise EngineUnavailable("no model")

    failed = new_lane(load, load_s=2.0, limits=limits(jobs=1))
    failed.submit(final("a"))
    await nursery.start(failed.run)
    await failed.wait_room()
    assert trio.current_time() == 2.0
    assert failed.submit(final("b")).state is TicketState.FAILED


@pytest.mark.contract("1.5", "7.4")
@virtual_time
async def test_statistics_describe_the_lane(nursery: trio.Nursery) -> None:
    lane = new_lane(FakeEngine(), inference_s=lambda batch: float(len(batch[0])))
    idle = lane.statistics()
    assert (idle.state, idle.engine, idle.work.busy_ratio) == (LaneState.LOADING, None, 0.0)
    await nursery.start(lane.run)
    await trio.sleep(2.0)
    lane.submit(final("a", 1))
    lane.submit(final("b", 4))
    lane.submit(final("c", 1))
    lane.submit(partial("c", 1))
    await trio.sleep(3.0)  # one job is done, the second has run for two seconds
    shown = lane.statistics()
    assert (shown.name, shown.ready, shown.healthy, shown.error, shown.engine) == ("main", True, True, None, INFO)
    assert shown.queue.queued == 2
    assert dict(shown.queue.per_session) == {"c": SessionDepth(finals=1, partials=1)}
    assert shown.work.completed_jobs == 1
    assert shown.work.busy_ratio == pytest.approx(3 / 5)
    await trio.sleep(5.0)
    work = lane.statistics().work
    assert (work.completed_jobs, work.failed_jobs) == (4, 0)
    assert work.busy_ratio == pytest.approx(7 / 10)
    assert (work.inference.count, work.inference.max_ms, work.inference.avg_ms) == (4, 4000.0, 1750.0)
    assert (work.queue_delay.max_ms, work.total.max_ms) == (6000.0, 7000.0)

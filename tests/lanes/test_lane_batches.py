"""Batches and second attempts, on virtual time: which jobs run together, and the effect of one bad clip."""

import math
from contextlib import suppress
from functools import partial as partial_call

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tests.lanes.fakes import (
    Batch,
    FakeEngine,
    drop_reason,
    final,
    lengths,
    new_lane,
    partial,
    virtual_time,
)
from trio_stt.errors import EngineUnavailable, JobDropped, TranscriptionFailed
from trio_stt.lanes.engines.base import NO_HINTS, Hints, Transcript
from trio_stt.lanes.job import Job, JobKind, TicketState

BAD = 13
PROMPTED = Hints(prompt="Names: Ada")


def failing_on_bad_clips(batch: Batch) -> list[Transcript]:
    """An engine whose whole batch fails if one clip is bad."""
    if any(len(samples) == BAD for samples in batch):
        raise ArithmeticError("thirteen")
    return lengths(batch)


async def run_all(engine: FakeEngine, jobs: list[Job], *, batch_size: int = 64) -> None:
    """Submit all jobs before the engine is loaded, and wait until each has ended."""
    lane = new_lane(engine, batch_size=lambda _: batch_size)
    tickets = [lane.submit(job) for job in jobs]
    async with trio.open_nursery() as nursery:
        await nursery.start(lane.run)
        for ticket in tickets:
            with suppress(JobDropped):
                await ticket.wait()
        nursery.cancel_scope.cancel()


@virtual_time
async def test_queued_jobs_run_in_batches_up_to_the_limits_of_lane_and_engine() -> None:
    for max_batch, batch_size, expected in ((8, 3, [3, 3, 1]), (2, 8, [2, 2, 2, 1]), (1, 8, [1] * 7), (8, 1, [1] * 7)):
        engine = FakeEngine(max_batch=max_batch)
        await run_all(engine, [final("a") for _ in range(7)], batch_size=batch_size)
        assert [len(batch) for batch in engine.batches] == expected


@virtual_time
async def test_batch_has_the_queues_order_and_may_mix_kinds() -> None:
    engine = FakeEngine(max_batch=3)
    jobs = [partial("a", 1), final("a", 2), final("a", 3), final("b", 4), partial("c", 5)]
    await run_all(engine, jobs)
    assert engine.batches == [[2, 4, 3], [1, 5]]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans()), max_size=12), st.integers(1, 5))
def test_batches_keep_the_queues_order(wanted: list[tuple[str, bool, bool]], batch_size: int) -> None:
    jobs = [
        (final if is_final else partial)(session_id, length, hints=PROMPTED if prompted else NO_HINTS)
        for length, (session_id, is_final, prompted) in enumerate(wanted, 1)
    ]
    alone, together = FakeEngine(), FakeEngine(max_batch=64)
    for engine in (alone, together):
        trio.run(
            partial_call(run_all, engine, jobs, batch_size=batch_size),
            clock=trio.testing.MockClock(autojump_threshold=0),
        )
    assert together.clips == alone.clips
    hints_of = iter(together.hints)
    for number, batch in enumerate(together.batches):
        assert len({next(hints_of) for _ in batch}) == 1
        following = together.batches[number + 1 : number + 2]
        if following and len(batch) < batch_size:
            # The next queued job had other hints.
            assert _hints(jobs, following[0][0]) != _hints(jobs, batch[0])


def _hints(jobs: list[Job], length: int) -> Hints:
    return next(job.hints for job in jobs if job.samples.size == length)


@virtual_time
async def test_engine_gets_the_hints_of_each_job(nursery: trio.Nursery) -> None:
    engine = FakeEngine()
    lane = new_lane(engine)
    await nursery.start(lane.run)
    for hints in (PROMPTED, NO_HINTS, Hints(vad_filter=True)):
        await lane.submit(final("a", hints=hints)).wait()
    assert engine.hints == [PROMPTED, NO_HINTS, Hints(vad_filter=True)]


@virtual_time
async def test_batch_never_waits_for_more_jobs_and_its_size_is_read_live(nursery: trio.Nursery) -> None:
    sizes = {JobKind.FINAL: 2, JobKind.PARTIAL: 3}
    engine = FakeEngine(max_batch=8)
    lane = new_lane(engine, batch_size=sizes.__getitem__)
    await nursery.start(lane.run)
    lane.submit(final("a", 1))
    await trio.testing.wait_all_tasks_blocked()
    assert engine.batches == []  # it runs, alone
    for samples in (2, 3, 4):
        lane.submit(final("a", samples))
    for session_id in "bcd":
        lane.submit(partial(session_id, 5))
    await trio.sleep(1.5)
    assert engine.batches == [[1]]
    sizes[JobKind.PARTIAL] = 2
    await trio.sleep(10.0)
    # The kind of the first job decides, and the limit for partials was 2 when their turn came.
    assert engine.batches == [[1], [2, 3], [4, 5], [5, 5]]


@virtual_time
async def test_stale_partials_do_not_end_a_batch(nursery: trio.Nursery) -> None:
    engine = FakeEngine(max_batch=8)
    lane = new_lane(engine, batch_size=lambda _: 8)
    await nursery.start(lane.run)
    lane.submit(final("a", 1))
    await trio.testing.wait_all_tasks_blocked()
    late = lane.submit(partial("b", 2, deadline_s=0.5))
    lane.submit(final("c", 3))
    last = lane.submit(final("d", 4))
    assert await drop_reason(late.wait()) == "stale"
    await last.wait()
    assert engine.batches == [[1], [3, 4]]


@virtual_time
async def test_jobs_of_a_batch_are_counted_with_their_own_delays(nursery: trio.Nursery) -> None:
    engine = FakeEngine(max_batch=8)
    lane = new_lane(engine, inference_s=lambda batch: 2.0 * len(batch), batch_size=lambda _: 8)
    await nursery.start(lane.run)
    lane.submit(final("a", 1))
    await trio.sleep(0.5)
    first = lane.submit(final("a", 2))
    await trio.sleep(0.5)
    second = lane.submit(partial("b", 3))
    assert [(r.queue_delay_s, r.inference_s, r.total_s) for r in [await first.wait(), await second.wait()]] == [
        (1.5, 4.0, 5.5),
        (1.0, 4.0, 5.0),
    ]
    await trio.sleep(6.0)
    work = lane.statistics().work
    assert (work.completed_jobs, work.failed_jobs, work.inference.count) == (3, 0, 3)
    assert work.busy_ratio == pytest.approx(6 / 12)


@virtual_time
async def test_bad_clip_does_not_fail_the_others_of_its_batch(nursery: trio.Nursery) -> None:
    engine = FakeEngine(failing_on_bad_clips, max_batch=8)
    lane = new_lane(engine, batch_size=lambda _: 8)
    tickets = [lane.submit(job) for job in (final("a", 1), partial("b", 2), final("c", BAD), partial("d", 4))]
    await nursery.start(lane.run)
    assert [(await tickets[n].wait()).transcript.text for n in (0, 1, 3)] == ["1", "2", "4"]
    assert (await tickets[3].wait()).inference_s == 5.0  # one second each: the batch, then four jobs alone
    with pytest.raises(TranscriptionFailed, match="ArithmeticError: thirteen"):
        await tickets[2].wait()
    assert engine.batches == [[1, BAD, 2, 4], [1], [BAD], [2], [4]]
    work = lane.statistics().work
    assert (work.completed_jobs, work.failed_jobs, work.inference.count) == (3, 1, 4)


@pytest.mark.contract("7.3", "11/12")
@virtual_time
async def test_failed_final_is_retried_and_a_partial_is_not(nursery: trio.Nursery) -> None:
    failures = iter([True, False, True])

    def answer(batch: Batch) -> list[Transcript]:
        if next(failures, False):
            raise RuntimeError("once")
        return lengths(batch)

    engine = FakeEngine(answer)
    lane = new_lane(engine)
    await nursery.start(lane.run)
    result = await lane.submit(final("a", 1)).wait()
    assert (result.transcript.text, result.inference_s, result.total_s) == ("1", 2.0, 2.0)
    with pytest.raises(TranscriptionFailed, match="once"):
        await lane.submit(partial("a", 2)).wait()
    assert engine.clips == [1, 1, 2]
    work = lane.statistics().work
    assert (work.completed_jobs, work.failed_jobs, work.busy_ratio) == (1, 1, 1.0)


@virtual_time
async def test_finals_of_an_unavailable_engine_get_one_attempt_on_another(nursery: trio.Nursery) -> None:
    def answer(_: Batch) -> list[Transcript]:
        raise EngineUnavailable("the card has gone")

    engine = FakeEngine(answer, max_batch=8)
    lane = new_lane(engine, batch_size=lambda _: 8)
    tickets = [lane.submit(final("a", 1)), lane.submit(final("b", 2))]
    await nursery.start(lane.run)
    for ticket in tickets:
        with pytest.raises(EngineUnavailable, match="the card has gone"):
            await ticket.wait()
    assert engine.batches == [[1, 2], [1], [2]]


@virtual_time
async def test_job_cancelled_meanwhile_is_not_retried(nursery: trio.Nursery) -> None:
    engine = FakeEngine(failing_on_bad_clips, max_batch=8)
    lane = new_lane(engine, batch_size=lambda _: 8)
    left, gone, stays = (lane.submit(final(session_id, BAD + n)) for n, session_id in enumerate("abc"))
    await nursery.start(lane.run)
    await trio.sleep(0.5)
    assert left.cancel()
    assert lane.cancel_session("b") == 1
    assert (await stays.wait()).total_s == 2.0
    assert [await drop_reason(ticket.wait()) for ticket in (left, gone)] == ["cancelled"] * 2
    assert engine.batches == [[13, 14, 15], [15]]


@virtual_time
async def test_shutdown_drops_a_whole_batch() -> None:
    lane = new_lane(FakeEngine(max_batch=8), inference_s=lambda _: math.inf, batch_size=lambda _: 8)
    tickets = [lane.submit(final("a")), lane.submit(partial("b"))]
    async with trio.open_nursery() as nursery:
        await nursery.start(lane.run)
        await trio.sleep(0.5)
        assert [ticket.state for ticket in tickets] == [TicketState.RUNNING] * 2
        nursery.cancel_scope.cancel()
    assert [await drop_reason(ticket.wait()) for ticket in tickets] == ["closed"] * 2


@virtual_time
async def test_batch_makes_room_for_its_number_of_jobs(nursery: trio.Nursery) -> None:
    lane = new_lane(FakeEngine(max_batch=8), batch_size=lambda _: 2)
    await nursery.start(lane.run)
    lane.submit(final("a"))
    await trio.testing.wait_all_tasks_blocked()
    for session_id in "bcde":
        lane.submit(final(session_id))
    woken: list[int] = []

    async def wait(number: int) -> None:
        await lane.wait_room()
        woken.append(number)

    for number in range(3):
        nursery.start_soon(wait, number)
    await trio.sleep(1.5)
    assert len(woken) == 2
    await trio.sleep(1.0)
    assert len(woken) == 3

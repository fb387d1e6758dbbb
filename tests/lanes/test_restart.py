"""Engines that hang or fail too often, on virtual time: lost jobs, waiting jobs, and the load of the next engine."""

import logging
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import trio
import trio.testing

from tests.lanes.fakes import (
    INFO,
    Batch,
    FakeEngine,
    clip,
    drop_reason,
    final,
    lengths,
    new_lane,
    partial,
    virtual_time,
)
from trio_stt.errors import EngineUnavailable, SettingError, TranscriptionFailed
from trio_stt.lanes.engines.base import EngineInfo
from trio_stt.lanes.job import Ticket, TicketState
from trio_stt.lanes.lane import Lane
from trio_stt.lanes.lane_health import MAX_HUNG_THREADS
from trio_stt.lanes.lane_state import LaneState
from trio_stt.lanes.worker_engine import MAX_FAILED_JOBS

HANG = 13
"""Length in samples of a clip on which an engine hangs; all other clips take a second."""

DEADLINE_S = 5.0


def hangs_for(hang_s: float) -> Callable[[Batch], float]:
    return lambda batch: hang_s if any(len(each) == HANG for each in batch) else 1.0


class Engines:
    """Loads one engine after the other and lists them. The loads numbered in `broken` fail, counted from 0."""

    def __init__(self, answer: Callable[[Batch], object] = lengths, *, max_batch: int = 8) -> None:
        self._answer = answer
        self._max_batch = max_batch
        self.loads_s: list[float] = []
        self.loaded: list[FakeEngine] = []
        self.broken: set[int] = set()

    def __call__(self) -> FakeEngine:
        self.loads_s.append(trio.current_time())
        if len(self.loads_s) - 1 in self.broken:
            raise EngineUnavailable("no memory left")
        self.loaded.append(FakeEngine(self._answer, max_batch=self._max_batch))
        return self.loaded[-1]

    @property
    def batches(self) -> list[list[list[int]]]:
        return [engine.batches for engine in self.loaded]


def hanging_lane(engines: Engines, **options: Any) -> Lane:
    given: dict[str, Any] = {
        "load_s": 0.5,
        "inference_s": hangs_for(math.inf),
        "batch_size": lambda _: 8,
        "job_deadline_s": lambda: DEADLINE_S,
    }
    return new_lane(engines, **(given | options))


async def failure(ticket: Ticket) -> str:
    with pytest.raises(EngineUnavailable) as caught:
        await ticket.wait()
    return str(caught.value)


@virtual_time
async def test_hung_engine_is_replaced_and_its_finals_get_one_more_attempt(nursery: trio.Nursery) -> None:
    engines = Engines()
    lane = hanging_lane(engines)
    poison, innocent = lane.submit(final("a", HANG)), lane.submit(final("b", 2))
    replaceable, later = lane.submit(partial("c", 3)), lane.submit(final("b", 4))
    await nursery.start(lane.run)
    assert await drop_reason(replaceable.wait()) == "engine lost"
    hung_s = trio.current_time()
    assert hung_s == pytest.approx(0.5 + DEADLINE_S, abs=0.01)  # the load, and a call with almost no audio
    assert lane.state is LaneState.RESTARTING
    assert lane.accepting
    assert "did not answer within 5" in await failure(poison)
    assert (await innocent.wait()).transcript.text == "2"
    assert (await later.wait()).transcript.text == "4"
    # Second attempts run alone; the first of them hung again.
    assert engines.batches == [[], [], [[2], [4]]]
    assert lane.state is LaneState.READY
    shown = lane.statistics()
    assert (shown.engines.restarts, shown.engines.hung_threads, shown.engines.serving) == (2, 2, 1)
    assert "did not answer" in (shown.engines.last_error or "")
    assert (shown.healthy, shown.error, shown.ready) == (True, None, True)
    assert (shown.work.completed_jobs, shown.work.failed_jobs, shown.work.dropped_partials) == (2, 1, 1)


@virtual_time
async def test_deadline_grows_with_the_audio(nursery: trio.Nursery) -> None:
    engines = Engines()
    lane = hanging_lane(engines, load_s=0.0, inference_s=lambda batch: sum(map(len, batch)) / 16_000)
    await nursery.start(lane.run)
    await lane.submit(final("a", 16_000 * 9)).wait()  # takes 9 s; the deadline is 5 s plus 5 s per 10 s of audio
    tickets = [lane.submit(final("b", 16_000 * 4)), lane.submit(final("c", 16_000 * 4))]
    for ticket in tickets:
        await ticket.wait()
    assert engines.batches == [[[144_000], [64_000, 64_000]]]
    assert lane.statistics().engines.restarts == 0


@pytest.mark.parametrize(("device", "restarts"), [("cpu", 1), ("remote", 0)])
@virtual_time
async def test_remote_engine_has_its_own_deadline(device: str, restarts: int, nursery: trio.Nursery) -> None:
    class RemoteEngine(FakeEngine):
        @property
        def info(self) -> EngineInfo:
            return EngineInfo(engine="fake", model="m", device=device)

    lane = new_lane(RemoteEngine(), inference_s=lambda _: 600.0, job_deadline_s=lambda: DEADLINE_S)
    await nursery.start(lane.run)
    lane.submit(partial("a"))
    await trio.sleep(601.0)
    assert lane.statistics().engines.restarts == restarts
    assert lane.statistics().work.completed_jobs == 1 - restarts


@virtual_time
async def test_without_a_deadline_a_call_may_take_any_time(nursery: trio.Nursery) -> None:
    lane = hanging_lane(Engines(), inference_s=hangs_for(1e6), job_deadline_s=lambda: math.inf)
    await nursery.start(lane.run)
    assert (await lane.submit(final("a", HANG)).wait()).inference_s == 1e6


@virtual_time
async def test_reload_pauses_grow_until_a_job_succeeds(nursery: trio.Nursery) -> None:
    engines = Engines()
    engines.broken = set(range(1, 9))
    lane = hanging_lane(engines, outage_limit_s=lambda: math.inf)
    await nursery.start(lane.run)
    await drop_reason(lane.submit(partial("a", HANG)).wait())
    lost_s = trio.current_time()
    assert (await lane.submit(final("a", 1)).wait()).transcript.text == "1"
    # A load takes half a second, also a failed one.
    pauses_s = [after - before for before, after in pairwise([lost_s, *engines.loads_s[1:]])]
    assert pauses_s == pytest.approx([0.5 + pause_s for pause_s in (1, 2, 4, 8, 16, 32, 60, 60, 60)])
    await drop_reason(lane.submit(partial("a", HANG)).wait())
    lost_s = trio.current_time()
    await trio.sleep(10.0)
    assert engines.loads_s[-1] - lost_s == pytest.approx(1.5)  # the success has reset the pause


@virtual_time
async def test_outage_limit_fails_waiting_finals_and_is_named(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    engines = Engines()
    engines.broken = set(range(1, 8))
    lane = hanging_lane(engines, outage_limit_s=lambda: 20.0)
    await nursery.start(lane.run)
    interrupted = lane.submit(final("a", HANG))
    await trio.sleep(DEADLINE_S + 1.0)
    waiting, unwanted = lane.submit(final("b", 1)), lane.submit(final("b", 2))
    assert waiting.state is TicketState.QUEUED
    assert unwanted.cancel()
    message = await failure(waiting)
    assert message == "the main lane has no engine: no engine for 20 s (engine_outage_limit_s); no memory left"
    assert await failure(interrupted) == message
    assert trio.current_time() == pytest.approx(0.5 + DEADLINE_S + 20.0, abs=0.01)
    assert (lane.state, lane.accepting, lane.ready) == (LaneState.FAILED, False, True)
    assert await failure(lane.submit(final("c", 3))) == message
    shown = lane.statistics()
    assert (shown.healthy, shown.work.failed_jobs, shown.queue.queued) == (False, 3, 0)
    # The worker goes on loading, and the lane recovers.
    await trio.sleep(200.0)
    assert (lane.state, lane.error, lane.accepting) == (LaneState.READY, None, True)
    assert (await lane.submit(final("c", 3)).wait()).transcript.text == "3"
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR][1:] == [
        "main lane: no memory left"  # once, however often
    ]


@virtual_time
async def test_failed_first_load_fails_jobs_at_once_and_is_retried(nursery: trio.Nursery) -> None:
    engines = Engines()
    engines.broken = {0, 1}
    lane = hanging_lane(engines)
    early = lane.submit(final("a", 1))
    await nursery.start(lane.run)
    assert await failure(early) == "the main lane has no engine: no memory left"
    await trio.sleep(10.0)
    assert lane.state is LaneState.READY
    assert (await lane.submit(final("a", 1)).wait()).transcript.text == "1"
    assert lane.statistics().engines.restarts == 0


@virtual_time
async def test_load_with_invalid_settings_is_not_retried(nursery: trio.Nursery) -> None:
    loads = 0

    def load() -> FakeEngine:
        nonlocal loads
        loads += 1
        raise SettingError("option colour does not exist")

    lane = new_lane(load)
    await nursery.start(lane.run)
    await trio.sleep(1000.0)
    assert (loads, lane.error) == (1, "option colour does not exist")


@virtual_time
async def test_no_engine_is_loaded_while_three_hang(nursery: trio.Nursery) -> None:
    engines = Engines(max_batch=1)
    lane = hanging_lane(engines, inference_s=hangs_for(1000.0), outage_limit_s=lambda: 50.0)
    await nursery.start(lane.run)
    tickets = [lane.submit(final(session_id, HANG)) for session_id in "ab"]
    message = await failure(tickets[0])
    assert "did not answer" in message
    assert "3 engines hang; no more are loaded" in await failure(tickets[1])
    assert lane.state is LaneState.FAILED
    assert len(engines.loads_s) == MAX_HUNG_THREADS == lane.statistics().engines.hung_threads
    await trio.sleep(900.0)
    assert len(engines.loads_s) == MAX_HUNG_THREADS
    assert "3 engines hang" in (lane.error or "")
    await trio.sleep(110.0)
    assert lane.state is LaneState.READY
    assert (await lane.submit(final("a", 1)).wait()).transcript.text == "1"
    await trio.sleep(100.0)
    assert lane.statistics().engines.hung_threads == 0
    assert [engine.closed for engine in engines.loaded] == [1, 1, 1, 0]


@virtual_time
async def test_engine_that_fails_job_after_job_is_replaced(nursery: trio.Nursery) -> None:
    def answer(batch: Batch) -> object:
        return None if any(len(each) == HANG for each in batch) else lengths(batch)

    engines = Engines(answer, max_batch=1)
    lane = new_lane(engines)
    await nursery.start(lane.run)

    async def fail(count: int) -> None:
        for _ in range(count):
            with pytest.raises(TranscriptionFailed):
                await lane.submit(partial("a", HANG)).wait()

    await fail(MAX_FAILED_JOBS - 1)
    assert (await lane.submit(final("a", 1)).wait()).transcript.text == "1"
    await fail(MAX_FAILED_JOBS - 1)
    assert (await lane.submit(final("a", 2)).wait()).transcript.text == "2"
    await trio.testing.wait_all_tasks_blocked()
    assert lane.statistics().engines.restarts == 0
    await fail(MAX_FAILED_JOBS - 1)
    with pytest.raises(TranscriptionFailed):  # a final counts once, although it was tried twice
        await lane.submit(final("a", HANG)).wait()
    assert (await lane.submit(final("a", 3)).wait()).transcript.text == "3"
    shown = lane.statistics().engines
    assert (shown.restarts, shown.hung_threads) == (1, 0)
    assert "5 jobs failed in a row; the last one: fake returned NoneType" in (shown.last_error or "")
    assert [engine.closed for engine in engines.loaded] == [1, 0]


@virtual_time
async def test_jobs_that_a_lost_engine_did_not_reach_go_to_the_next_one(nursery: trio.Nursery) -> None:
    """A batch fails, then five of its jobs alone, and the engine is discarded. The sixth job gets the next engine."""
    bad = iter([True] * (1 + MAX_FAILED_JOBS))
    engines = Engines(lambda batch: None if next(bad, False) else lengths(batch), max_batch=8)
    lane = new_lane(engines, batch_size=lambda _: 8)
    tickets = [lane.submit(final(str(number), number + 1)) for number in range(MAX_FAILED_JOBS + 1)]
    await nursery.start(lane.run)
    assert (await tickets[-1].wait()).transcript.text == "6"
    assert [ticket.state for ticket in tickets] == [TicketState.FAILED] * MAX_FAILED_JOBS + [TicketState.DONE]
    assert engines.batches[1] == [[6]]


@virtual_time
async def test_warm_up_that_hangs_is_a_hung_engine(nursery: trio.Nursery) -> None:
    engines = Engines()
    lane = hanging_lane(engines, warmup_clips=[clip(HANG)])
    await nursery.start(lane.run)
    await lane.wait_loaded()
    assert trio.current_time() == pytest.approx(0.5 + 10 * DEADLINE_S, abs=0.01)  # ten times the deadline of a job
    assert lane.state is LaneState.FAILED
    assert "did not answer within 50" in (lane.error or "")
    assert lane.statistics().engines.hung_threads == 1


@virtual_time
async def test_jobs_cancelled_during_a_restart_are_not_transcribed(nursery: trio.Nursery) -> None:
    engines = Engines()
    lane = hanging_lane(engines)
    await nursery.start(lane.run)
    tickets = [lane.submit(final(session_id, samples)) for session_id, samples in (("a", 1), ("b", HANG), ("c", 2))]
    await trio.sleep(DEADLINE_S + 1.5)
    assert lane.state is LaneState.RESTARTING
    assert tickets[0].cancel()
    assert lane.cancel_session("b") == 1
    assert (await tickets[2].wait()).transcript.text == "2"
    assert [await drop_reason(ticket.wait()) for ticket in tickets[:2]] == ["cancelled"] * 2
    assert engines.batches == [[], [[2]]]


@virtual_time
async def test_lane_may_end_while_it_has_no_engine() -> None:
    engines = Engines()
    engines.broken = {1}
    lane = hanging_lane(engines)
    async with trio.open_nursery() as nursery:
        await nursery.start(lane.run)
        interrupted = lane.submit(final("a", HANG))
        await trio.sleep(DEADLINE_S + 1.0)
        waiting = lane.submit(final("a", 1))
        nursery.cancel_scope.cancel()
    assert [await drop_reason(ticket.wait()) for ticket in (interrupted, waiting)] == ["closed"] * 2
    assert lane.state is LaneState.CLOSED


@virtual_time
async def test_hung_engine_does_not_delay_other_lanes(nursery: trio.Nursery) -> None:
    hanging, other = hanging_lane(Engines()), new_lane(FakeEngine())
    await nursery.start(hanging.run)
    await nursery.start(other.run)
    hanging.submit(final("a", HANG))
    delays_s = [(await other.submit(final("b")).wait()).total_s for _ in range(20)]
    assert delays_s == [1.0] * 20
    assert hanging.statistics().engines.restarts == 2


@virtual_time
async def test_info_of_the_lost_engine_stays_until_the_next_one_is_loaded(nursery: trio.Nursery) -> None:
    lane = hanging_lane(Engines(max_batch=1))
    await nursery.start(lane.run)
    lane.submit(partial("a", HANG))
    await trio.sleep(DEADLINE_S + 1.0)
    assert lane.state is LaneState.RESTARTING
    assert lane.statistics().engine == INFO

"""Engines that hang or fail too often, on virtual time: what is lost, who waits, and when the next one comes."""

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
    final,
    lane,
    lengths,
    partial,
    reason,
    virtual_time,
)
from trio_stt.errors import EngineUnavailable, SettingError, TranscriptionFailed
from trio_stt.lanes.engines.base import EngineInfo
from trio_stt.lanes.job import Ticket, TicketState
from trio_stt.lanes.lane import Lane
from trio_stt.lanes.lane_health import MAX_HUNG_THREADS
from trio_stt.lanes.lane_state import LaneState
from trio_stt.lanes.worker import MAX_FAILED_JOBS

HANG = 13
"""Samples of a clip on which an engine hangs; every other one takes a second."""

DEADLINE_S = 5.0


def hangs_for(hang_s: float) -> Callable[[Batch], float]:
    return lambda batch: hang_s if any(len(each) == HANG for each in batch) else 1.0


class Engines:
    """Loads one engine after the other, and remembers them all; `broken` loads fail, counted from the first."""

    def __init__(self, answer: Callable[[Batch], object] = lengths, *, max_batch: int = 8) -> None:
        self._answer = answer
        self._max_batch = max_batch
        self.loads_s: list[float] = []
        self.made: list[FakeEngine] = []
        self.broken: set[int] = set()

    def __call__(self) -> FakeEngine:
        self.loads_s.append(trio.current_time())
        if len(self.loads_s) - 1 in self.broken:
            raise EngineUnavailable("no memory left")
        self.made.append(FakeEngine(self._answer, max_batch=self._max_batch))
        return self.made[-1]

    @property
    def batches(self) -> list[list[list[int]]]:
        return [engine.batches for engine in self.made]


def hanging_lane(engines: Engines, **options: Any) -> Lane:
    given: dict[str, Any] = {
        "load_s": 0.5,
        "inference_s": hangs_for(math.inf),
        "batch_size": lambda _: 8,
        "job_deadline_s": lambda: DEADLINE_S,
    }
    return lane(engines, **(given | options))


async def failure(ticket: Ticket) -> str:
    with pytest.raises(EngineUnavailable) as caught:
        await ticket.wait()
    return str(caught.value)


@virtual_time
async def test_an_engine_that_hangs_is_replaced_and_its_finals_get_one_more_attempt(nursery: trio.Nursery) -> None:
    engines = Engines()
    served = hanging_lane(engines)
    poison, innocent = served.submit(final("a", HANG)), served.submit(final("b", 2))
    guess, later = served.submit(partial("c", 3)), served.submit(final("b", 4))
    await nursery.start(served.run)
    assert await reason(guess.wait()) == "engine lost"
    hung_s = trio.current_time()
    assert hung_s == pytest.approx(0.5 + DEADLINE_S, abs=0.01)  # loaded, and next to no audio
    assert served.state is LaneState.RESTARTING
    assert served.accepting
    assert "did not answer within 5" in await failure(poison)
    assert (await innocent.wait()).transcript.text == "2"
    assert (await later.wait()).transcript.text == "4"
    # Each alone the second time; the first of them hung again.
    assert engines.batches == [[], [], [[2], [4]]]
    assert served.state is LaneState.READY
    shown = served.statistics()
    assert (shown.engines.restarts, shown.engines.hung_threads, shown.engines.serving) == (2, 2, 1)
    assert "did not answer" in (shown.engines.last_error or "")
    assert (shown.healthy, shown.error, shown.ready) == (True, None, True)
    assert (shown.work.completed_jobs, shown.work.failed_jobs, shown.work.dropped_partials) == (2, 1, 1)


@virtual_time
async def test_a_job_may_take_longer_the_more_audio_there_is(nursery: trio.Nursery) -> None:
    engines = Engines()
    served = hanging_lane(engines, load_s=0.0, inference_s=lambda batch: sum(map(len, batch)) / 16_000)
    await nursery.start(served.run)
    await served.submit(final("a", 16_000 * 9)).wait()  # 9 s; 5 s and as long again for each 10 s of audio
    tickets = [served.submit(final("b", 16_000 * 4)), served.submit(final("c", 16_000 * 4))]
    for ticket in tickets:
        await ticket.wait()
    assert engines.batches == [[[144_000], [64_000, 64_000]]]
    assert served.statistics().engines.restarts == 0


@pytest.mark.parametrize(("device", "restarts"), [("cpu", 1), ("remote", 0)])
@virtual_time
async def test_a_remote_engine_keeps_its_own_deadline(device: str, restarts: int, nursery: trio.Nursery) -> None:
    class Somewhere(FakeEngine):
        @property
        def info(self) -> EngineInfo:
            return EngineInfo(engine="fake", model="m", device=device)

    served = lane(Somewhere(), inference_s=lambda _: 600.0, job_deadline_s=lambda: DEADLINE_S)
    await nursery.start(served.run)
    served.submit(partial("a"))
    await trio.sleep(601.0)
    assert served.statistics().engines.restarts == restarts
    assert served.statistics().work.completed_jobs == 1 - restarts


@virtual_time
async def test_without_a_deadline_an_engine_may_take_for_ever(nursery: trio.Nursery) -> None:
    served = hanging_lane(Engines(), inference_s=hangs_for(1e6), job_deadline_s=lambda: math.inf)
    await nursery.start(served.run)
    assert (await served.submit(final("a", HANG)).wait()).inference_s == 1e6


@virtual_time
async def test_loads_are_tried_again_with_growing_pauses_until_a_job_succeeds(nursery: trio.Nursery) -> None:
    engines = Engines()
    engines.broken = set(range(1, 9))
    served = hanging_lane(engines, outage_limit_s=lambda: math.inf)
    await nursery.start(served.run)
    await reason(served.submit(partial("a", HANG)).wait())
    lost_s = trio.current_time()
    assert (await served.submit(final("a", 1)).wait()).transcript.text == "1"
    # A load takes half a second, whatever comes of it.
    pauses_s = [after - before for before, after in pairwise([lost_s, *engines.loads_s[1:]])]
    assert pauses_s == pytest.approx([0.5 + pause_s for pause_s in (1, 2, 4, 8, 16, 32, 60, 60, 60)])
    await reason(served.submit(partial("a", HANG)).wait())
    lost_s = trio.current_time()
    await trio.sleep(10.0)
    assert engines.loads_s[-1] - lost_s == pytest.approx(1.5)  # The success has reset the pause.


@virtual_time
async def test_finals_wait_for_an_engine_up_to_a_limit_that_they_are_told(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    engines = Engines()
    engines.broken = set(range(1, 8))
    served = hanging_lane(engines, outage_limit_s=lambda: 20.0)
    await nursery.start(served.run)
    orphan = served.submit(final("a", HANG))
    await trio.sleep(DEADLINE_S + 1.0)
    waiting, unwanted = served.submit(final("b", 1)), served.submit(final("b", 2))
    assert waiting.state is TicketState.QUEUED
    assert unwanted.cancel()
    told = await failure(waiting)
    assert told == "the main lane has no engine: no engine for 20 s (engine_outage_limit_s); no memory left"
    assert await failure(orphan) == told
    assert trio.current_time() == pytest.approx(0.5 + DEADLINE_S + 20.0, abs=0.01)
    assert (served.state, served.accepting, served.ready) == (LaneState.FAILED, False, True)
    assert await failure(served.submit(final("c", 3))) == told
    shown = served.statistics()
    assert (shown.healthy, shown.work.failed_jobs, shown.queue.queued) == (False, 3, 0)
    # It goes on trying, and serves again as soon as it can.
    await trio.sleep(200.0)
    assert (served.state, served.error, served.accepting) == (LaneState.READY, None, True)
    assert (await served.submit(final("c", 3)).wait()).transcript.text == "3"
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR][1:] == [
        "main lane: no memory left"  # once, however often
    ]


@virtual_time
async def test_a_lane_whose_first_load_failed_fails_its_jobs_at_once_and_goes_on_trying(nursery: trio.Nursery) -> None:
    engines = Engines()
    engines.broken = {0, 1}
    served = hanging_lane(engines)
    early = served.submit(final("a", 1))
    await nursery.start(served.run)
    assert await failure(early) == "the main lane has no engine: no memory left"
    await trio.sleep(10.0)
    assert served.state is LaneState.READY
    assert (await served.submit(final("a", 1)).wait()).transcript.text == "1"
    assert served.statistics().engines.restarts == 0


@virtual_time
async def test_settings_that_no_engine_takes_are_not_tried_again(nursery: trio.Nursery) -> None:
    loads = 0

    def load() -> FakeEngine:
        nonlocal loads
        loads += 1
        raise SettingError("option colour does not exist")

    served = lane(load)
    await nursery.start(served.run)
    await trio.sleep(1000.0)
    assert (loads, served.error) == (1, "option colour does not exist")


@virtual_time
async def test_three_engines_that_hang_are_enough_until_one_comes_back(nursery: trio.Nursery) -> None:
    engines = Engines(max_batch=1)
    served = hanging_lane(engines, inference_s=hangs_for(1000.0), outage_limit_s=lambda: 50.0)
    await nursery.start(served.run)
    tickets = [served.submit(final(session_id, HANG)) for session_id in "ab"]
    told = await failure(tickets[0])
    assert "did not answer" in told
    assert "3 engines hang; no more are loaded" in await failure(tickets[1])
    assert served.state is LaneState.FAILED
    assert len(engines.loads_s) == MAX_HUNG_THREADS == served.statistics().engines.hung_threads
    await trio.sleep(900.0)
    assert len(engines.loads_s) == MAX_HUNG_THREADS
    assert "3 engines hang" in (served.error or "")
    await trio.sleep(110.0)
    assert served.state is LaneState.READY
    assert (await served.submit(final("a", 1)).wait()).transcript.text == "1"
    await trio.sleep(100.0)
    assert served.statistics().engines.hung_threads == 0
    assert [engine.closed for engine in engines.made] == [1, 1, 1, 0]


@virtual_time
async def test_an_engine_that_fails_job_after_job_is_replaced(nursery: trio.Nursery) -> None:
    def answer(batch: Batch) -> object:
        return None if any(len(each) == HANG for each in batch) else lengths(batch)

    engines = Engines(answer, max_batch=1)
    served = lane(engines)
    await nursery.start(served.run)

    async def fail(count: int) -> None:
        for _ in range(count):
            with pytest.raises(TranscriptionFailed):
                await served.submit(partial("a", HANG)).wait()

    await fail(MAX_FAILED_JOBS - 1)
    assert (await served.submit(final("a", 1)).wait()).transcript.text == "1"
    await fail(MAX_FAILED_JOBS - 1)
    assert (await served.submit(final("a", 2)).wait()).transcript.text == "2"
    await trio.testing.wait_all_tasks_blocked()
    assert served.statistics().engines.restarts == 0
    await fail(MAX_FAILED_JOBS - 1)
    with pytest.raises(TranscriptionFailed):  # A final counts once, though it was tried twice.
        await served.submit(final("a", HANG)).wait()
    assert (await served.submit(final("a", 3)).wait()).transcript.text == "3"
    shown = served.statistics().engines
    assert (shown.restarts, shown.hung_threads) == (1, 0)
    assert "5 jobs failed in a row; the last one: fake returned NoneType" in (shown.last_error or "")
    assert [engine.closed for engine in engines.made] == [1, 0]


@virtual_time
async def test_jobs_of_a_batch_that_an_engine_did_not_get_to_go_to_the_next_one(nursery: trio.Nursery) -> None:
    """The batch fails, five of its jobs fail alone, too, and with them the engine: the sixth has another attempt."""
    bad = iter([True] * (1 + MAX_FAILED_JOBS))
    engines = Engines(lambda batch: None if next(bad, False) else lengths(batch), max_batch=8)
    served = lane(engines, batch_size=lambda _: 8)
    tickets = [served.submit(final(str(number), number + 1)) for number in range(MAX_FAILED_JOBS + 1)]
    await nursery.start(served.run)
    assert (await tickets[-1].wait()).transcript.text == "6"
    assert [ticket.state for ticket in tickets] == [TicketState.FAILED] * MAX_FAILED_JOBS + [TicketState.DONE]
    assert engines.batches[1] == [[6]]


@virtual_time
async def test_a_warm_up_that_hangs_is_an_engine_that_hangs(nursery: trio.Nursery) -> None:
    engines = Engines()
    served = hanging_lane(engines, warmup_clips=[clip(HANG)])
    await nursery.start(served.run)
    await served.wait_loaded()
    assert trio.current_time() == pytest.approx(0.5 + 10 * DEADLINE_S, abs=0.01)  # more patience than with a job
    assert served.state is LaneState.FAILED
    assert "did not answer within 50" in (served.error or "")
    assert served.statistics().engines.hung_threads == 1


@virtual_time
async def test_who_gives_up_during_a_restart_is_not_transcribed(nursery: trio.Nursery) -> None:
    engines = Engines()
    served = hanging_lane(engines)
    await nursery.start(served.run)
    tickets = [served.submit(final(session_id, samples)) for session_id, samples in (("a", 1), ("b", HANG), ("c", 2))]
    await trio.sleep(DEADLINE_S + 1.5)
    assert served.state is LaneState.RESTARTING
    assert tickets[0].cancel()
    assert served.cancel_session("b") == 1
    assert (await tickets[2].wait()).transcript.text == "2"
    assert [await reason(ticket.wait()) for ticket in tickets[:2]] == ["cancelled"] * 2
    assert engines.batches == [[], [[2]]]


@virtual_time
async def test_a_lane_may_end_while_it_has_no_engine() -> None:
    engines = Engines()
    engines.broken = {1}
    served = hanging_lane(engines)
    async with trio.open_nursery() as nursery:
        await nursery.start(served.run)
        orphan = served.submit(final("a", HANG))
        await trio.sleep(DEADLINE_S + 1.0)
        waiting = served.submit(final("a", 1))
        nursery.cancel_scope.cancel()
    assert [await reason(ticket.wait()) for ticket in (orphan, waiting)] == ["closed"] * 2
    assert served.state is LaneState.CLOSED


@virtual_time
async def test_other_lanes_do_not_notice(nursery: trio.Nursery) -> None:
    hanging, other = hanging_lane(Engines()), lane(FakeEngine())
    await nursery.start(hanging.run)
    await nursery.start(other.run)
    hanging.submit(final("a", HANG))
    delays_s = [(await other.submit(final("b")).wait()).total_s for _ in range(20)]
    assert delays_s == [1.0] * 20
    assert hanging.statistics().engines.restarts == 2


@virtual_time
async def test_info_of_an_engine_stays_while_the_next_one_is_loaded(nursery: trio.Nursery) -> None:
    served = hanging_lane(Engines(max_batch=1))
    await nursery.start(served.run)
    served.submit(partial("a", HANG))
    await trio.sleep(DEADLINE_S + 1.0)
    assert served.state is LaneState.RESTARTING
    assert served.statistics().engine == INFO

"""How the number of workers follows the load: tables, a property over constant loads, and a lane on virtual time."""

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lanes.fakes import FakeEngine, final, limits, new_lane, virtual_time
from trio_stt.lanes.job import Ticket
from trio_stt.lanes.lane import Lane
from trio_stt.lanes.worker_scaling import GROW_AFTER_S, LONG_DELAY_S, SHRINK_AFTER_S, Load, WorkerScaling

LONG_S = 600


def changes(
    *, queue_delay_s: float = 0.0, busy: float, workers: int, serving: int | None = None, least: int = 1, most: int = 4
) -> list[tuple[int, int]]:
    """The second and the sign of each change under a load that stays, which the changes do not affect."""
    scaling, found = WorkerScaling(least=least, most=most, now_s=0.0), []
    for second in range(1, 200):
        load = Load(
            queue_delay_s=queue_delay_s,
            busy_s=busy,
            workers=workers,
            serving=workers if serving is None else serving,
        )
        if change := scaling.change(float(second), load):
            found.append((second, change))
    return found


@pytest.mark.parametrize(
    ("given", "first"),
    [
        ({"busy": 0.0, "queue_delay_s": LONG_DELAY_S, "workers": 1}, (1 + GROW_AFTER_S, 1)),
        ({"busy": 0.0, "queue_delay_s": LONG_DELAY_S - 0.01, "workers": 1}, None),
        ({"busy": 0.0, "queue_delay_s": 9.0, "workers": 4}, None),  # the most
        ({"busy": 0.0, "queue_delay_s": 9.0, "workers": 2, "serving": 1}, None),  # one still loads
        ({"busy": 2.0, "workers": 2}, (22, 1)),  # 1 - exp(-19 / 10) = 0.85, and 3 s
        ({"busy": 1.6, "workers": 2}, None),
        ({"busy": 0.0, "workers": 2}, (1 + SHRINK_AFTER_S, -1)),
        ({"busy": 0.0, "workers": 2, "serving": 1}, (1 + SHRINK_AFTER_S, -1)),
        ({"busy": 0.0, "workers": 2, "least": 2}, None),
        ({"busy": 0.7, "workers": 2}, None),  # one worker would be busy for 0.7 of the time
    ],
)
def test_first_change(given: dict[str, float], first: tuple[int, int] | None) -> None:
    found = changes(**given)  # type: ignore[arg-type] # numbers of workers are whole
    assert (found[0] if found else None) == first


def test_short_burst_changes_nothing() -> None:
    scaling = WorkerScaling(least=1, most=4, now_s=0.0)
    for second in range(1, 100):
        burst_s = 2.0 if second % 10 in (1, 2, 3) else 0.0
        assert not scaling.change(float(second), Load(queue_delay_s=burst_s, busy_s=0.5, workers=1, serving=1))


@settings(max_examples=40)
@given(
    demand=st.floats(0.0, 10.0),
    start=st.integers(0, 7),
    least=st.integers(1, 3),
    more=st.integers(0, 5),
    loading_s=st.integers(0, 40),
)
def test_constant_load_leads_to_one_number_in_one_direction(
    demand: float, start: int, least: int, more: int, loading_s: int
) -> None:
    most = least + more
    workers, loading_until = least + start % (more + 1), 0
    scaling, signs, last = WorkerScaling(least=least, most=most, now_s=0.0), set(), 0
    for second in range(1, LONG_S + 1):
        serving = workers - (second < loading_until)
        load = Load(
            queue_delay_s=5.0 if demand > serving else 0.0,
            busy_s=min(demand, float(serving)),
            workers=workers,
            serving=serving,
        )
        if change := scaling.change(float(second), load):
            workers += change
            signs.add(change)
            last = second
            loading_until = second + loading_s if change > 0 else loading_until
        assert least <= workers <= most
    # The smoothed share starts at 0, so a load below the limits may first take one away; it never comes and goes.
    assert len(signs) <= 1
    assert last < LONG_S - SHRINK_AFTER_S
    assert workers == most or workers >= demand


async def finish(tickets: list[Ticket]) -> None:
    for ticket in tickets:
        await ticket.wait()


def scaling_lane(engine: FakeEngine, **options: object) -> Lane:
    return new_lane(engine, workers=1, most_workers=3, limits=limits(finals=1_000, jobs=1_000), **options)  # type: ignore[arg-type]


@virtual_time
async def test_lane_grows_with_its_queue_and_shrinks_when_it_is_idle() -> None:
    lane = scaling_lane(FakeEngine(), load_s=5.0)
    async with trio.open_nursery() as nursery:
        await nursery.start(lane.run)
        await lane.wait_loaded()
        tickets = [lane.submit(final(f"{number}")) for number in range(60)]
        await trio.sleep(25.0)
        assert (lane.statistics().engines.workers, lane.statistics().engines.serving) == (3, 3)
        await finish(tickets)
        await trio.sleep(3 * SHRINK_AFTER_S)
        assert (lane.statistics().engines.workers, lane.statistics().engines.serving) == (1, 1)
        assert lane.statistics().engines.restarts == 0
        nursery.cancel_scope.cancel()


@virtual_time
async def test_worker_that_is_not_needed_finishes_its_job_first() -> None:
    # One long job, and two workers that were added for a burst: whichever goes, the job is done.
    engine = FakeEngine()
    lane = scaling_lane(engine, inference_s=lambda batch: 300.0 if len(batch[0]) == 7 else 1.0)
    async with trio.open_nursery() as nursery:
        await nursery.start(lane.run)
        await lane.wait_loaded()
        tickets = [lane.submit(final(f"{number}")) for number in range(60)]
        await trio.sleep(20.0)
        tickets += [lane.submit(final(f"long-{number}", 7)) for number in range(2)]
        await finish(tickets)
        assert sorted(engine.clips) == [1] * 60 + [7] * 2
        await trio.sleep(3 * SHRINK_AFTER_S)
        assert lane.statistics().engines.serving == 1
        assert (await lane.submit(final("after")).wait()).transcript.text == "1"
        nursery.cancel_scope.cancel()


@virtual_time
async def test_retired_worker_in_a_call_closes_its_engine_after_the_call() -> None:
    lane = new_lane(FakeEngine(), inference_s=lambda _: 100.0)
    async with trio.open_nursery() as nursery:
        await nursery.start(lane.run)
        await lane.wait_loaded()
        ticket = lane.submit(final("a"))
        await trio.sleep(1.0)
        (worker,) = lane._pool._workers
        worker.retire()
        assert (await ticket.wait()).transcript.text == "1"
        await trio.testing.wait_all_tasks_blocked()
        assert lane.statistics().engines.serving == 0
        nursery.cancel_scope.cancel()

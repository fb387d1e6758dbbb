"""The state of a lane by its engines, without a lane, on virtual time."""

import trio

from tests.lanes.fakes import INFO, virtual_time
from trio_stt.errors import EngineUnavailable
from trio_stt.lanes.lane_health import MAX_HUNG_THREADS, LaneHealth
from trio_stt.lanes.lane_state import LaneState

LOST = EngineUnavailable("no memory left")


@virtual_time
async def test_each_outage_has_the_whole_limit(nursery: trio.Nursery) -> None:
    failures: list[float] = []
    health = LaneHealth(
        "main", workers=1, outage_limit_s=lambda: 5.0, on_failed=lambda: failures.append(trio.current_time())
    )
    nursery.start_soon(health.watch_outages)
    health.engine_loaded(INFO)
    await trio.sleep(1.0)
    health.engine_lost(LOST, hung=False)
    assert health.state is LaneState.RESTARTING
    await trio.sleep(4.0)
    health.engine_loaded(INFO)
    health.engine_lost(LOST, hung=False)  # at once, before any other task runs
    await trio.sleep(4.0)
    assert (health.state, failures) == (LaneState.RESTARTING, [])
    await trio.sleep(2.0)
    assert (health.state, failures) == (LaneState.FAILED, [10.0])
    assert health.error == "no engine for 5 s (engine_outage_limit_s); no memory left"
    health.engine_loaded(INFO)
    assert (health.state, health.error) == (LaneState.READY, None)
    await trio.sleep(100.0)
    assert health.state is LaneState.READY


@virtual_time
async def test_lane_fails_when_the_first_load_of_every_worker_failed_however_often_one_tried() -> None:
    health = LaneHealth("main", workers=2, outage_limit_s=lambda: 5.0, on_failed=lambda: None)
    health.load_failed(LOST, first=True, hung=False)
    health.load_failed(LOST, first=False, hung=False)
    assert health.state is LaneState.LOADING
    health.load_failed(LOST, first=True, hung=False)
    assert (health.state, health.error) == (LaneState.FAILED, "no memory left")
    await health.wait_loaded()


@virtual_time
async def test_closed_lane_stays_closed_when_too_many_engines_hang(nursery: trio.Nursery) -> None:
    health = LaneHealth("main", workers=MAX_HUNG_THREADS, outage_limit_s=lambda: 5.0, on_failed=lambda: None)
    for _ in range(MAX_HUNG_THREADS):
        health.engine_loaded(INFO)
        health.engine_lost(LOST, hung=True)
    health.close()
    nursery.start_soon(health.wait_load_allowed)  # a worker that released its engine while the lane closed
    await trio.sleep(1.0)
    assert health.state is LaneState.CLOSED


@virtual_time
async def test_lane_with_another_engine_stays_ready() -> None:
    health = LaneHealth("main", workers=2, outage_limit_s=lambda: 0.0, on_failed=lambda: None)
    health.engine_loaded(INFO)
    health.engine_loaded(INFO)
    health.engine_lost(LOST, hung=True)
    assert health.state is LaneState.READY
    shown = health.statistics()
    assert (shown.serving, shown.restarts, shown.hung_threads, shown.last_error) == (1, 1, 1, "no memory left")
    health.engine_returned()
    assert health.statistics().hung_threads == 0

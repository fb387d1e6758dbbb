"""Lanes as the server builds them: workers, threads, deadlines and reports, with fake engines on real threads."""

import json
import logging
import threading
from dataclasses import replace

import msgspec
import pytest
import trio

from tests.contract.fixtures import change
from tests.lanes.fakes import Batch, FakeEngine, final, lengths, wait_until
from trio_stt.errors import EngineUnavailable, SettingError
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import EngineConfig, Transcript
from trio_stt.lanes.job import JobKind
from trio_stt.server import lane_plan
from trio_stt.server.build import build_server
from trio_stt.server.server_state import ServerState
from trio_stt.settings import load_settings

HANG = 13
ONE_LANE = {"transcription_engine": "faster_whisper", "use_main_model_for_realtime": True}
TWO_LANES = {"transcription_engine": "faster_whisper", "realtime_model": "another"}
REMOTE_FINALS = {"transcription_engine": "openai_api", "realtime_transcription_engine": "whisper_cpp"}


class Loads:
    """Loads fake engines and records their configurations; with `once`, only the first load succeeds.

    `release` ends hung calls.
    """

    def __init__(self, *, once: bool = False) -> None:
        self.configs: list[EngineConfig] = []
        self.release = threading.Event()
        self._once = once

    def __call__(self, config: EngineConfig) -> FakeEngine:
        self.configs.append(config)
        if self._once and len(self.configs) > 1:
            raise EngineUnavailable("no memory left")
        return FakeEngine(self._answer)

    def _answer(self, batch: Batch) -> list[Transcript]:
        if len(batch[0]) == HANG:
            assert self.release.wait(30)
        return lengths(batch)


def built(monkeypatch: pytest.MonkeyPatch, loads: Loads, *, cores: int = 8, **settings: object) -> ServerState:
    monkeypatch.setattr(registry, "load", loads)
    monkeypatch.setattr(lane_plan, "usable_cores", lambda: cores)
    return build_server(load_settings({"model_warmup": False, **settings}))


async def loaded(server_state: ServerState, loads: Loads, count: int) -> list[EngineConfig]:
    """Run the lanes until every worker is ready; returns the configurations of the `count` loads."""
    async with trio.open_nursery() as nursery:
        await nursery.start(server_state.lanes.run)
        await wait_until(
            lambda: (
                not any(lane.engines.serving < lane.engines.workers for lane in server_state.lanes.statistics().lanes)
            )
        )
        nursery.cancel_scope.cancel()
    assert len(loads.configs) == count
    return loads.configs


@pytest.mark.parametrize(
    ("settings", "cores", "threads"),
    [
        (ONE_LANE, 8, 4),
        (ONE_LANE, 4, 3),
        (ONE_LANE, 1, 1),
        (ONE_LANE | {"lane_workers": 3}, 8, 2),
        ({}, 8, 1),  # Moonshine is fastest with one thread
        (TWO_LANES, 8, 3),
        (TWO_LANES | {"lane_workers": 2, "realtime_lane_workers": 5}, 16, 2),
        (TWO_LANES | {"lane_workers": 2, "realtime_lane_workers": 5}, 2, 1),
        ({"transcription_engine": "openai_api", "realtime_transcription_engine": "whisper_cpp"}, 4, 3),
        (
            {
                "transcription_engine": "openai_api",
                "lane_workers": 9,
                "realtime_transcription_engine": "faster_whisper",
            },
            5,
            4,
        ),
    ],
)
async def test_concurrent_calls_share_all_cores_but_one(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, object], cores: int, threads: int
) -> None:
    loads = Loads()
    server_state = built(monkeypatch, loads, cores=cores, **settings)
    configs = await loaded(server_state, loads, len(server_state.lanes.statistics().lanes))
    assert {config.num_threads for config in configs} == {threads}


@pytest.mark.parametrize(
    ("settings", "cores", "workers"),
    [
        ({}, 2, (2,)),
        ({}, 1, (1,)),
        ({}, 64, (4,)),
        ({"lane_workers": 1}, 64, (1,)),
        ({"device": "cuda"}, 64, (1,)),
        ({"realtime_model": "another"}, 6, (3, 3)),
        ({"realtime_model": "another", "realtime_lane_workers": 2}, 2, (1, 2)),
        (ONE_LANE, 64, (1,)),
        ({"transcription_engine_options": {"backend": "transformers"}, "use_main_model_for_realtime": True}, 64, (1,)),
    ],
)
async def test_number_of_workers_follows_engine_and_cores(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, object], cores: int, workers: tuple[int, ...]
) -> None:
    server_state = built(monkeypatch, Loads(), cores=cores, **settings)
    assert tuple(lane.engines.workers for lane in server_state.lanes.statistics().lanes) == workers


@pytest.mark.parametrize(
    ("engine", "loads_each", "num_workers"),
    [("sherpa_onnx_moonshine", 1, 3), ("faster_whisper", 1, 3), ("whisper_cpp", 3, 1)],
)
async def test_workers_share_a_model_if_the_engine_allows_it(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    engine: str,
    loads_each: int,
    num_workers: int,
) -> None:
    caplog.set_level(logging.INFO, "trio_stt")
    loads = Loads()
    server_state = built(
        monkeypatch, loads, use_main_model_for_realtime=True, transcription_engine=engine, lane_workers=3
    )
    configs = await loaded(server_state, loads, loads_each)
    assert {config.num_workers for config in configs} == {num_workers}
    assert server_state.health().scheduler.workers["main"].workers == 3
    assert "recovered" not in caplog.text, "no engine was lost"


async def test_engine_with_one_worker_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    name = "sherpa_onnx_moonshine"
    monkeypatch.setitem(registry._BY_NAME, name, replace(registry.resolve(name), workers="one"))
    with caplog.at_level(logging.WARNING):
        server_state = built(monkeypatch, Loads(), lane_workers=4)
    assert server_state.health().scheduler.workers["main"].workers == 1
    assert f"engine {name} runs with one worker, not 4: it decodes all utterances in one call" in caplog.messages


async def test_hang_is_reported_in_health_and_its_settings_change_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loads = Loads(once=True)
    server_state = built(monkeypatch, loads, job_deadline_s=0.0, lane_workers=1)
    lane = server_state.lanes.lane_for(JobKind.FINAL)
    async with trio.open_nursery() as nursery:
        await nursery.start(server_state.lanes.run)
        await server_state.lanes.wait_loaded()
        change(server_state, job_deadline_s=0.5, engine_outage_limit_s=3600.0)
        ticket = lane.submit(final("a", HANG))
        await wait_until(lambda: server_state.health().scheduler.workers["main"].restarts)
        shown = json.loads(msgspec.json.encode(server_state.health()))
        worker = shown["scheduler"]["workers"]["main"]
        assert (worker["state"], worker["serving"], worker["hungThreads"]) == ("restarting", 0, 1)
        assert worker["lastError"].startswith("the engine did not answer within 0.5")
        assert (shown["ok"], shown["ready"], shown["startupErrors"]) == (True, True, [])
        assert ticket.cancel()
        loads.release.set()
        await wait_until(lambda: not server_state.health().scheduler.workers["main"].hung_threads)
        nursery.cancel_scope.cancel()


async def test_long_outage_is_reported_with_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = Loads(once=True)
    server_state = built(monkeypatch, loads, job_deadline_s=0.05, engine_outage_limit_s=0.0, lane_workers=1)
    lane = server_state.lanes.lane_for(JobKind.FINAL)
    async with trio.open_nursery() as nursery:
        await nursery.start(server_state.lanes.run)
        with pytest.raises(EngineUnavailable, match=r"no engine for 0 s \(engine_outage_limit_s\); the engine did not"):
            await lane.submit(final("a", HANG)).wait()
        shown = server_state.health()
        assert (shown.ok, shown.ready, shown.scheduler.workers["main"].state) == (False, True, "failed")
        assert [error.where for error in shown.startup_errors] == ["main_engine"]
        loads.release.set()
        await wait_until(lambda: not server_state.health().scheduler.workers["main"].hung_threads)
        nursery.cancel_scope.cancel()


async def test_most_workers_stand_above_the_least(monkeypatch: pytest.MonkeyPatch) -> None:
    server_state = built(monkeypatch, Loads(), cores=64, lane_workers=2, lane_workers_max=5)
    assert server_state.lanes.lane_for(JobKind.FINAL)._pool._most == 5
    with pytest.raises(SettingError, match=r"lane_workers_max \(2\) must be 0 or at least lane_workers \(3\)"):
        load_settings({"lane_workers": 3, "lane_workers_max": 2})

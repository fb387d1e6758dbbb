"""Settings and features without effect: defects 29 to 34 in tests/contract_report.py."""

import logging
import threading
from collections.abc import Sequence

import numpy as np
import pytest
import trio

from tests.contract.fixtures import PAUSE_S, RecordingAnswer, change, served, talk
from tests.lanes.fakes import Batch, FakeEngine, lengths, partial, virtual_time
from tests.support.conversation import server_fixture
from tests.support.declared import bad_values
from trio_stt.lanes.engines.base import Hints, Request, Transcript
from trio_stt.lanes.job import JobKind
from trio_stt.protocol.events import Final, Realtime, Status, WarningEvent
from trio_stt.settings import RuntimeClass, declarations

contract = pytest.mark.contract


@contract("5.4", "3", "11/29", "11/33")
@virtual_time
async def test_partial_audio_limits_apply_to_later_sessions() -> None:
    recording = RecordingAnswer()
    async with server_fixture(answer=recording) as server:
        changed = change(server.server_state, realtime_min_audio_seconds=1.0, realtime_max_audio_seconds=2.0)
        assert changed.rejected == {}
        client = await server.streaming_client()
        await talk(client, 1111, 4.0)
        sizes = [clip.size for clip in recording.clips]
        assert 16_000 - 1024 <= sizes[0] < 16_000 - 1024 + 1280, "the last whole window before a second"
        assert max(sizes) == sizes[-1] == 32_000


@contract("3", "11/29")
async def test_energy_threshold_applies_to_later_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(monkeypatch) as server:
        noise = np.random.default_rng(0).normal(scale=100, size=(900, 512)).round().astype(np.int16)
        passes = []
        for threshold in (250.0, 50.0):
            change(server.server_state, vad_energy_threshold=threshold)
            detector = server.server_state.new_detector(server.server_state.settings)
            passes.append([detector.detect(window, speaking=False).probability > 0.0 for window in noise][-1])
        assert passes == [False, True], "steady noise of RMS 100"


@contract("3", "11/29")
@virtual_time
@pytest.mark.parametrize(("threshold_ms", "degraded"), [(300, True), (600_000, False)])
async def test_partials_slow_down_beyond_the_degradation_threshold_with_a_warning(
    threshold_ms: int, degraded: bool
) -> None:
    async with server_fixture(inference_s=lambda _: 1.0, realtime_degradation_threshold_ms=threshold_ms) as server:
        clients = [await server.connect() for _ in range(3)]
        async with trio.open_nursery() as nursery:
            for client in clients:
                client.command("start")
                nursery.start_soon(talk, client, 1111, 15.0)
        messages = [notice.message for client in clients for notice in client.of(WarningEvent)]
        assert any("less often" in message for message in messages) == degraded
        assert any(status.degraded for client in clients for status in client.of(Status)) == degraded
        assert server.server_state.limits().realtime_degradation_threshold_ms == threshold_ms


@contract("3", "1.3", "11/29")
@virtual_time
async def test_log_level_changes_what_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with server_fixture() as server:
        logged = []
        for level in ("DEBUG", "WARNING", "INFO"):
            change(server.server_state, log_level=level)
            caplog.clear()
            for number in (logging.DEBUG, logging.INFO, logging.WARNING):
                logging.getLogger("trio_stt.session").log(number, "logged")
            logged.append(len([record for record in caplog.records if record.getMessage() == "logged"]))
        assert logged == [3, 1, 2]
        assert logging.getLogger("trio_stt").level == logging.INFO


@contract("3", "8.2", "11/29")
@virtual_time
async def test_prompts_and_filter_reach_the_engine_of_later_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    hints: list[Hints] = []
    transcribe = FakeEngine.transcribe

    def recording(engine: FakeEngine, batch: Sequence[Request]) -> list[Transcript]:
        hints.extend(request.hints for request in batch)
        return transcribe(engine, batch)

    monkeypatch.setattr(FakeEngine, "transcribe", recording)
    async with server_fixture() as server:
        hints_used: list[set[tuple[str | None, bool]]] = []
        for changes in ({}, {"initial_prompt": "F", "initial_prompt_realtime": "P", "vad_filter": False}):
            change(server.server_state, **changes)
            hints.clear()
            client = await server.streaming_client()
            await talk(client, 1111, 1.0)
            client.command("stop")
            await client.until(Final)
            assert client.of(Realtime)
            hints_used.append({(each.prompt, each.vad_filter) for each in hints})
        assert {prompt for prompt, _ in hints_used[0]} == {None}
        assert True in {filtered for _, filtered in hints_used[0]}
        assert hints_used[1] == {("F", False), ("P", False)}


@contract("3", "11/29")
async def test_partial_batch_size_changes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Semaphore(0)

    def answer(batch: Batch) -> list[Transcript]:
        go.acquire()
        return lengths(batch)

    engine = FakeEngine(answer, max_batch=16)
    async with served(monkeypatch, engine, model_warmup=False) as server:
        lane = server.server_state.lanes.lane_for(JobKind.PARTIAL)

        async def sizes() -> list[int]:
            """The batch sizes in which six queued partials run."""
            before = len(engine.batches)
            tickets = [lane.submit(partial("first"))]
            with trio.fail_after(10):
                while len(engine.batches) == before:  # noqa: ASYNC110 - the engine's thread cannot set our events
                    await trio.sleep(0.001)
                tickets += [lane.submit(partial(f"{number}")) for number in range(6)]
                for _ in range(7):
                    go.release()
                for ticket in tickets:
                    await ticket.wait()
            while go.acquire(blocking=False):
                pass
            return [len(batch) for batch in engine.batches[before + 1 :]]

        assert await sizes() == [6]
        change(server.server_state, realtime_batch_size=2)
        assert await sizes() == [2, 2, 2]


@contract("7.5", "11/30")
@pytest.mark.parametrize("warms_up", [True, False])
async def test_every_engine_is_warmed_up_before_ready(monkeypatch: pytest.MonkeyPatch, warms_up: bool) -> None:
    engine = FakeEngine()
    async with served(monkeypatch, engine, model_warmup=warms_up, realtime_model="another") as server:
        assert server.server_state.lanes.ok
        assert engine.clips == [16_000, 16_000] * warms_up


@contract("7.1", "1.5", "11/31")
async def test_one_model_makes_one_lane_and_two_models_make_two(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(monkeypatch, use_main_model_for_realtime=True, realtime_model="another") as server:
        scheduler = server.server_state.health().scheduler
        assert (scheduler.mode, list(scheduler.queues)) == ("low-memory-one-model", ["main"])
        assert list(scheduler.workers) == ["main"]
    async with served(monkeypatch, realtime_model="another") as server:
        scheduler = server.server_state.health().scheduler
        assert (scheduler.mode, list(scheduler.queues)) == ("balanced-main-plus-realtime", ["main", "realtime"])
        assert list(scheduler.workers) == ["main", "realtime"]


@contract("7.1", "5.4", "11/31")
@virtual_time
async def test_partials_on_the_main_lane_stay_partials() -> None:
    async with server_fixture(
        use_main_model_for_realtime=True,
        early_transcription_on_silence=0.0,
        max_final_queue_depth_per_session=1,
        max_realtime_queue_age_ms=500,
        inference_s=lambda batch: 3.0 if len(batch[0]) > 40_000 else 0.05,
    ) as server:
        client, other = await server.connect(), await server.connect(partials=False)
        client.command("start")
        await talk(client, 1111, 1.0)
        other.command("start")
        other.say(2222, 3.0)
        other.command("stop")
        await talk(client, 1111, 0.4)
        queue = server.server_state.health().scheduler.queues["main"]
        assert [(jobs.final, jobs.realtime) for jobs in queue.per_session.values()] == [(0, 1)]
        await trio.sleep(3)  # past its deadline
        client.say(1111, 0.4)
        client.pause(PAUSE_S)
        await client.until(Final)
        report = client.session.report()
        assert report.final_submitted == report.final_completed == 1
        assert report.realtime_submitted > 5
        assert report.stale_realtime_discarded == 1
        assert report.coalesced_realtime > 0
        assert report.final_rejected == 0


@contract("7.2", "5.4", "1.5", "1.7", "11/32")
@virtual_time
async def test_queued_partials_are_coalesced_and_counted_once() -> None:
    recording = RecordingAnswer()
    async with server_fixture(
        inference_s=lambda batch: 3.0 if 2222 / 32768 in batch[0] else 0.05,
        answer=recording,
        early_transcription_on_silence=0.0,
        max_realtime_queue_age_ms=500,
    ) as server:
        client, other = await server.connect(), await server.connect(partials=False)
        other.command("start")
        other.say(2222, 1.0)
        other.command("stop")
        await trio.sleep(0.5)  # the engine is busy with it
        client.command("start")
        await talk(client, 1111, 2.0)
        assert client.of(Realtime) == []
        queue = server.server_state.health().scheduler.queues["main"]
        report = client.session.report()
        assert report.coalesced_realtime == queue.coalesced_realtime == report.realtime_submitted - 1 > 3
        await talk(client, 1111, 1.0)
        assert recording.clips[1].size >= 2.2 * 16_000, "a quarter of a second old at most"
        shown = client.of(Realtime)[0]
        assert shown.timing.queue_delay_seconds is not None
        assert shown.timing.queue_delay_seconds > 2.0, "it waited that long for its place"
        assert client.session.report().stale_realtime_discarded == 0


@contract("5.4", "11/33")
@virtual_time
async def test_partial_audio_is_bounded() -> None:
    recording = RecordingAnswer()
    async with server_fixture(
        answer=recording, realtime_processing_pause=1.0, max_audio_queue_seconds_per_session=0.0
    ) as server:
        client = await server.streaming_client()
        await talk(client, 1111, 60.0)
        sizes = [clip.size for clip in recording.clips]
        assert len(sizes) > 50
        assert max(sizes) == 20 * 16_000


NUMBERS = [
    declaration
    for declaration in declarations()
    if declaration.runtime is not RuntimeClass.STARTUP and bad_values(declaration)
]


@contract("1.3", "3", "11/34")
@virtual_time
async def test_out_of_range_values_and_nulls_in_lists_are_rejected_by_name() -> None:
    async with server_fixture() as server:
        before = server.server_state.settings
        assert len(NUMBERS) > 20
        for declaration in NUMBERS:
            for value in bad_values(declaration):
                refused = change(server.server_state, **{declaration.name: value}).rejected
                assert refused[declaration.name].reason == "invalid_value"
        report = change(server.server_state, realtime_boundary_followup_delays=[0.1, None])
        assert report.rejected["realtime_boundary_followup_delays"].reason == "invalid_value"
        assert server.server_state.settings == before

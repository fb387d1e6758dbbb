"""ServerState: changes of settings take effect and are reported."""

import json
import logging

import msgspec
import pytest

from tests.contract.fixtures import change
from tests.lanes.fakes import FakeEngine, FakeStreamingEngine, final, virtual_time
from tests.support.conversation import server_fixture
from trio_stt.errors import JobRefused, ServerFull, SettingError
from trio_stt.lanes.job import JobKind
from trio_stt.protocol.events import Hello, Ready
from trio_stt.server.build import build_server
from trio_stt.settings import load_settings, public_settings, runtime_settings


@pytest.mark.contract("1.3")
@virtual_time
async def test_config_update_report_lists_changes_rejections_and_settings() -> None:
    async with server_fixture() as server:
        report = change(
            server.server_state, max_sessions=6, silero_sensitivity=1, model="x", colour=1, max_active_speakers=5.0
        )
        reported = json.loads(msgspec.json.encode(report))
        assert reported["applied"] == {
            "max_sessions": {"value": 6, "appliesTo": "active_sessions"},
            "silero_sensitivity": {"value": 1.0, "appliesTo": "new_sessions"},
        }
        assert {name: rejection["reason"] for name, rejection in reported["rejected"].items()} == {
            "model": "startup_only",
            "colour": "unknown",
            "max_active_speakers": "invalid_value",
        }
        assert all(rejection["message"] for rejection in reported["rejected"].values())
        assert reported["settings"] == json.loads(msgspec.json.encode(public_settings(server.server_state.settings)))
        assert reported["settings"]["max_sessions"] == 6
        assert reported["runtimeSettings"] == runtime_settings()
        assert reported["warnings"] == []
        assert json.loads(msgspec.json.encode(server.server_state.config()))["settings"] == reported["settings"]


@virtual_time
async def test_config_update_report_without_changes_is_complete() -> None:
    async with server_fixture() as server:
        report = change(server.server_state)
        assert (report.applied, report.rejected) == ({}, {})
        assert report.settings == public_settings(server.server_state.settings)


@pytest.mark.contract("2.1", "3", "4.12")
@virtual_time
async def test_session_and_speaker_limits_change_at_once() -> None:
    async with server_fixture(max_sessions=2, max_active_speakers=1) as server:
        server_state = server.server_state
        first, _ = server_state.reserve(), server_state.reserve()
        with pytest.raises(ServerFull):
            server_state.reserve()
        assert server_state.take_speaker(first)
        assert not server_state.take_speaker("other")
        change(server_state, max_sessions=3, max_active_speakers=2)
        third = server_state.reserve()
        assert server_state.take_speaker(third)
        change(server_state, max_sessions=1, max_active_speakers=1)
        assert server_state.active_speakers == 2, "no running utterance is ended"
        with pytest.raises(ServerFull, match="max_sessions is 1"):
            server_state.reserve()


@pytest.mark.contract("1.6")
@virtual_time
async def test_limits_report_shows_settings_in_force() -> None:
    async with server_fixture() as server:
        change(
            server.server_state,
            max_sessions=3,
            max_active_speakers=4,
            max_audio_queue_seconds_per_session=5,
            max_realtime_queue_age_ms=6,
            max_final_queue_depth_per_session=7,
            max_global_inference_queue_depth=8,
            realtime_degradation_threshold_ms=9,
        )
        assert json.loads(msgspec.json.encode(server.server_state.limits())) == {
            "maxSessions": 3,
            "maxActiveSpeakers": 4,
            "maxAudioQueueSecondsPerSession": 5.0,
            "maxRealtimeQueueAgeMs": 6,
            "maxFinalQueueDepthPerSession": 7,
            "maxGlobalInferenceQueueDepth": 8,
            "realtimeDegradationThresholdMs": 9,
        }


@pytest.mark.contract("3", "7.2")
@virtual_time
async def test_lane_limits_change_at_once() -> None:
    server_state = build_server(load_settings({"model_warmup": False}))
    lane = server_state.lanes.lane_for(JobKind.FINAL)
    lane.submit(final("a"))
    change(server_state, max_final_queue_depth_per_session=1)
    with pytest.raises(JobRefused, match="max_final_queue_depth_per_session"):
        lane.submit(final("a"))
    change(server_state, max_final_queue_depth_per_session=8, max_global_inference_queue_depth=1)
    with pytest.raises(JobRefused, match="max_global_inference_queue_depth"):
        lane.submit(final("b"))
    change(server_state, max_global_inference_queue_depth=2)
    lane.submit(final("b"))


@pytest.mark.contract("3", "11/29")
@virtual_time
async def test_log_level_changes_at_once() -> None:
    async with server_fixture() as server:
        logging.getLogger("trio_stt").setLevel("INFO")
        change(server.server_state, log_level="debug")
        assert logging.getLogger("trio_stt.session").isEnabledFor(logging.DEBUG)
        change(server.server_state, log_level="error")
        assert not logging.getLogger("trio_stt.session").isEnabledFor(logging.WARNING)


@pytest.mark.contract("3")
@virtual_time
async def test_session_keeps_its_settings_after_a_change() -> None:
    async with server_fixture(load_s=1.0, realtime_callback="update") as server:
        first = await server.connect()
        change(server.server_state, realtime_callback="stabilized")
        later = await server.connect()
        for client, value in ((first, "update"), (later, "stabilized")):
            assert (await client.until(Hello)).settings["realtime_callback"] == value
            assert (await client.until(Ready)).settings["realtime_callback"] == value


@pytest.mark.contract("1.3", "4.10", "11/5")
@virtual_time
async def test_wake_words_without_a_backend_are_accepted_with_a_warning() -> None:
    async with server_fixture() as server:
        report = change(server.server_state, max_sessions=8, wake_words="jarvis")
        assert (sorted(report.applied), report.rejected) == (["max_sessions", "wake_words"], {})
        (warning,) = report.warnings
        assert "jarvis" in warning
        assert "wakeword_backend" in warning
        assert report.settings["wake_word_enabled"] is False


@pytest.mark.contract("4.10", "11/5")
@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"wakeword_backend": "nonsense"}, "nonsense"),
        ({"wakeword_backend": "openwakeword", "wake_words": "banana"}, "banana"),
        ({"wakeword_backend": "openwakeword", "openwakeword_model_paths": "/nowhere.onnx"}, "/nowhere.onnx"),
    ],
)
@virtual_time
async def test_unknown_wake_words_are_rejected(changes: dict[str, str], refused: str) -> None:
    async with server_fixture() as server:
        report = change(server.server_state, max_sessions=5, **changes)
        assert "max_sessions" in report.applied
        assert any(
            refused in rejection.message and rejection.reason == "invalid_value"
            for rejection in report.rejected.values()
        )
        assert report.settings["wake_word_enabled"] is False
        assert server.server_state.new_wake_word_detector(server.server_state.settings) is None
    with pytest.raises(SettingError, match=refused):
        build_server(load_settings(changes))


@virtual_time
async def test_wake_words_apply_to_later_sessions() -> None:
    async with server_fixture() as server:
        assert server.server_state.new_wake_word_detector(server.server_state.settings) is None
        report = change(server.server_state, wakeword_backend="OWW", wake_words="Hey Jarvis")
        assert report.settings["wake_word_enabled"] is True
        assert report.rejected == {}
        assert server.server_state.new_wake_word_detector(server.server_state.settings) is not None
        change(server.server_state, wakeword_backend="")
        assert server.server_state.new_wake_word_detector(server.server_state.settings) is None


@virtual_time
async def test_warnings_are_only_about_changed_settings() -> None:
    async with server_fixture() as server:
        assert len(change(server.server_state, wake_words="jarvis").warnings) == 1
        assert change(server.server_state, max_sessions=9).warnings == ()


@pytest.mark.contract("1.1", "1.5")
@virtual_time
async def test_health_reports_engine_capabilities_once_loaded() -> None:
    async with server_fixture(
        load=FakeEngine, load_partials=lambda: FakeStreamingEngine(max_batch=8), load_s=5.0
    ) as server:

        def reported() -> dict[str, object]:
            workers = json.loads(msgspec.json.encode(server.server_state.health()))["scheduler"]["workers"]
            return {name: worker["capabilities"] for name, worker in workers.items()}

        assert reported() == {"main": None, "realtime": None}
        await server.server_state.lanes.wait_loaded()
        known = {"devices": ["cpu"], "languages": [], "languagePerSession": False, "prompt": False, "times": "none"}
        assert reported() == {
            "main": known | {"streaming": False, "maxBatch": 1},
            "realtime": known | {"streaming": True, "maxBatch": 8},
        }

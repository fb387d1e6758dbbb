"""The typed report of every golden HTTP body, and the parts shared with events."""

from typing import Any

from trio_stt.protocol.config_reports import (
    AppliedSetting,
    ConfigReport,
    ConfigUpdateReport,
    RejectedSetting,
    SettingSchema,
)
from trio_stt.protocol.event_objects import PreRecordingBuffer, Segment, iso
from trio_stt.protocol.reports import (
    ByKind,
    Capabilities,
    HealthReport,
    Limits,
    MetricsReport,
    QueuedJobs,
    QueueReport,
    Report,
    SchedulerReport,
    SessionReport,
    StartupError,
    Statistics,
    WorkerReport,
)

SESSION = "9c4e51d07b3f4c1d8e2f6a9b0c1d2e3f"
OTHER_SESSION = "5f0c9d3e8a7b4c6d9e0f1a2b3c4d5e6f"
STARTED_AT = 1900000001.0
ENDED_AT = 1900000003.5

LIMITS = Limits(
    max_sessions=4,
    max_active_speakers=2,
    max_audio_queue_seconds_per_session=30.0,
    max_realtime_queue_age_ms=1500,
    max_final_queue_depth_per_session=8,
    max_global_inference_queue_depth=64,
    realtime_degradation_threshold_ms=1200,
)
SETTINGS: dict[str, object] = {"model": "small.en"}
RUNTIME = {
    "activeSessionSafe": ["max_sessions"],
    "newSessionOnly": ["silero_sensitivity"],
    "startupOnly": ["model"],
}
ENGINES = ("cohere", "whisper_cpp")


def at(name: str, timestamp: float) -> dict[str, Any]:
    """A time and its ISO text, as keyword arguments."""
    return {name: timestamp, f"{name}_iso": iso(timestamp)}


# --- utterances ---

PREROLL = PreRecordingBuffer(
    configured_seconds=0.75,
    included_seconds=0.75,
    **at("start_timestamp", 1900000000.25),
    **at("end_timestamp", STARTED_AT),
)
BEGUN: dict[str, Any] = {
    "segment_id": 3,
    **at("recording_started_at", STARTED_AT),
    "pre_recording_buffer": PREROLL,
    "audio_start_seconds": 1.5,
}
WHOLE: dict[str, Any] = BEGUN | {
    **at("recording_ended_at", ENDED_AT),
    "duration_seconds": 2.496,
    "end_reason": "recording_stop",
    "audio_end_seconds": 3.5,
}
RUNNING_SEGMENT = Segment(**BEGUN)
WHOLE_SEGMENT = Segment(**WHOLE)


# --- reports ---

NOTHING = Statistics()
QUEUE_DELAY = Statistics(count=7, avg_ms=1.5, max_ms=4.0, p50_ms=1.1, p95_ms=3.9)
INFERENCE = Statistics(count=7, avg_ms=210.0, max_ms=400.0, p50_ms=190.0, p95_ms=395.0)
TOTAL = Statistics(count=7, avg_ms=211.5, max_ms=404.0, p50_ms=191.0, p95_ms=399.0)

SCHEDULER = SchedulerReport(
    mode="balanced-main-plus-realtime",
    queues={
        "main": QueueReport(
            name="main",
            queued=1,
            sessions=1,
            per_session={OTHER_SESSION: QueuedJobs(final=1, realtime=0)},
            coalesced_realtime=0,
            stale_realtime_dropped=0,
            rejected_jobs=0,
        ),
        "realtime": QueueReport(
            name="realtime",
            queued=0,
            sessions=0,
            per_session={},
            coalesced_realtime=0,
            stale_realtime_dropped=2,
            rejected_jobs=0,
        ),
    },
    workers={
        "main": WorkerReport(
            name="main",
            ready=True,
            healthy=True,
            completed_jobs=7,
            failed_jobs=0,
            busy_ratio=0.12,
            queue_delay=QUEUE_DELAY,
            inference_duration=INFERENCE,
            total_latency=TOTAL,
            engine="sherpa_onnx_moonshine",
            model="tiny-en",
            device="cpu",
            capabilities=Capabilities(
                streaming=False,
                max_batch=1,
                devices=("cpu",),
                languages=("en",),
                language_per_session=False,
                prompt=False,
                times="none",
            ),
        ),
        "realtime": WorkerReport(
            name="realtime",
            ready=True,
            healthy=True,
            completed_jobs=0,
            failed_jobs=0,
            busy_ratio=0.0,
            queue_delay=NOTHING,
            inference_duration=NOTHING,
            total_latency=NOTHING,
        ),
    },
)


def session_report(**changes: Any) -> SessionReport:
    """A session with a running utterance; each counter has a number of its own."""
    facts: dict[str, Any] = {
        "session_id": SESSION,
        "streaming": True,
        "recording": True,
        "state": "recording",
        "wake_word_enabled": False,
        "current_segment_id": 3,
        "current_segment": RUNNING_SEGMENT,
        "queue_depth": 1,
        "recording_seconds": 2.5,
        "dropped_audio_chunks": 1,
        "rejected_audio_chunks": 2,
        "coalesced_realtime": 3,
        "stale_realtime_discarded": 4,
        "cancelled_jobs": 5,
        "realtime_submitted": 6,
        "final_submitted": 7,
        "realtime_completed": 8,
        "final_completed": 9,
        "realtime_rejected": 10,
        "final_rejected": 11,
        "forced_finalizations": 12,
        "dropped_recorded_segments": 0,
        "suppressed_texts": 13,
        "dropped_candidates": 14,
        "queue_delay": ByKind(realtime=NOTHING, final=QUEUE_DELAY),
        "inference_duration": ByKind(realtime=NOTHING, final=INFERENCE),
        "total_latency": ByKind(realtime=NOTHING, final=TOTAL),
    }
    return SessionReport(**facts | changes)


SCHEMA = SettingSchema(
    runtime_class="newSessionOnly",
    group="speech",
    type="numbers",
    nullable=False,
    minimum=0.0,
    exclusive_minimum=False,
    maximum=60.0,
    max_length=16,
    choices=(),
    default=(0.05, 0.2),
    label="A",
    unit="s",
    help="Seconds after a syllable's end.",
    flag="--realtime-boundary-followup-delays",
    environment="TRIO_STT_REALTIME_BOUNDARY_FOLLOWUP_DELAYS",
)
FAILED = [StartupError(message="engine exploded", where="realtime_engine")]

REPORTS: dict[str, Report] = {
    "http_health": HealthReport(
        ok=False,
        ready=True,
        active_sessions=2,
        active_speakers=1,
        rejected_sessions=3,
        scheduler=SCHEDULER,
        startup_errors=FAILED,
    ),
    "http_config": ConfigReport(
        settings=SETTINGS,
        limits=LIMITS,
        supported_engines=ENGINES,
        runtime_settings=RUNTIME,
        schema={"realtime_boundary_followup_delays": SCHEMA},
    ),
    "http_config_schema": SCHEMA,
    "http_config_update": ConfigUpdateReport(
        applied={
            "max_sessions": AppliedSetting(value=6, applies_to="active_sessions"),
            "silero_sensitivity": AppliedSetting(value=0.2, applies_to="new_sessions"),
        },
        rejected={
            "model": RejectedSetting(reason="startup_only", message="needs a restart"),
            "colour": RejectedSetting(reason="unknown", message="no such setting"),
            "max_active_speakers": RejectedSetting(reason="invalid_value", message="must be an integer"),
        },
        settings={"max_sessions": 6},
        runtime_settings=RUNTIME,
        warnings=("wake words without a backend stay inactive",),
    ),
    "http_metrics": MetricsReport(
        active_sessions=2,
        active_speakers=1,
        rejected_sessions=3,
        pending_session_admissions=1,
        sessions={SESSION: session_report()},
        ready=True,
        ok=False,
        scheduler=SCHEDULER,
        limits=LIMITS,
        startup_errors=FAILED,
    ),
}

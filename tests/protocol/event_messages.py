"""The typed event of every golden file."""

from typing import Any

from msgspec.structs import replace

from tests.protocol.report_messages import (
    ENDED_AT,
    ENGINES,
    LIMITS,
    PREROLL,
    RUNNING_SEGMENT,
    RUNTIME,
    SESSION,
    SETTINGS,
    STARTED_AT,
    WHOLE_SEGMENT,
    at,
    session_report,
)
from trio_stt.protocol.event_objects import Piece, RealtimeTiming, Segment, State, WakeWord, WakeWordStatus, Where
from trio_stt.protocol.events import (
    AuthRequired,
    Clear,
    Error,
    Event,
    Final,
    Flushed,
    Heartbeat,
    Hello,
    Metrics,
    Pong,
    Ready,
    Realtime,
    Resumed,
    Status,
    Timeline,
    TurnResumed,
    WarningEvent,
)
from trio_stt.session.transcript_events import segment_times

PARTIAL = "please book the blue"
FINAL = "Please book the blue room."
WAITED_SINCE = 1899999990.0
DETECTED_AT = 1899999999.5
FINAL_AT = 1900000003.9


def wake(state: str, **times: float) -> WakeWord:
    """State of the wake-word cycle, after a detection unless it waits."""
    known: dict[str, Any] = {"word": "hey jarvis"} if "detected_at" in times else {}
    for name, timestamp in times.items():
        known |= at(name, timestamp)
    return WakeWord(enabled=True, backend="openwakeword", wake_words="hey jarvis", state=state, **known)


def timeline(event: str, timestamp: float, **extras: Any) -> Timeline:
    return Timeline(session_id=SESSION, event=event, **at("timestamp", timestamp), **extras)


def status(state: State, **changes: Any) -> Status:
    facts: dict[str, Any] = {
        "session_id": SESSION,
        "state": state,
        **at("timestamp", 1900000000.25),
        "active_client_id": SESSION,
        "queue_depth": 1,
        "dropped_chunks": 0,
        "coalesced_realtime": 0,
        "stale_realtime_discarded": 0,
        "active_sessions": 2,
        "active_speakers": 1,
    }
    return Status(**facts | changes)


def realtime(segment: Segment) -> Realtime:
    return Realtime(
        session_id=SESSION,
        segment_id=3,
        recording_id=3,
        sequence=9,
        text=PARTIAL,
        raw_text=PARTIAL,
        display_text=PARTIAL,
        stable_text="please book",
        stable_delta=" book",
        unstable_text=" the blue",
        committed_stable_text="please book",
        committed_stable_delta=" book",
        visual_stable_text="please book",
        visual_unstable_text=" the blue",
        consensus_text="please book",
        consensus_unstable_text=" the blue",
        consensus_display_text=PARTIAL,
        public_consensus_aligned=True,
        internal_revision=False,
        is_outlier=False,
        stable_prefix_conflict=False,
        commit_reason="evidence-threshold",
        stable_normalized_offset=11,
        **at("timestamp", 1900000002.0),
        timing=RealtimeTiming(
            created_at_monotonic=512.1,
            completed_at_monotonic=512.2,
            received_at_wall_time=1900000002.0,
            queue_delay_seconds=None,
            inference_duration_seconds=None,
            total_latency_seconds=None,
        ),
        audio_end_seconds=1.9,
        **segment_times(segment),
    )


def final(segment: Segment) -> Final:
    return Final(
        session_id=SESSION,
        segment_id=3,
        text=FINAL,
        stable_text_agreed=True,
        pieces=(Piece(text=FINAL, start_seconds=1.6, end_seconds=2.9, confidence=0.93),),
        **at("timestamp", FINAL_AT),
        **segment_times(segment),
    )


DETECTION_TIMES = {"wait_started_at": WAITED_SINCE, "detected_at": DETECTED_AT}
WAIT_END_TIMES = {"wait_started_at": WAITED_SINCE, "wait_ended_at": DETECTED_AT}
AFTER_DETECTION = wake("recording", **DETECTION_TIMES, wait_ended_at=DETECTED_AT)

EVENTS: dict[str, Event] = {
    "hello": Hello(
        client_id=SESSION,
        session_id=SESSION,
        settings=SETTINGS,
        limits=LIMITS,
        supported_engines=ENGINES,
        runtime_settings=RUNTIME,
        seq=1,
        resume_token=f"{SESSION}.secret",
        resume_grace_seconds=10.0,
    ),
    "ready": Ready(session_id=SESSION, settings=SETTINGS, limits=LIMITS, runtime_settings=RUNTIME, ok=True),
    "status": status(State.RECORDING),
    "status_idle": status(State.IDLE, active_client_id=None),
    "status_wakeword": status(
        State.WAKEWORD_WAIT,
        wake_word_enabled=True,
        wake_word=WakeWordStatus(
            enabled=True, backend="openwakeword", wake_words="hey jarvis", state=State.WAKEWORD_WAIT
        ),
    ),
    "timeline_recording_started": timeline(
        "recording_started",
        STARTED_AT,
        segment_id=3,
        segment=RUNNING_SEGMENT,
        pre_recording_buffer=PREROLL,
    ),
    "timeline_recording_ended": timeline(
        "recording_ended",
        ENDED_AT,
        segment_id=3,
        segment=WHOLE_SEGMENT,
        duration_seconds=2.496,
        reason="recording_stop",
    ),
    "timeline_transcription_started": timeline(
        "transcription_started", 1900000003.6, segment_id=3, segment=WHOLE_SEGMENT
    ),
    "timeline_realtime_transcript": timeline(
        "realtime_transcript", 1900000002.0, segment_id=3, segment=RUNNING_SEGMENT, text=PARTIAL, sequence=9
    ),
    "timeline_final_transcript": timeline(
        "final_transcript", FINAL_AT, segment_id=3, segment=WHOLE_SEGMENT, text=FINAL
    ),
    "timeline_segment_closed": timeline(
        "segment_closed", FINAL_AT, segment_id=3, segment=WHOLE_SEGMENT, reason="empty"
    ),
    "timeline_wakeword_wait_started": timeline(
        "wakeword_wait_started", WAITED_SINCE, wake_word=wake("waiting_for_wake_word", wait_started_at=WAITED_SINCE)
    ),
    "timeline_wakeword_detected": timeline(
        "wakeword_detected", DETECTED_AT, wake_word=wake("wake_word_detected_waiting_for_voice", **DETECTION_TIMES)
    ),
    "timeline_wakeword_wait_ended": timeline(
        "wakeword_wait_ended", DETECTED_AT, wake_word=wake("wake_word_wait_ended", **WAIT_END_TIMES)
    ),
    "timeline_wakeword_timeout": timeline(
        "wakeword_timeout", 1900000004.5, wake_word=wake("wake_word_timeout", **WAIT_END_TIMES, timeout_at=1900000004.5)
    ),
    "timeline_wakeword_followup_started": timeline("wakeword_followup_started", ENDED_AT, duration_seconds=5.0),
    "timeline_wakeword_followup_timeout": timeline("wakeword_followup_timeout", 1900000008.5),
    "realtime": realtime(RUNNING_SEGMENT),
    "realtime_wakeword": replace(realtime(replace(RUNNING_SEGMENT, wake_word=AFTER_DETECTION)), retracted=True),
    "final": final(WHOLE_SEGMENT),
    "final_wakeword": final(replace(WHOLE_SEGMENT, wake_word=AFTER_DETECTION, cut=True)),
    "warning": WarningEvent(session_id=SESSION, message="recording cut at the configured maximum"),
    "error": Error(session_id=SESSION, message="engine exploded", where=Where.RECORDER),
    "error_admission": Error(message="the server is full", where=Where.ADMISSION, limits=LIMITS),
    "error_startup": Error(message="engine exploded", where=Where.MAIN_ENGINE),
    "clear": Clear(session_id=SESSION, next_segment_id=4),
    "auth_required": AuthRequired(timeout_seconds=5.0),
    "pong": Pong(session_id=SESSION, server_time=1900000004.0),
    "metrics": Metrics(session_id=SESSION, metrics=session_report()),
    "metrics_idle": Metrics(
        session_id=SESSION,
        metrics=session_report(
            streaming=False,
            recording=False,
            state="idle",
            current_segment_id=4,
            current_segment=None,
            queue_depth=0,
            recording_seconds=0.0,
        ),
    ),
    "resumed": Resumed(
        session_id=SESSION, seq=41, received_packets=125, received_commands=2, streaming=True, missed_events=0
    ),
    "flushed": Flushed(session_id=SESSION, id="order-17"),
    "turn_resumed": TurnResumed(session_id=SESSION, segment_id=3, **at("timestamp", 1900000005.0)),
    "heartbeat": Heartbeat(
        session_id=SESSION,
        **at("timestamp", 1900000005.0),
        audio_received_seconds=12.5,
        real_time_factor=0.25,
        queue_delay_ms=3.5,
    ),
}

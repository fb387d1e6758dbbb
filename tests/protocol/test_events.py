"""Events equal their golden files, JSON types included; times and ISO texts, text and numbers."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol import goldens
from tests.protocol.event_messages import AFTER_DETECTION, EVENTS, realtime, timeline
from tests.protocol.report_messages import PREROLL, SESSION, at
from trio_stt.errors import CommandError, PacketError, ResumeError
from trio_stt.protocol.commands import Flush, parse_command
from trio_stt.protocol.event_objects import Segment, State, Where, iso
from trio_stt.protocol.events import Error, Event, Flushed, Heartbeat, WarningEvent, decode, encode

SHARED_EVENTS = {
    "hello",
    "ready",
    "status",
    "timeline",
    "realtime",
    "final",
    "warning",
    "error",
    "clear",
    "pong",
    "metrics",
}
SHARED_TIMELINE_ENTRIES = {
    "recording_started",
    "recording_ended",
    "transcription_started",
    "realtime_transcript",
    "final_transcript",
    "wakeword_wait_started",
    "wakeword_wait_ended",
    "wakeword_detected",
    "wakeword_timeout",
    "wakeword_followup_started",
    "wakeword_followup_timeout",
}
SHARED_ERROR_TAGS = {
    "admission",
    "audio_packet",
    "audio",
    "command",
    "recorder",
    "main_engine",
    "realtime_engine",
}
SHARED_STATES = {
    "idle",
    "listening",
    "voice",
    "silence",
    "recording",
    "transcribing",
    "wakeword_wait",
    "wakeword_detected",
    "wakeword_timeout",
}


def on_wire(event: Event) -> dict[str, Any]:
    """The event as a client reads it; NaN and Infinity fail."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    fields: dict[str, Any] = json.loads(encode(event), parse_constant=refuse)
    return fields


@pytest.mark.contract("1.7", "2.1", "2.5", "2.6", "2.7")
@pytest.mark.parametrize("name", EVENTS)
def test_event_equals_its_golden_file_plus_declared_additions(name: str) -> None:
    shown, _ = goldens.shared_part(on_wire(EVENTS[name]), goldens.kind_of(name))
    assert goldens.written(shown) == goldens.written(goldens.golden(name))


def test_every_event_class_and_golden_file_is_compared() -> None:
    def leaves(kind: type[Event]) -> set[type[Event]]:
        return set().union(*map(leaves, kind.__subclasses__())) if kind.__subclasses__() else {kind}

    assert {type(event) for event in EVENTS.values()} == leaves(Event)
    assert set(EVENTS) == {name for name in goldens.names() if not name.startswith("http_")}


@pytest.mark.contract("2.5")
def test_event_types_are_the_shared_and_the_declared_ones() -> None:
    ours = {name for name in goldens.ADDED_MESSAGES if not name.startswith("timeline_")}
    assert {on_wire(event)["type"] for event in EVENTS.values()} == SHARED_EVENTS | ours


@pytest.mark.contract("2.5")
def test_timeline_entries_are_the_shared_and_the_declared_ones() -> None:
    ours = {name.removeprefix("timeline_") for name in goldens.ADDED_MESSAGES if name.startswith("timeline_")}
    entries = {fields["event"] for event in EVENTS.values() if (fields := on_wire(event))["type"] == "timeline"}
    assert entries == SHARED_TIMELINE_ENTRIES | ours


@pytest.mark.contract("2.5")
def test_error_tags_are_the_shared_ones_and_resume() -> None:
    assert {str(where) for where in Where} == SHARED_ERROR_TAGS | {ResumeError.where}
    assert (CommandError.where, PacketError.where) == (Where.COMMAND, Where.AUDIO_PACKET)


@pytest.mark.contract("2.5")
@pytest.mark.parametrize("where", sorted(SHARED_ERROR_TAGS))
def test_error_carries_its_tag(where: str) -> None:
    error = Error(session_id=SESSION, message="it broke", where=Where(where))
    assert on_wire(error) == {"type": "error", "sessionId": SESSION, "message": "it broke", "where": where}


@pytest.mark.contract("2.5")
def test_states_are_the_shared_ones() -> None:
    assert {str(state) for state in State} == SHARED_STATES
    assert {state for state in State if state.is_about_wake_words} == {
        state for state in State if state.startswith("wakeword")
    }


# --- absent or null ---


def nulls(value: object, path: str = "") -> set[str]:
    """Paths of null values in a message."""
    if isinstance(value, dict):
        return set().union(*(nulls(field, f"{path}.{key}") for key, field in value.items()))
    if isinstance(value, list):
        return set().union(*(nulls(item, path) for item in value))
    return {path} if value is None else set()


@pytest.mark.contract("2.5", "2.6")
def test_null_appears_only_in_shared_places() -> None:
    found = {goldens.kind_of(name) + path for name, event in EVENTS.items() for path in nulls(on_wire(event))}
    assert found == {
        "status.activeClientId",
        "status.wakeWord.state",
        "realtime.timing.queue_delay_seconds",
        "realtime.timing.inference_duration_seconds",
        "realtime.timing.total_latency_seconds",
        "metrics.metrics.currentSegment",
    }


def test_segment_without_known_fields_has_only_its_id() -> None:
    assert on_wire(timeline("recording_started", 1.0, segment=Segment(segment_id=3)))["segment"] == {"segmentId": 3}


KNOWN: dict[str, Any] = {
    "recording_started_at": 1.0,
    "recording_started_at_iso": iso(1.0),
    "recording_ended_at": 2.0,
    "recording_ended_at_iso": iso(2.0),
    "duration_seconds": 1.0,
    "end_reason": "recording_stop",
    "pre_recording_buffer": PREROLL,
    "wake_word": AFTER_DETECTION,
}


@pytest.mark.contract("2.6")
@given(st.sets(st.sampled_from(sorted(KNOWN))))
def test_known_segment_fields_appear_in_it_and_as_copies(known: set[str]) -> None:
    shown = on_wire(realtime(Segment(segment_id=3, **{name: KNOWN[name] for name in known})))
    bare = on_wire(realtime(Segment(segment_id=3)))
    beside = {key: value for key, value in shown.items() if key not in bare}
    assert shown["segment"] == {"segmentId": 3} | beside
    assert len(beside) == len(known)
    assert bare["segment"] == {"segmentId": 3}


# --- numbers and text ---


@pytest.mark.contract("2.3", "9.6")
@given(st.floats())
def test_any_number_is_encoded_as_valid_json(number: float) -> None:
    """`JSON.parse` rejects NaN and Infinity, so one such number would break the page."""
    beat = Heartbeat(
        session_id=SESSION,
        **at("timestamp", 1.0),
        audio_received_seconds=number,
        real_time_factor=number,
        queue_delay_ms=number,
    )
    shown = on_wire(beat)["realTimeFactor"]
    finite = number - number == 0
    assert shown == number if finite else shown is None


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_whole_seconds_are_encoded_as_floats(number: float) -> None:
    whole = float(round(number))
    assert isinstance(on_wire(timeline("recording_ended", 1.0, duration_seconds=whole))["durationSeconds"], float)


@given(st.text())
def test_any_text_arrives_unchanged(text: str) -> None:
    assert on_wire(WarningEvent(session_id=SESSION, message=text))["message"] == text


@given(st.text(max_size=256) | st.integers(-(2**63), 2**63 - 1) | st.none())
def test_flush_id_is_returned_unchanged(identity: str | int | None) -> None:
    flush = parse_command(json.dumps({"type": "flush", "id": identity}))
    assert isinstance(flush, Flush)
    shown = on_wire(Flushed(session_id=SESSION, id=flush.id))["id"]
    assert (type(shown), shown) == (type(identity), identity)


# --- times and their ISO texts ---

MILLISECOND = timedelta(milliseconds=1)
seconds = st.floats(0, 4102444800, allow_nan=False)  # until the year 2100


@pytest.mark.contract("2.4")
@given(seconds)
def test_iso_text_is_the_time_truncated_to_milliseconds(timestamp: float) -> None:
    text = iso(timestamp)
    assert len(text) == len("2031-04-05T06:07:08.901Z")
    assert text.endswith("Z")
    twin = datetime.fromisoformat(text)
    assert twin.utcoffset() == timedelta(0)
    lag = datetime.fromtimestamp(timestamp, UTC) - twin
    assert timedelta(0) <= lag < MILLISECOND


@given(st.integers(0, 4102444800_000))
def test_whole_milliseconds_have_exact_iso_text(milliseconds: int) -> None:
    assert (
        datetime.fromisoformat(iso(milliseconds / 1000)) == datetime.fromtimestamp(0, UTC) + milliseconds * MILLISECOND
    )


@given(st.lists(seconds, min_size=2).map(sorted))
def test_iso_texts_sort_like_their_times(ordered: list[float]) -> None:
    assert all(iso(earlier) <= iso(later) for earlier, later in pairwise(ordered))


@pytest.mark.parametrize(
    ("timestamp", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1900000000.25, "2030-03-17T17:46:40.250Z"),
        (1900000000.001, "2030-03-17T17:46:40.001Z"),
        (1900000000.9994, "2030-03-17T17:46:40.999Z"),
        (1900000000.9995, "2030-03-17T17:46:40.999Z"),
        (1900000000.9999, "2030-03-17T17:46:40.999Z"),
        (1900000000.9999998, "2030-03-17T17:46:41.000Z"),
        (1893455999.9995, "2029-12-31T23:59:59.999Z"),
    ],
)
def test_iso_text_never_has_60_seconds_or_1000_milliseconds(timestamp: float, text: str) -> None:
    assert iso(timestamp) == text


@pytest.mark.contract("2.4")
@pytest.mark.parametrize("name", EVENTS)
def test_every_iso_field_equals_its_time(name: str) -> None:
    def pairs(value: object) -> list[tuple[float, str]]:
        if not isinstance(value, dict):
            return []
        own = [(value[key.removesuffix("Iso")], twin) for key, twin in value.items() if key.endswith("Iso")]
        return own + [pair for field in value.values() for pair in pairs(field)]

    for timestamp, twin in pairs(on_wire(EVENTS[name])):
        assert datetime.fromisoformat(twin).timestamp() == timestamp


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_every_event_decodes_to_itself(event: Event) -> None:
    assert decode(encode(event)) == event

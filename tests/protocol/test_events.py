"""Events on the wire: each as the contract has it, to the JSON type; times and their twins; text and numbers."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol import goldens
from tests.protocol.event_messages import EVENTS, WOKEN, realtime, timeline
from tests.protocol.report_messages import PREROLL, SESSION, at
from trio_stt.errors import CommandError, PacketError, ResumeError
from trio_stt.protocol.commands import Flush, parse_command
from trio_stt.protocol.events import Error, Event, Flushed, Heartbeat, Notice, State, Where, decode, encode
from trio_stt.protocol.segment import Segment, iso

EVENTS_OF_THE_CONTRACT = {
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
TIMELINE_OF_THE_CONTRACT = {
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
WHERES_OF_THE_CONTRACT = {
    "admission",
    "audio_packet",
    "audio",
    "command",
    "recorder",
    "main_engine",
    "realtime_engine",
}
STATES_OF_THE_CONTRACT = {
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
    """The event as a client reads it; a number that JSON does not know fails."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    fields: dict[str, Any] = json.loads(encode(event), parse_constant=refuse)
    return fields


@pytest.mark.contract("1.7", "2.1", "2.5", "2.6", "2.7")
@pytest.mark.parametrize("name", EVENTS)
def test_an_event_is_its_golden_file_plus_our_declared_additions(name: str) -> None:
    shown, _ = goldens.contract_part(on_wire(EVENTS[name]), goldens.kind_of(name))
    assert goldens.written(shown) == goldens.written(goldens.golden(name))


def test_every_event_class_and_every_file_of_an_event_is_compared() -> None:
    def leaves(kind: type[Event]) -> set[type[Event]]:
        return set().union(*map(leaves, kind.__subclasses__())) if kind.__subclasses__() else {kind}

    assert {type(event) for event in EVENTS.values()} == leaves(Event)
    assert set(EVENTS) == {name for name in goldens.names() if not name.startswith("http_")}


@pytest.mark.contract("2.5")
def test_there_are_the_contract_s_events_and_our_declared_ones() -> None:
    ours = {name for name in goldens.ADDED_MESSAGES if not name.startswith("timeline_")}
    assert {on_wire(event)["type"] for event in EVENTS.values()} == EVENTS_OF_THE_CONTRACT | ours


@pytest.mark.contract("2.5")
def test_there_are_the_contract_s_timeline_entries_and_our_declared_ones() -> None:
    ours = {name.removeprefix("timeline_") for name in goldens.ADDED_MESSAGES if name.startswith("timeline_")}
    entries = {fields["event"] for event in EVENTS.values() if (fields := on_wire(event))["type"] == "timeline"}
    assert entries == TIMELINE_OF_THE_CONTRACT | ours


@pytest.mark.contract("2.5")
def test_errors_are_about_what_the_contract_names() -> None:
    assert {str(where) for where in Where} == WHERES_OF_THE_CONTRACT | {ResumeError.where}
    assert (CommandError.where, PacketError.where) == (Where.COMMAND, Where.AUDIO_PACKET)


@pytest.mark.contract("2.5")
@pytest.mark.parametrize("where", sorted(WHERES_OF_THE_CONTRACT))
def test_an_error_names_what_it_is_about(where: str) -> None:
    error = Error(session_id=SESSION, message="it broke", where=Where(where))
    assert on_wire(error) == {"type": "error", "sessionId": SESSION, "message": "it broke", "where": where}


@pytest.mark.contract("2.5")
def test_states_are_the_contract_s_without_the_one_that_is_never_sent() -> None:
    assert {str(state) for state in State} == STATES_OF_THE_CONTRACT
    assert {state for state in State if state.is_about_wake_words} == {
        state for state in State if state.startswith("wakeword")
    }


# --- absent or null ---


def nulls(value: object, path: str = "") -> set[str]:
    """Paths at which a message says null."""
    if isinstance(value, dict):
        return set().union(*(nulls(field, f"{path}.{key}") for key, field in value.items()))
    if isinstance(value, list):
        return set().union(*(nulls(item, path) for item in value))
    return {path} if value is None else set()


@pytest.mark.contract("2.5", "2.6")
def test_null_stands_only_where_the_contract_has_it() -> None:
    found = {goldens.kind_of(name) + path for name, event in EVENTS.items() for path in nulls(on_wire(event))}
    assert found == {
        "status.activeClientId",
        "status.wakeWord.state",
        "realtime.timing.queue_delay_seconds",
        "realtime.timing.inference_duration_seconds",
        "realtime.timing.total_latency_seconds",
        "metrics.metrics.currentSegment",
    }


def test_a_segment_of_which_nothing_is_known_is_its_number() -> None:
    assert on_wire(timeline("recording_started", 1.0, segment=Segment(segment_id=3)))["segment"] == {"segmentId": 3}


KNOWN: dict[str, Any] = {
    "recording_started_at": 1.0,
    "recording_started_at_iso": iso(1.0),
    "recording_ended_at": 2.0,
    "recording_ended_at_iso": iso(2.0),
    "duration_seconds": 1.0,
    "end_reason": "recording_stop",
    "pre_recording_buffer": PREROLL,
    "wake_word": WOKEN,
}


@pytest.mark.contract("2.6")
@given(st.sets(st.sampled_from(sorted(KNOWN))))
def test_what_is_known_of_a_segment_stands_in_it_and_beside_it_and_nothing_else_does(known: set[str]) -> None:
    shown = on_wire(realtime(Segment(segment_id=3, **{name: KNOWN[name] for name in known})))
    bare = on_wire(realtime(Segment(segment_id=3)))
    beside = {key: value for key, value in shown.items() if key not in bare}
    assert shown["segment"] == {"segmentId": 3} | beside
    assert len(beside) == len(known)
    assert bare["segment"] == {"segmentId": 3}


# --- numbers and text ---


@pytest.mark.contract("2.3", "9.6")
@given(st.floats())
def test_whatever_a_number_is_the_frame_is_json(number: float) -> None:
    """`JSON.parse` knows no NaN and no Infinity: they would end a page's conversation."""
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
def test_a_whole_number_of_seconds_is_written_as_a_float(number: float) -> None:
    whole = float(round(number))
    assert isinstance(on_wire(timeline("recording_ended", 1.0, duration_seconds=whole))["durationSeconds"], float)


@given(st.text())
def test_any_text_arrives_as_it_is(text: str) -> None:
    assert on_wire(Notice(session_id=SESSION, message=text))["message"] == text


@given(st.text(max_size=256) | st.integers(-(2**63), 2**63 - 1) | st.none())
def test_the_id_of_a_flush_comes_back_as_it_was_sent(identity: str | int | None) -> None:
    flush = parse_command(json.dumps({"type": "flush", "id": identity}))
    assert isinstance(flush, Flush)
    shown = on_wire(Flushed(session_id=SESSION, id=flush.id))["id"]
    assert (type(shown), shown) == (type(identity), identity)


# --- times and their twins ---

MILLISECOND = timedelta(milliseconds=1)
seconds = st.floats(0, 4102444800, allow_nan=False)  # until the year 2100


@pytest.mark.contract("2.4")
@given(seconds)
def test_a_twin_is_the_time_cut_to_milliseconds(timestamp: float) -> None:
    text = iso(timestamp)
    assert len(text) == len("2031-04-05T06:07:08.901Z")
    assert text.endswith("Z")
    twin = datetime.fromisoformat(text)
    assert twin.utcoffset() == timedelta(0)
    lag = datetime.fromtimestamp(timestamp, UTC) - twin
    assert timedelta(0) <= lag < MILLISECOND


@given(st.integers(0, 4102444800_000))
def test_a_time_of_whole_milliseconds_has_exactly_that_twin(milliseconds: int) -> None:
    assert (
        datetime.fromisoformat(iso(milliseconds / 1000)) == datetime.fromtimestamp(0, UTC) + milliseconds * MILLISECOND
    )


@given(st.lists(seconds, min_size=2).map(sorted))
def test_twins_are_ordered_as_their_times(ordered: list[float]) -> None:
    assert all(iso(earlier) <= iso(later) for earlier, later in pairwise(ordered))


@pytest.mark.parametrize(
    ("timestamp", "twin"),
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
def test_no_twin_is_ever_of_sixty_seconds_or_a_thousand_milliseconds(timestamp: float, twin: str) -> None:
    assert iso(timestamp) == twin


@pytest.mark.contract("2.4")
@pytest.mark.parametrize("name", EVENTS)
def test_every_time_on_the_wire_has_a_twin_that_is_equal(name: str) -> None:
    def pairs(value: object) -> list[tuple[float, str]]:
        if not isinstance(value, dict):
            return []
        here = [(value[key.removesuffix("Iso")], twin) for key, twin in value.items() if key.endswith("Iso")]
        return here + [pair for field in value.values() for pair in pairs(field)]

    for timestamp, twin in pairs(on_wire(EVENTS[name])):
        assert datetime.fromisoformat(twin).timestamp() == timestamp


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_every_event_is_read_again_as_it_was_written(event: Event) -> None:
    assert decode(encode(event)) == event

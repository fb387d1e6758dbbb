"""docs/protocol.md names exactly the events, fields, commands and close codes of the wire."""

import re
import types
import typing
from pathlib import Path

import msgspec
import pytest
from msgspec import UNSET, UnsetType

from tests.protocol import goldens
from trio_stt.api import subtitles, websocket_admission
from trio_stt.api.realtimestt import route
from trio_stt.protocol import commands, config_reports, event_objects, events, packets, reports
from trio_stt.settings import RuntimeClass, declarations

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
OBJECTS: dict[str, type[msgspec.Struct]] = {
    "The segment object": event_objects.Segment,
    "The preRecordingBuffer object": event_objects.PreRecordingBuffer,
    "The wakeWord object": event_objects.WakeWord,
    "The wakeWord status object": event_objects.WakeWordStatus,
    "The timing object": event_objects.RealtimeTiming,
    "The pieces objects": event_objects.Piece,
    "GET /health": reports.HealthReport,
    "GET /health/live and /health/ready": reports.ProbeReport,
    "GET /api/config": config_reports.ConfigReport,
    "GET /api/history": reports.HistoryReport,
    "The dialect object": reports.DialectReport,
    "POST /api/subtitles": subtitles.SubtitleRequest,
    "The subtitle segment object": subtitles.SubtitleSegment,
    "The setting schema object": config_reports.SettingSchema,
    "PATCH /api/config": config_reports.ConfigUpdateReport,
    "GET /api/metrics": reports.MetricsReport,
    "The scheduler object": reports.SchedulerReport,
    "The queue object": reports.QueueReport,
    "The workers object": reports.WorkerReport,
    "The capabilities object": reports.Capabilities,
    "The statistics object": reports.Statistics,
    "The limits object": reports.Limits,
    "The session object": reports.SessionReport,
}
"""Heading of each object's table, and the struct that it describes."""
JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", types.NoneType: "null"}
TOKENS = {
    *packets.SampleFormat,
    "auth",
    "auth_required",
    "turn_resumed",
    "wake_word_enabled",
    "no_speech",
    "recording_stop",
    "recording_started",
    "recording_ended",
    "transcription_started",
    "realtime_transcript",
    "final_transcript",
    "segment_closed",
    "wakeword_wait_started",
    "wakeword_wait_ended",
    "wakeword_followup_started",
    "wakeword_followup_timeout",
    "waiting_for_wake_word",
    "wake_word_detected_waiting_for_voice",
    "wake_word_wait_ended",
    "wake_word_timeout",
    "active_sessions",
    "new_sessions",
    "startup_only",
    "invalid_value",
}
"""Names in snake case that are values of the wire, beside those of the enumerations."""


def event_classes(base: type[events.Event] = events.Event) -> dict[str, type[events.Event]]:
    """Every event by its `type`."""
    found = {}
    for each in base.__subclasses__():
        tag = each.__struct_config__.tag
        if isinstance(tag, str) and not each.__subclasses__():
            found[tag] = each
        found |= event_classes(each)
    return found


EVENTS = event_classes()


def section(heading: str) -> str:
    """The text below a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(heading)}$\n(.*?)(?=^#+ |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"there is no heading {heading!r}"
    return found[1]


def table(heading: str) -> dict[str, tuple[str, str]]:
    """Fields of the first table below a heading: name to type and presence."""
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]*) \| ([^|]*) \| [^|]*\|$", section(heading), re.MULTILINE)
    return {name: (kind.strip(), present.strip()) for name, kind, present in rows}


def json_types(annotation: object) -> set[str]:
    """The JSON types of an annotation, as the page names them."""
    is_union = typing.get_origin(annotation) in (types.UnionType, typing.Union)
    options = typing.get_args(annotation) if is_union else (annotation,)
    named = set()
    for option in options:
        if option is UnsetType:
            continue
        origin = typing.get_origin(option) or option
        if origin is typing.Literal:
            named.add("string")
        elif origin in (tuple, list):
            named.add("array")
        elif isinstance(origin, type) and issubclass(origin, str):
            named.add("string")
        elif origin in JSON_TYPES:
            named.add(JSON_TYPES[origin])
        else:
            named.add("any" if origin is object else "object")
    return named


def check(heading: str, struct: type[msgspec.Struct], *, apart: frozenset[str] = frozenset()) -> None:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct) if field.encode_name not in apart}
    documented = table(heading)
    assert set(documented) == set(fields), heading
    hints = typing.get_type_hints(struct)
    for name, field in fields.items():
        kind, present = documented[name]
        named = re.split(r" or ", re.sub(" of (strings|integers|numbers)$", "", kind.partition(",")[0]))
        assert set(named) == json_types(hints[field.name]), (heading, name)
        assert present == "always" or field.default is UNSET, (heading, name)


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_an_event_is_documented_with_all_its_fields(name: str) -> None:
    check(name, EVENTS[name], apart=frozenset({"seq"}))


@pytest.mark.parametrize("heading", OBJECTS)
def test_an_object_is_documented_with_all_its_fields(heading: str) -> None:
    check(heading, OBJECTS[heading])


def test_every_table_of_fields_is_one_of_these() -> None:
    headings = [heading.partition("\n")[0] for heading in re.split(r"^#+ ", PAGE, flags=re.MULTILINE)]
    tables = {heading for heading in headings if heading and "| field | type |" in section(heading)}
    assert tables == {*EVENTS, *OBJECTS, "Events"}


def test_every_command_is_documented() -> None:
    named = set(re.findall(r"^\| `(\w+)` \|", section("Commands"), re.MULTILINE))
    assert named == {"start", *commands.Command, "flush", "resume", "auth"}
    assert f"at most {commands.MAX_FLUSH_ID_CHARACTERS} characters" in section("Commands")
    assert f"at most {commands.MAX_LANGUAGE_CHARACTERS} characters" in section("Commands")
    assert f"at most {commands.MAX_PROMPT_CHARACTERS:,};" in section("Commands")
    assert f"{commands.MAX_COMMAND_BYTES:,} characters" in section("Commands")


def test_every_state_error_tag_and_timeline_entry_is_documented() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", section("status"), re.MULTILINE)) > set(event_objects.State)
    errors = section("error").partition("| `where` | about |")[2]
    assert set(re.findall(r"`(\w+)`", errors)) >= set(event_objects.Where)
    entries = section("timeline").partition("| `event` | meaning |")[2]
    examples = [goldens.golden(name)["event"] for name in goldens.names() if name.startswith("timeline_")]
    assert set(re.findall(r"`(\w+)`", entries)) >= set(examples)


def test_the_limits_of_packets_are_documented() -> None:
    text = section("Audio packets")
    for limit in (packets.MAX_METADATA_BYTES, packets.MIN_RATE_HZ, packets.MAX_RATE_HZ, packets.MAX_CHANNELS):
        assert f"{limit:,}" in text
    golden_packet = {"sampleRate", "channels", "format", "frames"}
    assert set(table("Audio packets")) == golden_packet


def test_every_close_code_of_the_routes_is_documented() -> None:
    documented = {int(code) for code in re.findall(r"^\| (\d{4}) \|", section("Closing"), re.MULTILINE)}
    sent = {
        value
        for module in (route, websocket_admission)
        for name, value in vars(module).items()
        if name.startswith("CLOSE_")
    }
    below_messages = {1002, 1007, 1009}  # of hypercorn_adapter
    assert documented == sent | below_messages


def test_every_name_in_snake_case_is_a_setting_or_a_value_of_the_wire() -> None:
    values = {
        *event_objects.State,
        *event_objects.Where,
        *(name for timing in [table("The timing object")] for name in timing),
    }
    settings = {declaration.name for declaration in declarations()}
    named = set(re.findall(r"`([a-z]+(?:_[a-z0-9]+)+)`", PAGE))
    assert named - settings - values - TOKENS == set()


def test_every_public_setting_of_sessions_is_in_the_table_of_settings() -> None:
    listed = set(re.findall(r"`(\w+)`", section("Settings")))
    wanted = {
        declaration.name
        for declaration in declarations()
        if declaration.runtime is not RuntimeClass.STARTUP and declaration.name != "log_level"
    }
    assert wanted <= listed


def test_every_addition_of_ours_is_named_among_the_differences() -> None:
    text = section("Differences from RealtimeSTT's server")
    for path in goldens.ADDED_FIELDS:
        name = path.rpartition(".")[2]
        assert f"`{name}`" in text or "workers" in path, path
    for name in goldens.ADDED_MESSAGES:
        assert f"`{name.removeprefix('timeline_')}`" in text, name

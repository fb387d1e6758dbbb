"""Events and reports of a real session and server have the shapes of the golden files."""

import json
from typing import Any

import pytest
import trio

from tests.lanes.fakes import virtual_time
from tests.protocol import goldens
from tests.support.conversation import Batch, Client, levels, server_fixture
from trio_stt.errors import TranscriptionFailed
from trio_stt.lanes.engines.base import Transcript
from trio_stt.protocol.events import Error, Final, Flushed, encode
from trio_stt.protocol.reports import Report, encode_report
from trio_stt.session.session import HEARTBEAT_S

PAUSE_S = 0.8  # ends an utterance with default settings
EMPTY, FAILING = 3333, 4444


def answer(batch: Batch) -> object:
    """Transcribe levels as words; one level gives no text, another an error."""
    texts = levels(batch)
    if any(str(FAILING) in text.text for text in texts):
        raise TranscriptionFailed("engine exploded")
    return [Transcript(text="") if str(EMPTY) in text.text else text for text in texts]


def least_differences(fields: dict[str, Any], names: list[str]) -> list[str]:
    """Differences to the most similar golden file; empty if the shape is equal."""
    shown, _ = goldens.shared_part(fields, goldens.kind_of(names[0]))
    return min((goldens.differences(shown, goldens.golden(name), name) for name in names), key=len)


def files_of(fields: dict[str, Any]) -> list[str]:
    if fields["type"] == "timeline":
        return [f"timeline_{fields['event']}"]
    return [name for name in goldens.names() if goldens.kind_of(name) == fields["type"]]


def check_shapes(client: Client) -> set[str]:
    """Compare all events of a client with the golden files; return the kinds of events."""
    seen = set()
    for event in client.events:
        fields = json.loads(encode(event))
        assert least_differences(fields, files_of(fields)) == []
        seen.add(f"{fields['type']} {fields.get('event', '')}".strip())
    return seen


async def speak(client: Client, level: int) -> None:
    """Send a second of speech in real time."""
    for _ in range(25):
        client.say(level, 0.04)
        await trio.sleep(0.04)


@pytest.mark.contract("2.4", "2.5", "2.6", "1.7")
@virtual_time
async def test_events_of_a_conversation_have_the_golden_shapes() -> None:
    async with server_fixture(answer=answer) as server:
        client = await server.connect()
        client.say(1111, 0.04)  # before `start`: a warning
        client.raw("nonsense")
        client.raw(b"\0")
        for command in ("ping", "metrics", "start"):
            client.command(command)
        await speak(client, 1111)
        client.command("metrics")
        client.pause(PAUSE_S)
        await client.until(Final)
        for level in (EMPTY, FAILING):
            await speak(client, level)
            client.pause(PAUSE_S)
        await client.until(Error, 3)
        client.raw('{"type": "flush", "id": "order-17"}')
        await client.until(Flushed)
        await trio.sleep(HEARTBEAT_S)
        client.command("clear")
        client.command("stop")
        await client.settled()
        assert check_shapes(client) == {
            *("hello", "ready", "status", "realtime", "final", "warning", "error", "clear", "pong", "metrics"),
            *("flushed", "heartbeat"),
            *("timeline recording_started", "timeline recording_ended", "timeline transcription_started"),
            *("timeline realtime_transcript", "timeline final_transcript", "timeline segment_closed"),
        }


@pytest.mark.contract("1.1", "1.2", "1.4", "1.5", "1.6", "1.7")
@virtual_time
async def test_reports_of_a_server_have_the_golden_shapes() -> None:
    async with server_fixture(inference_s=lambda _: 5.0) as server:
        client = await server.streaming_client()
        await speak(client, 1111)
        client.pause(PAUSE_S)
        await speak(client, 2222)
        reports: dict[str, Report] = {
            "http_health": server.server_state.health(),
            "http_config": server.server_state.config(),
            "http_metrics": server.server_state.metrics(),
        }
        for name, report in reports.items():
            assert least_differences(json.loads(encode_report(report)), [name]) == []


def test_comparison_finds_every_difference() -> None:
    """Extra fields, missing fields, other JSON types and nulls, at any depth."""
    pong = goldens.golden("pong")
    assert least_differences(pong | {"extra": 1}, ["pong"]) == ["pong.extra is new"]
    assert least_differences({"type": "pong", "sessionId": "x"}, ["pong"]) == ["pong.serverTime is missing"]
    assert len(least_differences(pong | {"serverTime": 1}, ["pong"])) == 1
    assert len(least_differences(pong | {"serverTime": None}, ["pong"])) == 1
    metrics = goldens.golden("http_metrics")
    metrics["scheduler"]["workers"]["realtime"]["queueDelay"]["p95Ms"] = 0
    assert len(least_differences(metrics, ["http_metrics"])) == 1

"""A real server over real sockets: commands and reports have the contract's shapes, and a busy server still answers."""

import http.client
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import trio
from trio_websocket import open_websocket_url

from tests.contract.fixtures import composed, speech
from tests.lanes.fakes import Batch, FakeEngine
from tests.protocol.test_conversation import files_of, least_differences
from tests.support.client import PATH, SocketClient, connected, load_pcm
from tests.support.in_process import serving
from tests.support.real import moonshine_asset
from trio_stt.lanes.engines.base import Transcript
from trio_stt.server.build import build_server
from trio_stt.session.session import HEARTBEAT_S
from trio_stt.settings import load_settings


async def ask(port: int, path: str, changes: object = None) -> tuple[int, Any]:
    """Status and decoded body of a GET, or of a PATCH with these changes."""

    def exchange() -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET" if changes is None else "PATCH", path, json.dumps(changes) if changes else None)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    return await trio.to_thread.run_sync(exchange)


@pytest.mark.contract("1.1", "1.2", "1.3", "1.4", "2.2", "2.4", "2.5", "9.6")
async def test_commands_and_reports_of_a_real_server_have_their_documented_shape(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    samples, rate_hz = load_pcm(moonshine_asset("beckett.wav"))
    speech_samples = samples[: 3 * rate_hz]
    async with serving(monkeypatch, build_server(load_settings({}))) as port, connected(port) as client:
        await client.until("ready")
        await client.stream(speech_samples[: rate_hz // 10], rate_hz)  # before `start`: warnings
        await client.socket.send_message(b"\0")
        await client.command("dance")
        await client.command("metrics")
        await client.command("start")
        await client.stream(speech_samples, rate_hz, speed=2.0)
        await client.socket.send_message('{"type": "flush", "id": "one"}')
        await client.until("flushed")
        await client.stream(speech_samples, rate_hz, speed=2.0)
        await client.until_state("recording")
        await client.command("metrics")
        await client.until("metrics", 2)
        reports = {path: await ask(port, path) for path in ("/health", "/api/config", "/api/metrics")}
        changed = await ask(port, "/api/config", {"max_sessions": 6, "silero_sensitivity": 9, "colour": 1})
        await client.command("clear")
        await client.until("clear")
        await client.stream(speech_samples, rate_hz, speed=4.0)
        await client.until("heartbeat", within_s=10 * HEARTBEAT_S)
        await client.command("stop")
        await client.until_state("idle")
        await client.until("final", 2)
        await client.command("ping")
        await client.until("pong")

    seen = set()
    for event in client.events:
        assert least_differences(event, files_of(event)) == []
        seen.add(f"{event['type']} {event.get('event', '')}".strip())
    assert seen >= {
        *("hello", "ready", "status", "realtime", "final", "warning", "error", "clear", "pong", "metrics"),
        *("flushed", "heartbeat"),
        *("timeline recording_started", "timeline recording_ended", "timeline transcription_started"),
        *("timeline realtime_transcript", "timeline final_transcript"),
    }
    assert {event["where"] for event in client.of("error")} == {"audio_packet", "command"}
    assert client.of("flushed")[0]["id"] == "one"
    (cleared,) = client.of("clear")
    before = client.events[: client.events.index(cleared)]
    assert cleared["nextSegmentId"] > max(event.get("segmentId", 0) for event in before)
    for path, (status, body) in reports.items():
        assert (status, least_differences(body, [f"http_{path.rpartition('/')[2]}"])) == (200, [])
    assert list(reports["/api/metrics"][1]["sessions"]) == [client.events[0]["sessionId"]]
    status, body = changed
    assert (status, list(body["applied"]), sorted(body["rejected"])) == (
        400,
        ["max_sessions"],
        ["colour", "silero_sensitivity"],
    )
    all_reports = json.dumps([reports, changed, client.of("metrics")]).lower()
    words = {word for final in client.of("final") for word in final["text"].lower().rstrip(".").split()}
    assert "tried" in words
    assert "tried" not in all_reports, "no report contains a transcript"


@dataclass
class Gate:
    """The engine's answer. For more than a second of audio it waits until the gate is opened."""

    waits: threading.Event
    may_go: threading.Event

    def __call__(self, batch: Batch) -> list[Transcript]:
        if max(clip.size for clip in batch) > 16_000:
            self.waits.set()
            self.may_go.wait()
        return [Transcript(text="at last") for _ in batch]


@asynccontextmanager
async def busy_server(monkeypatch: pytest.MonkeyPatch, gate: Gate) -> AsyncIterator[int]:
    """The port of a server in this process, whose engine waits for the gate."""
    settings = {"early_transcription_on_silence": 0.0, "realtime_max_audio_seconds": 1.0}
    async with serving(monkeypatch, composed(monkeypatch, FakeEngine(gate), **settings)) as port:
        try:
            yield port
        finally:
            gate.may_go.set()


@pytest.mark.contract("1.1", "2.1", "9.6", "11/1")
async def test_health_and_websockets_respond_during_a_long_final(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = Gate(threading.Event(), threading.Event())
    async with busy_server(monkeypatch, gate) as port:
        url = f"ws://127.0.0.1:{port}{PATH}"
        async with open_websocket_url(url) as socket, open_websocket_url(url) as other, trio.open_nursery() as nursery:
            speaker, reader = SocketClient(socket), SocketClient(other)
            for client in (speaker, reader):
                nursery.start_soon(client.listen)
                await client.until("ready")
            await speaker.command("start")
            await speaker.stream(speech(3.0), 16_000)
            await speaker.command("stop")
            with trio.fail_after(30):
                await trio.to_thread.run_sync(gate.waits.wait)
            status, report = await ask(port, "/health")
            assert (status, report["ok"], report["activeSessions"]) == (200, True, 2)
            await reader.command("ping")
            await reader.until("pong")
            await speaker.command("ping")
            await speaker.until("pong")
            for _ in range(20):
                assert (await ask(port, "/health"))[0] == 200
            assert speaker.of("final") == []
            gate.may_go.set()
            assert (await speaker.until("final"))["text"] == "At last."
            nursery.cancel_scope.cancel()

"""The whole server over real sockets: Hypercorn in both worker classes, the embedded model, real speech."""

import http.client
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any

import pytest
import trio
from trio_websocket import ConnectionClosed

from tests.support.client import PATH, connected, load_pcm
from tests.support.in_process import serving
from tests.support.raw_socket import raw_client
from tests.support.real import moonshine_asset
from tests.support.server import (
    RunningServer,
    ServerFailed,
    output_of_one_test,
    running_server,
    shared_server,
    web_socket,
)
from trio_stt.server.build import build_server
from trio_stt.settings import load_settings

WORKERS = ["asyncio", pytest.param("trio", marks=pytest.mark.long)]
HYPERCORN = ["-m", "hypercorn", "trio_stt.app:app", "--bind", "127.0.0.1:{port}"]
BECKETT_FIRST_WORDS = "ever tried"


@asynccontextmanager
async def hypercorn(worker: str, **settings: object) -> AsyncIterator[RunningServer]:
    env = {f"TRIO_STT_{name.upper()}": str(value) for name, value in settings.items()}
    async with running_server([*HYPERCORN, "-k", worker], env) as server:
        yield server


@pytest.fixture(scope="module", params=WORKERS)
def shared(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    """A server shared by tests that start and end without a session on it."""
    settings = {"max_sessions": "3", "resume_grace_s": "0.5", "max_commands_per_second": "100000"}
    env = {f"TRIO_STT_{name.upper()}": value for name, value in settings.items()}
    with shared_server([*HYPERCORN, "-k", request.param], env) as running:
        yield running


@pytest.fixture
async def server(shared: RunningServer) -> AsyncIterator[RunningServer]:
    with output_of_one_test(shared):
        await until_sessions(shared, 0)
        yield shared


async def get(server: RunningServer, path: str, method: str = "GET") -> tuple[int, str]:
    """Status and body of one HTTP request."""

    def ask() -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    return await trio.to_thread.run_sync(ask)


@pytest.mark.contract("2.1", "2.8")
async def test_client_gets_all_events_in_order(server: RunningServer) -> None:
    samples, rate_hz = load_pcm(moonshine_asset("beckett.wav"))
    async with connected(server) as client:
        await client.until("ready")
        assert client.event_names[:2] == ["hello", "ready"]
        await client.command("start")
        await client.stream(samples[: 4 * rate_hz], rate_hz, speed=4.0)
        await client.command("stop")
        await client.until_state("idle")
        await client.until("final")
        await client.command("ping")
        await client.until("pong")

        assert client.of("final")[0]["text"].lower().startswith(BECKETT_FIRST_WORDS)
        assert client.of("realtime"), "partials arrived during speech"
        event_names = client.event_names
        for before, after in [
            ("status listening", "status voice"),
            ("status voice", "timeline recording_started"),
            ("timeline recording_started", "status recording"),
            ("status recording", "realtime"),
            ("timeline recording_ended", "timeline transcription_started"),
            ("timeline transcription_started", "final"),
        ]:
            assert event_names.index(before) < event_names.index(after)
        for event, following in pairwise(client.events):
            if event["type"] == "realtime":
                assert (following["type"], following["event"]) == ("timeline", "realtime_transcript")
            if event["type"] == "final":
                assert (following["type"], following["event"]) == ("timeline", "final_transcript")
        hello = client.events[0]
        assert hello["settings"]["model"] == "moonshine-tiny-en"
        assert hello["clientId"] == hello["sessionId"]


@pytest.mark.contract("2.4")
async def test_two_clients_get_only_their_own_words(server: RunningServer) -> None:
    beckett, beckett_hz = load_pcm(moonshine_asset("beckett.wav"))
    cities, cities_hz = load_pcm(moonshine_asset("two_cities.wav"))
    async with connected(server) as first, connected(server) as second:
        for client in (first, second):
            await client.until("ready")
            await client.command("start")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first.stream, beckett, beckett_hz)
            nursery.start_soon(second.stream, cities[: 13 * cities_hz], cities_hz)
        for client in (first, second):
            await client.command("stop")
        await first.until_all_final()
        await second.until_all_final()
        assert "matter" in first.text.lower()
        assert "wisdom" not in first.text.lower()
        assert "wisdom" in second.text.lower()
        assert "matter" not in second.text.lower()
        for client in (first, second):
            assert {event["sessionId"] for event in client.events} == {client.events[0]["sessionId"]}


@pytest.mark.contract("2.9")
async def test_disconnect_during_a_word_leaves_nothing_behind(server: RunningServer) -> None:
    samples, rate_hz = load_pcm(moonshine_asset("beckett.wav"))
    async with connected(server) as stays:
        await stays.until("ready")
        async with connected(server) as leaver:
            await leaver.until("ready")
            await leaver.command("start")
            await leaver.stream(samples[: round(1.2 * rate_hz)], rate_hz)
            await leaver.until_state("recording")
            assert (await health(server))["activeSpeakers"] == 1
            await leaver.socket._stream.aclose()
        report = await until_sessions(server, 1)
        assert report["activeSpeakers"] == 0
        await stays.command("start")
        await stays.stream(samples, rate_hz)
        await stays.command("stop")
        assert (await stays.until("final"))["text"].lower().startswith(BECKETT_FIRST_WORDS)


@pytest.mark.contract("2.9", "11/4")
async def test_client_that_never_reads_is_disconnected_while_others_are_served(server: RunningServer) -> None:
    samples, rate_hz = load_pcm(moonshine_asset("beckett.wav"))
    async with (
        connected(server) as reads,
        trio.open_nursery() as nursery,
    ):
        await reads.until("ready")
        await nursery.start(_ask_and_never_read, server)
        await reads.command("start")
        await reads.stream(samples, rate_hz)
        await reads.command("stop")
        assert (await reads.until("final"))["text"].lower().startswith(BECKETT_FIRST_WORDS)
        await until_sessions(server, 1)
        nursery.cancel_scope.cancel()


async def _ask_and_never_read(
    server: RunningServer, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Request metrics without end, and read no answer."""
    async with web_socket(server, PATH) as socket:
        await socket.get_message()
        task_status.started()
        with suppress(ConnectionClosed):
            while True:
                await socket.send_message('{"type": "metrics"}')


@pytest.mark.contract("2.1")
async def test_full_server_closes_with_1013_and_the_reason(server: RunningServer) -> None:
    rejected_before = (await health(server))["rejectedSessions"]
    async with connected(server) as first, connected(server) as second, connected(server) as third:
        for client in (first, second, third):
            await client.until("hello")
        async with connected(server) as fourth:
            await fourth.until_closed()
            assert [event["type"] for event in fourth.events] == ["error"]
            rejection = fourth.events[0]
            assert (rejection["where"], "sessionId" in rejection) == ("admission", False)
            assert rejection["limits"]["maxSessions"] == 3
            assert fourth.close_code == 1013
        assert (await health(server))["rejectedSessions"] == rejected_before + 1
        await first.command("ping")
        await first.until("pong")


@pytest.mark.contract("2.2", "2.3", "11/3")
async def test_hostile_input_gets_an_error_and_the_session_continues(server: RunningServer) -> None:
    def packet(metadata: bytes) -> bytes:
        return len(metadata).to_bytes(4, "little") + metadata + b"\0\0"

    hostile: list[tuple[str | bytes, str]] = [
        ("[" * 100_000, "command"),
        ('{"type": "ping", "n": ' + "9" * 5000 + "}", "command"),
        ('{"type": null}', "command"),
        ("", "command"),
        (b"", "audio_packet"),
        (b"\xff\xff\xff\xff", "audio_packet"),
        (packet(b"[" * 60_000), "audio_packet"),
        (packet(b'{"sampleRate": 1}'), "audio_packet"),
        (packet(b'{"sampleRate": 999983}'), "audio_packet"),
        (packet(b'{"sampleRate": 1' + b"0" * 5000 + b"}"), "audio_packet"),
        (packet(b'{"sampleRate": NaN}'), "audio_packet"),
    ]
    async with connected(server) as client:
        await client.until("ready")
        for number, (message, where) in enumerate(hostile, 1):
            await client.socket.send_message(message)
            error = await client.until("error", number)
            assert error["where"] == where, message[:40]
            assert error["sessionId"] == client.events[0]["sessionId"]
        await client.command("ping")
        await client.until("pong")


async def until_sessions(server: RunningServer, count: int) -> dict[str, Any]:
    """Wait until the health report counts `count` sessions, and return it."""
    with trio.fail_after(90):
        while (report := await health(server))["activeSessions"] != count:  # noqa: ASYNC110 - another process cannot set our events
            await trio.sleep(0.05)
    return report


async def health(server: RunningServer) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((await get(server, "/health"))[1])
    return report


@pytest.mark.contract("1.2", "1.4", "1.5")
async def test_http_routes_answer(server: RunningServer) -> None:
    status, page = await get(server, "/")
    assert (status, "<!doctype html>" in page.lower()) == (200, True)
    status, script = await get(server, "/web/main.js")
    assert (status, bool(script)) == (200, True)
    assert (await get(server, "/web/../pyproject.toml"))[0] == 404

    status, body = await get(server, "/api/config")
    config = json.loads(body)
    assert status == 200
    assert set(config) == {"settings", "limits", "supportedEngines", "runtimeSettings", "schema"}
    assert config["settings"]["max_sessions"] == config["limits"]["maxSessions"] == 3
    assert not {"transcription_engine_options", "realtime_transcription_engine_options"} & set(config["settings"])
    assert config["supportedEngines"] == sorted(config["supportedEngines"])

    status, body = await get(server, "/api/metrics")
    metrics = json.loads(body)
    assert (status, metrics["sessions"], metrics["pendingSessionAdmissions"]) == (200, {}, 0)
    assert metrics["scheduler"]["mode"] == "low-memory-one-model"
    assert set(metrics["scheduler"]["workers"]) == {"main"}

    for path, method, expected in [("/nothing", "GET", 404), ("/health", "POST", 405)]:
        status, body = await get(server, path, method)
        assert (status, list(json.loads(body))) == (expected, ["detail"])


@pytest.mark.contract("1.1", "2.1", "7.5")
async def test_failed_model_load_is_reported_to_clients_and_in_health(monkeypatch: pytest.MonkeyPatch) -> None:
    server_state = build_server(load_settings({"model": "/nowhere/model"}))
    async with serving(monkeypatch, server_state) as port, raw_client(port) as client:
        await client.open(port)
        ready = await client.until("ready")
        error = await client.until("error")
        assert (ready["ok"], error["where"]) == (False, "main_engine")
        assert "/nowhere/model" in error["message"]
        report = server_state.health()
        assert (report.ready, report.ok) == (True, False)
        assert report.startup_errors[0].message == error["message"]


@pytest.mark.long
async def test_invalid_environment_variable_fails_the_start_in_one_line() -> None:
    with pytest.raises(ServerFailed) as caught:
        async with hypercorn("trio", port="many"):
            pass
    output = "".join(caught.value.__notes__)
    assert "trio-stt: TRIO_STT_PORT: 'many' is not allowed" in output
    assert "status 0" not in str(caught.value), "a service manager must see that it failed"
    assert "Traceback" not in output


async def test_serve_prints_engines_and_address_and_exits_cleanly_on_sigterm() -> None:
    args = ["-m", "trio_stt", "serve", "--port", "{port}"]
    async with running_server(args) as server:
        with trio.fail_after(60):
            await server.wait_for_output("ready on")
        lines = server.output.splitlines()
        assert "Finals and partials: sherpa_onnx_moonshine, model moonshine-tiny-en, on cpu" in lines
        assert f"trio-stt is ready on http://127.0.0.1:{server.port}" in lines
        assert "Warning" not in server.output
        async with connected(server) as client:
            await client.until("ready")
            assert await server.stop() == 0

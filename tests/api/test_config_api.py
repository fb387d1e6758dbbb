"""`/api/config` of a real server: the report, and every kind of change."""

import http.client
import json
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from tests.support.client import connected
from tests.support.server import RunningServer, output_of_one_test, running_server, shared_server
from trio_stt.lanes.engines.registry import engine_names
from trio_stt.settings import declarations, runtime_settings

MAX_BODY_BYTES = 65_536


SERVE = ["-m", "trio_stt", "serve", "--port", "{port}"]
HYPERCORN = ["-m", "hypercorn", "-k", "asyncio", "trio_stt.app:app", "--bind", "127.0.0.1:{port}"]


@asynccontextmanager
async def server(command: Sequence[str] = SERVE) -> AsyncIterator[RunningServer]:
    async with running_server(command, {"TRIO_STT_MODEL_WARMUP": "off"}) as running:
        yield running


@pytest.fixture(scope="module")
def shared() -> Iterator[RunningServer]:
    """A server for the tests that assume no values of its settings."""
    with shared_server(SERVE, {"TRIO_STT_MODEL_WARMUP": "off"}) as running:
        yield running


@pytest.fixture
def running(shared: RunningServer) -> Iterator[RunningServer]:
    with output_of_one_test(shared):
        yield shared


async def request(server: RunningServer, method: str, body: bytes | None = None) -> tuple[int, Any]:
    """Status and decoded body."""

    def ask() -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        try:
            connection.request(method, "/api/config", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            assert answer.headers["Content-Type"] == "application/json"
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    return await trio.to_thread.run_sync(ask)


async def patch(server: RunningServer, body: object) -> tuple[int, Any]:
    return await request(server, "PATCH", json.dumps(body).encode())


@pytest.mark.contract("1.2", "1.3")
async def test_patch_applies_and_rejects_each_setting() -> None:
    async with server() as running:
        status, config = await request(running, "GET")
        assert status == 200
        assert sorted(config) == ["limits", "runtimeSettings", "schema", "settings", "supportedEngines"]
        hidden = {"transcription_engine_options", "realtime_transcription_engine_options"}
        hidden |= {"keys", "keys_file", "certfile", "keyfile"}
        hidden |= {"ray_address", "lane_resources", "realtime_lane_resources"}
        assert set(config["settings"]) == {d.name for d in declarations()} - hidden | {"wake_word_enabled"}
        assert config["settings"]["realtime_boundary_followup_delays"] == [0.05, 0.2]
        assert config["settings"]["tuning_profile"] == "custom"
        assert config["runtimeSettings"] == runtime_settings()
        assert config["supportedEngines"] == sorted(engine_names())
        assert config["limits"]["realtimeDegradationThresholdMs"] == 1500

        # Changes under `settings`, whose siblings are ignored.
        changes = {"max_sessions": 1, "silero_sensitivity": 1, "realtime_boundary_followup_delays": [0.3, 0.1]}
        status, report = await patch(running, {"settings": changes, "max_active_speakers": 1})
        assert status == 200
        assert report["applied"] == {
            "max_sessions": {"value": 1, "appliesTo": "active_sessions"},
            "silero_sensitivity": {"value": 1.0, "appliesTo": "new_sessions"},
            "realtime_boundary_followup_delays": {"value": [0.1, 0.3], "appliesTo": "new_sessions"},
        }
        assert report["rejected"] == {}
        assert report["settings"] == config["settings"] | {name: report["applied"][name]["value"] for name in changes}
        assert report["runtimeSettings"] == config["runtimeSettings"]
        _, config = await request(running, "GET")
        assert config["settings"] == report["settings"]
        assert config["limits"]["maxSessions"] == 1

        # The limit changes at once: a second session is rejected until the limit is 2.
        async with connected(running) as first:
            assert (await first.until("hello"))["settings"] == report["settings"]
            async with connected(running) as second:
                assert (await second.until("error"))["where"] == "admission"
            await patch(running, {"max_sessions": 2})
            async with connected(running) as second:
                await second.until("hello")

        # Without `settings`, the object itself holds the changes; each is judged on its own.
        status, report = await patch(
            running,
            {"max_sessions": 6, "model": 5, "colour": None, "max_active_speakers": True, "webrtc_sensitivity": 4},
        )
        assert status == 400
        assert list(report["applied"]) == ["max_sessions"]
        assert {name: why["reason"] for name, why in report["rejected"].items()} == {
            "model": "startup_only",
            "colour": "unknown",
            "max_active_speakers": "invalid_value",
            "webrtc_sensitivity": "invalid_value",
        }
        assert (report["settings"]["max_sessions"], report["settings"]["max_active_speakers"]) == (6, 32)

        for nothing in ({}, {"settings": {}}):
            status, report = await patch(running, nothing)
            assert (status, report["applied"], report["rejected"]) == (200, {}, {})


@pytest.mark.contract("1.3", "11/5")
@pytest.mark.parametrize("command", [pytest.param(SERVE, marks=pytest.mark.long), HYPERCORN], ids=["serve", "guest"])
async def test_wake_words_without_a_backend_are_applied_with_a_warning(command: Sequence[str]) -> None:
    async with server(command) as running:
        status, report = await patch(running, {"settings": {"max_sessions": 8, "wake_words": "jarvis"}})
        assert status == 200
        assert sorted(report["applied"]) == ["max_sessions", "wake_words"]
        (warning,) = report["warnings"]
        assert "wakeword_backend" in warning
        assert report["settings"]["wake_word_enabled"] is False
        async with connected(running) as client:
            assert (await client.until("hello"))["settings"]["wake_words"] == "jarvis"
            await client.until("ready")
            await client.command("start")
            await client.until_state("listening")

        status, report = await patch(running, {"wakeword_backend": "openwakeword", "wake_words": "banana"})
        assert status == 400
        assert "banana" in report["rejected"]["wake_words"]["message"]
        async with connected(running) as client:
            await client.until("ready")


@pytest.mark.contract("1.3", "11/29")
async def test_concurrent_changes_are_all_kept_and_logged_at_the_log_level(running: RunningServer) -> None:
    names = [
        *("pre_recording_buffer_duration", "wake_word_timeout", "max_backlog_seconds", "idle_timeout_s"),
        *("min_length_of_recording", "min_gap_between_recordings", "realtime_processing_pause"),
    ]
    await patch(running, {"log_level": "WARNING"})
    async with trio.open_nursery() as nursery:
        for number, name in enumerate(names, start=1):
            nursery.start_soon(patch, running, {name: number})
    _, config = await request(running, "GET")
    assert [config["settings"][name] for name in names] == list(range(1, len(names) + 1))
    assert "settings changed" not in running.output
    await patch(running, {"log_level": "info"})
    await patch(running, {"max_sessions": 3, "initial_prompt": "a secret"})
    assert running.output.count("settings changed") == 2
    assert "settings changed: max_sessions, initial_prompt [" in running.output
    await patch(running, {"log_level": "ERROR"})
    await patch(running, {"max_sessions": 4})
    assert running.output.count("settings changed") == 2
    assert "a secret" not in running.output
    await patch(running, {"log_level": "info"})


HOSTILE: list[tuple[bytes, int]] = [
    (b"", 422),
    (b"nonsense", 422),
    (b"[]", 422),
    (b"null", 422),
    (b"5", 422),
    (b'"settings"', 422),
    (b'{"max_sessions": NaN}', 422),
    (b'{"max_sessions": 1', 422),
    (b'{"max_sessions": 01}', 422),
    (b"\xff\xfe{", 422),
    (b'{"max_sessions": "x", "max_sessions": 7}', 422),
    (b"[" * 60_000, 422),
    (b'{"a":' * 12_000, 422),
    (b'{"settings": null}', 400),
    (b'{"settings": []}', 400),
    (b'{"settings": {"max_sessions": 7, "max_sessions": 7}}', 400),
    (b'{"settings": "max_sessions"}', 400),
    (b'{"settings": 5, "max_sessions": 7}', 400),
    (b'{"max_sessions": ' + b"9" * 60_000 + b"}", 400),
    (b'{"max_sessions": -' + b"9" * 400 + b"}", 400),
    (b'{"silero_sensitivity": 1e999}', 400),
    (b'{"silero_sensitivity": -1e999}', 400),
    (b'{"silero_sensitivity": ' + b"9" * 400 + b"}", 400),
    (b'{"realtime_boundary_followup_delays": [null]}', 400),
    (b'{"realtime_boundary_followup_delays": [1e999]}', 400),
    (b'{"realtime_boundary_followup_delays": [' + b"0," * 30_000 + b"0]}", 400),
    (b'{"initial_prompt": "' + b"x" * 60_000 + b'"}', 400),
    (b'{"initial_prompt": "\xff"}', 400),
    (b'{"max_sessions": ' + b"[" * 900 + b"]" * 900 + b"}", 400),
    (b'{"' + b"x" * 60_000 + b'": 1}', 400),
    (b"{" + b",".join(b'"%d":0' % i for i in range(7000)) + b"}", 400),
]


@pytest.mark.contract("1.3", "11/34")
async def test_hostile_requests_change_nothing_and_get_an_error(running: RunningServer) -> None:
    _, before = await request(running, "GET")
    for body, status in HOSTILE:
        with trio.fail_after(10):
            got, report = await request(running, "PATCH", body)
        assert got == status, body[:60]
        if status == 422:
            (problem,) = report["detail"]
            assert problem["loc"] == ["body"], body[:60]
            assert problem["msg"]
        elif b'"settings"' in body:
            assert report["error"], body[:60]
        else:
            assert report["applied"] == {}, body[:60]
            assert {why["reason"] for why in report["rejected"].values()} <= {"invalid_value", "unknown"}
    assert (await request(running, "GET"))[1] == before

    for method in ("POST", "PUT", "DELETE"):
        status, report = await request(running, method, b"{}")
        assert (status, bool(report["detail"])) == (405, True)

    assert "Traceback" not in running.output


async def test_too_large_body_is_rejected_with_the_limit(running: RunningServer) -> None:
    status, report = await request(running, "PATCH", b'{"a": "' + b"x" * MAX_BODY_BYTES + b'"}')
    assert status == 413
    assert str(MAX_BODY_BYTES) in report["detail"]
    fits = b'{"max_sessions": 9' + b" " * (MAX_BODY_BYTES - 19) + b"}"
    assert len(fits) == MAX_BODY_BYTES
    assert (await request(running, "PATCH", fits))[0] == 200

    # An endless body is rejected while it is sent.
    with trio.fail_after(30):
        assert b" 413 " in await trio.to_thread.run_sync(endless, running.port)
    assert (await request(running, "GET"))[1]["settings"]["max_sessions"] == 9


def endless(port: int) -> bytes:
    """The status line of the answer to an endless body in chunks."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"PATCH /api/config HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
        connection.settimeout(0.05)
        while True:
            try:
                answer = connection.recv(4096)
            except TimeoutError:
                connection.settimeout(20)
                connection.sendall(chunk)
                connection.settimeout(0.05)
            else:
                return answer.split(b"\r\n", 1)[0]

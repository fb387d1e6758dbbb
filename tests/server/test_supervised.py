"""A real server under a supervisor: its probes, its notifications and its log."""

import json
import signal
import socket
from pathlib import Path

import httpx2
import pytest
import trio

from tests.support.client import connected, load_pcm
from tests.support.real import moonshine_asset
from tests.support.server import running_server

SERVE = ["-m", "trio_stt", "serve", "--port", "{port}", "--log-format", "json", "--log-level", "DEBUG"]
pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="systemd talks over Unix sockets")


async def until_notified(systemd: socket.socket, wanted: str) -> list[str]:
    """Receive notifications until one of this kind; returns them."""
    received: list[str] = []
    with trio.fail_after(60):
        while wanted not in received:
            await trio.lowlevel.wait_readable(systemd)
            received.append(systemd.recv(4096).decode())
    return received


async def test_supervisor_gets_notifications_probes_and_json_log(tmp_path: Path) -> None:
    samples, rate_hz = load_pcm(moonshine_asset("beckett.wav"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000", "WATCHDOG_PID": ""}
        async with running_server([*SERVE, "--max-sessions", "1"], env) as server:
            await until_notified(systemd, "READY=1")
            await until_notified(systemd, "WATCHDOG=1")
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http:
                for probe in ("live", "ready"):
                    answer = await http.get(f"/health/{probe}")
                    assert (answer.status_code, answer.json()) == (200, {"ok": True, "reason": None})
                async with connected(server) as client:
                    hello = await client.until("hello")
                    await client.until("ready")
                    await client.command("start")
                    await client.stream(samples[: round(1.5 * rate_hz)], rate_hz)
                    await client.until("realtime")
                    full = await http.get("/health/ready")
                    assert (full.status_code, full.json()["reason"]) == (503, "the server is full: max_sessions is 1")
                    assert (await http.get("/health/live")).status_code == 200
                    server.process.send_signal(signal.SIGTERM)
                    await client.until_closed()
            await until_notified(systemd, "STOPPING=1")
            assert await server.process.wait() == 0
            lines = [json.loads(line) for line in server.output.splitlines() if line.startswith("{")]
            assert [line for line in lines if line.get("session") == hello["sessionId"]], server.output
            assert not [line for line in lines if "ever tried" in json.dumps(line).lower()], "no text in the log"
            assert any("Running on" in line["event"] for line in lines), "Hypercorn logs JSON, too"
            assert {"timestamp", "level", "logger", "event"} <= lines[0].keys()

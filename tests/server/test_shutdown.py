"""SIGTERM in the middle of a sentence: its final still arrives, then the server closes and exits."""

import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from tests.contract.fixtures import composed
from tests.lanes.fakes import FakeEngine
from tests.support.client import connected, load_pcm
from tests.support.real import moonshine_asset
from tests.support.server import running_server
from trio_stt.cli import main
from trio_stt.cli.serve import _announce
from trio_stt.settings import Settings

SERVE = ["-m", "trio_stt", "serve", "--port", "{port}"]
HYPERCORN = ["-m", "hypercorn", "--bind", "127.0.0.1:{port}", "trio_stt.app:app", "-k"]
SERVICE_RESTART = 1012
GOING_AWAY = 1001


@pytest.mark.parametrize(
    ("command", "number"),
    [
        (SERVE, signal.SIGTERM),
        ([*HYPERCORN, "asyncio"], signal.SIGINT),
        pytest.param(SERVE, signal.SIGINT, marks=pytest.mark.long),
        pytest.param([*HYPERCORN, "asyncio"], signal.SIGTERM, marks=pytest.mark.long),
        pytest.param([*HYPERCORN, "trio"], signal.SIGINT, marks=pytest.mark.long),
    ],
)
async def test_sentence_is_finished_before_the_server_exits(command: list[str], number: signal.Signals) -> None:
    samples, rate_hz = load_pcm(moonshine_asset("beckett.wav"))
    async with running_server(command) as server, connected(server) as client:
        await client.until("ready")
        await client.command("start")
        await client.stream(samples[: round(1.5 * rate_hz)], rate_hz)
        await client.until("realtime")
        server.process.send_signal(number)
        await client.until("final")
        await client.until_closed()
        assert client.close_code == GOING_AWAY
        assert client.of("final")[0]["text"].lower().startswith("ever")
        assert "shutting down" in client.of("warning")[-1]["message"]
        assert await server.process.wait() == 0
        assert "Traceback" not in server.output


async def test_draining_server_rejects_new_clients_and_exits_at_a_second_signal() -> None:
    samples, rate_hz = load_pcm(moonshine_asset("two_cities.wav"))
    args = [*SERVE, "--shutdown-grace-s", "600", "--max-audio-queue-seconds-per-session", "60"]
    async with running_server(args) as server, connected(server) as client:
        await client.until("ready")
        await client.command("start")
        for _ in range(4):
            await client.stream(samples, rate_hz)
        server.process.send_signal(signal.SIGTERM)
        await client.until("warning")
        async with connected(server) as late:
            await late.until_closed()
            assert late.close_code == SERVICE_RESTART
            assert [event["where"] for event in late.of("error")] == ["admission"]
        server.process.send_signal(signal.SIGTERM)
        with trio.fail_after(30):
            assert await server.process.wait() == 0


def test_hangup_is_ignored_while_the_server_starts_and_drains(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that closes, or a hook that renews certificates, does not wait until the server serves."""
    found = []

    def serve(_settings: Settings) -> int:
        found.append(signal.getsignal(signal.SIGHUP))
        return 0

    monkeypatch.setattr("trio_stt.cli.serve.serve", serve)
    before = signal.getsignal(signal.SIGHUP)
    try:
        assert main(["serve"]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert found == [signal.SIG_IGN]


@pytest.fixture
def full_output(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Standard output on a full disk."""
    if not Path("/dev/full").exists():
        pytest.skip("only Linux has a device that is always full")
    full = Path("/dev/full").open("w")  # noqa: SIM115 - closing it fails, too
    monkeypatch.setattr(sys, "stdout", full)
    yield
    with suppress(OSError):
        full.close()


@pytest.mark.usefixtures("full_output")
async def test_full_disk_of_the_output_ends_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    server_state = composed(monkeypatch, FakeEngine())
    await _announce(server_state, ["http://127.0.0.1:8010"], None, speaks=True)


async def test_sighup_without_a_certificate_ends_nothing_and_a_second_sigterm_ends_everything() -> None:
    """Clients that read no answers, and one with a running session."""
    requests = b"GET /web/main.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 300
    async with running_server([*SERVE, "--shutdown-grace-s", "600"]) as server, connected(server) as client:
        await client.until("ready")
        server.process.send_signal(signal.SIGHUP)
        with trio.fail_after(10):
            await server.wait_for_output("SIGHUP ignored: there is no certificate to reload (certfile)")
        await client.command("ping")
        await client.until("pong")
        stalled = [await trio.open_tcp_stream("127.0.0.1", server.port) for _ in range(5)]
        for stream in stalled:
            await stream.send_all(requests)
        await trio.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        await client.until("warning")
        server.process.send_signal(signal.SIGTERM)
        with trio.fail_after(5):
            assert await server.process.wait() == 0
        for stream in stalled:
            await stream.aclose()
        assert "Traceback" not in server.output

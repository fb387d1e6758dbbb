"""Faults in a real server or on its machine affect no client, and leave no resources behind."""

import re
import shutil
import signal
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import trio

from tests.faults.fixtures import (
    RATE_HZ,
    RELOADS_MARGIN_BYTES,
    Bystander,
    ControlledServer,
    controlled_server,
    disturbed,
    full_scale_sentence,
    sentence,
    undisturbed,
)
from tests.support.client import SocketClient, connected
from tests.support.real import missing, moonshine_asset

pytestmark = pytest.mark.long  # some take 15 s

GOING_AWAY = 1001
FAILURES = ["raise", "exit", "nothing", "too-few", "too-many", "no-text", "no-unicode", "flood"]
DEADLINE_FLAGS = ("--job-deadline-s", "10")
"""Seconds: enough for the real engine on a loaded machine, short enough for a test that waits for the deadline."""


async def speak_at_full_scale(server: ControlledServer) -> SocketClient:
    """Speak the sentence at the level that triggers the engine's fault; returns the client with its events."""
    async with connected(server.running) as client:
        await client.until("ready")
        await client.command("start")
        await client.stream(full_scale_sentence(), RATE_HZ, speed=10.0)
        await client.command("stop")
        await client.until_all_final(within_s=40.0)
    return client


async def test_other_clients_are_not_affected_by_a_failing_engine(tmp_path: Path) -> None:
    async with controlled_server(tmp_path) as server, disturbed(server, margin_bytes=RELOADS_MARGIN_BYTES):
        for fault in FAILURES:
            server.fault(fault)
            client = await speak_at_full_scale(server)
            assert not client.of("final"), fault
            assert client.of("error"), fault
            assert len([entry for entry in client.of("timeline") if entry.get("reason") == "failed"]) >= 1, fault


async def test_other_clients_are_not_affected_by_a_hanging_engine(tmp_path: Path) -> None:
    async with (
        controlled_server(tmp_path, *DEADLINE_FLAGS) as server,
        disturbed(server),
        trio.open_nursery() as nursery,
    ):
        server.fault("hang")
        nursery.start_soon(speak_at_full_scale, server)
        with trio.fail_after(60):
            while True:
                workers = (await trio.to_thread.run_sync(server.metrics))["scheduler"]["workers"]["main"]
                if workers["restarts"]:
                    break
                await trio.sleep(0.1)
        assert workers["hungThreads"] == 1
        server.fault("raise")  # and the call that hung returns


async def test_other_clients_are_not_affected_by_a_removed_model(tmp_path: Path) -> None:
    model, moved = tmp_path / "model", tmp_path / "away"
    shutil.copytree(moonshine_asset("tiny-en"), model)
    async with (
        controlled_server(tmp_path, "--model", str(model)) as server,
        disturbed(server),
        trio.open_nursery() as nursery,
    ):
        model.rename(moved)
        await trio.sleep(2.0)
        server.fault("unfit")  # the model would have to be loaded again
        nursery.start_soon(speak_at_full_scale, server)
        with trio.fail_after(60):
            await server.running.wait_for_output(f"missing: {model}")
        await trio.sleep(1.0)
        moved.rename(model)
        server.fault("raise")


async def test_wall_clock_jumps_change_no_text_and_no_duration(tmp_path: Path) -> None:
    for name in ("steady", "jumping"):
        (tmp_path / name).mkdir()
    async with controlled_server(tmp_path / "steady") as steady:
        expected = await _record(steady)
    (tmp_path / "jumping" / "clock").touch()
    async with controlled_server(tmp_path / "jumping") as server:
        before = await server.held()
        client = await _record(server)
        await server.settled(before)
        assert "Traceback" not in server.running.output
    times = [event["timestamp"] for event in client.of("status")]
    assert any(later < earlier for earlier, later in pairwise(times)), "the clock jumped"
    assert client.text == expected.text
    for name in ("durationSeconds", "audioStartSeconds", "audioEndSeconds"):
        assert [e["segment"][name] for e in client.of("final")] == [e["segment"][name] for e in expected.of("final")]


async def _record(server: ControlledServer) -> SocketClient:
    async with connected(server.running) as client:
        await Bystander(client).speak(times=2, speed=2.0)
        await client.command("stop")
        await client.until_all_final()
    return client


async def test_sigterm_delivers_finals_of_running_utterances(
    tmp_path: Path,
) -> None:
    half = sentence()[: 2 * RATE_HZ]
    async with controlled_server(tmp_path) as server:
        async with connected(server.running) as alone:
            await alone.until("ready")
            await alone.command("start")
            await alone.stream(half, RATE_HZ, speed=20.0)
            await alone.command("stop")
            await alone.until_all_final()
        async with trio.open_nursery() as nursery:
            clients: list[SocketClient] = []
            ready = trio.Event()

            async def talk() -> None:
                async with connected(server.running) as client:
                    await client.until("ready")
                    await client.command("start")
                    await client.stream(half, RATE_HZ)
                    await client.command("ping")
                    await client.until("pong")
                    clients.append(client)
                    if len(clients) == 4:
                        ready.set()
                    await client.until_closed()

            for _ in range(4):
                nursery.start_soon(talk)
            await ready.wait()
            server.running.process.send_signal(signal.SIGTERM)
        assert await server.running.process.wait() == 0
        for client in clients:
            assert client.text == alone.text
            assert client.close_code == GOING_AWAY


async def test_full_disk_ends_recordings_only(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f'mount -t tmpfs -o size=192k none {disk} && exec "$@"'
    small = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, "-"]
    tried = await trio.run_process([*small, "true"], capture_stdout=True, capture_stderr=True, check=False)
    if tried.returncode:
        missing("a small file system cannot be mounted (unshare --map-root-user --mount)")
    async with controlled_server(tmp_path, "--record", str(disk), before=[*small, sys.executable]) as server:
        while "ended early, because the disk failed" not in server.running.output:
            await undisturbed(server, 1)
        async with disturbed(server):
            for _ in range(5):
                await undisturbed(server, 1)
        assert len(re.findall("ended early, because the disk failed", server.running.output)) >= 5
        assert "Traceback" not in server.running.output

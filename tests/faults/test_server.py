"""Faults in a real server or on its machine affect no client, and leave no resources behind."""

import re
import shutil
import signal
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import trio

from tests.faults.scene import (
    RATE_HZ,
    RELOADS_MARGIN_BYTES,
    Bystander,
    Scene,
    disturbed,
    scene,
    sentence,
    shouted,
    undisturbed,
)
from tests.support.client import SocketClient, connected
from tests.support.real import missing, moonshine_asset

pytestmark = pytest.mark.long  # some of them take a quarter of a minute

GOING_AWAY = 1001
FAILURES = ["raise", "exit", "nothing", "too-few", "too-many", "no-text", "no-unicode", "flood"]
PATIENT = ("--job-deadline-s", "10")
"""Long for the real engine on a machine that does other work, short for a test that waits for its end."""


async def shout(stage: Scene) -> SocketClient:
    """Speak the sentence at the level that triggers the engine's fault; returns the client with its events."""
    async with connected(stage.server) as client:
        await client.until("ready")
        await client.command("start")
        await client.stream(shouted(), RATE_HZ, speed=10.0)
        await client.command("stop")
        await client.until_all_final(within_s=40.0)
    return client


async def test_other_clients_are_not_affected_by_a_failing_engine(tmp_path: Path) -> None:
    async with scene(tmp_path) as stage, disturbed(stage, margin_bytes=RELOADS_MARGIN_BYTES):
        for mood in FAILURES:
            stage.mood(mood)
            client = await shout(stage)
            assert not client.of("final"), mood
            assert client.of("error"), mood
            assert len([entry for entry in client.of("timeline") if entry.get("reason") == "failed"]) >= 1, mood


async def test_other_clients_are_not_affected_by_a_hanging_engine(tmp_path: Path) -> None:
    async with scene(tmp_path, *PATIENT) as stage, disturbed(stage), trio.open_nursery() as nursery:
        stage.mood("hang")
        nursery.start_soon(shout, stage)
        with trio.fail_after(60):
            while True:
                workers = (await trio.to_thread.run_sync(stage.metrics))["scheduler"]["workers"]["main"]
                if workers["restarts"]:
                    break
                await trio.sleep(0.1)
        assert workers["hungThreads"] == 1
        stage.mood("raise")  # and the one that hung comes back


async def test_other_clients_are_not_affected_by_a_removed_model(tmp_path: Path) -> None:
    model, away = tmp_path / "model", tmp_path / "away"
    shutil.copytree(moonshine_asset("tiny-en"), model)
    async with scene(tmp_path, "--model", str(model)) as stage, disturbed(stage), trio.open_nursery() as nursery:
        model.rename(away)
        await trio.sleep(2.0)
        stage.mood("unfit")  # now it would have to be read again
        nursery.start_soon(shout, stage)
        with trio.fail_after(60):
            await stage.server.wait_for_output(f"missing: {model}")
        await trio.sleep(1.0)
        away.rename(model)
        stage.mood("raise")


async def test_wall_clock_jumps_change_no_text_and_no_duration(tmp_path: Path) -> None:
    for name in ("steady", "jumping"):
        (tmp_path / name).mkdir()
    async with scene(tmp_path / "steady") as steady:
        expected = await _record(steady)
    (tmp_path / "jumping" / "clock").touch()
    async with scene(tmp_path / "jumping") as stage:
        before = await stage.held()
        client = await _record(stage)
        await stage.settled(before)
        assert "Traceback" not in stage.server.output
    times = [event["timestamp"] for event in client.of("status")]
    assert any(later < earlier for earlier, later in pairwise(times)), "the clock did jump"
    assert client.text == expected.text
    for name in ("durationSeconds", "audioStartSeconds", "audioEndSeconds"):
        assert [e["segment"][name] for e in client.of("final")] == [e["segment"][name] for e in expected.of("final")]


async def _record(stage: Scene) -> SocketClient:
    async with connected(stage.server) as client:
        await Bystander(client).speak(times=2, speed=2.0)
        await client.command("stop")
        await client.until_all_final()
    return client


async def test_sigterm_delivers_finals_of_running_utterances(
    tmp_path: Path,
) -> None:
    half = sentence()[: 2 * RATE_HZ]
    async with scene(tmp_path) as stage:
        async with connected(stage.server) as alone:
            await alone.until("ready")
            await alone.command("start")
            await alone.stream(half, RATE_HZ, speed=20.0)
            await alone.command("stop")
            await alone.until_all_final()
        async with trio.open_nursery() as nursery:
            talkers: list[SocketClient] = []
            ready = trio.Event()

            async def talk() -> None:
                async with connected(stage.server) as client:
                    await client.until("ready")
                    await client.command("start")
                    await client.stream(half, RATE_HZ)
                    await client.command("ping")
                    await client.until("pong")
                    talkers.append(client)
                    if len(talkers) == 4:
                        ready.set()
                    await client.until_closed()

            for _ in range(4):
                nursery.start_soon(talk)
            await ready.wait()
            stage.server.process.send_signal(signal.SIGTERM)
        assert await stage.server.process.wait() == 0
        for client in talkers:
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
    async with scene(tmp_path, "--record", str(disk), before=[*small, sys.executable]) as stage:
        while "no longer recorded" not in stage.server.output:
            await undisturbed(stage, 1)
        async with disturbed(stage):
            for _ in range(5):
                await undisturbed(stage, 1)
        assert len(re.findall("no longer recorded", stage.server.output)) >= 5
        assert "Traceback" not in stage.server.output

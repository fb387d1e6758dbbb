"""Measures the cost of a streaming session without recognition: CPU by step, memory, threads, descriptors.

    uv run --group bench python -m benchmarks.session_cost [--clients 50] [--seconds 20] [--json FILE]

Simulated clients in processes of their own stream in real time. The server is `benchmarks.silent_server`. The CPU time
is that of its process, without step timers; the split by step and the share of audio in the memory come from a second
server with timers.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import trio

from benchmarks.cpu_calibration import cpu_calibration
from benchmarks.server_snapshot import FOLDER, request_snapshot
from trio_stt.bench.client_record import RunResult
from trio_stt.bench.figures import figures
from trio_stt.bench.load import observe
from trio_stt.bench.process import process_use
from trio_stt.bench.server import own_server
from trio_stt.bench.speech_plan import Clip, plan_clients
from trio_stt.cli.reference_speech import make_clips, sound_files

WAKE_FLAGS = ("--wakeword-backend", "openwakeword", "--wake-words", "hey jarvis")
SCENES: Mapping[str, tuple[float, tuple[str, ...]]] = {
    "silence": (0.0, ()),
    "speech": (1.0, ()),
    "wake word, quiet room": (0.0, WAKE_FLAGS),
    "wake word, speech": (1.0, WAKE_FLAGS),
}
RATE_HZ = 48_000
PACKET_S = 0.04
CLIP_S = 20.0
IDLE_S = 5.0
SAMPLE_EVERY_S = 0.5
"""Interval between two samples of the audio in memory."""


async def run_once(url: str, pid: int, *, clients: int, talking: float, seconds: float, clips: list[Clip]) -> RunResult:
    """Carry out one run."""
    return await observe(
        url=url,
        pid=pid,
        rate_hz=RATE_HZ,
        packet_s=PACKET_S,
        duration_s=seconds,
        clips=clips,
        clients=plan_clients(clients, talking=[talking], stagger_s=2.0, clips=len(clips)),
    )


async def cost(scene: str, *, clients: int, seconds: float, clips: list[Clip]) -> dict[str, Any]:
    """Measure CPU and memory of a scene with one client and with many."""
    talking, flags = SCENES[scene]
    speed = cpu_calibration()
    command = [sys.executable, "-m", "benchmarks.silent_server", "-"]
    async with own_server(flags, command=command) as server:
        idle_from = process_use(server.pid)
        await trio.sleep(IDLE_S)
        empty = process_use(server.pid)
        alone = await run_once(server.url, server.pid, clients=1, talking=talking, seconds=seconds, clips=clips)
        before = process_use(server.pid)
        many = await run_once(server.url, server.pid, clients=clients, talking=talking, seconds=seconds, clips=clips)
        after = process_use(server.pid)
    run_figures = figures(many)
    assert many.after is not None  # the process id was given
    return {
        "scene": scene,
        "clients": clients,
        "cpuCalibration": speed,
        "cpuMsPerSWithoutClients": round((empty.cpu_s - idle_from.cpu_s) / IDLE_S * 1000, 2),
        "cpuMsPerAudioSAlone": per_audio_ms(before.cpu_s - empty.cpu_s, alone),
        "cpuMsPerAudioS": per_audio_ms(after.cpu_s - before.cpu_s, many),
        "kibPerSession": round((many.after.rss_bytes - before.rss_bytes) / 1024 / clients, 1),
        "threadsPerSession": (many.after.threads - before.threads) / clients,
        "descriptorsPerSession": (many.after.descriptors - before.descriptors) / clients,
        "pingP99Ms": run_figures.ping.p99_ms,
        "sentLateP99Ms": run_figures.sent_late.p99_ms,
        "clientsCpuMsPerAudioS": round(run_figures.clients_cpu_s_per_audio_s * 1000, 2),
        "failures": run_figures.failures,
    }


def per_audio_ms(cpu_s: float, run_result: RunResult) -> float:
    """Milliseconds of CPU per second of all audio of a run, late audio included: overload must not look cheap."""
    return round(cpu_s * 1000 / sum(record.audio_s for record in run_result.records), 2)


async def split(
    scene: str, *, clients: int, seconds: float, clips: list[Clip], folder: Path
) -> tuple[float, dict[str, float]]:
    """Measure the peak of audio in memory (KiB per session) and the CPU by step (ms per second of audio)."""
    talking, flags = SCENES[scene]
    steps_file = folder / "steps.json"
    command = [sys.executable, "-m", "benchmarks.silent_server", str(steps_file)]
    audio_kib: list[float] = []
    async with own_server(flags, command=command) as server, trio.open_nursery() as nursery:

        async def sample_audio() -> None:
            while True:
                audio_kib.append((await request_snapshot(server.pid, folder)).audio_kib)
                await trio.sleep(SAMPLE_EVERY_S)

        before = process_use(server.pid)
        nursery.start_soon(sample_audio)
        run_result = await run_once(
            server.url, server.pid, clients=clients, talking=talking, seconds=seconds, clips=clips
        )
        after = process_use(server.pid)
        nursery.cancel_scope.cancel()
    steps = msgspec.json.decode(steps_file.read_bytes())
    rows = {name: per_audio_ms(step["seconds"], run_result) for name, step in steps.items()}
    loop_ms = per_audio_ms(after.main_thread_cpu_s - before.main_thread_cpu_s, run_result)
    total_ms = per_audio_ms(after.cpu_s - before.cpu_s, run_result)
    rows["engine thread: queue only, its work is asleep"] = round(total_ms - loop_ms, 2)
    rows["in no step: Hypercorn, wsproto, Quart, Trio"] = round(total_ms - sum(rows.values()), 2)
    return round(max(audio_kib) / clients, 1), dict(sorted(rows.items(), key=lambda row: -row[1]))


async def measure(scenes: Sequence[str], *, clients: int, seconds: float) -> list[dict[str, Any]]:
    """Measure all scenes."""
    results = []
    with tempfile.TemporaryDirectory() as name:
        os.environ[FOLDER] = name
        reading = make_clips(sound_files([])[:1], rate_hz=RATE_HZ, folder=Path(name))[0]
        clips = [msgspec.structs.replace(reading, length_s=CLIP_S)]  # the transcript is not used
        for scene in scenes:
            result = await cost(scene, clients=clients, seconds=seconds, clips=clips)
            audio_kib, steps = await split(scene, clients=clients, seconds=seconds, clips=clips, folder=Path(name))
            result |= {"audioKibPerSession": audio_kib, "steps": steps}
            results.append(result)
            show(result)
    return results


def show(result: Mapping[str, Any]) -> None:
    """Print the result of a scene."""
    for name, value in result.items():
        if name != "steps":
            print(f"{name:>24}  {value}")
    print("   by step, ms of CPU per second of audio and session, with timers:")
    for name, value in result["steps"].items():
        print(f"{value:>24.3f}  {name}")
    print(flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--scene", action="append", choices=tuple(SCENES), help="default: all")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = trio.run(
        lambda: measure(arguments.scene or list(SCENES), clients=arguments.clients, seconds=arguments.seconds)
    )
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")


if __name__ == "__main__":
    main()

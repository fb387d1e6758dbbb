"""Measures how many more silent sessions a server of several processes carries than one with one process.

    uv run --group bench python -m benchmarks.processes [--clients 100] [--seconds 20] [--processes 1 2] [--rounds 2]

A server is full when its busiest event loop is. So it carries as many sessions as make that loop busy all the time, by
its CPU time with a number of clients, less that without clients. CPU time hardly depends on what else the machine
does, but only servers measured side by side compare. How evenly the kernel spreads connections is part of the result.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import psutil
import trio

from benchmarks.session_cost import CLIP_S, RATE_HZ, run_once
from trio_stt.bench.figures import figures
from trio_stt.bench.process import process_use
from trio_stt.bench.server import own_server
from trio_stt.bench.speech_plan import Clip
from trio_stt.cli.reference_speech import make_clips, sound_files

IDLE_S = 5.0


def loop_times(pid: int, processes: int) -> dict[int, float]:
    """CPU time of the event loop of each server process, in seconds, by process id."""
    pids = [pid] if processes == 1 else [child.pid for child in psutil.Process(pid).children()]
    return {each: process_use(each).main_thread_cpu_s for each in pids}


async def measure(processes: int, *, clients: int, seconds: float, clips: list[Clip]) -> dict[str, Any]:
    """One server, with and without clients."""
    command = [sys.executable, "-m", "benchmarks.silent_server", "-"]
    async with own_server(["--processes", str(processes)], command=command) as server:
        start = loop_times(server.pid, processes)
        await trio.sleep(IDLE_S)
        idle = loop_times(server.pid, processes)
        started_s = trio.current_time()
        result = await run_once(server.url, server.pid, clients=clients, talking=0.0, seconds=seconds, clips=clips)
        elapsed_s = trio.current_time() - started_s
        end = loop_times(server.pid, processes)
    shares = [(end[pid] - idle[pid]) / elapsed_s - (idle[pid] - start[pid]) / IDLE_S for pid in end]
    run_figures = figures(result)
    return {
        "processes": processes,
        "clients": clients,
        "busiest loop": round(max(shares), 3),
        "all loops": round(sum(shares), 3),
        "carries": round(clients / max(shares)),
        "ping p99 ms": run_figures.ping.p99_ms,
        "failures": len(run_figures.failures),
    }


async def compare(processes: list[int], *, clients: int, seconds: float, rounds: int) -> None:
    """Measure each number of processes in turn, and print what each carries beside the first."""
    with tempfile.TemporaryDirectory() as folder:
        reading = make_clips(sound_files([])[:1], rate_hz=RATE_HZ, folder=Path(folder))[0]
        clips = [msgspec.structs.replace(reading, length_s=CLIP_S)]
        for _ in range(rounds):
            first = 0
            for number in processes:
                row = await measure(number, clients=clients, seconds=seconds, clips=clips)
                first = first or row["carries"]
                print(row | {"times": round(row["carries"] / first, 2)}, flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    trio.run(
        lambda: compare(options.processes, clients=options.clients, seconds=options.seconds, rounds=options.rounds)
    )


if __name__ == "__main__":
    main()

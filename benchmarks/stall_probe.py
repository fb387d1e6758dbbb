"""Measures stalls of the event loop: 20 pings a second while 100 clients connect, talk, clear and disconnect.

    uv run --group bench python -m benchmarks.stall_probe [--clients 100] [--seconds 30] [--engine] [--json FILE]

The server is `benchmarks.silent_server`, or `trio-stt serve` with its default engine (`--engine`). The prober has a
process of its own; the clients share another one. Each client connects, streams 2 s of a reading in real time, sends
`clear` in the middle of a word, and disconnects without a close frame; 6 s later it connects as a new client. So a
quarter of them talk at any time, and a dozen connect each second.

Pings are sent on schedule even if the last one has no answer, so a stall delays several of them. A run without clients
comes first. Three figures tell where a delay comes from: `sentLate` is the prober's own delay before a ping;
`serverTurn` is the scheduling delay of runnable tasks in the silent server; `loadAverage` shows other work of the
machine. A pong takes about five scheduler turns, and CPU that other processes use delays all of them.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import trio
from trio_websocket import ConnectionClosed, HandshakeError

from benchmarks.server_snapshot import FOLDER, request_snapshot, time_scheduling
from benchmarks.soak import PACKET_SAMPLES, RATE_HZ, open_socket
from benchmarks.speech import SPEECH_48K
from trio_stt.bench.server import own_server
from trio_stt.protocol.packets import build_packet

PINGS_PER_S = 20
PACKETS = [
    build_packet(SPEECH_48K[at : at + PACKET_SAMPLES].tobytes(), rate_hz=RATE_HZ)
    for at in range(0, 2 * RATE_HZ, PACKET_SAMPLES)
]
PACKET_S = PACKET_SAMPLES / RATE_HZ
SETTLED_S = 8.0
OFFLINE_S = 6.0


async def probe(url: str, seconds: float) -> dict[str, list[float]]:
    """Milliseconds from the due time of each ping to its pong, and to when it was sent."""
    waits_ms: list[float] = []
    late_ms: list[float] = []
    count = round(seconds * PINGS_PER_S)
    async with open_socket(url) as socket, trio.open_nursery() as nursery:
        begun_s = trio.current_time()

        async def ping() -> None:
            for number in range(count):
                due_s = begun_s + number / PINGS_PER_S
                await trio.sleep_until(due_s)
                late_ms.append((trio.current_time() - due_s) * 1000)
                await socket.send_message('{"type":"ping"}')

        nursery.start_soon(ping)
        while len(waits_ms) < count:
            if json.loads(await socket.get_message())["type"] == "pong":
                due_s = begun_s + len(waits_ms) / PINGS_PER_S
                waits_ms.append((trio.current_time() - due_s) * 1000)
    return {"": waits_ms, "SentLate": late_ms}


async def run_client(url: str, number: int, clients: int) -> None:
    """Run one client that reconnects for ever."""
    await trio.sleep(number / clients * (len(PACKETS) * PACKET_S + OFFLINE_S))
    while True:
        try:
            async with open_socket(url) as socket:
                await socket.send_message('{"type":"start"}')
                for sent, packet in enumerate(PACKETS):
                    await socket.send_message(packet)
                    if sent == len(PACKETS) * 3 // 4:
                        await socket.send_message('{"type":"clear"}')
                    await trio.sleep(PACKET_S)
        except* (OSError, HandshakeError, ConnectionClosed):
            pass  # the server was full or closed it as too slow: connect again
        await trio.sleep(OFFLINE_S)


async def run_clients(url: str, clients: int) -> None:
    """Run all clients until the process is killed."""
    async with trio.open_nursery() as nursery:
        for number in range(clients):
            nursery.start_soon(run_client, url, number, clients)


async def run_probe(url: str, seconds: float) -> dict[str, list[float]]:
    """Run the prober in another process and return its times."""
    command = [sys.executable, "-m", "benchmarks.stall_probe", "--probe", url, "--seconds", str(seconds)]
    ran = await trio.run_process(command, capture_stdout=True)
    samples: dict[str, list[float]] = json.loads(ran.stdout)
    return samples


async def compare(*, clients: int, seconds: float, engine: bool) -> dict[str, Any]:
    """Measure ping to pong without and with the clients."""
    command = [sys.executable, "-m", *(("trio_stt", "serve") if engine else ("benchmarks.silent_server", "-"))]
    server_delays: dict[str, float] = {}
    with TemporaryDirectory() as report_folder:
        os.environ[FOLDER] = report_folder
        async with own_server(("--resume-grace-s", "2", "--log-level", "ERROR"), command=command) as server:
            alone = await run_probe(server.url, seconds)
            client_command = [
                sys.executable,
                "-m",
                "benchmarks.stall_probe",
                "--run-clients",
                server.url,
                "--clients",
                str(clients),
            ]
            client_process = await trio.lowlevel.open_process(client_command, stdin=subprocess.DEVNULL)
            try:
                await trio.sleep(SETTLED_S)
                if not engine:
                    time_scheduling(server.pid)
                among = await run_probe(server.url, seconds)
                if not engine:
                    server_delays = dict(
                        zip(
                            ("P50", "P99", "P100"),
                            (await request_snapshot(server.pid, Path(report_folder))).scheduling_delay_ms,
                            strict=True,
                        )
                    )
            finally:
                client_process.kill()
                with trio.move_on_after(5, shield=True):
                    await client_process.wait()
    return {
        "clients": clients,
        "pings": len(among[""]),
        **{f"alone{what}{part}Ms": value for what, each in alone.items() for part, value in percentiles(each).items()},
        **{f"among{what}{part}Ms": value for what, each in among.items() for part, value in percentiles(each).items()},
        **{f"serverTurn{part}Ms": value for part, value in server_delays.items()},
        "loadAverage": round(os.getloadavg()[0], 1),
    }


def percentiles(waits_ms: list[float]) -> dict[str, float]:
    """Median, 99th percentile and maximum."""
    return {f"P{part}": round(float(np.percentile(waits_ms, part)), 1) for part in (50, 99, 100)}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=30.0, help="length of each of the two runs")
    parser.add_argument("--engine", action="store_true", help="use the default engine instead of the silent one")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--probe", help=argparse.SUPPRESS)
    parser.add_argument("--run-clients", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.probe:
        print(json.dumps(trio.run(probe, arguments.probe, arguments.seconds)))
    elif arguments.run_clients:
        trio.run(run_clients, arguments.run_clients, arguments.clients)
    else:

        async def run() -> dict[str, Any]:
            return await compare(clients=arguments.clients, seconds=arguments.seconds, engine=arguments.engine)

        result = trio.run(run)
        for name, value in result.items():
            print(f"{name:>22}  {value}")
        if arguments.json:
            arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""What well-behaved clients notice of one that does not read, floods or keeps coming back, and of a crowd at the door.

    uv run --group bench python -m benchmarks.neighbours [--scene nobody] [--seconds 20] [--words] [--json FILE]

Talkers in processes of their own speak at the pace of speech and ping five times a second; the nuisance runs in a
process beside them. The server is `benchmarks.silent_server`. The figure is the time from `ping` to `pong`, against a
run in which nobody is a nuisance. `sentLateP99Ms` is how late talkers were themselves, and `serverTurn…` how long tasks
of the server that could go on waited for their turn while there was a nuisance. With `--words` the server is `trio-stt
serve` with its own engine instead, and finals and first partials are told, too.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import numpy as np
import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, connect_websocket_url

from benchmarks.cpu_calibration import cpu_calibration
from benchmarks.server_snapshot import FOLDER, request_snapshot, time_scheduling
from trio_stt.bench.figures import figures
from trio_stt.bench.load import observe
from trio_stt.bench.server import OwnServer, own_server
from trio_stt.bench.speech_plan import Clip, plan_clients
from trio_stt.cli.reference_speech import make_clips, sound_files
from trio_stt.protocol.packets import build_packet

RATE_HZ = 48_000
PACKET_S = 0.04
CLIP_S = 5.0
PING_EVERY_S = 0.2
"""For a 99th percentile that is the same again, of 3,000 pings in a minute and not of 600."""
STAGGER_S = 5.0
"""Talkers who say the same at the same time would all wait for the engine at once."""
SETTLED_S = 10.0
"""Until the talkers are there."""
BURST_CLIENTS = 200
RECONNECTS_PER_S = 50
REQUESTS_PER_S = 200
MOST_BYTES = 2**24
HANDSHAKE = (
    b"GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
START = b"\x81\x90\0\0\0\0" + b'{"type":"start"}'
"""A frame of 16 characters, masked with zeros (RFC 6455, section 5.2)."""

Disturbance = Callable[[str], Awaitable[object]]


async def connected(nursery: trio.Nursery, url: str) -> WebSocketConnection:
    """A connection whose reader stops when nobody takes its messages."""
    return await connect_websocket_url(nursery, url, message_queue_size=1, max_message_size=MOST_BYTES)


async def repeat(url: str, behave: Callable[[WebSocketConnection], Awaitable[None]]) -> None:
    """Misbehave, on a new connection whenever the server has ended one."""
    while True:
        with suppress(OSError, HandshakeError):
            async with trio.open_nursery() as nursery:
                socket = await connected(nursery, url)
                with suppress(ConnectionClosed):
                    await socket.send_message('{"type":"start"}')
                    await behave(socket)
                nursery.cancel_scope.cancel()
        await trio.sleep(0.1)


async def no_disturbance(url: str) -> None:  # noqa: ARG001 - as the others
    """There is no nuisance."""
    await trio.lowlevel.checkpoint()


async def never_read(url: str) -> None:
    """Asks for much and reads nothing."""

    async def behave(socket: WebSocketConnection) -> None:
        while True:
            await socket.send_message('{"type":"metrics"}')
            await trio.sleep(1 / REQUESTS_PER_S)

    await repeat(url, behave)


async def flood(url: str) -> None:
    """Speaks as fast as it can."""
    noise = np.random.default_rng(0).normal(scale=3000, size=round(PACKET_S * RATE_HZ)).astype("<i2")
    packet = build_packet(noise.tobytes(), rate_hz=RATE_HZ)

    async def behave(socket: WebSocketConnection) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, socket)
            while True:
                await socket.send_message(packet)

    await repeat(url, behave)


async def read(socket: WebSocketConnection) -> None:
    """Take what comes."""
    while True:
        await socket.get_message()


@asynccontextmanager
async def open_session(url: str) -> AsyncIterator[tuple[trio.socket.SocketType, float]]:
    """A connection after its `hello`, and how many seconds that took from the attempt on; it vanishes at the end.

    It is a bare socket: a client library, or a stream of Trio's, takes half as much CPU as the server, of the same
    cores.
    """
    parts = urlsplit(url)
    started_s = trio.current_time()
    with trio.socket.socket() as socket:
        await socket.connect((parts.hostname, parts.port))
        await socket.send(HANDSHAKE % (parts.path.encode(), parts.netloc.encode()))
        answer = b""
        while b'"type":"hello"' not in answer:
            more = await socket.recv(65_536)
            if not more:
                raise OSError("the server did not greet")
            answer += more
        yield socket, trio.current_time() - started_s


async def reconnect(url: str, *, starts: bool = False) -> None:
    """Connects and vanishes many times a second; a session that was started is waited for each time."""

    async def connect_once() -> None:
        async with open_session(url) as (socket, _):
            if starts:
                await socket.send(START)

    async with trio.open_nursery() as nursery:
        while True:
            nursery.start_soon(connect_once)
            await trio.sleep(1 / RECONNECTS_PER_S)


async def burst(url: str) -> list[float]:
    """Many who come at once, and vanish at once when all were greeted; the seconds until each was."""
    hello_times_s: list[float] = []
    all_there = trio.Event()

    async def one() -> None:
        async with open_session(url) as (_, own_s):
            hello_times_s.append(own_s)
            if len(hello_times_s) == BURST_CLIENTS:
                all_there.set()
            await all_there.wait()

    async with trio.open_nursery() as nursery:
        for _ in range(BURST_CLIENTS):
            nursery.start_soon(one)
    return hello_times_s


DISTURBANCES: Mapping[str, Disturbance] = {
    "nobody": no_disturbance,
    "one does not read": never_read,
    "one floods": flood,
    "one comes back 50 times a second": reconnect,
    "one comes back and starts 50 times a second": partial(reconnect, starts=True),
    "200 come at once": burst,
}


async def measure(scenes: Sequence[str], clients: int, seconds: float, *, words: bool) -> list[dict[str, Any]]:
    """One scene after the other."""
    results = []
    with tempfile.TemporaryDirectory() as name:
        reading = make_clips(sound_files([])[:1], rate_hz=RATE_HZ, folder=Path(name))[0]
        clip = reading if words else msgspec.structs.replace(reading, length_s=CLIP_S)
        report_folder = None if words else Path(name)
        for scene in scenes:
            speed = cpu_calibration()
            result = await measure_scene(
                DISTURBANCES[scene], report_folder, clients=clients, seconds=seconds, clip=clip
            )
            result = {"scene": scene, "yardstick": speed, **result}
            results.append(result)
            print("  ".join(f"{key}: {value}" for key, value in result.items()), flush=True)
    return results


async def measure_scene(
    disturbance: Disturbance, report_folder: Path | None, *, clients: int, seconds: float, clip: Clip
) -> dict[str, Any]:
    """What the talkers beside a nuisance notice; of a crowd also when it was greeted.

    A silent server tells in the folder `report_folder` how long its tasks waited; without one, the server has its own engine.
    """
    hello_times_s: object = None
    server_delays: dict[str, Any] = {}
    if report_folder is not None:
        os.environ[FOLDER] = str(report_folder)
    async with _server(silent=report_folder is not None) as server, trio.open_nursery() as nursery:

        async def disturb() -> None:
            nonlocal hello_times_s
            await trio.sleep(SETTLED_S)
            if report_folder is not None:
                time_scheduling(server.pid)
            hello_times_s = await disturbance(server.url)

        nursery.start_soon(disturb)
        run_figures = figures(
            await observe(
                url=server.url,
                pid=None,
                rate_hz=RATE_HZ,
                packet_s=PACKET_S,
                duration_s=seconds,
                clips=[clip],
                clients=plan_clients(clients, talking=[1.0], stagger_s=STAGGER_S, clips=1),
                ping_every_s=PING_EVERY_S,
            )
        )
        if report_folder is None:
            server_delays = {
                "finalP99Ms": run_figures.final.p99_ms,
                "firstPartialP99Ms": run_figures.first_partial.p99_ms,
            }
        else:
            _, turn_p99_ms, turn_max_ms = (await request_snapshot(server.pid, report_folder)).scheduling_delay_ms
            server_delays = {"serverTurnP99Ms": turn_p99_ms, "serverTurnMaxMs": turn_max_ms}
        nursery.cancel_scope.cancel()
    result: dict[str, Any] = {
        "pingP50Ms": run_figures.ping.p50_ms,
        "pingP99Ms": run_figures.ping.p99_ms,
        "pingMaxMs": run_figures.ping.max_ms,
        "sentLateP99Ms": run_figures.sent_late.p99_ms,
        **server_delays,
        "droppedS": run_figures.dropped_s,
        "failures": run_figures.failures,
    }
    if isinstance(hello_times_s, list):
        result["helloP99Ms"] = round(float(np.percentile(hello_times_s, 99)) * 1000, 1)
    return result


def _server(*, silent: bool) -> AbstractAsyncContextManager[OwnServer]:
    return own_server((), command=[sys.executable, "-m", "benchmarks.silent_server", "-"]) if silent else own_server(())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--scene", action="append", choices=tuple(DISTURBANCES), help="may be repeated; default: all")
    parser.add_argument("--words", action="store_true", help="measure `trio-stt serve` with its engine")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    scenes = arguments.scene or list(DISTURBANCES)
    results = trio.run(lambda: measure(scenes, arguments.clients, arguments.seconds, words=arguments.words))
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")


if __name__ == "__main__":
    main()

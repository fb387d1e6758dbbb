"""Noisy neighbours: how much one client that never reads, floods or reconnects, or a burst of clients, delays others.

    uv run --group bench python -m benchmarks.neighbours [--scene none] [--seconds 20] [--words] [--json FILE]

Simulated clients in processes of their own stream speech in real time and send five pings a second; the disturbance
runs in another process. The server is `benchmarks.silent_server`. The figure is the time from `ping` to `pong`,
compared with a run without a disturbance (scene `none`). `sentLateP99Ms` is the delay of the clients themselves, and
`serverTurn…` the scheduling delay of the server's runnable tasks during the disturbance. With `--words` the server is
`trio-stt serve` with its own engine, and the delays of finals and first partials are reported, too.
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
"""3,000 pings in a minute make the 99th percentile repeatable; 600 do not."""
STAGGER_S = 5.0
"""Clients that send the same speech at the same time would all need the engine at once."""
SETTLED_S = 10.0
"""Time until all simulated clients are connected."""
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
    """Open a connection that stops reading while its messages are not taken."""
    return await connect_websocket_url(nursery, url, message_queue_size=1, max_message_size=MOST_BYTES)


async def repeat(url: str, behave: Callable[[WebSocketConnection], Awaitable[None]]) -> None:
    """Run `behave` on a connection, and on a new one whenever the server closes it."""
    while True:
        with suppress(OSError, HandshakeError):
            async with trio.open_nursery() as nursery:
                socket = await connected(nursery, url)
                with suppress(ConnectionClosed):
                    await socket.send_message('{"type":"start"}')
                    await behave(socket)
                nursery.cancel_scope.cancel()
        await trio.sleep(0.1)


async def no_disturbance(url: str) -> None:  # noqa: ARG001 - the signature of a disturbance
    """The baseline: no disturbance."""
    await trio.lowlevel.checkpoint()


async def never_read(url: str) -> None:
    """Send many requests and read no answer."""

    async def behave(socket: WebSocketConnection) -> None:
        while True:
            await socket.send_message('{"type":"metrics"}')
            await trio.sleep(1 / REQUESTS_PER_S)

    await repeat(url, behave)


async def flood(url: str) -> None:
    """Send audio as fast as possible."""
    noise = np.random.default_rng(0).normal(scale=3000, size=round(PACKET_S * RATE_HZ)).astype("<i2")
    packet = build_packet(noise.tobytes(), rate_hz=RATE_HZ)

    async def behave(socket: WebSocketConnection) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, socket)
            while True:
                await socket.send_message(packet)

    await repeat(url, behave)


async def read(socket: WebSocketConnection) -> None:
    """Read and discard all messages."""
    while True:
        await socket.get_message()


@asynccontextmanager
async def open_session(url: str) -> AsyncIterator[tuple[trio.socket.SocketType, float]]:
    """Connect and wait for `hello`; yield the socket and the seconds that took. It is cut at the end of the block.

    It is a bare socket because a client library, or a Trio stream, would take half as much CPU as the server, on the
    same cores.
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
                raise OSError("the server closed the connection before hello")
            answer += more
        yield socket, trio.current_time() - started_s


async def reconnect(url: str, *, starts: bool = False) -> None:
    """Connect and disconnect many times a second. The server keeps started sessions for their grace period."""

    async def connect_once() -> None:
        async with open_session(url) as (socket, _):
            if starts:
                await socket.send(START)

    async with trio.open_nursery() as nursery:
        while True:
            nursery.start_soon(connect_once)
            await trio.sleep(1 / RECONNECTS_PER_S)


async def burst(url: str) -> list[float]:
    """Connect many clients at once and cut them when all have their `hello`; return the seconds until each had."""
    hello_times_s: list[float] = []
    all_connected = trio.Event()

    async def run_one() -> None:
        async with open_session(url) as (_, own_s):
            hello_times_s.append(own_s)
            if len(hello_times_s) == BURST_CLIENTS:
                all_connected.set()
            await all_connected.wait()

    async with trio.open_nursery() as nursery:
        for _ in range(BURST_CLIENTS):
            nursery.start_soon(run_one)
    return hello_times_s


DISTURBANCES: Mapping[str, Disturbance] = {
    "none": no_disturbance,
    "one does not read": never_read,
    "one floods": flood,
    "one comes back 50 times a second": reconnect,
    "one comes back and starts 50 times a second": partial(reconnect, starts=True),
    "200 come at once": burst,
}


async def measure(scenes: Sequence[str], clients: int, seconds: float, *, words: bool) -> list[dict[str, Any]]:
    """Measure one scene after the other."""
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
            result = {"scene": scene, "cpuCalibration": speed, **result}
            results.append(result)
            print("  ".join(f"{key}: {value}" for key, value in result.items()), flush=True)
    return results


async def measure_scene(
    disturbance: Disturbance, report_folder: Path | None, *, clients: int, seconds: float, clip: Clip
) -> dict[str, Any]:
    """Measure the simulated clients during a disturbance, and the `hello` times of a burst.

    With a `report_folder` the server is silent and reports its scheduling delays there; without, it has its own engine.
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

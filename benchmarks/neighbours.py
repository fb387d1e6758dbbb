"""What well-behaved clients notice of one that does not read, floods or keeps coming back, and of a crowd at the door.

    uv run --group bench python -m benchmarks.neighbours [--clients 10] [--seconds 20] [--json FILE]

Talkers in processes of their own speak at the pace of speech and ping once a second; the nuisance runs in a process
beside them. The server is `benchmarks.silent_server`. The figure is the time from `ping` to `pong`, against a run in
which nobody is a nuisance. `sentLateP99Ms` is how late talkers were themselves, and `serverTurn…` how long tasks of the
server that could go on waited for their turn while there was a nuisance.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, connect_websocket_url

from benchmarks.inside import FOLDER, ask, time_turns
from trio_stt.bench.figures import figures
from trio_stt.bench.load import observe
from trio_stt.bench.plan import make_talkers
from trio_stt.bench.server import own_server
from trio_stt.cli.ruler import make_clips, sound_files
from trio_stt.protocol.packets import build_packet

RATE_HZ = 48_000
PACKET_S = 0.04
CLIP_S = 5.0
SETTLED_S = 6.0
"""Until the talkers are there."""
CROWD = 200
RETURNS_PER_S = 50
QUESTIONS_PER_S = 200
MOST_BYTES = 2**24

Nuisance = Callable[[str], Awaitable[object]]


async def connected(nursery: trio.Nursery, url: str) -> WebSocketConnection:
    """A connection whose reader stops when nobody takes its messages."""
    return await connect_websocket_url(nursery, url, message_queue_size=1, max_message_size=MOST_BYTES)


async def again_and_again(url: str, behave: Callable[[WebSocketConnection], Awaitable[None]]) -> None:
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


async def nobody(url: str) -> None:  # noqa: ARG001 - as the others
    """There is no nuisance."""
    await trio.lowlevel.checkpoint()


async def deaf(url: str) -> None:
    """Asks for much and reads nothing."""

    async def behave(socket: WebSocketConnection) -> None:
        while True:
            await socket.send_message('{"type":"metrics"}')
            await trio.sleep(1 / QUESTIONS_PER_S)

    await again_and_again(url, behave)


async def flood(url: str) -> None:
    """Speaks as fast as it can."""
    noise = np.random.default_rng(0).normal(scale=3000, size=round(PACKET_S * RATE_HZ)).astype("<i2")
    packet = build_packet(noise.tobytes(), rate_hz=RATE_HZ)

    async def behave(socket: WebSocketConnection) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, socket)
            while True:
                await socket.send_message(packet)

    await again_and_again(url, behave)


async def read(socket: WebSocketConnection) -> None:
    """Take what comes."""
    while True:
        await socket.get_message()


async def hello(url: str) -> float:
    """Seconds from the attempt to connect to `hello`; then it leaves."""
    called_s = trio.current_time()
    async with trio.open_nursery() as nursery:
        socket = await connected(nursery, url)
        await socket.get_message()
        took_s = trio.current_time() - called_s
        await trio.aclose_forcefully(socket._stream)  # noqa: SLF001 - the library offers no other way
        nursery.cancel_scope.cancel()
    return took_s


async def returning(url: str) -> None:
    """Connects and leaves many times a second."""
    async with trio.open_nursery() as nursery:
        while True:
            nursery.start_soon(hello, url)
            await trio.sleep(1 / RETURNS_PER_S)


async def crowd(url: str) -> list[float]:
    """Many who come at once, once; the seconds until each was greeted."""
    took_s: list[float] = []

    async def one() -> None:
        took_s.append(await hello(url))

    async with trio.open_nursery() as nursery:
        for _ in range(CROWD):
            nursery.start_soon(one)
    return took_s


NUISANCES: Mapping[str, Nuisance] = {
    "nobody": nobody,
    "one does not read": deaf,
    "one floods": flood,
    "one comes back 50 times a second": returning,
    "200 come at once": crowd,
}


async def measure(clients: int, seconds: float) -> list[dict[str, Any]]:
    """All scenes."""
    results = []
    with tempfile.TemporaryDirectory() as name:
        reading = make_clips(sound_files([])[:1], rate_hz=RATE_HZ, folder=Path(name))[0]
        clips = [msgspec.structs.replace(reading, length_s=CLIP_S)]  # nobody reads the words
        for scene, nuisance in NUISANCES.items():
            result = await measured(nuisance, Path(name), clients=clients, seconds=seconds, clips=clips)
            result = {"scene": scene, **result}
            results.append(result)
            print("  ".join(f"{key}: {value}" for key, value in result.items()), flush=True)
    return results


async def measured(nuisance: Nuisance, told: Path, *, clients: int, seconds: float, clips: list[Any]) -> dict[str, Any]:
    """Pings of the talkers beside a nuisance, whose server tells in a folder; of a crowd also when it was greeted."""
    greeted_s: object = None
    command = [sys.executable, "-m", "benchmarks.silent_server", "-"]
    os.environ[FOLDER] = str(told)
    async with own_server((), command=command) as server, trio.open_nursery() as nursery:

        async def disturb() -> None:
            nonlocal greeted_s
            await trio.sleep(SETTLED_S)
            time_turns(server.pid)
            greeted_s = await nuisance(server.url)

        nursery.start_soon(disturb)
        seen = figures(
            await observe(
                url=server.url,
                pid=None,
                rate_hz=RATE_HZ,
                packet_s=PACKET_S,
                duration_s=seconds,
                clips=clips,
                talkers=make_talkers(clients, talking=[1.0], stagger_s=1.0, clips=len(clips)),
            )
        )
        _, turn_p99_ms, turn_max_ms = (await ask(server.pid, told)).turn_ms
        nursery.cancel_scope.cancel()
    result: dict[str, Any] = {
        "pingP50Ms": seen.ping.p50_ms,
        "pingP99Ms": seen.ping.p99_ms,
        "pingMaxMs": seen.ping.max_ms,
        "sentLateP99Ms": seen.sent_late.p99_ms,
        "serverTurnP99Ms": turn_p99_ms,
        "serverTurnMaxMs": turn_max_ms,
        "droppedS": seen.dropped_s,
        "failures": seen.failures,
    }
    if isinstance(greeted_s, list):
        result["helloP99Ms"] = round(float(np.percentile(greeted_s, 99)) * 1000, 1)
    return result


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    results = trio.run(measure, asked.clients, asked.seconds)
    if asked.json:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")


if __name__ == "__main__":
    main()

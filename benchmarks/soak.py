"""Looks for leaks: hours of audio from clients that connect and disconnect, as fast as the server accepts it.

    uv run --group bench python -m benchmarks.soak [--hours 10 | --minutes 60] [--clients 20] [--json FILE]

The server is `benchmarks.silent_server`, because engines have leaks of their own. Each client streams a reading in
turns of a few seconds and continues when the server has processed them. After up to a minute of audio it sends `stop`,
closes in the middle of a word, or disconnects without a close frame; in every other such case it resumes its session.
Growth is the slope of a line through all samples but the first third, per hour of audio: memory (of the process, on the
C library's heap, in Python's blocks), threads, descriptors and tasks.
"""

import argparse
import os
import random
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import msgspec
import numpy as np
import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, wrap_client_stream
from wsproto.utilities import LocalProtocolError

from benchmarks.server_snapshot import FOLDER, ServerSnapshot, request_snapshot
from benchmarks.speech import SPEECH_48K
from trio_stt.bench.process import ProcessUse, process_use
from trio_stt.bench.server import own_server
from trio_stt.protocol.packets import build_packet

RATE_HZ = 48_000
PACKET_SAMPLES = 1_920
TURN_S = 4.0
"""Audio sent before waiting for `flushed`, because a live server drops audio that waits for too long."""
LONGEST_STAY_S = 60.0
SAMPLES_PER_RUN = 240
MOST_BYTES = 2**24
HANDSHAKE_WITHIN_S = 60.0


@asynccontextmanager
async def open_socket(url: str) -> AsyncIterator[WebSocketConnection]:
    """Open a WebSocket that is cut at the end of the block, unless it is closed before."""
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    try:
        async with await trio.open_tcp_stream(parts.hostname, parts.port) as stream, trio.open_nursery() as nursery:
            greeting = partial(wrap_client_stream, max_message_size=MOST_BYTES)
            with trio.fail_after(HANDSHAKE_WITHIN_S):  # trio-websocket waits for ever if a handshake breaks off
                socket = await greeting(nursery, stream, parts.netloc, parts.path)
            yield socket
            await stream.aclose()
            nursery.cancel_scope.cancel()
    except* LocalProtocolError:
        pass  # trio-websocket answers a ping that arrives after its own close frame


class RefusedError(Exception):
    """The server answered with an error."""


_FAILURES = (OSError, trio.BrokenResourceError, trio.TooSlowError, HandshakeError, ConnectionClosed, RefusedError)


class Soak:
    """The clients of one server. It ends after `hours` of audio, or after `minutes` if given."""

    def __init__(self, url: str, pid: int, report_folder: Path, *, hours: float, minutes: float | None) -> None:
        self._url = url
        self._pid = pid
        self._report_folder = report_folder
        self._hours = hours
        self._minutes = minutes
        self._begun_s = trio.current_time()
        self._packets = [
            build_packet(SPEECH_48K[at : at + PACKET_SAMPLES].tobytes(), rate_hz=RATE_HZ)
            for at in range(0, SPEECH_48K.size - PACKET_SAMPLES + 1, PACKET_SAMPLES)
        ]
        self.sent_s = 0.0
        self.samples: list[tuple[float, ProcessUse, ServerSnapshot]] = []  # with the hours of audio sent before
        self.connections = 0
        self.resumes = 0
        self.failures: list[str] = []

    @property
    def progress(self) -> float:
        """The finished part of the run, 0 to 1."""
        if self._minutes is None:
            return self.sent_s / (self._hours * 3600)
        return (trio.current_time() - self._begun_s) / (self._minutes * 60)

    async def client(self, number: int) -> None:
        """Connect again and again. Failures are counted and printed; they do not end the run."""
        rng = random.Random(number)  # noqa: S311 - no secrets
        resume = ""
        while self.progress < 1:
            try:
                async with open_socket(self._url) as socket:
                    resume = await self._connect_once(socket, rng, resume)
            except* _FAILURES as failed:
                self.failures.append(repr(failed.exceptions[0]))
                print(f"client {number}: {self.failures[-1]}", file=sys.stderr)
                resume = ""

    async def _connect_once(self, socket: WebSocketConnection, rng: random.Random, resume: str) -> str:
        """Use one connection; return the `resume` command for the next one, or an empty string."""
        self.connections += 1
        token = msgspec.json.decode(await socket.get_message())["resumeToken"]
        if resume:
            token = msgspec.json.decode(resume)["token"]
            await socket.send_message(resume)
            await self._until(socket, "resumed")
            self.resumes += 1
        await socket.send_message('{"type":"start"}')
        for _ in range(rng.randint(1, round(LONGEST_STAY_S / TURN_S))):
            seq = await self._speak(socket, rng.randrange(len(self._packets)))
        match rng.choice(["stop", "leave", "cut", "return"]):
            case "stop":
                await socket.send_message('{"type":"stop"}')
                await socket.aclose()
            case "leave":
                await socket.send_message(self._packets[0])
                await socket.aclose()
            case "return":
                return msgspec.json.encode({"type": "resume", "token": token, "seq": seq}).decode()
        return ""

    async def _until(self, socket: WebSocketConnection, kind: str) -> dict[str, Any]:
        """Wait for the next event of a type."""
        while True:
            event: dict[str, Any] = msgspec.json.decode(await socket.get_message())
            if event["type"] == kind:
                return event
            if event["type"] == "error":
                raise RefusedError(event["message"])

    async def _speak(self, socket: WebSocketConnection, start: int) -> int:
        """Stream one turn; return the `seq` of the `flushed` event behind it."""
        count = round(TURN_S * RATE_HZ / PACKET_SAMPLES)
        for number in range(start, start + count):
            await socket.send_message(self._packets[number % len(self._packets)])
        await socket.send_message('{"type":"flush"}')
        seq: int = (await self._until(socket, "flushed"))["seq"]
        self.sent_s += TURN_S
        return seq

    async def sample(self) -> None:
        """Sample the server's resources at regular intervals until the end."""
        while self.progress < 1:
            await trio.sleep(0.05)
            if self.progress * SAMPLES_PER_RUN >= len(self.samples) + 1:
                snapshot = await request_snapshot(self._pid, self._report_folder)
                self.samples.append((self.sent_s / 3600, process_use(self._pid), snapshot))


async def soak(*, hours: float, minutes: float | None, clients: int) -> dict[str, Any]:
    """Run the soak against a silent server; return first and last samples, and growth per hour of audio."""
    command = [sys.executable, "-m", "benchmarks.silent_server", "-"]
    with TemporaryDirectory() as report_folder:
        os.environ[FOLDER] = report_folder
        return await run(command, Path(report_folder), hours=hours, minutes=minutes, clients=clients)


async def run(
    command: Sequence[str], report_folder: Path, *, hours: float, minutes: float | None, clients: int
) -> dict[str, Any]:
    """Run it with a server that reports into a folder."""
    async with own_server((), command=command) as server:
        work = Soak(server.url, server.pid, report_folder, hours=hours, minutes=minutes)
        begun_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work.sample)
            for number in range(clients):
                nursery.start_soon(work.client, number)
        took_s = trio.current_time() - begun_s
    settled = work.samples[len(work.samples) // 3 :]
    series: dict[str, Sequence[float]] = {
        "rssMib": [use.rss_bytes / 2**20 for _, use, _ in settled],
        "heapMib": [snapshot.heap_mib for _, _, snapshot in settled],
        "pythonBlocks": [snapshot.python_blocks for _, _, snapshot in settled],
        "threads": [use.threads for _, use, _ in settled],
        "descriptors": [use.descriptors for _, use, _ in settled],
        "tasks": [snapshot.tasks for _, _, snapshot in settled],
    }
    hours_sent = [at for at, _, _ in settled]
    return {
        "audioHours": round(work.sent_s / 3600, 2),
        "clients": clients,
        "minutes": round(took_s / 60, 1),
        "connections": work.connections,
        "resumed": work.resumes,
        "failures": work.failures,
        "timesRealTime": round(work.sent_s / took_s, 1),
        "cpuMsPerAudioS": round(settled[-1][1].cpu_s * 1000 / work.sent_s, 2),
        **{name: [round(samples[0], 1), round(samples[-1], 1)] for name, samples in series.items()},
        **{f"{name}PerAudioHour": growth(hours_sent, samples) for name, samples in series.items()},
    }


def growth(at: Sequence[float], series: Sequence[float]) -> float:
    """The slope of the least-squares line through the points."""
    return round(float(np.polyfit(at, series, 1)[0]), 3)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--hours", type=float, default=10.0, help="hours of audio of all clients together")
    length.add_argument("--minutes", type=float, help="minutes of time instead")
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result = trio.run(partial(soak, hours=arguments.hours, minutes=arguments.minutes, clients=arguments.clients))
    for name, value in result.items():
        print(f"{name:>24}  {value}")
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")


if __name__ == "__main__":
    main()

"""Hours of audio from clients who come and go, as fast as the server takes it: does it keep what it should give back?

    uv run --group bench python -m benchmarks.soak [--hours 10] [--clients 20] [--json FILE]

The server is `benchmarks.silent_server`: engines have leaks of their own. Each client says a reading with its pauses,
in stretches of a few seconds, and goes on when the server has heard them. It stays for up to a minute of audio, then
leaves, every other time in the middle of a word. Growth is the slope of the line through the server's memory, threads
and descriptors over all but the first third, for each hour of audio.
"""

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import trio
from trio_websocket import WebSocketConnection, open_websocket_url

from benchmarks.speech import SPEECH_48K
from trio_stt.bench.process import ProcessUse, process_use
from trio_stt.bench.server import own_server
from trio_stt.protocol.packets import build_packet

RATE_HZ = 48_000
PACKET_SAMPLES = 1_920
STRETCH_S = 4.0
"""Said before the server is asked whether it has heard: a live server sheds what waits for too long."""
LONGEST_STAY_S = 60.0
SAMPLES_PER_RUN = 240
MOST_BYTES = 2**24


class Soak:
    """Clients of one server, and what they have said."""

    def __init__(self, url: str, pid: int, hours: float) -> None:
        self._url = url
        self._pid = pid
        self._goal_s = hours * 3600
        self._packets = [
            build_packet(SPEECH_48K[at : at + PACKET_SAMPLES].tobytes(), rate_hz=RATE_HZ)
            for at in range(0, SPEECH_48K.size - PACKET_SAMPLES + 1, PACKET_SAMPLES)
        ]
        self.said_s = 0.0
        self.seen: list[tuple[float, ProcessUse]] = []  # after so many hours of audio
        self.calls = 0

    @property
    def done(self) -> bool:
        return self.said_s >= self._goal_s

    async def client(self, number: int) -> None:
        dice = random.Random(number)  # noqa: S311 - no secrets
        while not self.done:
            async with open_websocket_url(self._url, max_message_size=MOST_BYTES) as socket:
                self.calls += 1
                await socket.send_message('{"type":"start"}')
                for _ in range(dice.randint(1, round(LONGEST_STAY_S / STRETCH_S))):
                    await self._speak(socket, dice.randrange(len(self._packets)))
                if dice.random() < 0.5:
                    await socket.send_message(self._packets[0])
                else:
                    await socket.send_message('{"type":"stop"}')

    async def _speak(self, socket: WebSocketConnection, start: int) -> None:
        count = round(STRETCH_S * RATE_HZ / PACKET_SAMPLES)
        for number in range(start, start + count):
            await socket.send_message(self._packets[number % len(self._packets)])
        await socket.send_message('{"type":"flush"}')
        while (event := msgspec.json.decode(await socket.get_message()))["type"] != "flushed":
            if event["type"] == "error":
                raise RuntimeError(event["message"])
        self.said_s += STRETCH_S
        if self.said_s * SAMPLES_PER_RUN >= self._goal_s * (len(self.seen) + 1):
            self.seen.append((self.said_s / 3600, process_use(self._pid)))


async def soak(hours: float, clients: int) -> dict[str, Any]:
    """Growth for each hour of audio, and the first and last third in figures."""
    command = [sys.executable, "-m", "benchmarks.silent_server", "-"]
    async with own_server((), command=command) as server:
        work = Soak(server.url, server.pid, hours)
        begun_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number in range(clients):
                nursery.start_soon(work.client, number)
        took_s = trio.current_time() - begun_s
    settled = work.seen[len(work.seen) // 3 :]
    first, last = settled[0][1], settled[-1][1]
    return {
        "audioHours": round(work.said_s / 3600, 2),
        "clients": clients,
        "connections": work.calls,
        "timesRealTime": round(work.said_s / took_s, 1),
        "cpuMsPerAudioS": round(last.cpu_s * 1000 / work.said_s, 2),
        "rssMib": [round(use.rss_bytes / 2**20, 1) for use in (first, last)],
        "threads": [use.threads for use in (first, last)],
        "descriptors": [use.descriptors for use in (first, last)],
        "rssMibPerAudioHour": growth([(at, use.rss_bytes / 2**20) for at, use in settled]),
        "threadsPerAudioHour": growth([(at, use.threads) for at, use in settled]),
        "descriptorsPerAudioHour": growth([(at, use.descriptors) for at, use in settled]),
    }


def growth(points: Sequence[tuple[float, float]]) -> float:
    """Slope of the straight line that lies nearest to the points."""
    return round(float(np.polyfit(*np.transpose(points), 1)[0]), 3)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=10.0, help="of audio, all clients together")
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    result = trio.run(soak, asked.hours, asked.clients)
    for name, value in result.items():
        print(f"{name:>24}  {value}")
    if asked.json:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")


if __name__ == "__main__":
    main()

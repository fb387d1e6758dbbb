"""A WebSocket client of a real server: streams audio and collects events."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import trio
from numpy.typing import NDArray
from trio_websocket import ConnectionClosed, WebSocketConnection

from tests.support.server import RunningServer, web_socket
from trio_stt.protocol.packets import build_packet

PATH = "/ws/transcribe"


def load_pcm(path: Path) -> tuple[NDArray[np.int16], int]:
    """Samples, shape (frames,) or (frames, channels), and their rate."""
    samples, rate_hz = soundfile.read(path, dtype="int16")
    return samples, rate_hz


@dataclass
class SocketClient:
    """A connected client; `events` grows as events arrive."""

    socket: WebSocketConnection
    events: list[dict[str, Any]] = field(default_factory=list)
    closed: bool = False

    def __post_init__(self) -> None:
        self._news = trio.Event()

    async def listen(self) -> None:
        """Collect events until the server closes."""
        try:
            while True:
                self.events.append(json.loads(await self.socket.get_message()))
                self._notify()
        except ConnectionClosed:
            self.closed = True
            self._notify()

    def _notify(self) -> None:
        self._news.set()
        self._news = trio.Event()

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    @property
    def text(self) -> str:
        """All finals, joined."""
        return " ".join(event["text"] for event in self.of("final"))

    @property
    def event_names(self) -> list[str]:
        """The events in order, by type and state or timeline event."""
        return [f"{e['type']} {e.get('state') or e.get('event') or ''}".strip() for e in self.events]

    @property
    def close_code(self) -> int | None:
        """The code with which the server closed the socket, or None."""
        return self.socket.closed.code if self.socket.closed else None

    async def until(self, kind: str, count: int = 1, *, within_s: float = 60.0) -> dict[str, Any]:
        """Wait for the `count`-th event of a type and return it."""
        with trio.fail_after(within_s):
            while len(self.of(kind)) < count:
                assert not self.closed, f"closed with {self.close_code} before event {count} of type {kind}"
                await self._news.wait()
        return self.of(kind)[count - 1]

    async def until_state(self, state: str, *, within_s: float = 60.0) -> None:
        """Wait until the latest status has this state."""
        with trio.fail_after(within_s):
            while not self.of("status") or self.of("status")[-1]["state"] != state:
                await self._news.wait()

    async def until_all_final(self, *, within_s: float = 60.0) -> None:
        """Wait until `stop` has taken effect and every utterance has a final or is closed."""
        with trio.fail_after(within_s):
            while self.event_names.count("status idle") == 0 or self._unfinished():
                await self._news.wait()

    def _unfinished(self) -> set[int]:
        begun = {e["segmentId"] for e in self.of("timeline") if e["event"] == "recording_started"}
        return begun - {
            e["segmentId"] for e in self.of("timeline") if e["event"] in ("final_transcript", "segment_closed")
        }

    async def until_closed(self, *, within_s: float = 60.0) -> None:
        """Wait until the server has closed the socket."""
        with trio.fail_after(within_s):
            while not self.closed:
                await self._news.wait()

    async def command(self, kind: str) -> None:
        await self.socket.send_message(json.dumps({"type": kind}))

    async def stream(
        self, samples: NDArray[np.int16], rate_hz: int, *, packet_ms: float = 40.0, speed: float = float("inf")
    ) -> None:
        """Send audio in packets, `speed` times as fast as real time."""
        frames = max(1, round(rate_hz * packet_ms / 1000))
        channels = 1 if samples.ndim == 1 else samples.shape[1]
        begun_s = trio.current_time()
        for start in range(0, len(samples), frames):
            await trio.sleep_until(begun_s + start / rate_hz / speed)
            pcm = samples[start : start + frames].astype("<i2").tobytes()
            await self.socket.send_message(build_packet(pcm, rate_hz=rate_hz, channels=channels))


@asynccontextmanager
async def connected(server: RunningServer | int) -> AsyncIterator[SocketClient]:
    """Connect to the server, or to its port, and collect events until the block ends."""
    async with web_socket(server, PATH) as socket, trio.open_nursery() as nursery:
        client = SocketClient(socket)
        nursery.start_soon(client.listen)
        yield client
        nursery.cancel_scope.cancel()


def native_words(running: RunningServer, samples: NDArray[np.int16], rate_hz: int) -> str:
    """The text of samples over the server's own protocol, to compare another one with."""

    async def main() -> str:
        async with connected(running) as native:
            await native.command("start")
            await native.stream(samples, rate_hz)
            await native.command("stop")
            await native.until_all_final()
            return native.text

    return trio.run(main)

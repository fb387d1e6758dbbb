"""Fixtures of the fault tests: a real server, a bystander client that speaks throughout, and resource counts."""

import http.client
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import trio
from numpy.typing import NDArray

from tests.support.client import SocketClient, connected, load_pcm
from tests.support.raw_socket import BINARY, TEXT, frame
from tests.support.real import moonshine_asset
from tests.support.server import RunningServer, running_server, shared_server
from trio_stt.bench.process import process_use
from trio_stt.protocol.packets import build_packet

RATE_HZ = 16_000
GRACE_S = 1
FLAGS = ("--port", "{port}", "--resume-grace-s", str(GRACE_S), "--max-connections-per-address", "1000")
SETTLES_WITHIN_S = 30.0
"""Seconds until resources are free: a session's grace period, then Trio's ten seconds for an idle thread."""
MARGIN_BYTES = 48 * 2**20
"""Memory that a server may hold beyond before: pages that its allocator keeps in each thread's arena after a burst of
large buffers. One session's buffers take about 100 KB, so 500 sessions that were not given back would show."""

RELOADS_MARGIN_BYTES = 320 * 2**20
"""The same after reloads of an engine, each on a new thread with an arena of its own. Measured over six reloads,
memory grows with the first three, by 150 MiB from the first on, and stays there."""


def sentence() -> NDArray[np.int16]:
    """Two short sentences, five seconds with a pause behind."""
    samples, rate_hz = load_pcm(moonshine_asset("beckett.wav"))
    assert rate_hz == RATE_HZ
    return np.concatenate([samples[: 4 * RATE_HZ], np.zeros(RATE_HZ, np.int16)])


def full_scale_sentence() -> NDArray[np.int16]:
    """The same at full scale, which triggers the fault of the engine of `faulty_server`."""
    return np.clip(sentence().astype(np.int32) * 40, -32_768, 32_767).astype(np.int16)


def frames_of(samples: NDArray[np.int16]) -> bytes:
    """`start` and the samples in packets of 40 ms, as WebSocket frames."""
    pieces = [samples[at : at + 640].astype("<i2").tobytes() for at in range(0, len(samples), 640)]
    packets = b"".join(frame(BINARY, build_packet(piece, rate_hz=RATE_HZ)) for piece in pieces)
    return frame(TEXT, b'{"type":"start"}') + packets


@dataclass(frozen=True)
class Held:
    """Resources that a server holds."""

    descriptors: list[str]
    threads: int
    tasks: int
    sessions: int
    speakers: int
    jobs: int

    def is_within(self, before: "Held") -> bool:
        """Whether no resource grew. There may be fewer, because a connection of `before` may have closed since."""
        return len(self.descriptors) <= len(before.descriptors) and all(
            getattr(self, name) <= getattr(before, name)
            for name in ("threads", "tasks", "sessions", "speakers", "jobs")
        )


@dataclass
class ControlledServer:
    """A running server, and the folder of the files that control it."""

    running: RunningServer
    folder: Path

    @property
    def pid(self) -> int:
        return self.running.process.pid

    def fault(self, fault: str) -> None:
        """Set the fault that clips at full scale cause from now on."""
        part = self.folder / "fault.part"
        part.write_text(fault)
        part.rename(self.folder / "fault")

    def metrics(self) -> Any:
        """`/api/metrics`; blocks."""
        connection = http.client.HTTPConnection("127.0.0.1", self.running.port, timeout=30)
        try:
            connection.request("GET", "/api/metrics", headers={"Connection": "close"})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    async def held(self) -> Held:
        metrics = await trio.to_thread.run_sync(self.metrics)
        pid = self.pid
        report = self.folder / "tasks"
        report.unlink(missing_ok=True)
        os.kill(pid, signal.SIGUSR1)
        with trio.fail_after(30):
            while not report.exists():  # noqa: ASYNC110 - another process cannot set our events
                await trio.sleep(0.01)
        return Held(
            descriptors=_descriptors(pid),
            threads=process_use(pid).threads,
            tasks=int(report.read_text()),
            sessions=metrics["activeSessions"],
            speakers=metrics["activeSpeakers"],
            jobs=sum(queue["queued"] for queue in metrics["scheduler"]["queues"].values()),
        )

    async def settled(self, before: Held) -> None:
        """Wait until the server holds no more resources than before."""
        deadline_s = time.monotonic() + SETTLES_WITHIN_S
        while not (now := await self.held()).is_within(before):
            assert time.monotonic() < deadline_s, f"before: {before}\nafter: {now}\n{self.running.output[-5000:]}"
            await trio.sleep(0.2)


def _descriptors(pid: int) -> list[str]:
    return sorted(_target(path) for path in Path(f"/proc/{pid}/fd").iterdir())


def _target(path: Path) -> str:
    try:
        return str(path.readlink()).split(":")[0]
    except OSError:  # closed meanwhile
        return ""


@asynccontextmanager
async def controlled_server(folder: Path, *flags: str, before: Sequence[str] = ()) -> AsyncIterator[ControlledServer]:
    """A server whose faults the test controls, with its engine loaded.

    Args:
        folder: Folder of the files that control it.
        flags: Further command line flags.
        before: A command that starts the server, such as a wrapper.
    """
    args = [*_command(folder), *flags]
    if before:
        args = ["-c", f"import os; os.execvp({before[0]!r}, {[*before]!r} + __import__('sys').argv[1:])", *args]
    async with running_server(args) as server:
        await server.wait_for_output("trio-stt is ready on")
        yield ControlledServer(server, folder)


@contextmanager
def shared_controlled_server(folder: Path) -> Iterator[ControlledServer]:
    """Like `controlled_server`, for a fixture of a module."""
    with shared_server(_command(folder)) as server:
        trio.run(server.wait_for_output, "trio-stt is ready on")
        yield ControlledServer(server, folder)


def _command(folder: Path) -> list[str]:
    return ["-m", "tests.support.faulty_server", str(folder), *FLAGS]


@dataclass
class Bystander:
    """Speaks the sentence in real time, again and again, until `enough` is set."""

    client: SocketClient
    enough: bool = False
    sentences: int = 0
    done: trio.Event = field(default_factory=trio.Event)

    async def speak(self, *, speed: float = 1.0, times: int | None = None) -> None:
        samples = sentence()
        await self.client.until("ready")
        await self.client.command("start")
        while self.sentences != times and not (times is None and self.enough and self.sentences):
            await self.client.stream(samples, RATE_HZ, speed=speed)
            await self.client.command("flush")
            self.sentences += 1
            await self.client.until("flushed", self.sentences)
        self.done.set()

    @property
    def words(self) -> list[tuple[int, str]]:
        return [(event["segmentId"], event["text"]) for event in self.client.of("final")]


@asynccontextmanager
async def disturbed(server: ControlledServer, *, margin_bytes: int = MARGIN_BYTES) -> AsyncIterator[Held]:
    """Run a fault beside the bystander, and check that its events and the server's resources are as before.

    Yields:
        The server's resources before the fault, without the bystander's.
    """
    await undisturbed(server, 1)  # the first client allocates buffers that the server keeps
    before = await server.held()
    memory = process_use(server.pid).rss_bytes
    async with connected(server.running) as client, trio.open_nursery() as nursery:
        bystander = Bystander(client)
        nursery.start_soon(bystander.speak)
        yield before
        bystander.enough = True
        with trio.fail_after(120):
            await bystander.done.wait()
        await client.command("stop")
    assert not client.of("error")
    assert not [notice for notice in client.of("warning") if "dropped" in notice["message"]]
    assert bystander.words == await undisturbed(server, bystander.sentences)
    await server.settled(before)
    assert process_use(server.pid).rss_bytes - memory < margin_bytes


async def undisturbed(server: ControlledServer, times: int) -> list[tuple[int, str]]:
    """The finals of a client that is alone with the server."""
    async with connected(server.running) as client:
        alone = Bystander(client)
        with trio.fail_after(120):
            await alone.speak(speed=20.0, times=times)
        assert len(alone.words) >= times
        assert "ever tried" in client.text.lower()
        return alone.words

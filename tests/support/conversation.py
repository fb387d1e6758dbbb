"""Sessions on virtual time: a scripted client, a detector of loudness, and an engine whose text names levels.

Speech is a constant level. The engine's text lists the levels of a clip in order, so that a test sees which audio it
got. Pauses are zeros.
"""

import json
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, TypeVar

import numpy as np
import trio
from numpy.typing import NDArray

from tests.lanes.fakes import FakeEngine, VirtualExecutor
from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.dsp.detector import VadResult
from trio_stt.lanes.engines.base import Engine, Transcript
from trio_stt.lanes.fair_queue import QueueLimits
from trio_stt.lanes.lane import Lane
from trio_stt.lanes.lane_state import LaneName
from trio_stt.lanes.scheduler import Lanes
from trio_stt.protocol.event_objects import State
from trio_stt.protocol.events import Event, Final, Hello, Resumed, Status, Timeline, decode
from trio_stt.protocol.packets import build_packet
from trio_stt.server.recordings import RecordingArchive
from trio_stt.server.server_state import ServerState
from trio_stt.session.connection import CloseReason, ConnectionClosed
from trio_stt.session.session import Session
from trio_stt.settings import Settings

EventT = TypeVar("EventT", bound=Event)
Batch = Sequence[NDArray[np.float32]]

LOUD = 1000
WAKE = 7777


class LoudnessDetector:
    """A VAD for which loud windows are speech."""

    def detect(self, window: NDArray[np.int16], *, speaking: bool) -> VadResult:  # noqa: ARG002 - as the detector's
        loud = bool(np.abs(window).max() >= LOUD)
        level = float(np.abs(window).mean())
        return VadResult(rms=level, probability=0.99 if loud else 0.0)

    def reset(self) -> None:
        pass


class LevelWakeWord:
    """Detects the word `computer` in a window that contains the level `WAKE`."""

    def process(self, window: NDArray[np.int16]) -> str | None:
        return "computer" if WAKE in window else None

    def reset(self) -> None:
        pass


class LevelWakeWords:
    """Makes a `LevelWakeWord` for each session with wake words, whichever they are."""

    def new_detector(self, settings: Settings) -> LevelWakeWord | None:
        return LevelWakeWord() if settings.wake_words else None


def levels(batch: Batch) -> list[Transcript]:
    """The levels of each clip, in order."""
    texts = []
    for clip in batch:
        spoken = [round(float(level) * 32768) for level, _ in groupby(clip) if level]
        texts.append(Transcript(text=" ".join(str(level) for level in spoken[:1000])))  # longer texts are cut
    return texts


class HoppingExecutor(VirtualExecutor):
    """An executor whose results take some scheduler passes to arrive, as from a thread."""

    def __init__(
        self, load: Callable[[], Engine], *, hops: int, load_s: float, inference_s: Callable[[Batch], float]
    ) -> None:
        super().__init__(load, load_s=load_s, inference_s=inference_s)
        self._hops = hops

    async def transcribe(self, batch: Batch) -> list[Transcript]:
        transcripts = await super().transcribe(batch)
        for _ in range(self._hops):
            await trio.lowlevel.checkpoint()
        return transcripts


@dataclass
class Client:
    """The other end of a session."""

    session: Session
    events: list[Event] = field(default_factory=list)
    on_event: Callable[[Event], None] = lambda _: None
    reads: bool = True
    aborted: bool = False
    closed_cleanly: bool = True
    close_reason: CloseReason | None = None
    token: str = ""

    def __post_init__(self) -> None:
        self._to_server, self._from_client = trio.open_memory_channel[str | bytes](float("inf"))
        self._arrived = trio.Event()
        self.connection_scope = trio.CancelScope()  # of the server's handler

    # As the session's connection.

    async def receive(self) -> str | bytes:
        try:
            return await self._from_client.receive()
        except trio.EndOfChannel:
            raise ConnectionClosed from None

    async def send(self, *messages: str) -> None:
        await trio.lowlevel.checkpoint()
        if not self.reads:
            await trio.sleep_forever()
        for event in map(decode, messages):
            self.on_event(event)
            self.events.append(event)
            if isinstance(event, Hello) and isinstance(event.resume_token, str):
                self.token = event.resume_token
        self._arrived.set()
        self._arrived = trio.Event()

    def abort(self) -> None:
        self.aborted = True

    # As a user.

    def command(self, kind: str) -> None:
        self._to_server.send_nowait(f'{{"type": "{kind}"}}')

    def resume(self, token: str, seq: int) -> None:
        self.raw(json.dumps({"type": "resume", "token": token, "seq": seq}))

    def raw(self, message: str | bytes) -> None:
        self._to_server.send_nowait(message)

    def say(self, level: int, seconds: float, *, rate_hz: int = SAMPLE_RATE_HZ) -> None:
        samples = np.full(round(seconds * rate_hz), level, "<i2")
        for start in range(0, samples.size, rate_hz // 25):
            self.raw(build_packet(samples[start : start + rate_hz // 25].tobytes(), rate_hz=rate_hz))

    def pause(self, seconds: float) -> None:
        self.say(0, seconds)

    def leave(self) -> None:
        """Close cleanly."""
        self._to_server.close()

    def drop(self) -> None:
        """Lose the connection: unreceived messages are lost, and the server's handler is cancelled."""
        self.closed_cleanly = False
        self.connection_scope.cancel()

    def of(self, kind: type[EventT]) -> list[EventT]:
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, kind: type[EventT], count: int = 1) -> EventT:
        """Wait for the `count`-th event of a kind."""
        with trio.fail_after(1000):
            while len(self.of(kind)) < count:
                await self._arrived.wait()
        return self.of(kind)[count - 1]

    async def settled(self) -> None:
        """Wait until all sent messages have had their effect."""
        await trio.testing.wait_all_tasks_blocked()
        await self.session.wait_drained()

    @property
    def session_events(self) -> list[Event]:
        """The events since the last `resumed`: those of the session that the client is in."""
        begins = [index for index, event in enumerate(self.events) if isinstance(event, Resumed)]
        return self.events[begins[-1] + 1 :] if begins else self.events

    @property
    def seqs(self) -> list[int]:
        """The numbers of `session_events`."""
        return [event.seq for event in self.session_events if isinstance(event.seq, int)]

    @property
    def seq(self) -> int:
        """The number of the last event."""
        return self.seqs[-1] if self.seqs else self.of(Resumed)[-1].seq if self.of(Resumed) else 0  # type: ignore[return-value] # always a number there

    @property
    def finals(self) -> list[tuple[int, str]]:
        return [(event.segment_id, event.text) for event in self.of(Final)]

    @property
    def states(self) -> list[State]:
        return [event.state for event in self.of(Status)]

    @property
    def event_names(self) -> list[str]:
        """Names of the events in order, with state or timeline entry."""
        names = []
        for event in self.events:
            tag = str(event.__struct_config__.tag)
            detail = event.state if isinstance(event, Status) else event.event if isinstance(event, Timeline) else ""
            names.append(f"{tag} {detail}".strip())
        return names


@dataclass
class ServerFixture:
    """A server without its web part, on virtual time, to which clients connect."""

    server_state: ServerState
    nursery: trio.Nursery

    async def connect(self, *, partials: bool = True, shows_causes: bool = True) -> Client:
        session_id = self.server_state.reserve()
        client = Client(
            Session(session_id=session_id, host=self.server_state, partials=partials, shows_causes=shows_causes)
        )
        self.server_state.start(client.session)
        self.nursery.start_soon(self._serve, client)
        return client

    async def streaming_client(self, *, partials: bool = True, shows_causes: bool = True) -> Client:
        """Connect, and send `start`."""
        client = await self.connect(partials=partials, shows_causes=shows_causes)
        client.command("start")
        return client

    async def resume(self, lost: Client, *, seq: int | None = None, partials: bool = True) -> Client:
        """Connect, and resume the session of a disconnected client; `seq` is the last event that it received."""
        client = await self.connect(partials=partials)
        client.resume(lost.token, lost.seq if seq is None else seq)
        await client.until(Resumed)
        client.session, client.token = lost.session, lost.token
        return client

    async def _serve(self, client: Client) -> None:
        with client.connection_scope:
            client.close_reason = await client.session.serve_connection(client)


@asynccontextmanager
async def server_fixture(
    *,
    inference_s: Callable[[Batch], float] = lambda _: 0.01,
    answer: Callable[[Batch], object] = levels,
    load_s: float = 0.0,
    hops: int = 0,
    detector: Callable[[], LoudnessDetector] = LoudnessDetector,
    wake: Any = None,
    turn_judge: Any = None,
    archive: RecordingArchive | None = None,
    load: Callable[[], Engine] | None = None,
    load_partials: Callable[[], Engine] | None = None,
    **changes: object,
) -> AsyncIterator[ServerFixture]:
    """A running server with a fake engine.

    Args:
        inference_s: Seconds that the engine takes for a batch.
        answer: The engine's transcripts for a batch.
        load_s: Seconds that a load takes.
        hops: Scheduler passes that a result takes to arrive.
        detector: Makes the speech detector of a session.
        wake: Makes the wake-word detectors; by default the real ones.
        turn_judge: Judges the ends of turns by their sound; by default nothing does.
        archive: Records sessions.
        load: Loads another engine instead of the fake one.
        load_partials: Loads an engine for partials, which then have a lane of their own.
        changes: Settings that differ from the defaults.
    """
    settings = Settings(**changes)  # type: ignore[arg-type] # pydantic checks them

    def limits() -> QueueLimits:
        return QueueLimits(
            max_finals_per_session=settings.max_final_queue_depth_per_session,
            max_jobs=settings.max_global_inference_queue_depth,
        )

    threshold_s = settings.realtime_degradation_threshold_ms / 1000

    def lane(name: LaneName, load: Callable[[], Engine]) -> Lane:
        return Lane(
            name,
            new_executor=lambda: HoppingExecutor(load, hops=hops, load_s=load_s, inference_s=inference_s),
            limits=limits,
            degradation_threshold_s=lambda: threshold_s,
            job_deadline_s=lambda: settings.job_deadline_s if "job_deadline_s" in changes else math.inf,
            outage_limit_s=lambda: settings.engine_outage_limit_s,
        )

    main = lane("main", load or (lambda: FakeEngine(answer)))
    lanes = Lanes(main=main, realtime=lane("realtime", load_partials) if load_partials else main)
    server_state = ServerState(
        settings=settings,
        lanes=lanes,
        new_detector=lambda _: detector(),
        wake_words=wake,
        turn_judge=turn_judge,
        archive=archive,
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(server_state.run)
        yield ServerFixture(server_state, nursery)
        nursery.cancel_scope.cancel()

"""Scripted engines and executors for the tests of lanes."""

import math
import socket
import threading
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import accumulate
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
import trio
import trio.testing
from numpy.typing import NDArray

from trio_stt.errors import ClusterUnavailable, EngineUnavailable, JobDropped
from trio_stt.lanes import engine_child
from trio_stt.lanes.engine_actor import EngineActor
from trio_stt.lanes.engine_messages import HEADER, decode_request, encode
from trio_stt.lanes.engine_process import EngineProcess
from trio_stt.lanes.engines.base import (
    NO_HINTS,
    Engine,
    EngineConfig,
    EngineInfo,
    EngineStream,
    Hints,
    Request,
    Transcript,
)
from trio_stt.lanes.engines.language_support import LanguageSupport
from trio_stt.lanes.executor import EngineExecutor
from trio_stt.lanes.fair_queue import QueueLimits
from trio_stt.lanes.job import Job, JobKind, JobResult
from trio_stt.lanes.lane import Lane
from trio_stt.lanes.lane_state import LaneName
from trio_stt.lanes.loaded_engine import LoadedEngine
from trio_stt.lanes.ray_client import ActorHandle
from trio_stt.lanes.ray_link import RayLink
from trio_stt.lanes.remote_engine import RemoteEngine
from trio_stt.lanes.shared_engine import SharedEngine

Batch = Sequence[NDArray[np.float32]]

INFO = EngineInfo(engine="fake", model="fake-model", device="cpu", languages=LanguageSupport(assumed="en"))


def clip(samples: int) -> NDArray[np.float32]:
    return np.zeros(samples, dtype=np.float32)


def batch_of(*samples: int) -> list[Request]:
    """A batch of clips of these lengths."""
    return [Request(samples=clip(each)) for each in samples]


def final(session_id: str, samples: int = 1, *, hints: Hints = NO_HINTS, from_file: bool = False) -> Job:
    return Job(session_id=session_id, kind=JobKind.FINAL, samples=clip(samples), hints=hints, from_file=from_file)


def partial(
    session_id: str,
    samples: int = 1,
    *,
    deadline_s: float | None = None,
    hints: Hints = NO_HINTS,
    first: bool = False,
    waiting_since_s: float = 0.0,
) -> Job:
    return Job(
        session_id=session_id,
        kind=JobKind.PARTIAL,
        samples=clip(samples),
        deadline_s=deadline_s,
        hints=hints,
        first=first,
        waiting_since_s=waiting_since_s,
    )


def limits(finals: int = 8, jobs: int = 64) -> Callable[[], QueueLimits]:
    return lambda: QueueLimits(max_finals_per_session=finals, max_jobs=jobs)


def lengths(batch: Batch) -> list[Transcript]:
    """The text of a clip is its length, so that a test knows which clip an engine got."""
    return [Transcript(text=str(len(samples))) for samples in batch]


def _run_on_virtual_time(main: Callable[..., Awaitable[Any]], **options: Any) -> Any:
    async def within_a_deadline() -> Any:
        # If all tasks wait for ever, time jumps to this deadline, and the test fails instead of hanging.
        with trio.fail_after(1e9):
            return await main()

    return trio.run(within_a_deadline, **options | {"clock": trio.testing.MockClock(autojump_threshold=0)})


virtual_time = pytest.mark.trio(run=_run_on_virtual_time)
"""Marks a test whose time begins at 0 and jumps ahead whenever all tasks wait."""


class FakeEngine:
    """An engine whose answers a test scripts; it records its batches and its threads."""

    def __init__(
        self,
        answer: Callable[[Batch], object] = lengths,
        *,
        max_batch: int = 1,
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        self._answer = answer
        self._max_batch = max_batch
        self._on_close = on_close
        self.batches: list[list[int]] = []
        self.hints: list[Hints] = []
        self.closed = 0
        self.threads = [threading.current_thread()]

    @property
    def info(self) -> EngineInfo:
        return replace(INFO, max_batch=self._max_batch)

    @property
    def clips(self) -> list[int]:
        """The lengths of all clips."""
        return [samples for batch in self.batches for samples in batch]

    def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        self.threads.append(threading.current_thread())
        self.batches.append([request.samples.size for request in batch])
        self.hints += [request.hints for request in batch]
        return self._answer(_clips(batch))  # type: ignore[return-value] # some tests return invalid answers on purpose

    def close(self) -> None:
        self.threads.append(threading.current_thread())
        self.closed += 1
        self._on_close()


def engine_loader(engines: list[FakeEngine]) -> Callable[[], FakeEngine]:
    """Creates an engine at each call, and lists it."""

    def load() -> FakeEngine:
        engines.append(FakeEngine())
        return engines[-1]

    return load


class FakeStream:
    """A stream whose text lists the ends of the pieces that it was fed; a full stop follows its end."""

    def __init__(self, engine: "FakeStreamingEngine") -> None:
        self._engine = engine
        self.fed: list[int] = []
        self.decoded: list[int] = []
        self.finished = False

    def feed(self, samples: NDArray[np.float32]) -> None:
        assert samples.size
        assert not self.finished
        self.fed.append(samples.size)
        self._engine.fed.append(samples.size)

    def finish(self) -> None:
        assert not self.finished
        self.finished = True

    def result(self) -> Transcript:
        return Transcript(text=" ".join(map(str, accumulate(self.decoded))) + "." * self.finished)


class FakeStreamingEngine(FakeEngine):
    """An engine whose streams report what they were fed; it records them, and raises the errors in `failures`."""

    def __init__(self, answer: Callable[[Batch], object] = lengths, *, max_batch: int = 1) -> None:
        super().__init__(answer, max_batch=max_batch)
        self.fed: list[int] = []
        self.decoded: list[int] = []
        self.failures: list[Exception] = []
        self.streams: weakref.WeakSet[FakeStream] = weakref.WeakSet()

    @property
    def info(self) -> EngineInfo:
        return replace(super().info, streaming=True)

    def open_stream(self) -> FakeStream:
        stream = FakeStream(self)
        self.streams.add(stream)
        return stream

    def decode(self, streams: Sequence[EngineStream]) -> None:
        assert len({id(stream) for stream in streams}) == len(streams) > 0
        self.decoded.append(len(streams))
        if self.failures:
            raise self.failures.pop()
        for stream in streams:
            assert isinstance(stream, FakeStream)
            stream.decoded = list(stream.fed)


class VirtualExecutor:
    """An `EngineExecutor` without a thread: its engine sleeps for a scripted time, which virtual clocks see."""

    def __init__(
        self,
        load: Callable[[], Engine],
        *,
        load_s: float = 0.0,
        inference_s: Callable[[Batch], float] = lambda _: 0.0,
        shutdown_timeout_s: float = 10.0,
        discard: Callable[[], None] = lambda: None,
    ) -> None:
        self._load = load
        self._load_s = load_s
        self._inference_s = inference_s
        self._shutdown_timeout_s = shutdown_timeout_s
        self._discard = discard
        self._busy_until_s = 0.0
        self._engine: LoadedEngine | None = None
        self._closed = False

    async def start(self, on_lost: object = None) -> EngineInfo:  # noqa: ARG002 - never called
        await self._take(self._load_s)
        self._engine = LoadedEngine.load(self._load)
        return self._engine.info

    async def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        if self._engine is None or self._closed:
            raise EngineUnavailable("no engine")
        await self._take(self._inference_s(_clips(batch)))
        return self._engine.transcribe(batch)

    async def aclose(self, *, discard: bool = False) -> None:
        if discard:
            self._discard()
        first, self._closed = not self._closed, True
        with trio.move_on_after(self._shutdown_timeout_s, shield=True):
            await self._take(0.0)
            if first and self._engine is not None:
                with suppress(RuntimeError):
                    self._engine.close()

    def abandon(self, on_return: Callable[[], None]) -> None:
        async def return_from_hang() -> None:
            await trio.sleep_until(self._busy_until_s)
            if self._engine is not None:
                self._engine.close()
            on_return()

        self._discard()
        self._closed = True
        if self._busy_until_s < math.inf:
            trio.lowlevel.spawn_system_task(return_from_hang)

    async def _take(self, duration_s: float) -> None:
        # As a native call does, this one continues when its waiter is cancelled, and the next caller waits for it.
        self._busy_until_s = max(self._busy_until_s, trio.current_time()) + duration_s
        await trio.sleep_until(self._busy_until_s)


def _clips(batch: Sequence[Request]) -> Batch:
    return [request.samples for request in batch]


def new_lane(
    engine: FakeEngine | Callable[[], Engine],
    *,
    name: LaneName = "main",
    limits: Callable[[], QueueLimits] = limits(),  # noqa: B008 - always the same
    new_executor: Callable[..., EngineExecutor] = VirtualExecutor,
    load_s: float = 0.0,
    inference_s: Callable[[Batch], float] = lambda _: 1.0,
    shutdown_timeout_s: float = 10.0,
    shared: bool = False,
    **options: Any,
) -> Lane:
    """A lane on virtual time, whose engine takes one second for a batch unless `inference_s` says otherwise."""
    load: Callable[[], Engine] = (lambda: engine) if isinstance(engine, FakeEngine) else engine
    shared_engine = SharedEngine(load) if shared else None

    def make_executor() -> EngineExecutor:
        lease = shared_engine.lease() if shared_engine else None
        return new_executor(
            lease.load if lease else load,
            load_s=load_s,
            inference_s=inference_s,
            shutdown_timeout_s=shutdown_timeout_s,
            discard=lease.discard if lease else lambda: None,
        )

    return Lane(name, new_executor=make_executor, limits=limits, **options)


async def drop_reason(waiting: Awaitable[JobResult]) -> str:
    """Why the lane dropped a job."""
    with pytest.raises(JobDropped) as caught:
        await waiting
    return caught.value.reason


async def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a thread has made the condition true."""
    while True:
        if condition():
            return
        await trio.lowlevel.checkpoint()


class ChildThread:
    """What `engine_child` does, on a thread of this process. Implements `Child`; `kill` cuts the connection."""

    def __init__(self, load: Callable[[], Engine]) -> None:
        ours, theirs = socket.socketpair()
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        self._thread = threading.Thread(target=self._serve, args=(theirs, load), daemon=True)
        self._thread.start()

    async def send(self, message: bytes) -> None:
        await self._stream.send_all(message)

    async def receive(self) -> bytes:
        return bytes(await self._stream.receive_some())

    async def end_input(self) -> None:
        await self._stream.send_eof()

    def kill(self) -> None:
        self._stream.socket.close()

    async def wait(self) -> str:
        await trio.to_thread.run_sync(self._thread.join)
        return "ended"

    @staticmethod
    def _serve(connection: socket.socket, load: Callable[[], Engine]) -> None:
        with connection, connection.makefile("rb") as requests, connection.makefile("wb") as answers:
            engine_child.serve(requests, answers, lambda _, _unwanted: load())


def child_thread_executor(load: Callable[[], Engine], **options: Any) -> EngineProcess:
    """An `EngineProcess` whose child is a thread of this process."""

    async def start_child() -> ChildThread:
        await trio.lowlevel.checkpoint()
        return ChildThread(load)

    return EngineProcess("main", EngineConfig(engine="fake"), start_child, **options)


class FakeActor:
    """An actor on a thread of this process, with the engine that `load` loads; it makes its calls in order."""

    def __init__(self, load: Callable[[], Engine]) -> None:
        self.engine = RemoteEngine(lambda _: load())
        self.alive = True
        self._calls: SimpleQueue[tuple[str, tuple[bytes, ...], Callable[[Any], None]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()

    def call(self, method: str, arguments: tuple[bytes, ...], on_done: Callable[[Any], None]) -> None:
        self._calls.put((method, arguments, on_done))

    def kill(self) -> None:
        self.alive = False
        self._calls.put(None)
        self._thread.join(timeout=10)

    def _main(self) -> None:
        while (call := self._calls.get()) is not None:
            method, arguments, on_done = call
            on_done(getattr(self, f"_{method}")(*arguments))
        with suppress(RuntimeError):
            self.engine.close()

    def _host(self) -> str:
        return "node-1"

    def _answer(self, message: bytes) -> bytes:
        return encode(self.engine.answer(decode_request(message[HEADER.size :])))

    def _close(self) -> None:
        with suppress(RuntimeError):
            self.engine.close()


class FakeCluster:
    """A cluster in this process, as `RayClient` shows one. Implements `Cluster`.

    Attributes:
        refusal: Raised by `connect`, or None.
        has_room: Whether actors get a node; otherwise their calls wait for ever.
        actors: All that were created.
        accepts: Cleared while `create` is to block.
        requested: The resources that each of them requested.
        sizes: Bytes of each argument of the calls.
    """

    address = "ray://cluster:10001"

    def __init__(self, load: Callable[[], Engine]) -> None:
        self._load = load
        self._connected = False
        self.refusal: EngineUnavailable | None = None
        self.has_room = True
        self.accepts = threading.Event()
        self.accepts.set()
        self.actors: list[FakeActor] = []
        self.requested: list[Mapping[str, float]] = []
        self.sizes: list[int] = []
        self.connections = 0

    def is_connected(self) -> bool:
        return self._connected

    def connect(self) -> str:
        self.connections += 1
        if self.refusal is not None:
            raise self.refusal
        self._connected = True
        return "Ray 2.60.0, Python 3.11.7"

    def lose_head(self) -> None:
        """End the connection and with it all actors."""
        self._connected = False
        for actor in self.actors:
            actor.kill()

    def create(self, resources: Mapping[str, float], log_level: str, log_format: str) -> ActorHandle:
        assert (log_level, log_format) == ("INFO", "console")
        self.accepts.wait()
        self.requested.append(resources)
        self.actors.append(FakeActor(self._load))
        return ActorHandle(self.actors[-1], self.connections)

    def call(
        self, handle: ActorHandle, method: str, arguments: tuple[bytes, ...], on_done: Callable[[Any], None]
    ) -> None:
        actor: FakeActor = handle.actor
        if handle.connection != self.connections or not actor.alive:
            raise ClusterUnavailable("the actor died") from ConnectionError()
        self.sizes += map(len, arguments)
        if self.has_room:
            actor.call(method, arguments, on_done)

    def kill(self, handle: ActorHandle) -> None:
        handle.actor.kill()


def actor_executor(load: Callable[[], Engine], **options: Any) -> EngineActor:
    """An `EngineActor` on a cluster in this process."""
    return EngineActor("main", EngineConfig(engine="fake"), RayLink(FakeCluster(load)), **options)

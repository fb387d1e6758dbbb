"""An executor that runs its engine in a child process, so that a crash, a hang or a leak costs that process only.

Owns the child and the connection to it. What happens in the child is in `engine_child` and `remote_engine`.
"""

import logging
import math
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import trio

from trio_stt.errors import EngineUnavailable
from trio_stt.lanes.child_process import Child, ChildProcess
from trio_stt.lanes.engine_messages import (
    HEADER,
    Answer,
    ClipSender,
    Downloading,
    Failed,
    Load,
    Transcribe,
    decode_answer,
    encode,
    engine_info,
    transcripts,
)
from trio_stt.lanes.engines.base import EngineConfig, EngineInfo, Request, Transcript
from trio_stt.lanes.executor import EngineExecutor, OnLost, ignore_loss, load_timeout

logger = logging.getLogger(__name__)

_MAX_ANSWER_BYTES = 1 << 24
"""Bytes of the longest answer that is read: a batch of transcripts with words has a few hundred kilobytes. A length
above it was written by a native library, and waiting for its end would wait for ever."""

_KILLED_TIMEOUT_S = 5.0
"""Seconds within which the system ends a killed process, unless a driver holds it."""


def engine_processes(
    name: str, config: EngineConfig, *, load_limit_s: float, log_level: str, log_format: str
) -> Callable[[], EngineExecutor]:
    """Make executors for the workers of one lane, see `EngineProcess`.

    Args:
        name: The lane's name.
        config: Of the engine that each child process loads.
        load_limit_s: See `EngineProcess`.
        log_level: Of the children's log lines, which go to standard error.
        log_format: Of these lines.
    """
    command = [sys.executable, "-m", "trio_stt.lanes.engine_child", log_level, log_format]
    return lambda: EngineProcess(name, config, lambda: ChildProcess.start(command), load_limit_s=load_limit_s)


class EngineProcess:
    """Runs an engine in a child process. Implements `EngineExecutor`.

    A native call cannot be interrupted, but its process can be killed: `abandon` does so, and its memory comes back. A
    cancelled `start` or `transcribe` returns at once; the child finishes the call, and its result is dropped.

    Args:
        name: The lane's name, for messages.
        config: Of the engine.
        start_child: Starts the child process.
        load_limit_s: Seconds that the child may take to load the engine, from its start or its last report of a
            download on.
        shutdown_timeout_s: Seconds for which `aclose` waits for the running call and the engine's own close before it
            kills the child. A child that still loads is killed at once.
    """

    def __init__(
        self,
        name: str,
        config: EngineConfig,
        start_child: Callable[[], Awaitable[Child]],
        *,
        load_limit_s: float = math.inf,
        shutdown_timeout_s: float = 10.0,
    ) -> None:
        self._name = name
        self._config = config
        self._start_child = start_child
        self._load_limit_s = load_limit_s
        self._shutdown_timeout_s = shutdown_timeout_s
        self._calls_in, self._calls_out = trio.open_memory_channel[_Call](float("inf"))
        self._child: Child | None = None
        self._current: _Call | None = None
        self._received = bytearray()
        self._load_scope = trio.CancelScope()  # its deadline moves while the child downloads
        self._sender = ClipSender(streaming=False)  # until `start` knows better
        self._ended = trio.Event()
        self._on_lost: OnLost = ignore_loss
        self._on_return: Callable[[], None] = lambda: None
        self._started = self._loaded = self._closing = self._killed = False

    async def start(self, on_lost: OnLost = ignore_loss) -> EngineInfo:
        """Start the child and load the engine in it, see `EngineExecutor.start`.

        Raises:
            EngineUnavailable: It could not be loaded, or not within the limit.
            RuntimeError: The executor was started or closed before.
        """
        if self._started or self._closing:
            raise RuntimeError("an engine process starts once")
        self._started = True
        # A task of the system's nursery: a cancelled caller must not leave half a message in the pipe.
        trio.lowlevel.spawn_system_task(self._run, name=f"engine process of the {self._name} lane")
        self._load_scope.deadline = trio.current_time() + self._load_limit_s
        with self._load_scope:
            info = engine_info(await self._call(lambda: Load(self._config)))
            self._loaded, self._sender = True, ClipSender(streaming=info.streaming)
            self._on_lost = on_lost
            return info
        raise load_timeout(self._load_limit_s)

    async def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        """Transcribe at least one clip in the child, see `EngineExecutor.transcribe`."""
        if not self._loaded or self._closing:
            raise EngineUnavailable(f"the {self._name} lane has no engine")
        return transcripts(await self._call(lambda: self._sender.message(batch)), len(batch))

    async def aclose(self, *, discard: bool = False) -> None:  # noqa: ARG002 - nothing is shared with other executors
        """Close the engine and end the child, shielded from cancellation, up to the time limit.

        Calling it again does nothing.
        """
        if not self._closing:
            self._closing = True
            self._calls_in.close()
            if not self._started:
                self._ended.set()
            elif not self._loaded:
                self._kill()
        with trio.move_on_after(self._shutdown_timeout_s, shield=True):
            await self._ended.wait()
            return
        logger.warning(
            "%s lane: the engine did not close within %g s; its process is killed", self._name, self._shutdown_timeout_s
        )
        self._kill()
        with trio.move_on_after(_KILLED_TIMEOUT_S, shield=True):
            await self._ended.wait()

    def abandon(self, on_return: Callable[[], None]) -> None:
        """Kill the child, which hangs in a call; see `EngineExecutor.abandon`."""
        self._closing, self._on_return = True, on_return
        self._calls_in.close()
        self._kill()
        logger.warning("%s lane: the engine hangs; its process is killed", self._name)

    def _kill(self) -> None:
        self._killed = True
        if self._child is not None:
            self._child.kill()

    async def _call(self, message: "Callable[[], Load | Transcribe]") -> Answer:
        call = _Call(message)
        self._calls_in.send_nowait(call)
        return await call.wait()

    async def _run(self) -> None:
        """Start the child, make calls in order until the executor is closed, and wait for the child's end."""
        reason = "the engine's process was closed"
        try:
            try:
                self._child = child = await self._start_child()
            except OSError as error:
                reason = f"the engine's process cannot be started: {error}"
                return
            if self._killed:
                child.kill()
            try:
                while (call := await self._next_call(child)) is not None:
                    if not call.cancelled:
                        await child.send(encode(call.message()))
                        call.settle(await self._receive(child))
                    self._current = None
                    del call  # it holds clips, which would stay in memory until the next call
                await child.end_input()
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                logger.debug("%s lane: the engine's process does not answer", self._name, exc_info=error)
                child.kill()
            except EngineUnavailable as error:  # what it wrote is no answer, and nor would be what follows
                child.kill()
                await child.wait()
                reason = f"{error}; the engine's process was killed"
                return
            reason = f"the engine's process {await child.wait()}"
        except Exception:
            # An error of a system task would end the whole server.
            logger.exception("%s lane: the connection to the engine's process failed", self._name)
        finally:
            if self._child is not None:
                self._child.kill()
            lost, self._closing = not self._closing, True
            self._fail_calls(reason)
            self._ended.set()
            self._on_return()
            if lost:
                self._on_lost(EngineUnavailable(reason))

    async def _next_call(self, child: Child) -> "_Call | None":
        """Wait for a call; None when the executor is closed.

        Raises:
            EngineUnavailable: The child wrote something that nothing has asked for.
            trio.BrokenResourceError: The child ended meanwhile.
        """
        call = None
        written: list[bytes | bytearray] = []

        async def read() -> None:
            written.append(await child.receive())
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            with suppress(trio.EndOfChannel):
                call = await self._calls_out.receive()
            nursery.cancel_scope.cancel()
        if call is not None:
            self._current = call  # so that it fails with the child
        for each in written:
            if not each:
                raise trio.BrokenResourceError("the process has ended")
            raise EngineUnavailable(f"the engine's process wrote no answer, but {bytes(each[:4])!r}")
        return call

    def _fail_calls(self, reason: str) -> None:
        """Fail the current call and those that wait behind it."""
        lost = Failed(unavailable=True, message=reason, cause="other", detail=reason)
        if self._current is not None:
            self._current.settle(lost)
        with suppress(trio.WouldBlock, trio.EndOfChannel):
            while True:
                self._calls_out.receive_nowait().settle(lost)
        self._calls_out.close()

    async def _receive(self, child: Child) -> Answer:
        """The next answer. Reports of a download before it extend the limit of the load.

        Raises:
            EngineUnavailable: The child wrote something else.
            trio.BrokenResourceError: The child ended instead.
        """
        while isinstance(answer := await self._receive_message(child), Downloading):
            self._load_scope.deadline = trio.current_time() + self._load_limit_s
        if self._received:
            # Taken for the next answer, it would give a transcript to the wrong session.
            raise EngineUnavailable(f"the engine's process wrote {len(self._received)} bytes more than its answer")
        return answer

    async def _receive_message(self, child: Child) -> Answer:
        header = await self._receive_exactly(child, HEADER.size)
        (length,) = HEADER.unpack(header)
        if length > _MAX_ANSWER_BYTES:
            raise EngineUnavailable(f"the engine's process wrote no answer, but {bytes(header)!r}")
        return decode_answer(await self._receive_exactly(child, length))

    async def _receive_exactly(self, child: Child, length: int) -> bytearray:
        while len(self._received) < length:
            received = await child.receive()
            if not received:
                raise trio.BrokenResourceError("the process has ended")
            self._received += received
        wanted, self._received = self._received[:length], self._received[length:]
        return wanted


class _Call:
    """One call on its way to the child and back."""

    def __init__(self, message: Callable[[], Load | Transcribe]) -> None:
        self.message = message
        self.cancelled = False
        self._answer: Answer | None = None
        self._settled = trio.Event()

    def settle(self, answer: Answer) -> None:
        """Set the answer; a second one does nothing."""
        if self._answer is None:
            self._answer = answer
            self._settled.set()

    async def wait(self) -> Answer:
        """Wait for the answer. When cancelled, leave the call to the child."""
        try:
            await self._settled.wait()
        finally:
            self.cancelled = True  # after an answer it means nothing
        assert self._answer is not None  # noqa: S101 - for the type checker: it was settled
        return self._answer

"""The OS thread that owns one engine for life: CUDA and native libraries want load, every call and close on the same.

Owns the crossing between trio and that thread, in both directions without polling. It must not know jobs, queues or
sessions, nor decide what runs next.
"""

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import outcome
import trio

from trio_stt.errors import EngineUnavailable
from trio_stt.lanes.engines.base import Engine, EngineInfo, Request, Transcript
from trio_stt.lanes.executor import load_guarded, transcribe_guarded
from trio_stt.runtime.heap import trim_heap

logger = logging.getLogger(__name__)

T = TypeVar("T")

_NICENESS = 5
"""How far engines stand back behind the event loop where they leave it no core of its own."""


class _Call(Generic[T]):
    """One call on its way to the thread and back."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._outcome: outcome.Maybe[T]
        self._returned = trio.Event()
        self._unwanted = False

    def run(self) -> None:
        """Do the work, on the thread; not when its waiter has left already. Never raises."""
        if not self._unwanted:
            self._outcome = outcome.capture(self._work)

    def came_back(self) -> None:
        """Wake the waiter, on trio's side. Never raises."""
        self._returned.set()

    async def wait(self) -> T:
        try:
            await self._returned.wait()
        finally:
            self._unwanted = True
        return self._outcome.unwrap()


class EngineThread:
    """The product's `EngineExecutor`: runs an engine on one thread of its own.

    A native call cannot be interrupted. So a cancelled `start` or `transcribe` leaves at once, the thread finishes what
    it does, and nobody sees the result; later calls wait behind it, and a call whose waiter left before its turn is
    skipped. `aclose` waits for the thread, but not longer than its deadline: a thread that hangs is left behind with a
    warning. It is a daemon, so it does not keep the process alive; should it come back, it closes its engine and ends.

    Args:
        name: The lane's name, for messages and the thread's name.
        shutdown_timeout_s: How long `aclose` waits for the running call and the engine's own close.
    """

    def __init__(self, name: str, *, shutdown_timeout_s: float = 10.0) -> None:
        self._name = name
        self._shutdown_timeout_s = shutdown_timeout_s
        self._calls: SimpleQueue[_Call[Any] | None] = SimpleQueue()
        self._ended = trio.Event()
        self._on_end: Callable[[], None] = lambda: None
        self._closing = False
        self._thread: threading.Thread | None = None
        self._token: trio.lowlevel.TrioToken
        self._engine: Engine | None = None  # The thread's own: nothing on trio's side touches it.
        self._info: EngineInfo | None = None

    @property
    def info(self) -> EngineInfo | None:
        """What was loaded, or None before."""
        return self._info

    async def start(self, load: Callable[[], Engine]) -> EngineInfo:
        """Create the thread and load the engine on it. To be called once, before `aclose`, which is due afterwards.

        Raises:
            EngineUnavailable: It could not be loaded.
            RuntimeError: It was started or closed before.
        """
        if self._thread is not None or self._closing:
            raise RuntimeError("an engine thread starts once")
        self._token = trio.lowlevel.current_trio_token()
        self._thread = threading.Thread(target=self._main, name=f"trio-stt-{self._name}", daemon=True)
        self._thread.start()
        self._info = await self._call(lambda: self._load(load))
        return self._info

    async def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        """Transcribe at least one clip on the thread, as `Engine.transcribe` says.

        Raises:
            TranscriptionFailed: The engine raised, or returned something else than one transcript for each clip.
            EngineUnavailable: No engine is loaded, or it says that it is unfit.
        """
        info = self._info
        if info is None or self._closing:
            raise EngineUnavailable(f"the {self._name} lane has no engine")
        return await self._call(lambda: self._transcribe(info.engine, batch))

    async def aclose(self) -> None:
        """Close the engine on its thread and wait for the end of both, shielded, within the deadline.

        Calling it again does nothing; calling it meanwhile waits as well.
        """
        if not self._closing:
            self._closing = True
            if self._thread is None:
                self._ended.set()
            else:
                self._calls.put(None)
        with trio.move_on_after(self._shutdown_timeout_s, shield=True) as patience:
            await self._ended.wait()
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if patience.cancelled_caught:
            self._ended.set()  # For this object it has: the next `aclose` must not wait again.
            logger.warning(
                "%s lane: the engine did not end within %g s; its thread is left behind",
                self._name,
                self._shutdown_timeout_s,
            )
        else:
            thread.join()  # It has said its last word and returns at once.

    def abandon(self, returned: Callable[[], None]) -> None:
        """Leave a thread that hangs to itself, instead of `aclose`; see `EngineExecutor.abandon`."""
        self._closing, self._on_end = True, returned
        self._calls.put(None)
        logger.warning("%s lane: the engine hangs; its thread is left behind", self._name)

    async def _call(self, work: Callable[[], T]) -> T:
        call = _Call(work)
        self._calls.put(call)
        return await call.wait()

    def _main(self) -> None:
        _lower_priority()
        while (call := self._calls.get()) is not None:
            call.run()
            self._post(call.came_back)
            del call  # Or the last clip would stay in memory until the next one comes.
        if self._engine is not None:
            closed = outcome.capture(self._engine.close)
            if isinstance(closed, outcome.Error):
                logger.error("%s lane: the engine raised while it was closed", self._name, exc_info=closed.error)
            self._engine = None
        self._post(self._has_ended)

    def _has_ended(self) -> None:
        self._ended.set()
        self._on_end()

    def _load(self, load: Callable[[], Engine]) -> EngineInfo:
        self._engine, info = load_guarded(load)
        trim_heap()
        return info

    def _transcribe(self, name: str, batch: Sequence[Request]) -> list[Transcript]:
        if self._engine is None:
            raise EngineUnavailable(f"the {self._name} lane has no engine")
        return transcribe_guarded(self._engine, name, batch)

    def _post(self, callback: Callable[[], None]) -> None:
        # A thread that was left behind may outlive trio's loop; then nobody listens any more.
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(callback)


def _lower_priority() -> None:
    """Let the event loop go first where cores are short; threads that the engine starts from here inherit it.

    On Linux only: elsewhere niceness belongs to the whole process.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with contextlib.suppress(OSError):  # a container may forbid it
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS)

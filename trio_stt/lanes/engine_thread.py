"""An executor that runs its engine on an OS thread of its own.

CUDA and native libraries need the load, all calls and the close of an engine on one thread. So each engine has a thread
that lives as long as it does, and does not use Trio's thread pool. Owns the crossing between Trio and that thread, in
both directions without polling.
"""

import contextlib
import functools
import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, TypeVar

import outcome
import trio

from trio_stt.errors import EngineUnavailable
from trio_stt.lanes.engines.base import Engine, EngineInfo, Request, Transcript
from trio_stt.lanes.executor import ENGINE_NICENESS, EngineExecutor, OnLost, ignore_loss
from trio_stt.lanes.loaded_engine import LoadedEngine
from trio_stt.lanes.shared_engine import SharedEngine
from trio_stt.lanes.thread_call import ThreadCall
from trio_stt.runtime.heap import trim_heap

logger = logging.getLogger(__name__)

T = TypeVar("T")


def engine_threads(
    name: str, load: Callable[[], Engine], *, shared: bool = False, shutdown_timeout_s: float = 10.0
) -> Callable[[], EngineExecutor]:
    """Make executors for the workers of one lane, see `EngineThread`.

    Args:
        name: The lane's name.
        load: Loads an engine; called on the executor's thread.
        shared: All executors use one engine, whose `transcribe` may be called on several threads at once.
        shutdown_timeout_s: See `EngineThread`.
    """
    if not shared:
        return functools.partial(EngineThread, name, load, shutdown_timeout_s=shutdown_timeout_s)
    engine = SharedEngine(load)

    def new_executor() -> EngineExecutor:
        lease = engine.lease()
        return EngineThread(name, lease.load, discard=lease.discard, shutdown_timeout_s=shutdown_timeout_s)

    return new_executor


class EngineThread:
    """Runs an engine on one thread. Implements `EngineExecutor`.

    A native call cannot be interrupted. So a cancelled `start` or `transcribe` returns at once, and the thread finishes
    the call and drops its result; later calls wait behind it, and a call that was cancelled before its turn is skipped.
    `aclose` waits for the thread up to a time limit, and then leaves it behind with a warning. The thread is a daemon,
    so it does not keep the process alive; if its call returns after all, it closes the engine and ends.

    Args:
        name: The lane's name, for messages and the thread's name.
        load: Loads the engine; called on the thread.
        discard: Called when the engine turned out to be defective; must not block.
        shutdown_timeout_s: Seconds for which `aclose` waits for the running call and the engine's own close.
    """

    def __init__(
        self,
        name: str,
        load: Callable[[], Engine],
        *,
        discard: Callable[[], None] = lambda: None,
        shutdown_timeout_s: float = 10.0,
    ) -> None:
        self._name = name
        self._load_engine = load
        self._discard = discard
        self._shutdown_timeout_s = shutdown_timeout_s
        self._calls: SimpleQueue[ThreadCall[Any] | None] = SimpleQueue()  # None ends the thread
        self._ended = trio.Event()
        self._on_return: Callable[[], None] = lambda: None
        self._closing = False
        self._thread: threading.Thread | None = None
        self._token: trio.lowlevel.TrioToken
        self._engine: LoadedEngine | None = None  # belongs to the thread: Trio's side must not touch it
        self._loaded = False

    async def start(self, on_lost: OnLost = ignore_loss) -> EngineInfo:  # noqa: ARG002 - a call finds it
        """Create the thread and load the engine on it.

        Raises:
            EngineUnavailable: It could not be loaded.
            RuntimeError: The executor was started or closed before.
        """
        if self._thread is not None or self._closing:
            raise RuntimeError("an engine thread starts once")
        self._token = trio.lowlevel.current_trio_token()
        self._thread = threading.Thread(target=self._main, name=f"trio-stt-{self._name}", daemon=True)
        self._thread.start()
        info = await self._call(self._load)
        self._loaded = True
        return info

    async def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        """Transcribe at least one clip on the thread, see `EngineExecutor.transcribe`."""
        if not self._loaded or self._closing:
            raise EngineUnavailable(f"the {self._name} lane has no engine")
        return await self._call(lambda: self._transcribe(batch))

    async def aclose(self, *, discard: bool = False) -> None:
        """Close the engine on its thread and wait for both, shielded from cancellation, up to the time limit.

        Calling it again does nothing; calling it in two tasks lets both wait.
        """
        if discard:
            self._discard()
        if not self._closing:
            self._closing = True
            if self._thread is None:
                self._ended.set()
            else:
                self._calls.put(None)
        with trio.move_on_after(self._shutdown_timeout_s, shield=True) as wait:
            await self._ended.wait()
        thread, self._thread = self._thread, None
        if thread is None:  # it never started, or the other task that waits here reports its end
            return
        if wait.cancelled_caught:
            self._ended.set()  # so that another `aclose` does not wait again
            logger.warning(
                "%s lane: the engine did not close within %g s; its thread is left behind",
                self._name,
                self._shutdown_timeout_s,
            )
        else:
            thread.join()  # returns at once: `_has_ended` was the thread's last action

    def abandon(self, on_return: Callable[[], None]) -> None:
        """Leave the thread, which hangs in a call, behind; see `EngineExecutor.abandon`."""
        self._discard()
        self._closing, self._on_return = True, on_return
        self._calls.put(None)  # for when the call returns after all
        logger.warning("%s lane: the engine hangs; its thread is left behind", self._name)

    async def _call(self, work: Callable[[], T]) -> T:
        call = ThreadCall(work)
        self._calls.put(call)
        return await call.wait()

    def _main(self) -> None:
        """The thread: make calls in order until the queue holds None, then close the engine."""
        _lower_priority()
        while (call := self._calls.get()) is not None:
            call.run()
            self._post(call.returned)
            del call  # it holds the clips, which would stay in memory until the next call
        if self._engine is not None:
            closed = outcome.capture(self._engine.close)
            if isinstance(closed, outcome.Error):
                logger.error("%s lane: closing the engine failed", self._name, exc_info=closed.error)
            self._engine = None
        self._post(self._has_ended)

    def _has_ended(self) -> None:
        self._ended.set()
        self._on_return()

    def _load(self) -> EngineInfo:
        self._engine = LoadedEngine.load(self._load_engine)
        trim_heap()  # loading frees much that glibc would keep
        return self._engine.info

    def _transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        if self._engine is None:
            raise EngineUnavailable(f"the {self._name} lane has no engine")
        return self._engine.transcribe(batch)

    def _post(self, callback: Callable[[], None]) -> None:
        """Run `callback` on Trio's side, from the thread."""
        # A thread that was left behind may outlive Trio's run; nothing waits for it then.
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(callback)


def _lower_priority() -> None:
    """Raise this thread's niceness; threads that the engine starts from here inherit it.

    On Linux only, because elsewhere the niceness belongs to the whole process.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with contextlib.suppress(OSError):  # a container may forbid it
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + ENGINE_NICENESS)

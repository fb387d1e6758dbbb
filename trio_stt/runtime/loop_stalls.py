"""Logs which task blocks the event loop.

It uses no thread: pure Python in a thread would slow the loop down, and reading the stacks of running threads without
the interpreter's lock, as `faulthandler`'s watchdog does, can crash the process.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import trio

logger = logging.getLogger(__name__)

_TRIO = str(Path(trio.__file__).parent)
_MAX_FRAMES = 8
"""Stack frames to log, innermost first."""


class LoopStallMonitor(trio.abc.Instrument):
    """Times every step of every task, and logs those that are too long with the task's name and stack.

    The stack shows where the task yielded next; the slow code lies before that. Time is wall time: on an overloaded
    machine, the loop stalls, too.

    Args:
        limit_s: A longer step is a stall.
        quiet_s: Seconds after a log line without another one, so that a busy machine does not fill its disk; the next
            line counts the stalls between.
        on_stall: Called with the seconds of each stall, logged or not.
    """

    def __init__(
        self, limit_s: float, *, quiet_s: float = 10.0, on_stall: Callable[[float], object] = lambda _: None
    ) -> None:
        self._limit_s = limit_s
        self._quiet_s = quiet_s
        self._on_stall = on_stall
        self._step_began_s = time.perf_counter()
        self._quiet_until_s = 0.0
        self._unlogged = 0

    def after_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - as trio calls it
        """The first task of a scheduler pass starts now."""
        self._step_began_s = time.perf_counter()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """A task yielded; the next one starts now."""
        began_s, now_s = self._step_began_s, time.perf_counter()
        self._step_began_s = now_s
        if now_s - began_s <= self._limit_s:
            return
        self._on_stall(now_s - began_s)
        if now_s < self._quiet_until_s:
            self._unlogged += 1
            return
        more = f" (and {self._unlogged} more since the last such message)" if self._unlogged else ""
        self._unlogged, self._quiet_until_s = 0, now_s + self._quiet_s
        stall_ms = (now_s - began_s) * 1000
        logger.warning("%s blocked the event loop for %.0f ms%s%s", task.name, stall_ms, more, _stack_of(task))


def _stack_of(task: trio.lowlevel.Task) -> str:
    """Where a task waits, without trio's own frames; empty if it has ended."""
    frames = [
        f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_name}"
        for frame, line in task.iter_await_frames()
        if not frame.f_code.co_filename.startswith(_TRIO)
    ]
    innermost = frames[: -_MAX_FRAMES - 1 : -1]
    return "; it now waits at\n  " + "\n  ".join(innermost) if innermost else ""

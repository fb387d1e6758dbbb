"""Notices which task holds the event loop up, and says so in the log.

It owns that one instrument. It must not use a thread: pure Python beside the loop would slow it, and what reads the
stacks of running threads without the interpreter's lock, as `faulthandler`'s watchdog does, can end the process.
"""

import logging
import time
from pathlib import Path

import trio

logger = logging.getLogger(__name__)

_TRIO = str(Path(trio.__file__).parent)
_FRAMES = 8
"""Of where a task stands, the innermost first."""


class LoopStallMonitor(trio.abc.Instrument):
    """Times every step of every task; one that is too long is logged with the task's name and where it stands now.

    That is the next place where it gives the loop back: what took so long lies before it. Time is wall time: on a
    machine that does too much else, the loop is held up as well.

    Args:
        limit_s: A longer step is a stall.
        quiet_s: After a line, no other comes for so long, for a busy machine would fill its disk; the next one counts
            those between.
    """

    def __init__(self, limit_s: float, *, quiet_s: float = 10.0) -> None:
        self._limit_s = limit_s
        self._quiet_s = quiet_s
        self._begun_s = time.perf_counter()
        self._quiet_until_s = 0.0
        self._unsaid = 0

    def after_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - as trio calls it
        """Tasks get the loop, one after the other."""
        self._begun_s = time.perf_counter()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """One of them gave it back, to the next one."""
        begun_s, now_s = self._begun_s, time.perf_counter()
        self._begun_s = now_s
        if now_s - begun_s <= self._limit_s:
            return
        if now_s < self._quiet_until_s:
            self._unsaid += 1
            return
        more = f" (and {self._unsaid} more since the last such line)" if self._unsaid else ""
        self._unsaid, self._quiet_until_s = 0, now_s + self._quiet_s
        held_ms = (now_s - begun_s) * 1000
        logger.warning("%s held the event loop up for %.0f ms%s%s", task.name, held_ms, more, _stack_of(task))


def _stack_of(task: trio.lowlevel.Task) -> str:
    """Where a task waits, but for trio's own frames; nothing where it has ended."""
    frames = [
        f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_name}"
        for frame, line in task.iter_await_frames()
        if not frame.f_code.co_filename.startswith(_TRIO)
    ]
    innermost = frames[: -_FRAMES - 1 : -1]
    return "; now it stands at\n  " + "\n  ".join(innermost) if innermost else ""

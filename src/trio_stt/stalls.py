"""Notices when the event loop is late, and says in the log what ran meanwhile.

It owns that one instrument. It must not run code of its own while the loop stands still: a second Python thread would
wait for the interpreter that the culprit holds. `faulthandler` has a native watchdog that needs no interpreter; it is
wound up anew at every tick, and writes the stacks to a file when a tick does not come in time.
"""

import faulthandler
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import trio

logger = logging.getLogger(__name__)

_TICK_S = 0.05
_LINES = 40
"""Of the stacks, the newest calls first."""


async def watch_for_stalls(limit_s: float = 0.05) -> None:
    """Look at the event loop twenty times a second, and log a warning when it was late by more than `limit_s` seconds.

    The warning holds the stacks of all threads as they were when the loop had been late for about so long. One such
    watch may run in a process: the native watchdog is the process's only one.
    """
    with tempfile.TemporaryFile("w+") as stacks, _watchdog():
        while True:
            due_s = trio.current_time() + _TICK_S
            faulthandler.dump_traceback_later(_TICK_S + limit_s, file=stacks)
            await trio.sleep_until(due_s)
            late_s = trio.current_time() - due_s
            if late_s > limit_s:
                faulthandler.cancel_dump_traceback_later()
                ran = _taken(stacks)  # nothing where it came just before the watchdog
                meanwhile = f"; while it was:\n{ran}" if ran else ""
                logger.warning("the event loop was late by %.0f ms%s", late_s * 1000, meanwhile)


@contextmanager
def _watchdog() -> Iterator[None]:
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def _taken(stacks: IO[str]) -> str:
    """What was written since the last time, without the watchdog's own first line, which reads like an error."""
    stacks.seek(0)
    lines = stacks.read().splitlines()[1 : _LINES + 1]
    stacks.seek(0)
    stacks.truncate()
    return "\n".join(lines)

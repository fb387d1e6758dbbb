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
_QUIET_S = 10.0
_LINES = 40
"""Of the stacks: the event loop's own thread first, in each the newest calls first."""


async def watch_for_stalls(limit_s: float = 0.05, *, quiet_s: float = _QUIET_S) -> None:
    """Look at the event loop twenty times a second, and log a warning when it was late by more than `limit_s` seconds.

    After a warning there is none for `quiet_s` seconds, for a busy machine would fill its disk with them; the next one
    counts those between. It holds the stacks of all threads as they were when the loop had been late for about so long.
    One such watch may run in a process: the native watchdog is the process's only one.
    """
    unsaid, quiet_until_s = 0, 0.0
    with tempfile.TemporaryFile("w+") as stacks, _watchdog():
        while True:
            due_s = trio.current_time() + _TICK_S
            faulthandler.dump_traceback_later(_TICK_S + limit_s, file=stacks)
            await trio.sleep_until(due_s)
            late_s = trio.current_time() - due_s
            if late_s > limit_s:
                faulthandler.cancel_dump_traceback_later()
                ran = _taken(stacks)  # nothing where it came just before the watchdog
                if trio.current_time() < quiet_until_s:
                    unsaid += 1
                    continue
                more = f", and {unsaid} times since the last such line" if unsaid else ""
                meanwhile = f"; while it was:\n{ran}" if ran else ""
                logger.warning("the event loop was late by %.0f ms%s%s", late_s * 1000, more, meanwhile)
                unsaid, quiet_until_s = 0, trio.current_time() + quiet_s


@contextmanager
def _watchdog() -> Iterator[None]:
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def _taken(stacks: IO[str]) -> str:
    """What was written since the last time, without the watchdog's own first line, which reads like an error."""
    stacks.seek(0)
    _, _, threads = stacks.read().strip().partition("\n")
    stacks.seek(0)
    stacks.truncate()
    oldest_first = "\n\n".join(reversed(threads.split("\n\n")))  # the main thread, which began first, came last
    return "\n".join(oldest_first.splitlines()[:_LINES])

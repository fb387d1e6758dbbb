"""Settings of Python's cyclic garbage collector for a server with many sessions."""

import gc
from collections.abc import Awaitable, Callable

import trio

_THRESHOLDS = (2000, 5, 1000)
"""Objects to a collection of generation 0, and collections to one of the next generation.

A session makes some 500 objects that live as long as it does, and is freed without the collector. In a process with 50
clients, and 50 more a second that connect, start and vanish, Python's own 700, 10, 10 spent 2.2 % of the CPU in
collections, of up to 30 ms each; these spend 0.7 %, 5 ms in the usual collection and up to 36 ms in one every 10 s.
Collecting every 50 ms on a timer spent 3 % and never took more than 6 ms, but no percentile of a client's latency shows
one pause in 10 s.
"""


async def tune_gc(loaded: Callable[[], Awaitable[None]]) -> None:
    """Once `loaded` returns, exempt all objects from collection and set the thresholds; undone when cancelled.

    Engines, models and modules are never garbage, and a collection that goes through them takes 90 ms or more.
    """
    await loaded()
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    try:
        await trio.sleep_forever()
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()

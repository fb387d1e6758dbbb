"""When Python looks for garbage: by the clock, so that the event loop never waits for it long.

It owns the collector's timing, of the whole process. It must not make garbage less: that parts of a session do not hold
each other is the business of `session.ties`.

By itself Python looks when there are so many objects more than at its last look. Where clients come and go, almost as
many are freed as are made: that takes long to add up, and the look then goes through all that was made meanwhile. With
50 comings and goings a second, and the sessions of those that may come back, such looks took 30 ms, and every sixth,
through what these had left, 90 to 165 ms.
"""

import gc
from collections.abc import Awaitable, Callable
from itertools import count

import trio

LOOK_S = 0.05
"""Between two looks through what is new. Beside 50 clients a second that stay, a look takes 0.5 ms and every third 1.2;
four times as rare they took 1.4 and 5 ms, and of a hundred pings one met such a look."""
LOOKS_TO_A_SECOND_LOOK = 3
"""One in so many goes through what earlier looks left, too, and leaves that alone from then on."""
LOOKS_TO_A_WHOLE_LOOK = 12_000
"""Ten minutes. It takes about 1 ms for each four sessions; hardly any garbage is old when it becomes garbage."""
_THRESHOLDS = (2000, 2, 1_000_000)
"""For more in a shorter time: a crowd that comes at once, of some 500 objects each. With Python's own 700, 10 and 10, a
crowd of 200 makes it look through everything twice."""


async def collect_periodically(loaded: Callable[[], Awaitable[None]]) -> None:
    """From when all is loaded, until cancelled; what the process holds by then is not looked at."""
    await loaded()
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    try:
        for look in count(1):
            await trio.sleep(LOOK_S)
            gc.collect((look % LOOKS_TO_A_SECOND_LOOK == 0) + (look % LOOKS_TO_A_WHOLE_LOOK == 0))
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()

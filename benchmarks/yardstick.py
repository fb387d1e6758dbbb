"""How fast this machine is right now: the CPU time of work that never changes.

    uv run python -m benchmarks.yardstick

A virtual machine shares its caches, its memory and maybe its cores with others: the same run can take twice the CPU an
hour later. Figures of two runs are alike where these are.
"""

import time
from collections.abc import Callable

import numpy as np

ROUNDS = 5
STEPS = 1_000_000
BULK_BYTES = 64 * 2**20
"""More than the caches of a server's processor hold for one of its cores."""


def yardstick() -> dict[str, float]:
    """The least CPU time of some rounds, in ms: Python adds up a million squares; NumPy goes through 64 MiB."""
    bulk = np.zeros(BULK_BYTES, np.uint8)
    return {
        "pythonMs": _least_ms(lambda: sum(step * step for step in range(STEPS))),
        "memoryMs": _least_ms(lambda: np.add(bulk, 1, out=bulk)),
    }


def _least_ms(work: Callable[[], object]) -> float:
    def once() -> float:
        begun_s = time.thread_time()
        work()
        return time.thread_time() - begun_s

    return round(min(once() for _ in range(ROUNDS)) * 1000, 1)


if __name__ == "__main__":
    print(yardstick())

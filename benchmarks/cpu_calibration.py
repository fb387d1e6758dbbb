"""How fast this machine is right now: the CPU time of work that never changes.

    uv run --group bench python -m benchmarks.yardstick

A virtual machine shares its caches, its memory and the threads of its cores with others: the same run can take twice
the CPU an hour later, or a second later. So these are means, over some seconds, and figures of two runs compare where
they are alike.
"""

import time
from collections.abc import Callable

import numpy as np

ROUNDS = 20
STEPS = 1_000_000
BULK_BYTES = 64 * 2**20
"""More than the caches of a processor hold."""


def cpu_calibration() -> dict[str, float]:
    """The mean CPU time of a round, in ms: Python adds up a million squares; NumPy goes through 64 MiB."""
    bulk = np.ones(BULK_BYTES, np.uint8)  # zeros would be made on the way
    return {
        "pythonMs": _mean_ms(lambda: sum(step * step for step in range(STEPS))),
        "memoryMs": _mean_ms(lambda: np.add(bulk, 1, out=bulk)),
    }


def _mean_ms(work: Callable[[], object]) -> float:
    begun_s = time.thread_time()
    for _ in range(ROUNDS):
        work()
    return round((time.thread_time() - begun_s) / ROUNDS * 1000, 1)


if __name__ == "__main__":
    print(cpu_calibration())

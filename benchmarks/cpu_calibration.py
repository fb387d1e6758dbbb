"""Measures how fast this machine is at the moment: the CPU time of constant work.

    uv run --group bench python -m benchmarks.cpu_calibration

A virtual machine shares caches, memory and hardware threads with others, so the same work can take twice the CPU time
an hour or a second later. Figures of two runs are comparable if their calibrations are alike. The calibration is a mean
over some seconds.
"""

import time
from collections.abc import Callable

import numpy as np

ROUNDS = 20
STEPS = 1_000_000
BULK_BYTES = 64 * 2**20
"""More than the caches of a processor."""


def cpu_calibration() -> dict[str, float]:
    """Mean CPU time of a round in ms: a million squares in Python, and one pass of NumPy over 64 MiB."""
    bulk = np.ones(BULK_BYTES, np.uint8)  # zeros would be allocated lazily
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

"""How many workers a lane should have, by how long jobs wait and how busy its workers are.

Pure and synchronous: times come in as numbers of one monotonic clock.
"""

import math
from dataclasses import dataclass

LONG_DELAY_S = 0.5
"""A job that has waited this many seconds for a worker shows that there are too few: finals should be quick."""

BUSY_SHARE = 0.85
"""Share of the workers' time from which on there are too few: a queue grows without bounds towards 1."""

SPARE_BUSY_SHARE = 0.6
"""Share of the time that the rest would be busy, up to which one worker is spare. Far below `BUSY_SHARE`, so that what
one change causes never causes the opposite one."""

GROW_AFTER_S = 3.0
"""Seconds for which there must be too few: a burst is over before another engine is loaded."""

SHRINK_AFTER_S = 60.0
"""Seconds for which one must be spare: conversations pause, and a load costs more than an idle engine."""

_SMOOTHING_S = 10.0
"""Time constant of the busy share: several jobs of a worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A lane since it was last observed.

    Attributes:
        queue_delay_s: How long the oldest queued job has waited.
        busy_s: Time that workers were busy, their sum.
        workers: Workers that the lane has.
        serving: Those that have an engine.
    """

    queue_delay_s: float
    busy_s: float
    workers: int
    serving: int


class WorkerScaling:
    """Says when to add a worker and when to take one away, one at a time.

    Args:
        least: Fewest workers, at least 1.
        most: Most workers, at least `least`.
        now_s: The time.
    """

    def __init__(self, *, least: int, most: int, now_s: float) -> None:
        self._least = least
        self._most = most
        self._observed_s = now_s
        self._busy = 0.0  # number of busy workers, smoothed
        self._few_since_s = math.inf
        self._spare_since_s = math.inf

    def change(self, now_s: float, load: Load) -> int:
        """How many workers to add: 1, 0, or -1 to take one away.

        Args:
            now_s: The time; a call at the time of the last one changes nothing.
            load: The lane since the last call.
        """
        passed_s, self._observed_s = now_s - self._observed_s, now_s
        if passed_s <= 0.0:
            return 0
        self._busy += (load.busy_s / passed_s - self._busy) * -math.expm1(-passed_s / _SMOOTHING_S)
        few = load.queue_delay_s >= LONG_DELAY_S or self._busy >= BUSY_SHARE * load.workers
        spare = load.queue_delay_s < LONG_DELAY_S and self._busy <= SPARE_BUSY_SHARE * (load.workers - 1)
        self._few_since_s = min(self._few_since_s, now_s) if few else math.inf
        self._spare_since_s = min(self._spare_since_s, now_s) if spare else math.inf
        # While a worker still loads its engine, its effect is not known yet.
        if load.workers < self._most and load.serving >= load.workers and now_s >= self._few_since_s + GROW_AFTER_S:
            self._few_since_s = math.inf
            return 1
        if load.workers > self._least and now_s >= self._spare_since_s + SHRINK_AFTER_S:
            self._spare_since_s = math.inf
            return -1
        return 0

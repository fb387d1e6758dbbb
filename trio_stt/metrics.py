"""Running statistics of durations, for the reports of the server and of sessions."""

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from typing import Final

RECENT_SAMPLES: Final = 256
"""Number of the latest durations of which percentiles are taken (docs/protocol.md, The statistics object)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributionSnapshot:
    """A `Distribution` at one moment; all zero if it was empty.

    Attributes:
        count: Durations added so far.
        avg_ms: Mean of all of them, in milliseconds.
        max_ms: Largest of all of them, in milliseconds.
        p50_ms: Median of the latest 256, in milliseconds.
        p95_ms: 95th percentile of the latest 256, in milliseconds.
    """

    count: int = 0
    avg_ms: float = 0.0
    max_ms: float = 0.0
    p50_ms: float = 0.0
    p95_ms: float = 0.0


class Distribution:
    """Durations of one kind: count, mean and maximum of all, percentiles of the latest 256.

    Not thread-safe.
    """

    def __init__(self) -> None:
        self._count = 0
        self._sum_s = 0.0
        self._max_s = 0.0
        self._recent_s: deque[float] = deque(maxlen=RECENT_SAMPLES)

    def add(self, seconds: float) -> None:
        """Add one duration, in seconds, not negative."""
        self._count += 1
        self._sum_s += seconds
        self._max_s = max(self._max_s, seconds)
        self._recent_s.append(seconds)

    @property
    def sum_s(self) -> float:
        """Sum of all durations, in seconds."""
        return self._sum_s

    @property
    def latest_s(self) -> float:
        """The duration added last, in seconds; 0.0 before any."""
        return self._recent_s[-1] if self._recent_s else 0.0

    def snapshot(self) -> DistributionSnapshot:
        """The figures now. Sorts up to 256 numbers."""
        if not self._count:
            return DistributionSnapshot()
        ordered_s = sorted(self._recent_s)
        return DistributionSnapshot(
            count=self._count,
            avg_ms=self._sum_s / self._count * 1000,
            max_ms=self._max_s * 1000,
            p50_ms=_percentile(ordered_s, 0.5) * 1000,
            p95_ms=_percentile(ordered_s, 0.95) * 1000,
        )


LATENCY_BOUNDS_S: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Upper bounds of the latencies that are counted together: close to each other where people feel the difference."""


class Histogram:
    """Latencies counted by their size, which several servers can add up. Not thread-safe.

    Attributes:
        counts: Latencies up to each of `LATENCY_BOUNDS_S` and above the one before; the last is of all longer ones.
        sum_s: Sum of all, in seconds.
    """

    def __init__(self) -> None:
        self.counts = [0] * (len(LATENCY_BOUNDS_S) + 1)
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        """Add one latency; a negative one, as after a change of the clock, counts as 0."""
        seconds = max(0.0, seconds)
        self.counts[bisect_left(LATENCY_BOUNDS_S, seconds)] += 1
        self.sum_s += seconds


@dataclass(frozen=True, slots=True)
class Latencies:
    """How long talkers wait for words, over all live sessions, and how long the event loop was blocked.

    Attributes:
        first_partial: From the detection of speech to its first partial.
        final: From the end of speech to its final; the silence that ends an utterance is part of it.
        loop_stalls: Steps of a task that took more than `stall_warning_ms`.
    """

    first_partial: Histogram = field(default_factory=Histogram)
    final: Histogram = field(default_factory=Histogram)
    loop_stalls: Histogram = field(default_factory=Histogram)


def _percentile(ordered: list[float], fraction: float) -> float:
    # Nearest rank without interpolation, as docs/protocol.md, The statistics object, states.
    return ordered[round((len(ordered) - 1) * fraction)]

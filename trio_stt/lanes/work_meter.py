"""What one lane's engine did: jobs, durations, and the share of time in which it had work.

Owns the figures only. It must not read a clock: times come in as numbers of one monotonic clock.
"""

from dataclasses import dataclass

from trio_stt.metrics import Distribution, DistributionSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkStatistics:
    """A lane's work up to one moment.

    Attributes:
        completed_jobs: Jobs that the engine transcribed, also when nobody wanted the result any more.
        failed_jobs: Jobs that the engine, or the lack of one, failed.
        dropped_partials: Partials given up because their engine was lost.
        busy_ratio: Share of the time since the lane began to run in which a worker had a job, 0 to 1.
        queue_delay: Submission until the engine got the job; completed and failed jobs, as the next two.
        inference: What the engine took for it.
        total: The sum of both.
    """

    completed_jobs: int
    failed_jobs: int
    dropped_partials: int
    busy_ratio: float
    queue_delay: DistributionSnapshot
    inference: DistributionSnapshot
    total: DistributionSnapshot


class WorkMeter:
    """Collects `WorkStatistics`.

    Args:
        workers: How many work at the same time.
    """

    def __init__(self, *, workers: int = 1) -> None:
        self._workers = workers
        self._opened_s: float | None = None
        self._busy = 0  # workers
        self._busy_s = 0.0  # of all workers, up to the next
        self._counted_s = 0.0
        self._completed = 0
        self._failed = 0
        self._dropped = 0
        self._queue_delay = Distribution()
        self._inference = Distribution()
        self._total = Distribution()

    def open(self, now_s: float) -> None:
        """The lane begins to run."""
        self._opened_s = now_s

    def begin(self, now_s: float) -> None:
        """A worker's engine gets work."""
        self._count_busy(now_s)
        self._busy += 1

    def end(self, now_s: float) -> None:
        """That work came back."""
        self._count_busy(now_s)
        self._busy -= 1

    def count(self, *, completed: bool, queue_delay_s: float, inference_s: float) -> None:
        """One job came back from the engine."""
        if completed:
            self._completed += 1
        else:
            self._failed += 1
        self._queue_delay.add(queue_delay_s)
        self._inference.add(inference_s)
        self._total.add(queue_delay_s + inference_s)

    def count_unserved(self) -> None:
        """One job failed because there is no engine."""
        self._failed += 1

    def count_dropped(self) -> None:
        """One partial was given up with its engine."""
        self._dropped += 1

    def statistics(self, now_s: float) -> WorkStatistics:
        """The figures as they are now."""
        return WorkStatistics(
            completed_jobs=self._completed,
            failed_jobs=self._failed,
            dropped_partials=self._dropped,
            busy_ratio=self._busy_ratio(now_s),
            queue_delay=self._queue_delay.snapshot(),
            inference=self._inference.snapshot(),
            total=self._total.snapshot(),
        )

    def _count_busy(self, now_s: float) -> None:
        self._busy_s += self._busy * (now_s - self._counted_s)
        self._counted_s = now_s

    def _busy_ratio(self, now_s: float) -> float:
        if self._opened_s is None or now_s <= self._opened_s:
            return 0.0
        self._count_busy(now_s)
        return min(1.0, self._busy_s / self._workers / (now_s - self._opened_s))

"""What a lane's engines did: numbers of jobs, durations, and the share of time in which they worked.

Times come in as numbers of one monotonic clock.
"""

from dataclasses import dataclass

from trio_stt.metrics import Distribution, DistributionSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkStatistics:
    """A lane's work up to one moment.

    Attributes:
        completed_jobs: Jobs that an engine transcribed, including those that were cancelled meanwhile.
        failed_jobs: Jobs that failed, in an engine or for lack of one.
        dropped_partials: Partials dropped because their engine was lost.
        busy_ratio: Share of the workers' time since the lane began to run in which they had a batch, 0 to 1.
        queue_delay: Time from submission until an engine got the job; like the next two, of completed and failed jobs.
        inference: Time from then until the result.
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
        workers: Number of workers of the lane.
    """

    def __init__(self, *, workers: int = 1) -> None:
        self._workers = workers
        self._opened_s: float | None = None
        self._busy = 0  # number of workers with a batch
        self._busy_s = 0.0  # sum over all workers, up to `_counted_s`
        self._counted_s = 0.0
        self._capacity_s = 0.0  # time of all workers since the lane runs, up to `_counted_s`
        self._completed = 0
        self._failed = 0
        self._dropped = 0
        self._queue_delay = Distribution()
        self._inference = Distribution()
        self._total = Distribution()

    def open(self, now_s: float) -> None:
        """Start the clock of `busy_ratio`, in seconds: the lane runs."""
        self._opened_s = self._counted_s = now_s

    def resize(self, now_s: float, workers: int) -> None:
        """Change the number of workers."""
        self._count_time(now_s)
        self._workers = workers

    def busy_s(self, now_s: float) -> float:
        """Time for which workers were busy so far, their sum."""
        self._count_time(now_s)
        return self._busy_s

    def begin(self, now_s: float) -> None:
        """Count a worker as busy: it starts a batch."""
        self._count_time(now_s)
        self._busy += 1

    def end(self, now_s: float) -> None:
        """Count a worker as idle: its batch is over."""
        self._count_time(now_s)
        self._busy -= 1

    def count(self, *, completed: bool, queue_delay_s: float, inference_s: float) -> None:
        """Count a job that an engine transcribed or failed."""
        if completed:
            self._completed += 1
        else:
            self._failed += 1
        self._queue_delay.add(queue_delay_s)
        self._inference.add(inference_s)
        self._total.add(queue_delay_s + inference_s)

    def count_unserved(self) -> None:
        """Count a job that failed because the lane has no engine."""
        self._failed += 1

    def count_dropped(self) -> None:
        """Count a partial that was dropped because its engine was lost."""
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

    def _count_time(self, now_s: float) -> None:
        passed_s, self._counted_s = now_s - self._counted_s, now_s
        self._busy_s += self._busy * passed_s
        if self._opened_s is not None:
            self._capacity_s += self._workers * passed_s

    def _busy_ratio(self, now_s: float) -> float:
        self._count_time(now_s)
        return min(1.0, self._busy_s / self._capacity_s) if self._capacity_s > 0.0 else 0.0

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
        busy_ratio: Share of the time since the lane began to run in which the engine had a job, 0 to 1.
        queue_delay: Submission until the engine got the job; completed and failed jobs, as the next two.
        inference: What the engine took for it.
        total: The sum of both.
    """

    completed_jobs: int
    failed_jobs: int
    busy_ratio: float
    queue_delay: DistributionSnapshot
    inference: DistributionSnapshot
    total: DistributionSnapshot


class WorkMeter:
    """Collects `WorkStatistics`."""

    def __init__(self) -> None:
        self._opened_s: float | None = None
        self._busy_since_s: float | None = None
        self._busy_s = 0.0
        self._completed = 0
        self._failed = 0
        self._queue_delay = Distribution()
        self._inference = Distribution()
        self._total = Distribution()

    def open(self, now_s: float) -> None:
        """The lane begins to run."""
        self._opened_s = now_s

    def begin(self, now_s: float) -> None:
        """The engine gets work."""
        self._busy_since_s = now_s

    def end(self, now_s: float) -> None:
        """The engine gave that work back."""
        if self._busy_since_s is not None:
            self._busy_s += now_s - self._busy_since_s
        self._busy_since_s = None

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

    def statistics(self, now_s: float) -> WorkStatistics:
        """The figures as they are now."""
        return WorkStatistics(
            completed_jobs=self._completed,
            failed_jobs=self._failed,
            busy_ratio=self._busy_ratio(now_s),
            queue_delay=self._queue_delay.snapshot(),
            inference=self._inference.snapshot(),
            total=self._total.snapshot(),
        )

    def _busy_ratio(self, now_s: float) -> float:
        if self._opened_s is None or now_s <= self._opened_s:
            return 0.0
        running_s = 0.0 if self._busy_since_s is None else now_s - self._busy_since_s
        return min(1.0, (self._busy_s + running_s) / (now_s - self._opened_s))

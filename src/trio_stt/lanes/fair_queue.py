"""The queue of one lane: round robin over sessions; within a session, finals in order before its one partial.

Pure and synchronous: the time comes in as a number. It must not know tickets, engines, threads or trio.
The rules are section 7.2 of the protocol; every operation on one job takes constant time.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from trio_stt.errors import JobRefused
from trio_stt.lanes.engines.base import Hints
from trio_stt.lanes.job import Job, JobKind


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimits:
    """How much may wait. Running jobs do not count.

    Attributes:
        max_finals_per_session: Queued finals that one session may have (`max_final_queue_depth_per_session`).
        max_jobs: Queued jobs that the lane holds for all sessions (`max_global_inference_queue_depth`).
    """

    max_finals_per_session: int
    max_jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDepth:
    """Queued jobs of one session."""

    finals: int = 0
    partials: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatistics:
    """A queue at one moment.

    Attributes:
        name: The lane's name.
        queued: Jobs that wait.
        per_session: Depth of each session that has work, in the order of their turns.
        coalesced: Partials replaced by a newer one, ever.
        stale: Partials dropped at their turn because their deadline had passed, ever.
        rejected: Jobs refused, ever.
    """

    name: str
    queued: int
    per_session: Mapping[str, SessionDepth]
    coalesced: int
    stale: int
    rejected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What `FairQueue.take` took out.

    Attributes:
        job: The job whose turn it is, or None when no work is left, or the job has other hints.
        stale: Partials met on the way whose deadline had passed; they are dropped.
    """

    job: Job | None
    stale: tuple[Job, ...] = ()


@dataclass(slots=True)
class _Work:
    """One session's queued jobs; `finals` is an ordered set, so that any of them leaves in constant time."""

    finals: OrderedDict[Job, None] = field(default_factory=OrderedDict)
    partial: Job | None = None

    def __len__(self) -> int:
        return len(self.finals) + (self.partial is not None)

    def first(self) -> Job:
        job = next(iter(self.finals), self.partial)
        assert job is not None  # noqa: S101 - for the type checker: sessions without work are not kept
        return job


class FairQueue:
    """Jobs that wait for one lane.

    Args:
        name: The lane's name, for messages.
        limits: Called at every `put`, so that a changed setting counts at once.
    """

    def __init__(self, name: str, limits: Callable[[], QueueLimits]) -> None:
        self._name = name
        self._limits = limits
        # Sessions with work, and no others; the first has the next turn.
        self._turns: OrderedDict[str, _Work] = OrderedDict()
        self._queued = 0
        self._coalesced = 0
        self._stale = 0
        self._rejected = 0
        self._closed = False

    def __len__(self) -> int:
        """Jobs that wait."""
        return self._queued

    def put(self, job: Job) -> Job | None:
        """Queue a job. A session that had no work gets the last turn.

        Returns:
            The partial that this one replaces, in its place in the queue, else None.

        Raises:
            JobRefused: A limit is reached, or the queue is closed; the message says which.
            ValueError: The very job is queued already.
        """
        work = self._turns.get(job.session_id)
        if work is not None and (job in work.finals or job is work.partial):
            raise ValueError("this job is queued already")
        if self._closed:
            raise self._refusal(f"the {self._name} lane is closed")
        replaced = work.partial if work is not None and job.kind is JobKind.PARTIAL else None
        if replaced is None:
            self._check_limits(job, work)
            self._queued += 1
        else:
            self._coalesced += 1
        if work is None:
            work = self._turns[job.session_id] = _Work()
        if job.kind is JobKind.PARTIAL:
            work.partial = job
        else:
            work.finals[job] = None
        return replaced

    def take(self, now_s: float, *, hints: Hints | None = None) -> Taken:
        """Take out the job whose turn it is, dropping the stale partials met on the way.

        Args:
            now_s: The time on the clock of the jobs' deadlines.
            hints: Take only a job with these hints, else leave it its turn; None takes any.
        """
        stale: list[Job] = []
        while self._turns:
            session_id, work = next(iter(self._turns.items()))
            job = work.first()
            in_time = job.deadline_s is None or now_s <= job.deadline_s
            if in_time and hints is not None and job.hints != hints:
                break
            self.remove(job)
            if work:
                self._turns.move_to_end(session_id)
            if in_time:
                return Taken(job=job, stale=tuple(stale))
            self._stale += 1
            stale.append(job)
        return Taken(job=None, stale=tuple(stale))

    def remove(self, job: Job) -> bool:
        """Take one job out, wherever it is. Returns whether it was here."""
        work = self._turns.get(job.session_id)
        if work is None:
            return False
        if job in work.finals:
            del work.finals[job]
        elif job is work.partial:
            work.partial = None
        else:
            return False
        self._queued -= 1
        if not work:
            del self._turns[job.session_id]
        return True

    def cancel(self, session_id: str) -> list[Job]:
        """Take out all jobs of one session, finals first."""
        work = self._turns.pop(session_id, None)
        if work is None:
            return []
        jobs = [*work.finals] + ([work.partial] if work.partial is not None else [])
        self._queued -= len(jobs)
        return jobs

    def close(self) -> list[Job]:
        """Refuse every job from now on, and take out those that wait. Calling it again returns nothing."""
        self._closed = True
        return [job for session_id in list(self._turns) for job in self.cancel(session_id)]

    def statistics(self) -> QueueStatistics:
        """The queue as it is now."""
        return QueueStatistics(
            name=self._name,
            queued=self._queued,
            per_session={session_id: _depth(work) for session_id, work in self._turns.items()},
            coalesced=self._coalesced,
            stale=self._stale,
            rejected=self._rejected,
        )

    def _check_limits(self, job: Job, work: _Work | None) -> None:
        limits = self._limits()
        finals = len(work.finals) if work is not None else 0
        if job.kind is JobKind.FINAL and finals >= limits.max_finals_per_session:
            raise self._refusal(
                f"the {self._name} lane already holds {finals} finals of this session "
                f"(max_final_queue_depth_per_session is {limits.max_finals_per_session})"
            )
        if self._queued >= limits.max_jobs:
            raise self._refusal(
                f"the {self._name} lane already holds {self._queued} jobs "
                f"(max_global_inference_queue_depth is {limits.max_jobs})"
            )

    def _refusal(self, message: str) -> JobRefused:
        self._rejected += 1
        return JobRefused(message)


def _depth(work: _Work) -> SessionDepth:
    return SessionDepth(finals=len(work.finals), partials=int(work.partial is not None))

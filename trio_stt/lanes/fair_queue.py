"""The queue of one lane: finals first, round robin over sessions, then the one partial of each, the longest due first.

Pure and synchronous: the time comes in as a number. It must not know tickets, engines, threads or trio.
See docs/protocol.md, Lanes and queues. RealtimeSTT's rules differ in two: there a session's partial has a turn before
another one's final.
Somebody who has finished speaking waits for the final, and a partial is soon replaced; so finals go first, and every
`FINALS_IN_A_ROW` of them leave one turn to a partial, lest someone with many finals stop all others' live text. And
partials of utterances of which nothing is shown yet, short and longed for, go before the others. Of those, the one goes
first whose session asked longest ago for the one before: sessions ask at times of their own, and so none waits much
longer than others. Every operation takes constant time, but for a partial's turn, which looks at all that wait.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from trio_stt.errors import JobRefused
from trio_stt.lanes.engines.base import Hints
from trio_stt.lanes.job import Job, JobKind

FINALS_IN_A_ROW = 4
"""Then a partial has its turn, if one waits."""


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
        per_session: Depth of each session that has work, those with finals first, in the order of their turns.
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


class FairQueue:
    """Jobs that wait for one lane.

    Args:
        name: The lane's name, for messages.
        limits: Called at every `put`, so that a changed setting counts at once.
    """

    def __init__(self, name: str, limits: Callable[[], QueueLimits]) -> None:
        self._name = name
        self._limits = limits
        # Sessions with such work, and no others; of those with finals, the first has the next turn.
        self._finals: OrderedDict[str, OrderedDict[Job, None]] = OrderedDict()
        self._firsts: dict[str, Job] = {}  # partials; a session is in one of the two at most
        self._partials: dict[str, Job] = {}
        self._in_a_row = 0  # finals taken since the last partial's turn
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
        session_id = job.session_id
        partial, finals = self._partial_of(session_id), self._finals.get(session_id)
        if job is partial or (finals is not None and job in finals):
            raise ValueError("this job is queued already")
        if self._closed:
            raise self._refusal(f"the {self._name} lane is closed")
        if job.kind is JobKind.PARTIAL and partial is not None:
            self._coalesced += 1
            if job.first is not partial.first:  # of another utterance
                del self._line(partial)[session_id]
            self._line(job)[session_id] = job
            return partial
        self._check_limits(job, len(finals or ()))
        self._queued += 1
        if job.kind is JobKind.PARTIAL:
            self._line(job)[session_id] = job
        else:
            self._finals.setdefault(session_id, OrderedDict())[job] = None
        return None

    def take(self, now_s: float, *, hints: Hints | None = None) -> Taken:
        """Take out the job whose turn it is, dropping the stale partials met on the way.

        Args:
            now_s: The time on the clock of the jobs' deadlines.
            hints: Take only a job with these hints, else leave it its turn; None takes any.
        """
        stale: list[Job] = []
        while (job := self._next()) is not None:
            in_time = job.deadline_s is None or now_s <= job.deadline_s
            if in_time and hints is not None and job.hints != hints:
                break
            self.remove(job)
            if not in_time:
                self._stale += 1
                stale.append(job)
                continue
            if job.kind is JobKind.PARTIAL:
                self._in_a_row = 0
            else:
                self._in_a_row += 1
                if job.session_id in self._finals:
                    self._finals.move_to_end(job.session_id)
            return Taken(job=job, stale=tuple(stale))
        return Taken(job=None, stale=tuple(stale))

    def remove(self, job: Job) -> bool:
        """Take one job out, wherever it is. Returns whether it was here."""
        finals = self._finals.get(job.session_id)
        if finals is not None and job in finals:
            del finals[job]
            if not finals:
                del self._finals[job.session_id]
        elif job is self._partial_of(job.session_id):
            del self._line(job)[job.session_id]
        else:
            return False
        self._queued -= 1
        return True

    def cancel(self, session_id: str) -> list[Job]:
        """Take out all jobs of one session, finals first."""
        jobs = [*self._finals.pop(session_id, ())]
        partial = self._partial_of(session_id)
        if partial is not None:
            jobs.append(self._line(partial).pop(session_id))
        self._queued -= len(jobs)
        return jobs

    def close(self) -> list[Job]:
        """Refuse every job from now on, and take out those that wait. Calling it again returns nothing."""
        self._closed = True
        return self.clear()

    def clear(self) -> list[Job]:
        """Take out all jobs."""
        return [job for session_id in self._sessions() for job in self.cancel(session_id)]

    def statistics(self) -> QueueStatistics:
        """The queue as it is now."""
        return QueueStatistics(
            name=self._name,
            queued=self._queued,
            per_session={
                session_id: SessionDepth(
                    finals=len(self._finals.get(session_id, ())),
                    partials=int(self._partial_of(session_id) is not None),
                )
                for session_id in self._sessions()
            },
            coalesced=self._coalesced,
            stale=self._stale,
            rejected=self._rejected,
        )

    def _next(self) -> Job | None:
        """The job whose turn it is. A session with finals as well leaves the partials' turn to another session."""
        if not self._finals or self._in_a_row >= FINALS_IN_A_ROW:
            line = (self._firsts or self._partials).items()
            partials = (partial for session_id, partial in line if session_id not in self._finals)
            partial = min(partials, key=lambda job: job.since_s, default=None)
            if partial is not None:
                return partial
        if self._finals:
            return next(iter(next(iter(self._finals.values()))))
        return None

    def _sessions(self) -> list[str]:
        return [*self._finals, *self._firsts, *self._partials]

    def _line(self, partial: Job) -> dict[str, Job]:
        return self._firsts if partial.first else self._partials

    def _partial_of(self, session_id: str) -> Job | None:
        return self._firsts.get(session_id) or self._partials.get(session_id)

    def _check_limits(self, job: Job, finals: int) -> None:
        limits = self._limits()
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

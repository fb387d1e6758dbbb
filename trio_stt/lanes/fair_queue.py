"""The queue of one lane, fair between sessions: which job runs next, and which are refused or dropped.

Pure and synchronous: the time comes in as a number. It knows neither tickets nor engines nor Trio.

The order of jobs:

1. Finals have priority over partials, because a client that finished speaking waits for its final, and a partial is
   soon replaced. Sessions with finals take turns, one final each, in the order in which they came.
2. After `MAX_FINALS_IN_A_ROW` of them one partial is served, so one busy session cannot starve live text.
3. Of partials, the first ones of utterances go before all others: they are short, and their clients see nothing yet.
4. Among the rest, the session whose previous partial was requested longest ago is next, so that no session waits much
   longer than the others, however often each of them submits.
5. Finals of files come when nothing live is queued, and otherwise after every `MAX_LIVE_IN_A_ROW` live jobs, so that
   a file is transcribed on a busy server, too. `dequeue` may be told to leave them: see `Lane`.

Each session has one partial at most; a newer one replaces it. Every operation takes constant time, except a partial's
turn, which compares all queued partials. See docs/protocol.md, Lanes and queues; RealtimeSTT's server differs: there a
session's partial has its turn before another session's final.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from trio_stt.errors import JobRefused
from trio_stt.lanes.engines.base import Hints
from trio_stt.lanes.job import Job, JobKind

MAX_FINALS_IN_A_ROW = 4
"""Finals that run while partials are queued, before a partial is served."""

MAX_LIVE_IN_A_ROW = 8
"""Live jobs that run while finals of files are queued, before one of these is served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimits:
    """How many jobs may be queued. Running jobs do not count.

    Attributes:
        max_finals_per_session: Queued finals of one session (`max_final_queue_depth_per_session`).
        max_jobs: Queued jobs of all sessions (`max_global_inference_queue_depth`).
    """

    max_finals_per_session: int
    max_jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDepth:
    """Number of queued jobs of one session."""

    finals: int = 0
    partials: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatistics:
    """A queue at one moment.

    Attributes:
        name: The lane's name.
        queued: Number of queued jobs.
        per_session: Depth of each session that has queued jobs, those with finals first, in the order of their turns.
        coalesced: Partials replaced by a newer one so far.
        stale: Partials dropped at their turn, after their deadline, so far.
        rejected: Jobs refused so far.
    """

    name: str
    queued: int
    per_session: Mapping[str, SessionDepth]
    coalesced: int
    stale: int
    rejected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dequeued:
    """What `FairQueue.dequeue` took out.

    Attributes:
        job: The next job; None if the queue is empty, or if the next job has other hints and stays.
        stale: Partials whose turn came after their deadline. They are to be dropped.
    """

    job: Job | None
    stale: tuple[Job, ...] = ()


class FairQueue:
    """The queued jobs of one lane.

    Args:
        name: The lane's name, for messages.
        limits: Called at every `enqueue`, so that a changed setting applies at once.
    """

    def __init__(self, name: str, limits: Callable[[], QueueLimits]) -> None:
        self._name = name
        self._limits = limits
        # Sessions with finals, and no others, in the order of their turns: the first one is next.
        self._finals: OrderedDict[str, OrderedDict[Job, None]] = OrderedDict()
        self._file_finals: OrderedDict[str, OrderedDict[Job, None]] = OrderedDict()  # the same, of files
        self._partials: dict[str, Job] = {}  # by session, in the order in which they came
        self._finals_in_a_row = 0  # since the last partial's turn
        self._live_in_a_row = 0  # since the last turn of a file, while files have finals
        self._queued = 0
        self._coalesced = 0
        self._stale = 0
        self._rejected = 0
        self._closed = False

    def __len__(self) -> int:
        """Number of queued jobs."""
        return self._queued

    def enqueue(self, job: Job) -> Job | None:
        """Queue a job. A session without finals gets the last turn.

        Returns:
            The partial that this one replaces, or None.

        Raises:
            JobRefused: A limit is reached, or the queue is closed; the message says which.
            ValueError: The same job is queued already.
        """
        session_id = job.session_id
        partial, finals = self._partials.get(session_id), self._finals_like(job).get(session_id)
        if job is partial or (finals is not None and job in finals):
            raise ValueError("this job is queued already")
        if self._closed:
            raise self._refusal(f"the {self._name} lane is closed")
        if job.kind is JobKind.PARTIAL and partial is not None:
            # No limit here: a full lane still takes newer audio in the place of older.
            self._coalesced += 1
            if job.first is not partial.first:  # of another utterance: otherwise it keeps the older one's place
                del self._partials[session_id]
            self._partials[session_id] = job
            return partial
        self._check_limits(job, len(finals or ()))
        self._queued += 1
        if job.kind is JobKind.PARTIAL:
            self._partials[session_id] = job
        else:
            self._finals_like(job).setdefault(session_id, OrderedDict())[job] = None
        return None

    def dequeue(self, now_s: float, *, hints: Hints | None = None, files: bool = True) -> Dequeued:
        """Take out the next job, and with it the stale partials whose turn comes before.

        Args:
            now_s: The time on the clock of the jobs' deadlines.
            hints: Take only a job with these hints; another one keeps its turn. None takes any.
            files: Whether finals of files may be taken.
        """
        stale: list[Job] = []
        while (job := self._next(files=files)) is not None:
            in_time = job.deadline_s is None or now_s <= job.deadline_s
            if in_time and hints is not None and job.hints != hints:
                break
            self.remove(job)
            if not in_time:
                self._stale += 1
                stale.append(job)
                continue  # a stale partial uses up no turn
            self._take_turn(job)
            return Dequeued(job=job, stale=tuple(stale))
        return Dequeued(job=None, stale=tuple(stale))

    def remove(self, job: Job) -> bool:
        """Take one job out, wherever it is. Returns whether it was queued."""
        sessions = self._finals_like(job)
        finals = sessions.get(job.session_id)
        if finals is not None and job in finals:
            del finals[job]
            if not finals:
                del sessions[job.session_id]
        elif job is self._partials.get(job.session_id):
            del self._partials[job.session_id]
        else:
            return False
        self._queued -= 1
        return True

    def cancel(self, session_id: str) -> list[Job]:
        """Take out all jobs of one session, finals first."""
        jobs = [*self._finals.pop(session_id, ()), *self._file_finals.pop(session_id, ())]
        if session_id in self._partials:
            jobs.append(self._partials.pop(session_id))
        self._queued -= len(jobs)
        return jobs

    def close(self) -> list[Job]:
        """Refuse all jobs from now on, and take out those that are queued. Calling it again returns nothing."""
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
                    finals=len(self._finals.get(session_id, ())) + len(self._file_finals.get(session_id, ())),
                    partials=int(session_id in self._partials),
                )
                for session_id in self._sessions()
            },
            coalesced=self._coalesced,
            stale=self._stale,
            rejected=self._rejected,
        )

    def _next(self, *, files: bool) -> Job | None:
        """The job whose turn it is, by the rules at the top."""
        live = self._next_live()
        if files and self._file_finals and (live is None or self._live_in_a_row >= MAX_LIVE_IN_A_ROW):
            return _first(self._file_finals)
        return live

    def _next_live(self) -> Job | None:
        if not self._finals or self._finals_in_a_row >= MAX_FINALS_IN_A_ROW:
            # A session that also has a final leaves the turn to others: its partial must not overtake its final.
            partials = [partial for session_id, partial in self._partials.items() if session_id not in self._finals]
            if partials:
                return min(partials, key=lambda job: (not job.first, job.waiting_since_s))
        return _first(self._finals) if self._finals else None

    def _take_turn(self, job: Job) -> None:
        """Count the turn of a job that leaves the queue."""
        if job.from_file:
            self._live_in_a_row = 0
        else:
            self._live_in_a_row += bool(self._file_finals)
            self._finals_in_a_row = 0 if job.kind is JobKind.PARTIAL else self._finals_in_a_row + 1
        sessions = self._finals_like(job)
        if job.kind is JobKind.FINAL and job.session_id in sessions:  # it has more finals: behind the other sessions
            sessions.move_to_end(job.session_id)

    def _finals_like(self, job: Job) -> OrderedDict[str, OrderedDict[Job, None]]:
        """Where the finals of a job's session belong."""
        return self._file_finals if job.from_file else self._finals

    def _sessions(self) -> list[str]:
        """The sessions with queued jobs; some twice."""
        finals = [*self._finals, *self._file_finals]
        return [*finals, *sorted(self._partials, key=lambda session_id: not self._partials[session_id].first)]

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


def _first(sessions: OrderedDict[str, OrderedDict[Job, None]]) -> Job:
    """The first final of the first session."""
    return next(iter(next(iter(sessions.values()))))

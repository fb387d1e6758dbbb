"""A transcription job, its result, and the ticket on which its submitter waits.

Owns the life of one job as its submitter sees it. It must not know queues, engines or threads: the lane that took the
job moves the ticket on, everybody else waits on it or cancels it.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import trio
from numpy.typing import NDArray

from trio_stt.errors import EngineError, JobDropped, LaneError
from trio_stt.lanes.engines.base import NO_HINTS, Hints, StreamKey, Transcript


class JobKind(enum.Enum):
    """What a job is for: a FINAL is never given up for another job, a PARTIAL is worth only its latest version."""

    FINAL = "final"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Job:
    """One clip to transcribe. Jobs are compared by identity.

    Attributes:
        session_id: Whose it is; fairness, limits and cancellation go by it.
        kind: Final or partial.
        samples: float32, shape (n,) with n > 0, mono, 16 kHz, range -1 to 1. Not copied: it must not change any more.
        hints: How its session wants it heard.
        utterance: The utterance from whose first sample on this is all that was said, or None. A final ends it.
        deadline_s: The moment on trio's clock after which nobody wants it, or None. Partials only.
        first: Whether nothing is shown of its utterance yet. Partials only.
        since_s: When the session asked for the partial before, unless this is a first one: the longest ago goes first.

    Raises:
        ValueError: The samples have another type or shape, or a final has a deadline or is a first partial.
    """

    session_id: str
    kind: JobKind
    samples: NDArray[np.float32]
    hints: Hints = NO_HINTS
    utterance: StreamKey | None = None
    deadline_s: float | None = None
    first: bool = False
    since_s: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no engine could take."""
        if self.samples.dtype != np.float32 or self.samples.ndim != 1 or not self.samples.size:
            raise ValueError(
                "a job needs float32 samples of shape (n,) with n > 0, "
                f"not {self.samples.dtype} of shape {self.samples.shape}"
            )
        if (self.deadline_s is not None or self.first) and self.kind is not JobKind.PARTIAL:
            raise ValueError("only a partial may have a deadline or be an utterance's first")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """What became of a job that an engine transcribed.

    Attributes:
        transcript: What the engine heard.
        queue_delay_s: From submission until the engine got it, in seconds.
        inference_s: From then until its result came, in seconds: what the engine took for its whole batch, with any
            second attempts.
        total_s: The sum of both.
    """

    transcript: Transcript
    queue_delay_s: float
    inference_s: float
    total_s: float


class TicketState(enum.Enum):
    """Where a job is. The last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    DROPPED = "dropped"


class Ticket:
    """A submitted job, as its submitter holds it.

    Any number of tasks may wait on it, also none. A cancelled waiter leaves at once and changes nothing for the job.

    Args:
        job: The submitted job.
        submitted_s: When it was submitted, on trio's clock.
        withdraw: Called once when the submitter cancels the job while it is queued; takes it out of the queue.

    Attributes:
        started_s: When an engine got it first, or None.
        attempts: How often an engine got it.
    """

    def __init__(self, job: Job, *, submitted_s: float, withdraw: Callable[[Job], None]) -> None:
        self.job = job
        self.submitted_s = submitted_s
        self.started_s: float | None = None
        self.attempts = 0
        self._withdraw = withdraw
        self._state = TicketState.QUEUED
        self._settled = trio.Event()
        self._outcome: JobResult | EngineError | LaneError | None = None

    @property
    def state(self) -> TicketState:
        """Where the job is now."""
        return self._state

    async def wait(self) -> JobResult:
        """Wait until the job is transcribed or given up. Always a checkpoint.

        Raises:
            JobDropped: The lane gave the job up; `reason` is `coalesced`, `stale`, `cancelled`, `engine lost` or
                `closed`.
            TranscriptionFailed: The engine could not transcribe it.
            EngineUnavailable: The lane has no engine.
        """
        await self._settled.wait()
        if isinstance(self._outcome, JobResult):
            return self._outcome
        assert self._outcome is not None  # noqa: S101 - for the type checker: settling sets it first
        raise _anew(self._outcome)

    def cancel(self) -> bool:
        """Give the job up: a queued job leaves the queue at once, the result of a running one will be thrown away.

        Its waiters get JobDropped(`cancelled`) now.

        Returns:
            Whether this call ended the job; False when it had ended before.
        """
        if self._settled.is_set():
            return False
        if self._state is TicketState.QUEUED:
            self._withdraw(self.job)
        self.drop("cancelled")
        return True

    def start(self, now_s: float) -> None:
        """An engine gets the job now. For the lane only."""
        self._state = TicketState.RUNNING
        self.started_s = now_s if self.started_s is None else self.started_s
        self.attempts += 1

    def complete(self, result: JobResult) -> None:
        """The engine transcribed the job; ignored when it was given up meanwhile. For the lane only."""
        self._settle(TicketState.DONE, result)

    def fail(self, error: EngineError) -> None:
        """The engine could not do the job; ignored when it was given up meanwhile. For the lane only."""
        self._settle(TicketState.FAILED, error)

    def drop(self, reason: str) -> None:
        """The lane gives the job up. For the lane only."""
        self._settle(TicketState.DROPPED, JobDropped(reason))

    def _settle(self, state: TicketState, outcome: JobResult | EngineError | LaneError) -> None:
        if not self._settled.is_set():
            self._state = state
            self._outcome = outcome
            self._settled.set()


def _anew(error: EngineError | LaneError) -> EngineError | LaneError:
    """The same error for one waiter: one that the ticket keeps would keep whoever waited by its traceback, and they it.

    Such a ring, with a clip in it, stays until the garbage collector comes by.
    """
    kind = type(error)
    fresh = kind.__new__(kind, *error.args)
    fresh.__dict__.update(vars(error))
    fresh.__cause__ = error.__cause__
    return fresh

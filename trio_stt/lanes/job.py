"""A transcription job, its result, and the ticket on which its submitter waits.

Owns the life of one job as its submitter sees it: the lane changes the ticket's state, and all others wait for it or
cancel it. It knows neither queues nor engines nor threads.
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
    """What a job is for: a FINAL is never dropped for another job, a PARTIAL is replaced by its latest version."""

    FINAL = "final"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Job:
    """One clip to transcribe. Jobs are compared by identity.

    Attributes:
        session_id: The session of the job, for fairness, limits and cancellation.
        kind: Final or partial.
        samples: float32, shape (n,) with n > 0, mono, 16 kHz, range -1 to 1. Not copied, so it must not change.
        hints: How the session wants the clip transcribed.
        from_file: Whether it is an utterance of a file, which yields to live jobs. Finals only.
        utterance: Key of the utterance whose audio from the first sample on is the clip, or None. A final ends it.
        deadline_s: Time on Trio's clock after which the job is stale, or None. Partials only.
        first: Whether no partial of its utterance was shown yet. Partials only.
        waiting_since_s: When the session requested its previous partial, on Trio's clock; 0.0 for a first one. The
            earliest is served first.

    Raises:
        ValueError: The samples have another type or shape, or a final has a deadline or is a first partial, or a
            partial is from a file.
    """

    session_id: str
    kind: JobKind
    samples: NDArray[np.float32]
    hints: Hints = NO_HINTS
    from_file: bool = False
    utterance: StreamKey | None = None
    deadline_s: float | None = None
    first: bool = False
    waiting_since_s: float = 0.0

    def __post_init__(self) -> None:
        """Check what engines rely on."""
        if self.samples.dtype != np.float32 or self.samples.ndim != 1 or not self.samples.size:
            raise ValueError(
                "a job needs float32 samples of shape (n,) with n > 0, "
                f"not {self.samples.dtype} of shape {self.samples.shape}"
            )
        if (self.deadline_s is not None or self.first) and self.kind is not JobKind.PARTIAL:
            raise ValueError("only a partial may have a deadline or be an utterance's first")
        if self.from_file and self.kind is not JobKind.FINAL:
            raise ValueError("only a final may be an utterance of a file")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """The result of a job that an engine transcribed.

    Attributes:
        transcript: What the engine recognised.
        queue_delay_s: Seconds from submission until an engine got the job.
        inference_s: Seconds from then until its result: for the engine's whole batch, and with any second attempt.
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

    Any number of tasks may wait for it, or none. A cancelled wait returns at once and changes nothing for the job.

    Args:
        job: The submitted job.
        submitted_s: When it was submitted, on Trio's clock.
        withdraw: Called once when the job is cancelled while it is queued; takes it out of the queue.

    Attributes:
        started_s: When an engine first got it, or None.
        attempts: Number of times that an engine got it.
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

    @property
    def result(self) -> JobResult | None:
        """The result, once the job is done."""
        return self._outcome if isinstance(self._outcome, JobResult) else None

    async def wait(self) -> JobResult:
        """Wait until the job is transcribed, failed or dropped. Always a checkpoint.

        Raises:
            JobDropped: `reason` is `coalesced`, `stale`, `cancelled`, `engine lost` or `closed`.
            TranscriptionFailed: The engine could not transcribe it.
            EngineUnavailable: The lane has no engine.
        """
        await self._settled.wait()
        if isinstance(self._outcome, JobResult):
            return self._outcome
        assert self._outcome is not None  # noqa: S101 - for the type checker: settling sets it first
        raise _copy_of(self._outcome)

    def cancel(self) -> bool:
        """Cancel the job: a queued one leaves the queue at once, the result of a running one is dropped later.

        Waiting tasks get JobDropped(`cancelled`) now.

        Returns:
            Whether this call ended the job; False if it had ended before.
        """
        if self._settled.is_set():
            return False
        if self._state is TicketState.QUEUED:
            self._withdraw(self.job)
        self.drop("cancelled")
        return True

    def start(self, now_s: float) -> None:
        """Mark the job as running: an engine gets it, at `now_s` on Trio's clock. For the lane only."""
        self._state = TicketState.RUNNING
        self.started_s = now_s if self.started_s is None else self.started_s
        self.attempts += 1

    def complete(self, result: JobResult) -> None:
        """End the job with its result; ignored if it was dropped meanwhile. For the lane only."""
        self._settle(TicketState.DONE, result)

    def fail(self, error: EngineError) -> None:
        """End the job with an error; ignored if it was dropped meanwhile. For the lane only."""
        self._settle(TicketState.FAILED, error)

    def drop(self, reason: str) -> None:
        """End the job without a result; `reason` as in `wait`. For the lane only."""
        self._settle(TicketState.DROPPED, JobDropped(reason))

    def _settle(self, state: TicketState, outcome: JobResult | EngineError | LaneError) -> None:
        if not self._settled.is_set():
            self._state = state
            self._outcome = outcome
            self._settled.set()


def _copy_of(error: EngineError | LaneError) -> EngineError | LaneError:
    """A copy of the ticket's error for one waiting task.

    Raising the same object would tie its traceback, and with that the task's frames and a clip, to the ticket, and the
    ticket to them. Only the garbage collector would free such a cycle.
    """
    kind = type(error)
    fresh = kind.__new__(kind, *error.args)
    fresh.__dict__.update(vars(error))
    fresh.__cause__ = error.__cause__
    return fresh

"""One lane: a fair queue, the task that empties it, and the host that runs the lane's engine.

Owns the tickets of its jobs and the lane's life: loading, serving, failed, closed. It must not know sockets, settings
or what a session does with a transcript, and never logs what was said.
"""

import enum
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import trio
from numpy.typing import NDArray

from trio_stt.errors import EngineError, EngineUnavailable
from trio_stt.lanes.engines.base import Engine, EngineInfo, Transcript
from trio_stt.lanes.fair_queue import FairQueue, QueueLimits, QueueStatistics
from trio_stt.lanes.host import EngineHost
from trio_stt.lanes.job import Job, JobResult, Ticket, TicketState
from trio_stt.lanes.meter import WorkMeter, WorkStatistics

logger = logging.getLogger(__name__)

LaneName = Literal["main", "realtime"]


class LaneState(enum.Enum):
    """Where a lane is in its life."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneStatistics:
    """A lane at one moment.

    Attributes:
        name: `main` or `realtime`.
        state: Where the lane is in its life.
        ready: Whether the load attempt is over, whatever came of it, and the lane not closed.
        healthy: Whether it did not fail.
        error: Why it failed, or None.
        engine: What was loaded, or None before.
        queue: The lane's queue.
        work: What the engine did so far.
    """

    name: LaneName
    state: LaneState
    ready: bool
    healthy: bool
    error: str | None
    engine: EngineInfo | None
    queue: QueueStatistics
    work: WorkStatistics


class Lane:
    """Transcribes the jobs of all sessions, one at a time, on one engine.

    Args:
        name: `main` or `realtime`.
        host: Runs the engine; the lane starts and closes it.
        load: Makes the engine; the host calls it where the engine will live.
        limits: Asked at every `submit`, so that a changed setting counts at once.
        warmup_clips: Transcribed before the first job, so that the first talker does not pay for it; may be empty.
    """

    def __init__(
        self,
        name: LaneName,
        *,
        host: EngineHost,
        load: Callable[[], Engine],
        limits: Callable[[], QueueLimits],
        warmup_clips: Sequence[NDArray[np.float32]] = (),
    ) -> None:
        self._name = name
        self._host = host
        self._load = load
        self._warmup_clips = warmup_clips
        self._queue = FairQueue(name, limits)
        self._tickets: dict[Job, Ticket] = {}  # Of the queued jobs.
        self._running: list[Ticket] = []
        self._state = LaneState.LOADING
        self._error: str | None = None
        self._loaded = trio.Event()
        self._work = trio.Event()
        self._room = trio.lowlevel.ParkingLot()  # first come, first served
        self._meter = WorkMeter()
        self._ran = False

    @property
    def name(self) -> LaneName:
        """`main` or `realtime`."""
        return self._name

    @property
    def state(self) -> LaneState:
        """Where the lane is in its life."""
        return self._state

    @property
    def error(self) -> str | None:
        """Why the lane failed, or None."""
        return self._error

    @property
    def ready(self) -> bool:
        """Whether the load attempt is over, whatever came of it, and the lane not closed."""
        return self._state in {LaneState.READY, LaneState.FAILED}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Load the engine, warm it up, then serve jobs until cancelled. Reports started before it loads.

        However it ends, the queue closes, waiters get JobDropped(`closed`), and the host is closed within its deadline.

        Raises:
            RuntimeError: It was run before.
        """
        if self._ran:
            raise RuntimeError("a lane runs once")
        self._ran = True
        self._meter.open(trio.current_time())
        task_status.started()
        try:
            try:
                info = await self._host.start(self._load)
                for clip in self._warmup_clips:
                    await self._warm_up(clip)
            except EngineUnavailable as error:
                self._fail(error)
            else:
                self._open(info)
                await self._serve()
            # Only a failed lane gets here. It lives on to answer its jobs, but what was loaded may go.
            await self._host.aclose()
            await trio.sleep_forever()
        finally:
            self._close()
            await self._host.aclose()

    async def wait_loaded(self) -> None:
        """Wait until the load attempt is over, whatever came of it, or the lane is closed."""
        await self._loaded.wait()

    def submit(self, job: Job) -> Ticket:
        """Queue a job; a partial takes the place of the session's queued one. Fine before the engine is loaded.

        On a lane whose engine failed to load, the ticket has failed already.

        Raises:
            JobRefused: A limit is reached, or the lane is closed; the message says which limit and its value.
            ValueError: The very job is queued already.
        """
        ticket = Ticket(job, submitted_s=trio.current_time(), withdraw=self._withdraw)
        if self._state is LaneState.FAILED:
            self._fail_unserved(ticket)
            return ticket
        replaced = self._queue.put(job)
        if replaced is not None:
            self._tickets.pop(replaced).drop("coalesced")
        self._tickets[job] = ticket
        self._work.set()
        return ticket

    @property
    def accepting(self) -> bool:
        """Whether `submit` takes jobs while there is room."""
        return self._state in (LaneState.LOADING, LaneState.READY)

    async def wait_room(self) -> None:
        """Wait until a queued job leaves, or the lane stops accepting; a refused job may then be submitted again."""
        if self.accepting:
            await self._room.park()
        else:
            await trio.lowlevel.checkpoint()

    def cancel_session(self, session_id: str) -> int:
        """Give up all jobs of a session: queued ones leave at once, the result of a running one is thrown away.

        Returns:
            How many jobs this ended.
        """
        cancelled = [self._tickets.pop(job) for job in self._queue.cancel(session_id)]
        cancelled += [
            ticket
            for ticket in self._running
            if ticket.job.session_id == session_id and ticket.state is TicketState.RUNNING
        ]
        for ticket in cancelled:
            ticket.drop("cancelled")
        self._departed(len(cancelled))
        return len(cancelled)

    def statistics(self) -> LaneStatistics:
        """The lane as it is now. To be called within trio's run."""
        return LaneStatistics(
            name=self._name,
            state=self._state,
            ready=self.ready,
            healthy=self._error is None,
            error=self._error,
            engine=self._host.info,
            queue=self._queue.statistics(),
            work=self._meter.statistics(trio.current_time()),
        )

    async def _warm_up(self, clip: NDArray[np.float32]) -> None:
        attempt = await self._attempt("warm-up", [clip])
        # Another failure says little about the next clip: the lane serves, and its jobs show what is wrong.
        if isinstance(attempt, EngineUnavailable):
            raise attempt

    def _open(self, info: EngineInfo) -> None:
        self._state = LaneState.READY
        self._loaded.set()
        logger.info("%s lane: %s, model %s, on %s", self._name, info.engine, info.model, info.device)
        if info.notice is not None:
            logger.warning("%s lane: %s", self._name, info.notice)

    def _fail(self, error: EngineUnavailable) -> None:
        self._state, self._error = LaneState.FAILED, str(error)
        self._loaded.set()
        logger.error("%s lane: %s", self._name, error)
        logger.debug("%s lane: why it failed to load", self._name, exc_info=error)
        for job in self._queue.close():
            self._fail_unserved(self._tickets.pop(job))
        self._departed()

    async def _serve(self) -> None:
        while True:
            taken = self._queue.take(trio.current_time())
            for job in taken.stale:
                self._tickets.pop(job).drop("stale")
            self._departed()
            if taken.job is not None:
                await self._transcribe([self._tickets.pop(taken.job)])
            else:
                self._work = trio.Event()
                await self._work.wait()

    async def _transcribe(self, tickets: list[Ticket]) -> None:
        self._running, begun_s = tickets, trio.current_time()
        self._meter.begin(begun_s)
        for ticket in tickets:
            ticket.start()
        attempt = await self._attempt("job", [ticket.job.samples for ticket in tickets])
        self._running = []
        inference_s = self._meter.end(trio.current_time())
        for index, ticket in enumerate(tickets):
            queue_delay_s = begun_s - ticket.submitted_s
            completed = not isinstance(attempt, EngineError)
            self._meter.count(completed=completed, queue_delay_s=queue_delay_s, inference_s=inference_s)
            if isinstance(attempt, EngineError):
                ticket.fail(attempt)
                continue
            result = JobResult(
                transcript=attempt[index],
                queue_delay_s=queue_delay_s,
                inference_s=inference_s,
                total_s=queue_delay_s + inference_s,
            )
            ticket.complete(result)

    async def _attempt(self, what: str, clips: list[NDArray[np.float32]]) -> list[Transcript] | EngineError:
        try:
            return await self._host.transcribe(clips)
        except EngineError as error:
            logger.warning("%s lane: %s failed: %s", self._name, what, error, exc_info=error.__cause__)
            # A host may refuse without a checkpoint: a queue full of refusals must not hold up everybody else.
            await trio.lowlevel.checkpoint()
            return error

    def _withdraw(self, job: Job) -> None:
        self._queue.remove(job)
        del self._tickets[job]
        self._departed()

    def _departed(self, count: int = 1) -> None:
        if self.accepting and len(self._queue):
            self._room.unpark(count=count)
        else:  # nobody else would wake the rest
            self._room.unpark_all()

    def _fail_unserved(self, ticket: Ticket) -> None:
        self._meter.count_unserved()
        ticket.fail(EngineUnavailable(f"the {self._name} lane has no engine: {self._error}"))

    def _close(self) -> None:
        self._state = LaneState.CLOSED
        for ticket in [*self._running, *(self._tickets.pop(job) for job in self._queue.close())]:
            ticket.drop("closed")
        self._running = []
        self._departed()
        self._loaded.set()

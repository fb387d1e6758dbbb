"""One lane: a fair queue, the task that empties it, and the host that runs the lane's engine.

Owns the tickets of its jobs and the lane's life: loading, serving, failed, closed. It must not know sockets, settings
or what a session does with a transcript, and never logs what was said.
"""

import logging
import math
from collections.abc import Callable, Sequence

import numpy as np
import trio
from numpy.typing import NDArray

from trio_stt.errors import EngineUnavailable
from trio_stt.lanes.engines.base import Engine, EngineInfo
from trio_stt.lanes.fair_queue import FairQueue, QueueLimits
from trio_stt.lanes.host import EngineHost
from trio_stt.lanes.job import Job, JobKind, Ticket
from trio_stt.lanes.lane_state import LaneName, LaneState, LaneStatistics
from trio_stt.lanes.meter import WorkMeter
from trio_stt.lanes.pace import Pace
from trio_stt.lanes.throttle import Throttle
from trio_stt.lanes.workbench import Workbench

logger = logging.getLogger(__name__)

_WATCH_EVERY_S = 0.05


class Lane:
    """Transcribes the jobs of all sessions on one engine, a batch at a time.

    A batch is what waits when the engine is free, in the order of the turns: up to the lane's batch size and the
    engine's `max_batch`, and to the first job whose hints differ. It may mix sessions and kinds, and never waits for
    more.

    Args:
        name: `main` or `realtime`.
        host: Runs the engine; the lane starts and closes it.
        load: Makes the engine; the host calls it where the engine will live.
        limits: Asked at every `submit`, so that a changed setting counts at once.
        batch_size: Asked before every batch, with the kind of its first job: how many jobs it may hold, at least 1.
        degradation_threshold_s: Asked at every look at the queue: how long a job may wait before partials slow down.
        warmup_clips: Transcribed before the first job, so that the first talker does not pay for it; may be empty.
    """

    def __init__(
        self,
        name: LaneName,
        *,
        host: EngineHost,
        load: Callable[[], Engine],
        limits: Callable[[], QueueLimits],
        batch_size: Callable[[JobKind], int] = lambda _: 1,
        degradation_threshold_s: Callable[[], float] = lambda: math.inf,
        warmup_clips: Sequence[NDArray[np.float32]] = (),
    ) -> None:
        self._name = name
        self._host = host
        self._load = load
        self._warmup_clips = warmup_clips
        self._queue = FairQueue(name, limits)
        self._tickets: dict[Job, Ticket] = {}  # Of the queued jobs.
        self._batch_size = batch_size
        self._state = LaneState.LOADING
        self._error: str | None = None
        self._loaded = trio.Event()
        self._work = trio.Event()
        self._room = trio.lowlevel.ParkingLot()  # first come, first served
        self._throttle = Throttle(degradation_threshold_s)
        self._pace = Pace()
        self._meter = WorkMeter()
        self._workbench = Workbench(name, host=host, meter=self._meter)
        self._next_watch_s = -math.inf
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
    def throttle(self) -> Throttle:
        """Says how often the lane's sessions may ask for partials."""
        return self._throttle

    @property
    def pace(self) -> Pace:
        """Says how often the lane's sessions ask for partials while it keeps up."""
        return self._pace

    @property
    def streaming(self) -> bool:
        """Whether the engine hears utterances as they grow; not before it is loaded."""
        info = self._host.info
        return info is not None and info.streaming

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
                    await self._workbench.warm_up(clip)
            except EngineUnavailable as error:
                self._fail(error)
            else:
                self._open(info)
                await self._serve(info.max_batch)
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
            older = self._tickets.pop(replaced)
            ticket.submitted_s = older.submitted_s  # the place in the queue keeps its age
            older.drop("coalesced")
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

    def watch_delay(self) -> None:
        """Show the throttle how long the oldest queued job has waited.

        The lane does so before a batch. Whoever hears audio does so too: a queue that stands still has no batches.
        """
        now_s = trio.current_time()
        if now_s >= self._next_watch_s:
            self._next_watch_s = now_s + _WATCH_EVERY_S
            oldest_s = min((ticket.submitted_s for ticket in self._tickets.values()), default=now_s)
            self._throttle.observe(now_s, now_s - oldest_s)

    def cancel_session(self, session_id: str) -> int:
        """Give up all jobs of a session: queued ones leave at once, the result of a running one is thrown away.

        Returns:
            How many jobs this ended.
        """
        queued = [self._tickets.pop(job) for job in self._queue.cancel(session_id)]
        for ticket in queued:
            ticket.drop("cancelled")
        self._departed(len(queued))
        return len(queued) + self._workbench.cancel_session(session_id)

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

    async def _serve(self, max_batch: int) -> None:
        while True:
            batch = self._take_batch(max_batch)
            if batch:
                await self._workbench.run(batch)
            else:
                self._work = trio.Event()
                await self._work.wait()

    def _take_batch(self, max_batch: int) -> list[Ticket]:
        self.watch_delay()
        now_s, waiting = trio.current_time(), len(self._queue)
        batch: list[Ticket] = []
        size = 1
        while len(batch) < size:
            taken = self._queue.take(now_s, hints=batch[0].job.hints if batch else None)
            for job in taken.stale:
                self._tickets.pop(job).drop("stale")
            if taken.job is None:
                break
            batch.append(self._tickets.pop(taken.job))
            size = min(max_batch, self._batch_size(batch[0].job.kind))
        self._departed(waiting - len(self._queue))
        return batch

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
        self._workbench.close()
        for job in self._queue.close():
            self._tickets.pop(job).drop("closed")
        self._departed()
        self._loaded.set()

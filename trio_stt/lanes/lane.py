"""One lane: a fair queue, and the workers that empty it, each with an engine.

Owns the tickets of its jobs. It must not know sockets, settings or what a session does with a transcript, and never
logs what was said.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
import trio
from numpy.typing import NDArray

from trio_stt.errors import EngineUnavailable
from trio_stt.lanes.engine_pool import EnginePool
from trio_stt.lanes.engine_supervisor import EngineSupervisor
from trio_stt.lanes.engines.base import Engine
from trio_stt.lanes.executor import EngineExecutor
from trio_stt.lanes.fair_queue import FairQueue, QueueLimits
from trio_stt.lanes.job import Job, JobKind, Ticket, TicketState
from trio_stt.lanes.lane_state import LaneName, LaneState, LaneStatistics
from trio_stt.lanes.partial_policy import PartialPolicy
from trio_stt.lanes.work_meter import WorkMeter
from trio_stt.lanes.worker import LaneWorker
from trio_stt.lanes.worker_pool import WorkerPool

_DELAY_CHECK_INTERVAL_S = 0.05
"""Seconds between two looks at the queue delay while there is one."""


class Lane:
    """Transcribes the jobs of all sessions, a batch at a time on each of its engines.

    A batch is what waits when an engine is free, in the order of the turns: up to the lane's batch size and the
    engine's `max_batch`, and to the first job whose hints differ. It may mix sessions and kinds, and never waits for
    more. Several workers take turns at the same queue, so that jobs begin in its order and may end in another.

    Jobs wait while a lost engine is replaced, see `WorkerPool`. Its finals are retried first and each alone, because
    any of them may have killed it.

    Args:
        name: `main` or `realtime`.
        new_host: Makes what runs one engine; the lane starts and closes it.
        load: Makes an engine; a host calls it where the engine will live.
        limits: Asked at every `submit`, so that a changed setting counts at once.
        workers: How many engines work at the same time.
        shared: Whether all of them may be one, called on several threads at once.
        batch_size: Asked before every batch, with the kind of its first job: how many jobs it may hold, at least 1.
        degradation_threshold_s: Called whenever the queue delay is observed: the delay that degrades partials.
        job_deadline_s: Asked before every batch: how long an engine may take for one without audio, see
            `EngineSupervisor`.
        outage_limit_s: Asked when the last engine is lost: how long jobs wait for another one.
        warmup_clips: Transcribed before the first job, so that the first talker does not pay for it; may be empty.
    """

    def __init__(
        self,
        name: LaneName,
        *,
        new_executor: Callable[[], EngineExecutor],
        load: Callable[[], Engine],
        limits: Callable[[], QueueLimits],
        workers: int = 1,
        shared: bool = False,
        batch_size: Callable[[JobKind], int] = lambda _: 1,
        degradation_threshold_s: Callable[[], float] = lambda: math.inf,
        job_deadline_s: Callable[[], float] = lambda: math.inf,
        outage_limit_s: Callable[[], float] = lambda: math.inf,
        warmup_clips: Sequence[NDArray[np.float32]] = (),
    ) -> None:
        self._name = name
        self._queue = FairQueue(name, limits)
        self._tickets: dict[Job, Ticket] = {}  # Of the queued jobs.
        self._retry_queue: deque[Ticket] = deque()  # Finals whose engine was lost.
        self._batch_size = batch_size
        self._idle = trio.lowlevel.ParkingLot()  # workers
        self._room = trio.lowlevel.ParkingLot()  # first come, first served
        self._idle_engine_waiters = trio.lowlevel.ParkingLot()  # the same
        self._partial_policy = PartialPolicy(threshold_s=degradation_threshold_s, workers=workers)
        self._delay_observers = trio.lowlevel.ParkingLot()  # the lane's own task, while there is nothing to observe
        self._meter = WorkMeter(workers=workers)
        model = EnginePool(load, shared=shared)
        supervisors = [
            EngineSupervisor(
                name,
                new_executor=new_executor,
                lease=model.lease(),
                job_deadline_s=job_deadline_s,
                warmup_clips=warmup_clips,
            )
            for _ in range(workers)
        ]
        self._lane_workers = [
            LaneWorker(name, supervisor=supervisor, meter=self._meter, requeue=self._requeue)
            for supervisor in supervisors
        ]
        self._worker_pool = WorkerPool(
            name,
            lane_workers=self._lane_workers,
            serve=self._serve,
            outage_limit_s=outage_limit_s,
            failed=self._fail_all,
        )
        self._ran = False

    @property
    def name(self) -> LaneName:
        """`main` or `realtime`."""
        return self._name

    @property
    def state(self) -> LaneState:
        """Where the lane is in its life."""
        return self._worker_pool.state

    @property
    def error(self) -> str | None:
        """Why the lane is failed, or None."""
        return self._worker_pool.error

    @property
    def partial_policy(self) -> PartialPolicy:
        """How often the lane's sessions may ask for partials, and of how much audio."""
        return self._partial_policy

    @property
    def streaming(self) -> bool:
        """Whether the engine hears utterances as they grow; not before it is loaded."""
        info = self._worker_pool.info
        return info is not None and info.streaming

    @property
    def ready(self) -> bool:
        """Whether the first load attempt is over, whatever came of it, and the lane not closed."""
        return self.state not in (LaneState.LOADING, LaneState.CLOSED)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Load the engines, warm them up, and serve jobs until cancelled. Reports started before it loads.

        However it ends, the queue closes, waiters get JobDropped(`closed`), and the engines are closed within their
        hosts' deadline.

        Raises:
            RuntimeError: It was run before.
        """
        if self._ran:
            raise RuntimeError("a lane runs once")
        self._ran = True
        self._meter.open(trio.current_time())
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._close_at_the_end)
            nursery.start_soon(self._observe_delay)
            nursery.start_soon(self._worker_pool.run)

    async def wait_loaded(self) -> None:
        """Wait until there is an engine, or every load attempt failed, or the lane is closed."""
        await self._worker_pool.wait_loaded()

    def submit(self, job: Job) -> Ticket:
        """Queue a job; a partial takes the place of the session's queued one. Fine before the engine is loaded.

        On a failed lane, the ticket has failed already.

        Raises:
            JobRefused: A limit is reached, or the lane is closed; the message says which limit and its value.
            ValueError: The very job is queued already.
        """
        ticket = Ticket(job, submitted_s=trio.current_time(), withdraw=self._withdraw)
        if self.state is LaneState.FAILED:
            self._fail_unserved(ticket)
            return ticket
        replaced = self._queue.put(job)
        if replaced is not None:
            older = self._tickets.pop(replaced)
            ticket.submitted_s = older.submitted_s  # the place in the queue keeps its age
            older.drop("coalesced")
        self._tickets[job] = ticket
        self._idle.unpark()
        self._delay_observers.unpark_all()
        return ticket

    @property
    def accepting(self) -> bool:
        """Whether `submit` takes jobs while there is room."""
        return self.state in (LaneState.LOADING, LaneState.READY, LaneState.RESTARTING)

    async def wait_room(self) -> None:
        """Wait until a queued job leaves, or the lane stops accepting; a refused job may then be submitted again."""
        if self.accepting:
            await self._room.park()
        else:
            await trio.lowlevel.checkpoint()

    async def wait_idle_engine(self) -> None:
        """Wait until an engine has nothing to do, and nobody who came earlier waits for that, too."""
        if self._idle and not self._idle_engine_waiters:
            await trio.lowlevel.checkpoint()
        else:
            await self._idle_engine_waiters.park()

    def cancel_session(self, session_id: str) -> int:
        """Give up all jobs of a session: queued ones leave at once, the result of a running one is thrown away.

        Returns:
            How many jobs this ended.
        """
        queued = [self._tickets.pop(job) for job in self._queue.cancel(session_id)]
        for ticket in queued:
            ticket.drop("cancelled")
        self._departed(len(queued))
        ended = len(queued) + sum(worker.cancel_session(session_id) for worker in self._lane_workers)
        return ended + sum(ticket.cancel() for ticket in self._retry_queue if ticket.job.session_id == session_id)

    def statistics(self) -> LaneStatistics:
        """The lane as it is now. To be called within trio's run."""
        return LaneStatistics(
            name=self._name,
            state=self.state,
            ready=self.ready,
            healthy=self.error is None,
            error=self.error,
            engines=self._worker_pool.statistics(),
            queue=self._queue.statistics(),
            work=self._meter.statistics(trio.current_time()),
        )

    async def _serve(self, worker: LaneWorker, max_batch: int) -> None:
        while worker.supervisor.lost is None:
            batch = self._take_batch(max_batch)
            if batch:
                await worker.run(batch)
            else:
                self._idle_engine_waiters.unpark()
                await self._idle.park()

    def _take_batch(self, max_batch: int) -> list[Ticket]:
        while self._retry_queue:
            retried = self._retry_queue.popleft()
            if retried.state is TicketState.RUNNING:  # else it was given up meanwhile
                return [retried]
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

    async def _observe_delay(self) -> None:
        """Show the policy how long the oldest queued job has waited, until cancelled.

        By the clock, because a queue that stands still has no other events. An idle lane wakes up for nothing.
        """
        while True:
            now_s = trio.current_time()
            oldest_s = min((ticket.submitted_s for ticket in self._tickets.values()), default=now_s)
            self._partial_policy.observe_delay(now_s, now_s - oldest_s)
            if self._tickets or self._partial_policy.any_degraded:
                await trio.sleep(_DELAY_CHECK_INTERVAL_S)
            else:
                await self._delay_observers.park()

    def _withdraw(self, job: Job) -> None:
        self._queue.remove(job)
        del self._tickets[job]
        self._departed()

    def _departed(self, count: int = 1) -> None:
        if self.accepting and len(self._queue):
            self._room.unpark(count=count)
        else:  # nobody else would wake the rest
            self._room.unpark_all()

    def _requeue(self, ticket: Ticket) -> None:
        self._retry_queue.append(ticket)
        self._idle.unpark()

    def _fail_all(self) -> None:
        for ticket in self._take_all():
            self._fail_unserved(ticket)
        self._departed()

    def _fail_unserved(self, ticket: Ticket) -> None:
        self._meter.count_unserved()
        ticket.fail(EngineUnavailable(f"the {self._name} lane has no engine: {self.error}"))

    def _take_all(self) -> list[Ticket]:
        """Take out all that waits."""
        waiting = [*self._retry_queue, *(self._tickets.pop(job) for job in self._queue.clear())]
        self._retry_queue.clear()
        return [ticket for ticket in waiting if ticket.state in (TicketState.QUEUED, TicketState.RUNNING)]

    async def _close_at_the_end(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self._close()

    def _close(self) -> None:
        self._worker_pool.close()
        for worker in self._lane_workers:
            worker.close()
        for ticket in self._take_all():
            ticket.drop("closed")
        self._queue.close()
        self._departed()

"""A lane: a fair queue of jobs, and the workers that run them in batches, each on an engine of its own.

From `submit` a job goes to the waiting jobs, to a worker, to its executor, and to the engine. Owns the tasks that wait:
idle workers, and sessions that wait for room or for an idle engine. It knows neither sockets nor settings, nor what a
session does with a transcript. Text of transcripts is never logged.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import trio
from numpy.typing import NDArray

from trio_stt.errors import EngineUnavailable
from trio_stt.lanes.engines.base import EngineInfo
from trio_stt.lanes.executor import EngineExecutor
from trio_stt.lanes.fair_queue import QueueLimits
from trio_stt.lanes.job import Job, JobKind, Ticket
from trio_stt.lanes.lane_health import LaneHealth
from trio_stt.lanes.lane_state import LaneName, LaneState, LaneStatistics
from trio_stt.lanes.partial_policy import PartialPolicy
from trio_stt.lanes.waiting_jobs import WaitingJobs
from trio_stt.lanes.work_meter import WorkMeter
from trio_stt.lanes.worker import Worker
from trio_stt.lanes.worker_pool import WorkerPool

_LIVE_S = 10.0
"""Seconds since the last live job after which no live speech comes: during speech, jobs are closer together."""
DELAY_CHECK_INTERVAL_S = 0.1
"""Seconds between two observations of the queue delay, while jobs are queued or sessions degraded."""


class Lane:
    """Transcribes the jobs of all sessions, in batches.

    A free worker takes as a batch what is queued, in the queue's order: up to the lane's batch size and the engine's
    `max_batch`, and up to the first job with other hints. A batch may mix sessions and kinds, and is never delayed to
    become larger. With several workers jobs start in the queue's order and may end in another.

    While a lost engine is replaced, jobs wait, see `LaneHealth`. The finals that it had are retried first, and each
    alone, because any of them may have been the cause.

    Args:
        name: `main` or `realtime`.
        new_executor: Makes an executor for one engine; the lane starts and ends it.
        limits: Called at every `submit`, so that a changed setting applies at once.
        workers: Number of engines that work at the same time; the least number, with `most_workers`.
        most_workers: Most engines that work at the same time, where their number follows the load; 0 keeps it.
        batch_size: Called before every batch, with the kind of its first job: the most jobs in it, at least 1.
        degradation_threshold_s: Called whenever the queue delay is observed: the delay that degrades partials.
        job_deadline_s: Called before every batch: seconds for a call apart from its audio, see `Worker`.
        outage_limit_s: Called when the last engine is lost: seconds for which jobs wait for another one.
        warmup_clips: Transcribed after each load, so that the first job does not pay for it; may be empty.
        notice: Called for the statistics, see `EnginesStatistics.notice`.
    """

    def __init__(
        self,
        name: LaneName,
        *,
        new_executor: Callable[[], EngineExecutor],
        limits: Callable[[], QueueLimits],
        workers: int = 1,
        most_workers: int = 0,
        batch_size: Callable[[JobKind], int] = lambda _: 1,
        degradation_threshold_s: Callable[[], float] = lambda: math.inf,
        job_deadline_s: Callable[[], float] = lambda: math.inf,
        outage_limit_s: Callable[[], float] = lambda: math.inf,
        warmup_clips: Sequence[NDArray[np.float32]] = (),
        notice: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._name = name
        self._waiting = WaitingJobs(name, limits=limits, batch_size=batch_size, on_left=self._make_room)
        self._partial_policy = PartialPolicy(threshold_s=degradation_threshold_s, workers=workers)
        self._meter = WorkMeter(workers=workers)
        self._health = LaneHealth(
            name, workers=workers, outage_limit_s=outage_limit_s, on_failed=self._fail_queued_jobs
        )
        self._notice = notice
        self._pool = WorkerPool(
            name,
            new_worker=partial(
                Worker,
                name,
                new_executor=new_executor,
                next_batch=self._next_batch,
                requeue=self._requeue,
                health=self._health,
                meter=self._meter,
                job_deadline_s=job_deadline_s,
                warmup_clips=warmup_clips,
            ),
            least=workers,
            most=max(workers, most_workers),
            queue_delay_s=self._waiting.longest_delay_s,
            health=self._health,
            meter=self._meter,
            partial_policy=self._partial_policy,
        )
        self._idle_workers = trio.lowlevel.ParkingLot()
        self._room_waiters = trio.lowlevel.ParkingLot()  # tasks whose job was refused, first come, first served
        self._idle_engine_waiters = trio.lowlevel.ParkingLot()  # sessions that pause, first come, first served
        self._delay_observers = trio.lowlevel.ParkingLot()  # `_observe_delay`, while there is nothing to observe
        self._live_job_s = -math.inf  # when the last job of live speech came
        self._ran = False

    @property
    def name(self) -> LaneName:
        """`main` or `realtime`."""
        return self._name

    @property
    def state(self) -> LaneState:
        """Where the lane is in its life."""
        return self._health.state

    @property
    def error(self) -> str | None:
        """Why the lane is failed, or None."""
        return self._health.error

    @property
    def load_error(self) -> EngineUnavailable | None:
        """Why no engine could be loaded at the start, or None."""
        return self._health.load_error

    @property
    def ready(self) -> bool:
        """Whether the first load is over, successful or not, and the lane is not closed."""
        return self.state not in (LaneState.LOADING, LaneState.CLOSED)

    @property
    def accepting(self) -> bool:
        """Whether `submit` queues jobs while there is room."""
        return self.state in (LaneState.LOADING, LaneState.READY, LaneState.RESTARTING)

    @property
    def engine(self) -> EngineInfo | None:
        """What was loaded, or None before."""
        return self._health.info

    @property
    def streaming(self) -> bool:
        """Whether the engine decodes utterances as they grow; False until it is loaded."""
        return self.engine is not None and self.engine.streaming

    @property
    def partial_policy(self) -> PartialPolicy:
        """How often the lane's sessions may ask for partials, and of how much audio."""
        return self._partial_policy

    def statistics(self) -> LaneStatistics:
        """The lane as it is now. Needs a running Trio."""
        return LaneStatistics(
            name=self._name,
            state=self.state,
            ready=self.ready,
            healthy=self.error is None,
            error=self.error,
            engines=replace(self._health.statistics(), notice=self._notice()),
            queue=self._waiting.statistics(),
            work=self._meter.statistics(trio.current_time()),
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Load the engines, warm them up, and run jobs until cancelled. Reports started before it loads.

        However it ends, the queue closes, waiting tasks get JobDropped(`closed`), and the engines are closed within the
        executors' time limit.

        Raises:
            RuntimeError: It was run before.
        """
        if self._ran:
            raise RuntimeError("a lane runs once")
        self._ran = True
        self._meter.open(trio.current_time())
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pool.run)
            nursery.start_soon(self._observe_delay)
            try:
                await self._health.watch_outages()
            finally:
                # Inside the nursery: waiting tasks leave now, and not when the workers have closed their engines.
                self._close()

    async def wait_loaded(self) -> None:
        """Wait until there is an engine, or every worker's first load failed, or the lane is closed."""
        await self._health.wait_loaded()

    def submit(self, job: Job) -> Ticket:
        """Queue a job; a partial replaces the session's queued one. Works before the engine is loaded.

        On a failed lane, the returned ticket has failed already.

        Raises:
            JobRefused: A limit is reached, or the lane is closed; the message says which limit, and its value.
            ValueError: The same job is queued already.
        """
        ticket = Ticket(job, submitted_s=trio.current_time(), withdraw=self._waiting.withdraw)
        if self.state is LaneState.FAILED:
            self._fail_unserved(ticket)
            return ticket
        if not job.from_file:
            self._live_job_s = ticket.submitted_s
        self._waiting.enqueue(ticket)
        self._idle_workers.unpark()
        self._delay_observers.unpark_all()
        return ticket

    def cancel_session(self, session_id: str) -> int:
        """Cancel all jobs of a session: queued ones leave at once, the results of running ones are dropped.

        Returns:
            Number of jobs that this ended.
        """
        return self._waiting.cancel_session(session_id) + self._pool.cancel_session(session_id)

    async def wait_room(self) -> None:
        """Wait until a queued job leaves, or the lane stops accepting; a refused job may then be submitted again."""
        if self.accepting:
            await self._room_waiters.park()
        else:
            await trio.lowlevel.checkpoint()

    async def wait_idle_engine(self) -> None:
        """Wait for an idle engine, first come, first served."""
        if self._idle_workers and not self._idle_engine_waiters:
            await trio.lowlevel.checkpoint()
        else:
            await self._idle_engine_waiters.park()

    async def _next_batch(self, max_batch: int) -> list[Ticket]:
        """Wait for jobs, as a worker; see the class for what makes a batch."""
        # No checkpoint between taking a batch and running it: a worker that is cancelled holds no jobs.
        while not (batch := self._take_batch(max_batch)):
            self._idle_engine_waiters.unpark()
            await self._idle_workers.park()
        return batch

    def _take_batch(self, max_batch: int) -> list[Ticket]:
        now_s = trio.current_time()
        return self._waiting.take_batch(now_s, max_batch, files=self._takes_files(now_s))

    def _takes_files(self, now_s: float) -> bool:
        """Whether a worker that has nothing to do may transcribe a file.

        While live speech comes, the last idle one of several workers waits for live speech: a clip of a file cannot be
        interrupted, and the final of a talker would wait for its end.
        """
        is_quiet = now_s - self._live_job_s > _LIVE_S
        return is_quiet or len(self._idle_workers) > 0 or self._pool.serving <= 1

    def _requeue(self, ticket: Ticket) -> None:
        self._waiting.requeue(ticket)
        self._idle_workers.unpark()

    def _make_room(self, jobs: int) -> None:
        """Wake one task that waits for room for each job that left the queue."""
        if self.accepting and len(self._waiting):
            self._room_waiters.unpark(count=jobs)
        else:  # no further job will leave and wake the rest
            self._room_waiters.unpark_all()

    def _fail_queued_jobs(self) -> None:
        for ticket in self._waiting.take_all():
            self._fail_unserved(ticket)

    def _fail_unserved(self, ticket: Ticket) -> None:
        self._meter.count_unserved()
        ticket.fail(EngineUnavailable(f"the {self._name} lane has no engine: {self.error}"))

    async def _observe_delay(self) -> None:
        """Show the policy how long the oldest queued job has waited, until cancelled.

        By the clock, because a queue that stands still has no other events. An idle lane wakes up for nothing.
        """
        while True:
            now_s = trio.current_time()
            self._partial_policy.observe_delay(now_s, self._waiting.longest_delay_s(now_s))
            if len(self._waiting) or self._partial_policy.any_degraded:
                await trio.sleep(DELAY_CHECK_INTERVAL_S)
            else:
                await self._delay_observers.park()

    def _close(self) -> None:
        self._health.close()
        for ticket in self._waiting.close():
            ticket.drop("closed")

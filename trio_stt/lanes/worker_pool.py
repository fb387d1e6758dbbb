"""The workers of one lane: as many as its load needs, between a least and a most number."""

import logging
from collections.abc import Callable

import trio

from trio_stt.lanes.lane_health import LaneHealth
from trio_stt.lanes.partial_policy import PartialPolicy
from trio_stt.lanes.work_meter import WorkMeter
from trio_stt.lanes.worker import Worker
from trio_stt.lanes.worker_scaling import Load, WorkerScaling

logger = logging.getLogger(__name__)

OBSERVATION_INTERVAL_S = 1.0
"""Seconds between two observations of the load, in a lane whose number of workers may change."""


class WorkerPool:
    """Runs workers, and adds or retires one as `WorkerScaling` says.

    Args:
        lane: The lane's name, for messages.
        new_worker: Makes a worker.
        least: Fewest workers, at least 1.
        most: Most workers; the least, to keep their number.
        queue_delay_s: Called with the time: how long the oldest queued job has waited.
        health: Of the lane.
        meter: Of the lane.
        partial_policy: Of the lane.
    """

    def __init__(
        self,
        lane: str,
        *,
        new_worker: Callable[[], Worker],
        least: int,
        most: int,
        queue_delay_s: Callable[[float], float],
        health: LaneHealth,
        meter: WorkMeter,
        partial_policy: PartialPolicy,
    ) -> None:
        self._lane = lane
        self._new_worker = new_worker
        self._least = least
        self._most = most
        self._queue_delay_s = queue_delay_s
        self._health = health
        self._meter = meter
        self._partial_policy = partial_policy
        self._workers = [new_worker() for _ in range(least)]

    @property
    def serving(self) -> int:
        """Workers that have an engine."""
        return sum(worker.serving for worker in self._workers)

    def cancel_session(self, session_id: str) -> int:
        """Cancel the running jobs of a session; their results will be dropped. Returns how many this ended."""
        return sum(worker.cancel_session(session_id) for worker in self._workers)

    async def run(self) -> None:
        """Run the workers until cancelled."""
        async with trio.open_nursery() as nursery:
            for worker in self._workers:
                nursery.start_soon(self._run_until_retired, worker)
            if self._most > self._least:
                await self._scale(nursery)

    async def _scale(self, nursery: trio.Nursery) -> None:
        scaling = WorkerScaling(least=self._least, most=self._most, now_s=trio.current_time())
        busy_s = 0.0
        while True:
            await trio.sleep(OBSERVATION_INTERVAL_S)
            now_s = trio.current_time()
            before_s, busy_s = busy_s, self._meter.busy_s(now_s)
            workers = [worker for worker in self._workers if not worker.retired]
            load = Load(
                queue_delay_s=self._queue_delay_s(now_s),
                busy_s=busy_s - before_s,
                workers=len(workers),
                serving=sum(worker.serving for worker in workers),
            )
            match scaling.change(now_s, load):
                case 1:
                    self._workers.append(worker := self._new_worker())
                    nursery.start_soon(self._run_until_retired, worker)
                    self._resize(now_s, len(workers) + 1)
                case -1:
                    # A worker without an engine first, then one that is idle.
                    min(workers, key=lambda worker: (worker.serving, worker.busy)).retire()
                    self._resize(now_s, len(workers) - 1)
                case _:
                    pass

    async def _run_until_retired(self, worker: Worker) -> None:
        await worker.run()
        self._workers.remove(worker)

    def _resize(self, now_s: float, workers: int) -> None:
        logger.info("%s lane: %d workers (lane_workers, lane_workers_max)", self._lane, workers)
        self._health.resize(workers)
        self._meter.resize(now_s, workers)
        self._partial_policy.resize(workers)

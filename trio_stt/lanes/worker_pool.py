"""The workers of one lane: their engines are loaded, lost, and loaded again.

Owns the lane's state as far as its engines make it. It must not know queues or jobs: the lane gives each worker what
it has to do.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence

import trio

from trio_stt.errors import EngineUnavailable, SettingError
from trio_stt.lanes.engines.base import EngineInfo
from trio_stt.lanes.lane_state import EnginesStatistics, LaneState
from trio_stt.lanes.worker import LaneWorker

logger = logging.getLogger(__name__)

MAX_HUNG_THREADS = 3
"""Engines of one lane that may hang at the same time before no more are loaded: each keeps its model in memory."""


class WorkerPool:
    """Keeps an engine loaded for each worker.

    An engine that is lost is loaded again on a fresh thread, after a pause that grows each time, for as long as the
    lane runs; only settings that no engine takes are not tried again. Without any engine the lane is restarting, and
    failed once that took too long, or from the start if the first load failed.

    Args:
        lane: The lane's name, for messages.
        benches: One for each worker.
        serve: Gives a worker its jobs, up to so many at once, until its engine is lost.
        outage_limit_s: Asked when the last engine is lost: how long jobs shall wait for the next one.
        failed: Called when the lane gets failed: nothing waits any longer.
    """

    def __init__(
        self,
        lane: str,
        *,
        lane_workers: Sequence[LaneWorker],
        serve: Callable[[LaneWorker, int], Awaitable[None]],
        outage_limit_s: Callable[[], float],
        failed: Callable[[], None],
    ) -> None:
        self._lane = lane
        self._lane_workers = lane_workers
        self._serve = serve
        self._outage_limit_s = outage_limit_s
        self._failed = failed
        for worker in lane_workers:
            worker.supervisor.on_return = self._came_back
        self._state = LaneState.LOADING
        self._error: str | None = None
        self._last_error: str | None = None
        self._info: EngineInfo | None = None
        self._never_tried = len(lane_workers)
        self._serving = 0
        self._restarts = 0
        self._hung = 0
        self._returned = trio.lowlevel.ParkingLot()
        self._loaded = trio.Event()
        self._outage = trio.CancelScope()

    @property
    def state(self) -> LaneState:
        """Where the lane is in its life."""
        return self._state

    @property
    def error(self) -> str | None:
        """Why the lane is failed, or None."""
        return self._error

    @property
    def info(self) -> EngineInfo | None:
        """What was loaded last, or None before."""
        return self._info

    async def run(self) -> None:
        """Load the engines and let them work until cancelled; then close them."""
        async with trio.open_nursery() as nursery:
            for worker in self._lane_workers:
                nursery.start_soon(self._work, worker, nursery)

    async def wait_loaded(self) -> None:
        """Wait until there is an engine, or every load attempt failed, or the lane is closed."""
        await self._loaded.wait()

    def close(self) -> None:
        """The lane ends."""
        self._state = LaneState.CLOSED
        self._loaded.set()

    def statistics(self) -> EnginesStatistics:
        """The engines as they are now."""
        return EnginesStatistics(
            info=self._info,
            workers=len(self._lane_workers),
            serving=self._serving,
            restarts=self._restarts,
            hung_threads=self._hung,
            last_error=self._last_error,
        )

    async def _work(self, worker: LaneWorker, nursery: trio.Nursery) -> None:
        supervisor = worker.supervisor
        first = True
        while True:
            try:
                try:
                    info = await supervisor.start()
                finally:
                    self._never_tried -= first
                    first = False
                self._came(info)
                await self._serve(worker, info.max_batch)
                assert supervisor.lost is not None  # noqa: S101 - for the type checker: that ends it
                error = supervisor.lost
                self._serving -= 1
                self._restarts += 1
            except EngineUnavailable as unavailable:
                error = unavailable
            finally:
                self._hung += supervisor.hangs
                await supervisor.aclose()
            self._went(error, nursery)
            if isinstance(error.__cause__, SettingError):
                await trio.sleep_forever()
            await self._wait_for_threads()
            await supervisor.pause()

    def _came(self, info: EngineInfo) -> None:
        self._serving += 1
        if self._state is LaneState.CLOSED:
            return
        self._info = info
        self._outage.cancel()
        if self._state is LaneState.LOADING:
            logger.info("%s lane: %s, model %s, on %s", self._lane, info.engine, info.model, info.device)
            if info.notice is not None:
                logger.warning("%s lane: %s", self._lane, info.notice)
        elif self._last_error is not None:  # else a further worker's first one
            logger.info("%s lane: an engine is there again", self._lane)
        self._state, self._error = LaneState.READY, None
        self._loaded.set()

    def _went(self, error: EngineUnavailable, nursery: trio.Nursery) -> None:
        """An engine was lost, or could not be loaded."""
        known = str(error) == self._last_error
        self._last_error = str(error)
        logger.log(logging.DEBUG if known else logging.ERROR, "%s lane: %s", self._lane, error)
        logger.debug("%s lane: why its engine is not there", self._lane, exc_info=error)
        if self._serving:
            return
        if self._state is LaneState.READY:
            self._state = LaneState.RESTARTING
            self._outage = trio.CancelScope()
            nursery.start_soon(self._lose_patience, self._outage)
        elif self._state is LaneState.FAILED or (self._state is LaneState.LOADING and not self._never_tried):
            self._fail(str(error))

    async def _lose_patience(self, outage: trio.CancelScope) -> None:
        with outage:
            limit_s = self._outage_limit_s()
            await trio.sleep(limit_s)
            self._fail(f"no engine for {limit_s:g} s (engine_outage_limit_s); {self._last_error}")

    async def _wait_for_threads(self) -> None:
        if self._hung < MAX_HUNG_THREADS:
            return
        reason = f"{self._hung} engines hang, no more are loaded until one comes back or the server is restarted"
        logger.error("%s lane: %s", self._lane, reason)
        if not self._serving:
            self._fail(f"{reason}; {self._last_error}")
        while self._hung >= MAX_HUNG_THREADS:
            await self._returned.park()

    def _came_back(self) -> None:
        self._hung -= 1
        self._returned.unpark_all()

    def _fail(self, reason: str) -> None:
        self._state, self._error = LaneState.FAILED, reason
        self._outage.cancel()
        self._loaded.set()
        self._failed()

"""The state of a lane, as its engines determine it: loading, ready, restarting or failed.

The lane's workers report each engine that they load or lose. Owns the limits on outages and on engines that hang. It
knows neither queues nor jobs.
"""

import logging
import math
from collections.abc import Callable
from typing import NoReturn

import trio

from trio_stt.errors import EngineUnavailable
from trio_stt.lanes.engines.base import EngineInfo
from trio_stt.lanes.lane_state import EnginesStatistics, LaneState

logger = logging.getLogger(__name__)

MAX_HUNG_THREADS = 3
"""Hanging engines of a lane from which on it loads no more, because each of them keeps its model in memory."""


class LaneHealth:
    """Turns the reports of a lane's workers into the lane's state.

    A lane is ready while at least one worker has an engine. Without any it is restarting, and failed once that took
    longer than the outage limit, or when no worker could load its first engine. Workers go on loading, so a failed lane
    may become ready again.

    Args:
        lane: The lane's name, for messages.
        workers: Number of workers.
        outage_limit_s: Called when the last engine is lost: seconds for which jobs wait for the next one.
        on_failed: Called whenever the lane fails or stays failed: its jobs must not wait any longer.
    """

    def __init__(
        self,
        lane: str,
        *,
        workers: int,
        outage_limit_s: Callable[[], float],
        on_failed: Callable[[], None],
    ) -> None:
        self._lane = lane
        self._workers = workers
        self._outage_limit_s = outage_limit_s
        self._on_failed = on_failed
        self._state = LaneState.LOADING
        self._error: str | None = None
        self._last_error: str | None = None
        self._load_error: EngineUnavailable | None = None
        self._info: EngineInfo | None = None
        self._first_loads_left = workers  # workers whose first load has not failed
        self._serving = 0
        self._restarts = 0
        self._hung = 0
        self._outage_limit_now_s = math.inf  # of the current outage
        self._outage_end_s = math.inf  # when the current outage fails the lane; infinite without one
        self._loaded = trio.Event()
        self._state_waiters = trio.lowlevel.ParkingLot()
        self._load_waiters = trio.lowlevel.ParkingLot()

    @property
    def state(self) -> LaneState:
        """Where the lane is in its life."""
        return self._state

    @property
    def error(self) -> str | None:
        """Why the lane is failed, or None."""
        return self._error

    @property
    def load_error(self) -> EngineUnavailable | None:
        """Why no worker could load its first engine, or None."""
        return self._load_error

    @property
    def info(self) -> EngineInfo | None:
        """What was loaded last, or None before."""
        return self._info

    def statistics(self) -> EnginesStatistics:
        """The engines as they are now."""
        return EnginesStatistics(
            info=self._info,
            workers=self._workers,
            serving=self._serving,
            restarts=self._restarts,
            hung_threads=self._hung,
            last_error=self._last_error,
        )

    async def wait_loaded(self) -> None:
        """Wait until there is an engine, or every worker's first load failed, or the lane is closed."""
        await self._loaded.wait()

    async def wait_load_allowed(self) -> None:
        """Wait while too many engines hang; a worker does so before it loads another one."""
        if self._hung < MAX_HUNG_THREADS:
            return
        reason = f"{self._hung} engines hang; no more are loaded until one returns or the server is restarted"
        logger.error("%s lane: %s", self._lane, reason)
        if not self._serving:
            self._fail(f"{reason}; {self._last_error}")
        while self._hung >= MAX_HUNG_THREADS:
            await self._load_waiters.park()

    async def watch_outages(self) -> NoReturn:
        """Fail the lane whenever an outage exceeds its limit, until cancelled."""
        while True:
            with trio.move_on_at(self._outage_end_s):
                await self._state_waiters.park()
            # The wait also returns when the state changes. And in the scheduler pass in which time is up, the outage
            # may have ended and another one begun: only the clock shows whether the current one is too long.
            if trio.current_time() >= self._outage_end_s:
                limit_s = self._outage_limit_now_s
                self._fail(f"no engine for {limit_s:g} s (engine_outage_limit_s); {self._last_error}")

    def engine_loaded(self, info: EngineInfo) -> None:
        """Record that a worker has loaded an engine."""
        self._serving += 1
        if self._state is LaneState.CLOSED:
            return
        self._info = info
        if self._state is LaneState.LOADING:
            logger.info("%s lane: loaded %s, model %s, on %s", self._lane, info.engine, info.model, info.device)
            if info.notice is not None:
                logger.warning("%s lane: %s", self._lane, info.notice)
        elif self._last_error is not None:  # otherwise it is another worker's first engine
            logger.info("%s lane: engine recovered", self._lane)
        self._error = self._load_error = None
        self._enter(LaneState.READY)
        self._loaded.set()

    def resize(self, workers: int) -> None:
        """Record that the lane should have another number of workers."""
        if self._state is LaneState.LOADING:
            self._first_loads_left += workers - self._workers
        self._workers = workers

    def engine_retired(self) -> None:
        """Record that a worker that is not needed any more gives its engine up."""
        self._serving -= 1

    def load_failed(self, error: EngineUnavailable, *, first: bool, hung: bool) -> None:
        """Record that a worker could not load an engine.

        Args:
            error: Why.
            first: Whether it was the worker's first load.
            hung: Whether the engine hangs in a call, and keeps its thread and memory.
        """
        self._first_loads_left -= first
        self._hung += hung
        self._no_engine(error)

    def engine_lost(self, error: EngineUnavailable, *, hung: bool) -> None:
        """Record that a worker's engine is lost; `error` and `hung` as in `load_failed`."""
        self._serving -= 1
        self._restarts += 1
        self._hung += hung
        self._no_engine(error)

    def engine_returned(self) -> None:
        """Record that an engine that hung has returned from its call, and was closed."""
        self._hung -= 1
        self._load_waiters.unpark_all()

    def close(self) -> None:
        """Enter the last state: the lane ends."""
        self._enter(LaneState.CLOSED)
        self._loaded.set()

    def _no_engine(self, error: EngineUnavailable) -> None:
        known = str(error) == self._last_error  # every reload may fail for the same reason: one line is enough
        self._last_error = str(error)
        # The caller that starts the lanes reports a failure of their first load.
        known = known or self._state is LaneState.LOADING
        logger.log(logging.DEBUG if known else logging.ERROR, "%s lane: %s", self._lane, error)
        logger.debug("%s lane: traceback of the engine's failure", self._lane, exc_info=error)
        if self._serving:
            return
        if self._state is LaneState.READY:
            self._enter(LaneState.RESTARTING)
            self._outage_limit_now_s = self._outage_limit_s()
            self._outage_end_s = trio.current_time() + self._outage_limit_now_s
        elif self._state is LaneState.FAILED or (self._state is LaneState.LOADING and not self._first_loads_left):
            self._load_error = error if self._state is LaneState.LOADING else self._load_error
            self._fail(str(error))

    def _fail(self, reason: str) -> None:
        if self._state is LaneState.CLOSED:  # a worker may find out about its engine while the lane closes
            return
        self._error = reason
        self._enter(LaneState.FAILED)
        self._loaded.set()
        self._on_failed()

    def _enter(self, state: LaneState) -> None:
        self._state = state
        # Any change of state ends an outage; for RESTARTING, the caller sets the end of the new one after this.
        self._outage_end_s = math.inf
        self._state_waiters.unpark_all()

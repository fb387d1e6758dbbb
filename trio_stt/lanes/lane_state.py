"""What a lane is like at one moment. Frozen data only: it must not know how a lane works."""

import enum
from dataclasses import dataclass
from typing import Literal

from trio_stt.lanes.engines.base import EngineInfo
from trio_stt.lanes.fair_queue import QueueStatistics
from trio_stt.lanes.work_meter import WorkStatistics

LaneName = Literal["main", "realtime"]


class LaneState(enum.Enum):
    """Where a lane is in its life.

    From LOADING it gets to READY with its first engine, or to FAILED. A lane that lost its last engine is RESTARTING,
    and FAILED when that lasts; from either it comes back with the next engine.
    """

    LOADING = "loading"
    READY = "ready"
    RESTARTING = "restarting"
    FAILED = "failed"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginesStatistics:
    """The engines of a lane at one moment.

    Attributes:
        info: What was loaded last, or None before.
        workers: How many engines there shall be.
        serving: How many there are.
        restarts: How many were given up because they hung, failed too often, or said that they are unfit, ever.
        hung_threads: Engines that did not come back from a call so far; each keeps a thread and what it holds.
        last_error: Why an engine was lost or could not be loaded, the last time; None if that never happened.
    """

    info: EngineInfo | None
    workers: int
    serving: int
    restarts: int
    hung_threads: int
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneStatistics:
    """A lane at one moment.

    Attributes:
        name: `main` or `realtime`.
        state: Where the lane is in its life.
        ready: Whether the first load attempt is over, whatever came of it, and the lane not closed.
        healthy: Whether it is not failed.
        error: Why it is failed, or None.
        engines: The lane's engines.
        queue: The lane's queue.
        work: What the engines did so far.
    """

    name: LaneName
    state: LaneState
    ready: bool
    healthy: bool
    error: str | None
    engines: EnginesStatistics
    queue: QueueStatistics
    work: WorkStatistics

    @property
    def engine(self) -> EngineInfo | None:
        """What was loaded last, or None before."""
        return self.engines.info

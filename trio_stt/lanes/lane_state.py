"""A lane at one moment: its state and its statistics. Frozen data only."""

import enum
from dataclasses import dataclass
from typing import Literal

from trio_stt.lanes.engines.base import EngineInfo
from trio_stt.lanes.fair_queue import QueueStatistics
from trio_stt.lanes.work_meter import WorkStatistics

LaneName = Literal["main", "realtime"]


class LaneState(enum.Enum):
    """Where a lane is in its life.

    LOADING becomes READY with the first engine, or FAILED. READY becomes RESTARTING when the last engine is lost, and
    FAILED when that takes too long. RESTARTING and FAILED become READY with the next engine.
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
        workers: Number of engines that the lane should have.
        serving: Number of engines that it has.
        restarts: Engines lost so far: they hung, failed job after job, or reported that they cannot go on.
        hung_threads: Engines that hang in a call now; each keeps a thread and its memory.
        last_error: Why an engine was lost or could not be loaded, the last time; None if that never happened.
        notice: How the engines run otherwise than the settings ask, and why, in one line; None if they do not.
    """

    info: EngineInfo | None
    workers: int
    serving: int
    restarts: int
    hung_threads: int
    last_error: str | None
    notice: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneStatistics:
    """A lane at one moment.

    Attributes:
        name: `main` or `realtime`.
        state: Where the lane is in its life.
        ready: Whether the first load is over, successful or not, and the lane is not closed.
        healthy: Whether it is not failed.
        error: Why it is failed, or None.
        engines: The lane's engines.
        queue: The lane's queue.
        work: The jobs so far.
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

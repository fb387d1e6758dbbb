"""What a lane is like at one moment. Frozen data only: it must not know how a lane works."""

import enum
from dataclasses import dataclass
from typing import Literal

from trio_stt.lanes.engines.base import EngineInfo
from trio_stt.lanes.fair_queue import QueueStatistics
from trio_stt.lanes.meter import WorkStatistics

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

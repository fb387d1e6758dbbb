"""The lanes of the server: which one takes which kind of job, and their common state.

Owns the nursery in which the lanes run. Lanes are built by `server/build.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import trio

from trio_stt.lanes.job import JobKind
from trio_stt.lanes.lane import Lane
from trio_stt.lanes.lane_state import LaneStatistics

Mode = Literal["balanced-main-plus-realtime", "low-memory-one-model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LanesStatistics:
    """All lanes at one moment: the main lane first, the realtime lane second where there is one."""

    mode: Mode
    lanes: tuple[LaneStatistics, ...]


class Lanes:
    """The lane for finals and the lane for partials, which may be the same.

    Args:
        main: Takes finals.
        realtime: Takes partials; the same object as `main` when one lane serves both.
    """

    def __init__(self, *, main: Lane, realtime: Lane) -> None:
        self._main = main
        self._realtime = realtime
        self._lanes = (main,) if main is realtime else (main, realtime)

    @property
    def mode(self) -> Mode:
        """How the lanes are arranged, as docs/protocol.md, The scheduler object, names it."""
        return "low-memory-one-model" if self._main is self._realtime else "balanced-main-plus-realtime"

    @property
    def ready(self) -> bool:
        """Whether the first load of every lane is over, successful or not, and none is closed."""
        return all(lane.ready for lane in self._lanes)

    @property
    def ok(self) -> bool:
        """Whether every lane is ready and none is failed."""
        return self.ready and not self.startup_errors

    @property
    def startup_errors(self) -> Mapping[str, str]:
        """The error of each failed lane in one line, by its name."""
        return {lane.name: lane.error for lane in self._lanes if lane.error is not None}

    def lane_for(self, kind: JobKind) -> Lane:
        """The lane that takes jobs of this kind."""
        return self._main if kind is JobKind.FINAL else self._realtime

    def cancel_session(self, session_id: str) -> int:
        """Cancel all jobs of a session in every lane, see `Lane.cancel_session`. Returns how many this ended."""
        return sum(lane.cancel_session(session_id) for lane in self._lanes)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run every lane until cancelled. Reports started before they load; `wait_loaded` waits for that."""
        async with trio.open_nursery() as nursery:
            for lane in self._lanes:
                await nursery.start(lane.run)
            task_status.started()

    async def wait_loaded(self) -> None:
        """Wait until the first load of every lane is over, successful or not, or the lanes are closed."""
        await self._main.wait_loaded()
        await self._realtime.wait_loaded()

    def statistics(self) -> LanesStatistics:
        """The lanes as they are now. Needs a running Trio."""
        return LanesStatistics(mode=self.mode, lanes=tuple(lane.statistics() for lane in self._lanes))

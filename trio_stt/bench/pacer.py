"""One timer task for all clients of a process: runs each client's schedule when its next time is due.

It must not know what is sent. With a task and a sleep per packet for each client, the load test would take CPU from a
server on the same cores.
"""

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count
from typing import NoReturn, Protocol

import trio


class Sink(Protocol):
    """The destination of a schedule's output. It never blocks, but may build up a backlog."""

    @property
    def has_backlog(self) -> bool:
        """Whether it must be flushed before the schedule continues."""

    async def flush(self) -> None:
        """Wait until the backlog is sent."""


class _Schedule:
    def __init__(self, sink: Sink, due_times: Iterator[float]) -> None:
        self.sink = sink
        self.due_times = due_times
        self.next_s = next(due_times, None)
        self.stopped = trio.Event()


class Pacer:
    """Runs schedules at their due times, in order, never early."""

    def __init__(self) -> None:
        """Start without schedules."""
        self._queue: list[tuple[float, int, _Schedule]] = []
        self._numbers = count()
        self._sleep_scope = trio.CancelScope()

    async def run(self) -> NoReturn:
        """Run schedules until cancelled."""
        while True:
            with trio.CancelScope(deadline=self._queue[0][0] if self._queue else float("inf")) as self._sleep_scope:
                await trio.sleep_forever()
            self._run_due()

    def _run_due(self) -> None:
        now_s = trio.current_time()  # read once, so that overdue schedules cannot keep the loop busy for good
        while self._queue and self._queue[0][0] <= now_s:
            schedule = heappop(self._queue)[2]
            if schedule.stopped.is_set():
                continue
            schedule.next_s = next(schedule.due_times, None)
            if schedule.next_s is None or schedule.sink.has_backlog:
                schedule.stopped.set()
            else:
                heappush(self._queue, (schedule.next_s, next(self._numbers), schedule))

    async def run_schedule(self, sink: Sink, due_times: Iterator[float]) -> None:
        """Advance an iterator at each time that it yields, on Trio's clock, until it ends.

        While its sink has a backlog, it does not advance; afterwards it advances at once if its time is past.

        Raises:
            Exception: What `sink.flush` raises.
        """
        schedule = _Schedule(sink, due_times)
        while True:
            await sink.flush()
            if schedule.next_s is None:
                return
            schedule.stopped = trio.Event()
            heappush(self._queue, (schedule.next_s, next(self._numbers), schedule))
            self._sleep_scope.deadline = min(self._sleep_scope.deadline, schedule.next_s)
            try:
                await schedule.stopped.wait()
            finally:
                schedule.stopped.set()

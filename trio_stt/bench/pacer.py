"""One task that keeps the time of all talkers of a process: each does what is due when its moment has come.

It owns the order of moments. It must not know what is sent. A sleep for each packet in a task for each talker would
take CPU from a server on the same cores.
"""

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count
from typing import NoReturn, Protocol

import trio


class Sink(Protocol):
    """Where turns put things: it never makes them wait, but may fall behind."""

    @property
    def has_backlog(self) -> bool:
        """Whether it has to catch up before the next turn."""

    async def flush(self) -> None:
        """Wait until it is behind no more."""


class _Schedule:
    def __init__(self, sink: Sink, due_times: Iterator[float]) -> None:
        self.sink = sink
        self.due_times = due_times
        self.next_s = next(due_times, None)
        self.stopped = trio.Event()


class Pacer:
    """Gives turns at their moments, in order, never too early."""

    def __init__(self) -> None:
        """Nobody has a turn yet."""
        self._queue: list[tuple[float, int, _Schedule]] = []
        self._numbers = count()
        self._sleep_scope = trio.CancelScope()

    async def run(self) -> NoReturn:
        """Give turns until cancelled."""
        while True:
            with trio.CancelScope(deadline=self._queue[0][0] if self._queue else float("inf")) as self._sleep_scope:
                await trio.sleep_forever()
            self._run_due()

    def _run_due(self) -> None:
        now_s = trio.current_time()  # once: those who are behind must not keep the others from the loop
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
        """Let an iterator go on at each moment that it names, on Trio's clock, until it ends.

        Whenever it leaves its sink behind, it goes on only when that has caught up: at once, if its moment is past.

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

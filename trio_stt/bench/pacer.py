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
    def behind(self) -> bool:
        """Whether it has to catch up before the next turn."""

    async def catch_up(self) -> None:
        """Wait until it is behind no more."""


class _Turns:
    def __init__(self, sink: Sink, moments: Iterator[float]) -> None:
        self.sink = sink
        self.moments = moments
        self.next_s = next(moments, None)
        self.stopped = trio.Event()


class Pacer:
    """Gives turns at their moments, in order, never too early."""

    def __init__(self) -> None:
        """Nobody has a turn yet."""
        self._queue: list[tuple[float, int, _Turns]] = []
        self._numbers = count()
        self._nap = trio.CancelScope()

    async def run(self) -> NoReturn:
        """Give turns until cancelled."""
        while True:
            with trio.CancelScope(deadline=self._queue[0][0] if self._queue else float("inf")) as self._nap:
                await trio.sleep_forever()
            self._give_turns()

    def _give_turns(self) -> None:
        now_s = trio.current_time()  # once: those who are behind must not keep the others from the loop
        while self._queue and self._queue[0][0] <= now_s:
            turns = heappop(self._queue)[2]
            if turns.stopped.is_set():
                continue
            turns.next_s = next(turns.moments, None)
            if turns.next_s is None or turns.sink.behind:
                turns.stopped.set()
            else:
                heappush(self._queue, (turns.next_s, next(self._numbers), turns))

    async def follow(self, sink: Sink, moments: Iterator[float]) -> None:
        """Let an iterator go on at each moment that it names, on Trio's clock, until it ends.

        Whenever it leaves its sink behind, it goes on only when that has caught up: at once, if its moment is past.

        Raises:
            Exception: What `sink.catch_up` raises.
        """
        turns = _Turns(sink, moments)
        while True:
            await sink.catch_up()
            if turns.next_s is None:
                return
            turns.stopped = trio.Event()
            heappush(self._queue, (turns.next_s, next(self._numbers), turns))
            self._nap.deadline = min(self._nap.deadline, turns.next_s)
            try:
                await turns.stopped.wait()
            finally:
                turns.stopped.set()

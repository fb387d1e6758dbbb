"""The events of one session on their way to its client: bounded, in order, sent by one task.

While a client keeps up, every event is sent. When it lags, a newer status or partial takes the place of an older one;
finals, errors and the rest are kept. A client that lags beyond the bound is given up. It must not block whoever
publishes.
"""

from collections import deque
from collections.abc import Container

import msgspec
import trio

from trio_stt.protocol.events import Event, Realtime, Status, Timeline
from trio_stt.session.connection import Connection

LAG_EVENTS = 32
"""More waiting events than this mean that the client does not keep up."""
MAX_EVENTS = 512
"""More than this, after replacement, and the client is given up."""
SEND_TIMEOUT_S = 20.0
"""A client that takes no event for this long is given up."""


class ClientStalled(Exception):  # noqa: N818 - what became of the client, not a fault of ours
    """The client does not read what it is sent."""


class Outbox:
    """Publish with `put` from any task; `run` delivers and `watch` guards it, both until cancelled."""

    def __init__(self) -> None:
        self._waiting: deque[Event] = deque()
        self._filled = trio.Event()
        self._idle = trio.Event()
        self._overflowed = trio.Event()
        self._sending_since_s: float | None = None

    def put(self, event: Event) -> None:
        """Queue an event; never blocks."""
        if len(self._waiting) >= LAG_EVENTS:
            event = self._replace(event)
        self._waiting.append(event)
        self._idle = trio.Event() if self._idle.is_set() else self._idle
        if len(self._waiting) > MAX_EVENTS:
            self._overflowed.set()
        self._filled.set()

    async def run(self, connection: Connection) -> None:
        """Deliver in order.

        Raises:
            ConnectionClosed: The client is gone.
        """
        while True:
            while not self._waiting:
                self._idle.set()
                self._filled = trio.Event()
                await self._filled.wait()
            self._sending_since_s = trio.current_time()
            await connection.send(self._waiting.popleft())
            self._sending_since_s = None

    async def watch(self, connection: Connection) -> None:
        """Give up a client that stalls; and, when the session ends, a delivery that hangs.

        A carrier may shield its sends from cancellation, so a time limit around `send` alone would not end it.

        Raises:
            ClientStalled: The client takes nothing for `SEND_TIMEOUT_S`, or too much waits for it.
        """
        try:
            while True:
                with trio.move_on_after(SEND_TIMEOUT_S / 4):
                    await self._overflowed.wait()
                    raise ClientStalled(f"more than {MAX_EVENTS} events wait for the client")
                since_s = self._sending_since_s
                if since_s is not None and trio.current_time() - since_s >= SEND_TIMEOUT_S:
                    raise ClientStalled(f"the client took no event for {SEND_TIMEOUT_S:g} s")
        finally:
            if self._sending_since_s is not None:
                connection.abort()

    async def wait_idle(self) -> None:
        """Wait until everything that was put is delivered."""
        await self._idle.wait()

    def _replace(self, event: Event) -> Event:
        """Take out what `event` makes superfluous; the partial that replaces another carries its delta, too."""
        if isinstance(event, Status):
            self._waiting = deque(other for other in self._waiting if not isinstance(other, Status))
        elif isinstance(event, Realtime):
            older = {
                other.sequence: other
                for other in self._waiting
                if isinstance(other, Realtime) and other.segment_id == event.segment_id
            }
            self._waiting = deque(other for other in self._waiting if not _belongs(other, event.segment_id, older))
            delta = "".join(other.stable_delta for other in older.values()) + event.stable_delta
            event = msgspec.structs.replace(event, stable_delta=delta, committed_stable_delta=delta)
        return event


def _belongs(event: Event, segment_id: int, partials: Container[int]) -> bool:
    """Whether an event is one of these partials of a segment, named by sequence, or the timeline entry of one."""
    if isinstance(event, Timeline) and event.event != "realtime_transcript":
        return False
    return isinstance(event, Realtime | Timeline) and event.segment_id == segment_id and event.sequence in partials

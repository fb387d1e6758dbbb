"""The events of one session on their way to its client, over whichever connection it has now.

While a client keeps up, every event is sent. A client that lags beyond the bound, or takes nothing for too long, is
given up; what it did not get stays in the log for its next connection. It must not block whoever publishes.
"""

from collections import deque
from collections.abc import Callable, Iterable

import trio

from trio_stt.protocol.events import Event
from trio_stt.session.connection import Connection
from trio_stt.session.event_log import EventLog

AT_ONCE = 8
"""So many waiting events go out together: to send takes longer than to make one. What is on its way is not replaced by
what is newer, so no more."""
MAX_EVENTS = 512
"""More waiting events than this, after replacement, and the client is given up."""
SEND_TIMEOUT_S = 20.0
"""A client that takes nothing for this long is given up."""


class ClientStalled(Exception):  # noqa: N818 - what became of the client, not a fault of ours
    """The client does not read what it is sent."""


class Outbox:
    """Publish with `put` from any task; what `attach` returns delivers.

    Args:
        keeps: Whether events are kept after they were sent, for a client that comes back.
        tap: Is handed every event when it is published.
    """

    def __init__(self, *, keeps: bool = False, tap: Callable[[Event], None] | None = None) -> None:
        self._log = EventLog(keeps=keeps)
        self._tap = tap
        self._delivery: Delivery | None = None
        self._filled = trio.Event()
        self._rested = trio.Event()

    @property
    def seq(self) -> int:
        """Number of the event that was sent last; 0 before any."""
        return self._log.seq

    def put(self, event: Event) -> None:
        """Queue an event; never blocks."""
        if self._tap:
            self._tap(event)
        self._log.put(event, away=self._delivery is None)
        if self._delivery and self._log.waiting > MAX_EVENTS:
            self._delivery.overflowed.set()
        self._filled.set()

    def since(self, seq: int) -> tuple[list[str], int]:
        """Messages sent after number `seq`, as far as they are kept; and how many events are lost for good."""
        return self._log.since(seq)

    def attach(self, connection: Connection, first: Iterable[str] = ()) -> "Delivery":
        """Deliver over this connection from now on: `first` these messages, as they are, then what waits."""
        self._delivery = Delivery(self, connection, first)
        return self._delivery

    def detach(self, delivery: "Delivery") -> None:
        """Nobody is there any more, unless another connection took the place of this one."""
        if self._delivery is delivery:
            self._delivery = None
            self.rested()

    def is_current(self, delivery: "Delivery") -> bool:
        """Whether no other connection took its place."""
        return self._delivery is delivery

    def take(self) -> str | None:
        """The next message; None when none waits."""
        return self._log.take()

    async def wait_filled(self) -> None:
        """Wait until an event waits."""
        while not self._log.waiting:
            self._filled = trio.Event()
            await self._filled.wait()

    async def wait_idle(self) -> None:
        """Wait until everything that was put is delivered, or nobody is there to take it."""
        while self._delivery is not None and not (self._delivery.at_rest and not self._log.waiting):
            await self._rested.wait()

    def rested(self) -> None:
        """Nothing is on its way now."""
        self._rested.set()
        self._rested = trio.Event()


class Delivery:
    """The way of events over one connection; `run` delivers and `watch` guards it, both until cancelled."""

    def __init__(self, outbox: Outbox, connection: Connection, first: Iterable[str]) -> None:
        self._outbox = outbox
        self._connection = connection
        self._first = deque(first)
        self._sending_since_s: float | None = None
        self.at_rest = False
        self.overflowed = trio.Event()

    async def run(self) -> None:
        """Deliver in order, until another connection takes the place of this one.

        Raises:
            ConnectionClosed: The client is gone.
        """
        while self._outbox.is_current(self):
            messages = self._next()
            if not messages:
                self.at_rest = True
                self._outbox.rested()
                await self._outbox.wait_filled()
                self.at_rest = False
                continue
            self._sending_since_s = trio.current_time()
            await self._connection.send(*messages)
            self._sending_since_s = None

    def _next(self) -> list[str]:
        """What goes out together next; empty when nothing waits."""
        messages: list[str] = []
        while len(messages) < AT_ONCE:
            message = self._first.popleft() if self._first else self._outbox.take()
            if message is None:
                break
            messages.append(message)
        return messages

    async def watch(self) -> None:
        """Give up a client that stalls; and, when the session ends, a delivery that hangs.

        A carrier may shield its sends from cancellation, so a time limit around `send` alone would not end it.

        Raises:
            ClientStalled: The client takes nothing for `SEND_TIMEOUT_S`, or too much waits for it.
        """
        try:
            while True:
                with trio.move_on_after(SEND_TIMEOUT_S / 4):
                    await self.overflowed.wait()
                    raise ClientStalled(f"more than {MAX_EVENTS} events wait for the client")
                since_s = self._sending_since_s
                if since_s is not None and trio.current_time() - since_s >= SEND_TIMEOUT_S:
                    raise ClientStalled(f"the client took no event for {SEND_TIMEOUT_S:g} s")
        finally:
            if self._sending_since_s is not None:
                self._connection.abort()

"""Events of one session on the way to its client, over the connection that it has now.

A client that keeps up gets every event. A connection that is too far behind, or takes nothing for too long, is
closed; the events that it did not get stay in the log for the next one. Publishing never blocks.
"""

from collections import deque
from collections.abc import Callable, Iterable

import trio

from trio_stt.protocol.events import Event
from trio_stt.session.connection import Connection
from trio_stt.session.event_log import EventLog

BATCH_EVENTS = 8
"""Waiting events that are sent in one call, because a send costs more than an event. Not more: an event that was sent
cannot be replaced by a newer one."""
MAX_EVENTS = 512
"""Waiting events, after replacement, beyond which a connection is closed."""
SEND_TIMEOUT_S = 20.0
"""Seconds that one send may take; then the connection is closed."""


class ClientStalled(Exception):  # noqa: N818 - a state of the client, not an error of the server
    """The client does not read what is sent to it."""


class Outbox:
    """Publish with `put` from any task; the `Delivery` that `attach` returns sends.

    Args:
        keeps: Whether sent events are kept for a client that resumes.
        tap: Called with every event when it is published.

    Attributes:
        log: The events that wait, and those that were sent.
    """

    def __init__(self, *, keeps: bool = False, tap: Callable[[Event], None] | None = None) -> None:
        self.log = EventLog(keeps=keeps)
        self._tap = tap
        self._delivery: Delivery | None = None
        self._filled = trio.Event()
        self._idle = trio.Event()

    def put(self, event: Event) -> None:
        """Queue an event; never blocks."""
        if self._tap:
            self._tap(event)
        self.log.put(event, disconnected=self._delivery is None)
        if self._delivery and self.log.waiting > MAX_EVENTS:
            self._delivery.overflowed.set()
        self._filled.set()

    def attach(self, connection: Connection, first: Iterable[str] = ()) -> "Delivery":
        """Deliver over this connection from now on: the messages `first` as they are, then waiting events."""
        self._delivery = Delivery(self, connection, first)
        return self._delivery

    def detach(self, delivery: "Delivery") -> None:
        """Stop delivering over this connection; does nothing if another has replaced it."""
        if self._delivery is delivery:
            self._delivery = None
            self.note_idle()

    def is_current(self, delivery: "Delivery") -> bool:
        """Whether no other connection has replaced it."""
        return self._delivery is delivery

    async def wait_filled(self) -> None:
        """Wait until an event waits."""
        while not self.log.waiting:
            self._filled = trio.Event()
            await self._filled.wait()

    async def wait_idle(self) -> None:
        """Wait until every event is delivered, or no connection is left to deliver it."""
        while self._delivery is not None and not (self._delivery.idle and not self.log.waiting):
            await self._idle.wait()

    def note_idle(self) -> None:
        """Wake `wait_idle`: nothing is being sent."""
        self._idle.set()
        self._idle = trio.Event()  # for the next waits; those that wait now hold the old one


class Delivery:
    """Sends events over one connection: `run` sends, `watch` detects a client that stalls; both until cancelled."""

    def __init__(self, outbox: Outbox, connection: Connection, first: Iterable[str]) -> None:
        self._outbox = outbox
        self._connection = connection
        self._first = deque(first)
        self._sending_since_s: float | None = None
        self.idle = False
        self.overflowed = trio.Event()

    async def run(self) -> None:
        """Send in order until another connection replaces this one.

        Raises:
            ConnectionClosed: The client is gone.
        """
        while self._outbox.is_current(self):
            messages = self._next()
            if not messages:
                self.idle = True
                self._outbox.note_idle()
                await self._outbox.wait_filled()
                self.idle = False
                continue
            # Messages whose sending fails are not lost: the log keeps them for a client that resumes.
            self._sending_since_s = trio.current_time()
            await self._connection.send(*messages)
            self._sending_since_s = None

    def _next(self) -> list[str]:
        """The next messages to send together; empty when nothing waits."""
        messages: list[str] = []
        while len(messages) < BATCH_EVENTS:
            # Replayed messages have numbers already and go first: `take` gives the next event the next number.
            message = self._first.popleft() if self._first else self._outbox.log.take()
            if message is None:
                break
            messages.append(message)
        return messages

    async def watch(self) -> None:
        """Raise when the client stalls; when cancelled, abort the connection if a send hangs.

        Hypercorn shields its sends from cancellation, so a deadline around `send` would not end one: only a reset of
        the transport does.

        Raises:
            ClientStalled: The client read nothing for `SEND_TIMEOUT_S`, or more than `MAX_EVENTS` events wait.
        """
        try:
            while True:
                # A look now and then costs less than a timer for each send.
                with trio.move_on_after(SEND_TIMEOUT_S / 4):
                    await self.overflowed.wait()
                    raise ClientStalled(f"more than {MAX_EVENTS} events are waiting for the client")
                since_s = self._sending_since_s
                if since_s is not None and trio.current_time() - since_s >= SEND_TIMEOUT_S:
                    raise ClientStalled(f"the client read nothing for {SEND_TIMEOUT_S:g} s")
        finally:
            if self._sending_since_s is not None:
                self._connection.abort()

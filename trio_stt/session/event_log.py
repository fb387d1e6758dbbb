"""Events of one session that wait to be sent, and sent ones that a resuming client may need again.

It owns order, numbers, replacement and bounds; it does not send, wait or read clocks.

An event gets its number when it is first sent, so that a replaced event leaves no gap in the numbers, but a lost one
does. Ephemeral events are worth little once newer ones exist, and are discarded before durable ones (finals, timeline).
While a client lags or is disconnected, a new status, heartbeat or partial also replaces the waiting ones of its kind.
"""

from collections import deque
from collections.abc import Container
from heapq import merge
from itertools import takewhile

import msgspec

from trio_stt.protocol.events import Event, Heartbeat, Metrics, Pong, Realtime, Status, Timeline, encode

LAG_EVENTS = 32
"""Waiting events from which on a client counts as lagging, and ephemeral events are replaced."""
MAX_DISCONNECTED_EVENTS = 256
"""Events, after replacement, that wait for a disconnected client. Beyond that, the oldest ephemeral one is lost, or
the oldest of all if none is ephemeral."""
MAX_KEPT_BYTES = 262_144
"""Characters of JSON of sent events that are kept, of ephemeral and of durable ones each: seconds of partials, many
minutes of finals."""

_EPHEMERAL = (Status, Realtime, Heartbeat, Pong, Metrics)
"""Kinds of events that are of no use once newer ones exist; the timeline entries of partials belong to them, too."""
_PARTIAL_ENTRY = "realtime_transcript"


class EventLog:
    """The events of one session, in order.

    Args:
        keeps: Whether sent events are kept for a client that resumes.
    """

    def __init__(self, *, keeps: bool) -> None:
        self._keeps = keeps
        self._waiting: deque[Event] = deque()
        self._lost_waiting = 0  # discarded before they were sent: they take numbers all the same
        self._seq = 0  # of the event sent last
        self._ephemeral = _ReplayBuffer()
        self._durable = _ReplayBuffer()

    @property
    def waiting(self) -> int:
        """Events that were not sent yet."""
        return len(self._waiting)

    @property
    def seq(self) -> int:
        """Number of the event sent last; 0 before any."""
        return self._seq

    def put(self, event: Event, *, disconnected: bool) -> None:
        """Add an event; `disconnected` while there is no connection to send it."""
        if disconnected or len(self._waiting) >= LAG_EVENTS:
            event = self._replace(event)
        self._waiting.append(event)
        if disconnected and len(self._waiting) > MAX_DISCONNECTED_EVENTS:
            self._waiting.remove(next(filter(_is_ephemeral, self._waiting), self._waiting[0]))
            self._lost_waiting += 1

    def take(self) -> str | None:
        """The next event to send, encoded with its number; None when none waits."""
        if not self._waiting:
            return None
        self._seq += 1 + self._lost_waiting  # lost events leave a gap, so that the client notices them
        self._lost_waiting = 0
        event = self._waiting.popleft()
        message = encode(msgspec.structs.replace(event, seq=self._seq))
        if self._keeps:
            self._keep(message, ephemeral=_is_ephemeral(event))
        return message

    def since(self, seq: int) -> tuple[list[str], int]:
        """Messages sent after number `seq` that are kept, in order; and how many events after it are lost."""
        kept = [message for _, message in merge(self._ephemeral.since(seq), self._durable.since(seq))]
        return kept, self._seq + self._lost_waiting - seq - len(kept)

    def _keep(self, message: str, *, ephemeral: bool) -> None:
        (self._ephemeral if ephemeral else self._durable).add(self._seq, message)
        self._ephemeral.trim()
        newest_discarded = self._durable.trim()
        if newest_discarded:  # a partial older than a lost final is of no use
            self._ephemeral.discard_before(newest_discarded)

    def _replace(self, event: Event) -> Event:
        """Remove waiting events that `event` replaces; a partial takes over the stable deltas of those it replaces."""
        if isinstance(event, Status | Heartbeat):
            self._waiting = deque(other for other in self._waiting if type(other) is not type(event))
        elif isinstance(event, Realtime):
            older = {
                other.sequence: other
                for other in self._waiting
                if isinstance(other, Realtime) and other.segment_id == event.segment_id
            }
            self._waiting = deque(other for other in self._waiting if not _is_replaced(other, event.segment_id, older))
            if event.retracted is True:  # all its texts are empty
                return event
            delta = "".join(other.stable_delta for other in older.values()) + event.stable_delta
            event = msgspec.structs.replace(event, stable_delta=delta, committed_stable_delta=delta)
        return event


class _ReplayBuffer:
    """Sent messages with their numbers: the newest, `MAX_KEPT_BYTES` of them."""

    def __init__(self) -> None:
        self._sent: deque[tuple[int, str]] = deque()
        self._size_bytes = 0

    def add(self, seq: int, message: str) -> None:
        self._sent.append((seq, message))
        self._size_bytes += len(message)

    def trim(self) -> int:
        """Discard the oldest beyond the bound; returns the number of the newest that was discarded, or 0."""
        newest = 0
        while self._size_bytes > MAX_KEPT_BYTES:
            newest = self._discard_oldest()
        return newest

    def discard_before(self, seq: int) -> None:
        while self._sent and self._sent[0][0] < seq:
            self._discard_oldest()

    def since(self, seq: int) -> list[tuple[int, str]]:
        newest_first = takewhile(lambda sent: sent[0] > seq, reversed(self._sent))
        return list(newest_first)[::-1]

    def _discard_oldest(self) -> int:
        seq, message = self._sent.popleft()
        self._size_bytes -= len(message)
        return seq


def _is_ephemeral(event: Event) -> bool:
    if isinstance(event, Realtime) and event.retracted is True:
        return False  # without it, a client would keep the text
    return isinstance(event, _EPHEMERAL) or (isinstance(event, Timeline) and event.event == _PARTIAL_ENTRY)


def _is_replaced(event: Event, segment_id: int, partials: Container[int]) -> bool:
    """Whether an event is one of these `partials` of a segment, by sequence, or the timeline entry of one."""
    if isinstance(event, Timeline) and event.event != _PARTIAL_ENTRY:
        return False
    return isinstance(event, Realtime | Timeline) and event.segment_id == segment_id and event.sequence in partials

"""The events of one session: those that wait to be sent, and those that were sent and may have to be sent again.

It owns order, numbers, replacement and bounds. It must not send, wait or know clocks.

An event gets its number when it is first sent, so what was replaced leaves no hole; what was lost does. Status,
partials and heartbeats are worth little once newer ones exist: where a client lags or is away, the newest of each takes
the place of the others, and they are the first to be forgotten.
"""

from collections import deque
from collections.abc import Container
from heapq import merge
from itertools import takewhile

import msgspec

from trio_stt.protocol.events import Event, Heartbeat, Metrics, Pong, Realtime, Status, Timeline, encode

LAG_EVENTS = 32
"""More waiting events than this mean that the client does not keep up."""
MAX_AWAY_EVENTS = 256
"""More than this, after replacement, do not wait for a client that is away."""
MAX_KEPT_BYTES = 262_144
"""JSON of sent events that is kept of each sort, passing and lasting: seconds of partials, many minutes of finals."""

_PASSING = (Status, Realtime, Heartbeat, Pong, Metrics)
_PARTIAL_ENTRY = "realtime_transcript"


class EventLog:
    """What a session says, in order.

    Args:
        keeps: Whether sent events are kept for a client that comes back.
    """

    def __init__(self, *, keeps: bool) -> None:
        self._keeps = keeps
        self._waiting: deque[Event] = deque()
        self._lost_waiting = 0
        self._seq = 0  # of the event sent last
        self._passing = _Shelf()
        self._lasting = _Shelf()

    @property
    def waiting(self) -> int:
        """Events that were never sent."""
        return len(self._waiting)

    @property
    def seq(self) -> int:
        """Number of the event sent last; 0 before any."""
        return self._seq

    def put(self, event: Event, *, away: bool) -> None:
        """Add an event; `away` while nobody is there to take it."""
        if away or len(self._waiting) >= LAG_EVENTS:
            event = self._replace(event)
        self._waiting.append(event)
        if away and len(self._waiting) > MAX_AWAY_EVENTS:
            self._waiting.remove(next(filter(_is_passing, self._waiting), self._waiting[0]))
            self._lost_waiting += 1

    def take(self) -> str | None:
        """The message of the next event to send, with its number; None when none waits."""
        if not self._waiting:
            return None
        self._seq += 1 + self._lost_waiting
        self._lost_waiting = 0
        event = self._waiting.popleft()
        message = encode(msgspec.structs.replace(event, seq=self._seq))
        if self._keeps:
            self._keep(message, passing=_is_passing(event))
        return message

    def since(self, seq: int) -> tuple[list[str], int]:
        """Messages sent after number `seq` that are still there, in order; and how many events are lost for good."""
        kept = [message for _, message in merge(self._passing.since(seq), self._lasting.since(seq))]
        return kept, self._seq + self._lost_waiting - seq - len(kept)

    def _keep(self, message: str, *, passing: bool) -> None:
        (self._passing if passing else self._lasting).add(self._seq, message)
        self._passing.trim()
        forgotten = self._lasting.trim()
        if forgotten:
            self._passing.forget_before(forgotten)

    def _replace(self, event: Event) -> Event:
        """Take out what `event` makes superfluous; the partial that replaces another carries its delta, too."""
        if isinstance(event, Status | Heartbeat):
            self._waiting = deque(other for other in self._waiting if type(other) is not type(event))
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


class _Shelf:
    """Messages of one sort, with their numbers: the newest `MAX_KEPT_BYTES` of them."""

    def __init__(self) -> None:
        self._sent: deque[tuple[int, str]] = deque()
        self._size_bytes = 0

    def add(self, seq: int, message: str) -> None:
        self._sent.append((seq, message))
        self._size_bytes += len(message)

    def trim(self) -> int:
        """Forget the oldest beyond the bound; returns the number of the newest that was forgotten, or 0."""
        newest = 0
        while self._size_bytes > MAX_KEPT_BYTES:
            newest = self._forget_oldest()
        return newest

    def forget_before(self, seq: int) -> None:
        while self._sent and self._sent[0][0] < seq:
            self._forget_oldest()

    def since(self, seq: int) -> list[tuple[int, str]]:
        newest_first = takewhile(lambda sent: sent[0] > seq, reversed(self._sent))
        return list(newest_first)[::-1]

    def _forget_oldest(self) -> int:
        seq, message = self._sent.popleft()
        self._size_bytes -= len(message)
        return seq


def _is_passing(event: Event) -> bool:
    return isinstance(event, _PASSING) or (isinstance(event, Timeline) and event.event == _PARTIAL_ENTRY)


def _belongs(event: Event, segment_id: int, partials: Container[int]) -> bool:
    """Whether an event is one of these partials of a segment, named by sequence, or the timeline entry of one."""
    if isinstance(event, Timeline) and event.event != _PARTIAL_ENTRY:
        return False
    return isinstance(event, Realtime | Timeline) and event.segment_id == segment_id and event.sequence in partials

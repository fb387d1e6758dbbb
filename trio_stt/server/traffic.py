"""What the clients of each dialect did since the server began: sessions, refusals, audio and texts.

Sessions count for themselves. This module adds those of sessions that ended, knows the dialect of each place, and
counts refusals. `/api/history` and `/metrics` read it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from trio_stt.session.counters import SessionCounters
from trio_stt.session.host import SessionHandle

NATIVE: Final = "realtimestt"
"""The dialect of the server's own WebSocket, `/ws/transcribe`."""
DIALECT_NAMES: Final = (
    NATIVE,
    "openai-realtime",
    "deepgram",
    "vosk",
    "wyoming",
    "openai",
    "deepgram-files",
    "whisper",
)
"""Every dialect, the three of uploads last. The names of those on WebSockets are those of the setting `dialects`."""
OTHER: Final = "other"
"""Stands for a dialect where a handshake was refused on a path that no dialect has."""
RejectionReason = Literal["full", "closing", "access", "connections"]
REJECTION_REASONS: Final[tuple[RejectionReason, ...]] = ("full", "closing", "access", "connections")
"""No place, server shuts down, wrong key or host or origin, too many connections of one address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTotals:
    """Counts over several sessions.

    Attributes:
        sessions: Sessions that were admitted.
        audio_s: Audio that was accepted, in seconds.
        finals: Final texts that engines made.
        partials: Partial texts that engines made.
        suppressed_texts: Texts withheld because they contain no speech.
    """

    sessions: int = 0
    audio_s: float = 0.0
    finals: int = 0
    partials: int = 0
    suppressed_texts: int = 0

    def with_session(self, counters: SessionCounters) -> "SessionTotals":
        """The totals with one more session."""
        return SessionTotals(
            sessions=self.sessions + 1,
            audio_s=self.audio_s + counters.received_s,
            finals=self.finals + counters.final.completed,
            partials=self.partials + counters.realtime.completed,
            suppressed_texts=self.suppressed_texts + counters.suppressed_texts,
        )


@dataclass(frozen=True, slots=True)
class DialectTraffic:
    """The clients of one dialect.

    Attributes:
        active: Sessions now.
        totals: Of all sessions, ended ones included.
        rejections: Clients that were refused a session, by reason.
    """

    active: int = 0
    totals: SessionTotals = field(default_factory=SessionTotals)
    rejections: Mapping[str, int] = field(default_factory=dict)


class Traffic:
    """The traffic of one server."""

    def __init__(self) -> None:
        self._dialects: dict[str, str] = {}  # by session id
        self._ended: dict[str, SessionTotals] = {}  # by dialect
        self._rejections: Counter[tuple[str, str]] = Counter()  # by dialect and reason

    @property
    def rejections(self) -> dict[str, int]:
        """Clients that were refused a session so far, by reason."""
        by_reason: Counter[str] = Counter()
        for (_, reason), count in self._rejections.items():
            by_reason[reason] += count
        return dict(by_reason)

    @property
    def rejected_sessions(self) -> int:
        """Number of clients that were refused a session so far."""
        return self._rejections.total()

    def reject(self, dialect: str, reason: RejectionReason) -> None:
        """Count a client that was refused a session."""
        self._rejections[dialect, reason] += 1

    def enter(self, session_id: str, dialect: str) -> None:
        """Note the dialect of a place."""
        self._dialects[session_id] = dialect

    def leave(self, session_id: str, session: SessionHandle | None) -> None:
        """Add the session of a place that is given up; None where it had none. A second call does nothing."""
        dialect = self._dialects.pop(session_id, None)
        if dialect is not None and session is not None:
            self._ended[dialect] = self._ended.get(dialect, SessionTotals()).with_session(session.counters)

    def by_dialect(self, sessions: Mapping[str, SessionHandle]) -> dict[str, DialectTraffic]:
        """The traffic of every dialect by name; `sessions` are those of the server by id."""
        active: Counter[str] = Counter()
        totals = dict(self._ended)
        for session_id, session in sessions.items():
            dialect = self._dialects[session_id]
            active[dialect] += 1
            totals[dialect] = totals.get(dialect, SessionTotals()).with_session(session.counters)
        rejections: dict[str, dict[str, int]] = {}
        for (dialect, reason), count in self._rejections.items():
            rejections.setdefault(dialect, {})[reason] = count
        return {
            name: DialectTraffic(active[name], totals.get(name, SessionTotals()), rejections.get(name, {}))
            for name in dict.fromkeys([*DIALECT_NAMES, *totals, *rejections])
        }

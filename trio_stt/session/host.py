"""The interfaces between sessions and their server, as protocols: the session package never imports the server."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trio_stt.dsp.wake_words import WakeWordDetector
from trio_stt.lanes.scheduler import Lanes
from trio_stt.metrics import Latencies
from trio_stt.protocol.commands import Resume
from trio_stt.protocol.events import Event
from trio_stt.protocol.reports import Limits, SessionReport, StartupError
from trio_stt.session.connection import CloseReason, Connection
from trio_stt.session.counters import SessionCounters
from trio_stt.settings import Settings
from trio_stt.speech.pipeline import Detector


class ResumableSession(Protocol):
    """A session, as a resuming connection sees it; it may be in another process of the server."""

    async def serve_connection(self, connection: Connection, resume: Resume | None = None) -> CloseReason | None:
        """Serve the client over this connection."""


class SessionHandle(ResumableSession, Protocol):
    """A session, as its server sees it."""

    @property
    def session_id(self) -> str:
        """32 hexadecimal digits."""

    @property
    def never_active(self) -> bool:
        """Whether its client never sent anything."""

    async def run(self) -> None:
        """Run the session until it ends."""

    def extend_grace(self, resume: Resume) -> None:
        """Restart the grace period of a client that is reconnecting.

        Raises:
            ResumeError: The token is wrong, the grace period is over, or the number was never sent.
        """

    @property
    def counters(self) -> SessionCounters:
        """The session's counters. Not to be changed."""

    def report(self) -> SessionReport:
        """The session's entry in `/api/metrics`."""

    async def drain(self) -> None:
        """End the utterance, deliver what is pending, and end."""

    def terminate(self, reason: CloseReason) -> None:
        """End at once."""

    def yield_speaker(self) -> None:
        """End the running utterance: another session took its speaker slot."""


class Registry(Protocol):
    """All sessions of the server."""

    @property
    def active_sessions(self) -> int:
        """Admitted sessions, connected or waiting for their client to resume."""

    async def find(self, resume: Resume, *, other_than: str) -> ResumableSession:
        """The session that a `resume` names, in whichever process; its grace period starts again.

        Raises:
            ResumeError: No session has this token, or it is the asking session's own.
        """

    def find_own(self, resume: Resume) -> SessionHandle:
        """The session of this process that a `resume` names; its grace period starts again.

        Raises:
            ResumeError: No session of this process has this token.
        """

    def note_connection_status(self, session_id: str, *, connected: bool) -> None:
        """Record that the client of a session connected or disconnected."""

    def evict_over_limit(self) -> None:
        """End disconnected sessions while there are more than `max_sessions`."""

    def evict_never_active(self) -> None:
        """End disconnected sessions whose client never sent a message, but for the newest few."""

    async def wait_departure_turn(self) -> None:
        """Wait until this session may end; one ends per scheduler pass."""


class Recorder(Protocol):
    """Writes one session to disk; no call blocks."""

    def audio(self, samples: NDArray[np.int16]) -> None:
        """Record received audio: int16, shape (n,), mono, 16 kHz."""

    def event(self, event: Event) -> None:
        """Record a published event."""

    def close(self) -> None:
        """Complete the files: the session is over."""


class SessionHost(Protocol):
    """The server of a session."""

    @property
    def settings(self) -> Settings:
        """Settings in force; frozen, and replaced as a whole when they change."""

    @property
    def shown_settings(self) -> dict[str, object]:
        """Public settings in force, by name."""

    @property
    def lanes(self) -> Lanes:
        """Where jobs are submitted."""

    @property
    def latencies(self) -> Latencies:
        """Where sessions count how long talkers wait."""

    @property
    def registry(self) -> Registry:
        """All sessions."""

    @property
    def active_speakers(self) -> int:
        """Sessions with a running utterance."""

    def take_speaker(self, session_id: str) -> bool:
        """Take a speaker slot, if need be from a disconnected session; False when connected ones hold all."""

    def release_speaker(self, session_id: str) -> None:
        """Return the slot; does nothing if the session has none."""

    def new_detector(self, settings: Settings) -> Detector:
        """A speech detector for a session with these settings."""

    def new_wake_word_detector(self, settings: Settings) -> WakeWordDetector | None:
        """A wake-word detector for a session with these settings; None where no wake word is set."""

    def new_recorder(self, session_id: str) -> Recorder | None:
        """A recorder for one session; None where `record` is not set."""

    async def turn_probability(self, clip: NDArray[np.float32], *, patient: bool) -> float | None:
        """How likely a talker is done whose speech ends `clip`, by its sound; None without a turn model.

        Args:
            clip: float32, shape (n,), mono, 16 kHz, -1 to 1.
            patient: Whether to wait for other sessions; otherwise the answer is None while too many wait.
        """

    def limits(self) -> Limits:
        """Limits in force."""

    def startup_errors(self) -> list[StartupError]:
        """One entry per lane that could not load."""

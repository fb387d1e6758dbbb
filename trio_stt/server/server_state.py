"""What all sessions of a server share: settings, lanes, the VAD model, the places and the speaker slots.

It owns admission, the nursery of all sessions, and the server's reports. It must not know how a session is reached.
"""

import logging
import uuid
from collections.abc import Callable, Mapping
from itertools import islice

import msgspec
import trio

from trio_stt.dsp.wake_words import WakeWordDetector, WakeWords
from trio_stt.errors import ResumeError, ServerClosing, ServerFull
from trio_stt.lanes.engines.registry import engine_names
from trio_stt.lanes.scheduler import Lanes
from trio_stt.protocol.commands import Resume
from trio_stt.protocol.reports import (
    ConfigReport,
    ConfigUpdateReport,
    HealthReport,
    Limits,
    MetricsReport,
    RejectedSetting,
    StartupError,
)
from trio_stt.server.recordings import RecordingArchive
from trio_stt.server.reports import applied_report, limits_report, scheduler_report
from trio_stt.server.session_handle import SessionHandle
from trio_stt.server.setting_schemas import setting_schemas
from trio_stt.server.stagger import Stagger
from trio_stt.settings import Settings, public_settings, runtime_settings, setting_warnings
from trio_stt.settings.revision import WAKE_WORD_SETTINGS, Revision, revise
from trio_stt.speech.pipeline import Detector

logger = logging.getLogger(__name__)

NO_SUCH_SESSION = "there is no such session to resume, or no longer"
MAX_NEVER_ACTIVE = 16
"""Of clients that were cut off before they sent anything, so many are waited for. What such a one said may have been
lost on the way; but one that connects and leaves 50 times a second would have 500 sessions waited for."""
_PARTING_S = 1.0
"""For the last words to clients; one that does not read them is left to the carrier."""


class ServerState:
    """The shared part of a server.

    Args:
        settings: In force.
        lanes: Of the server.
        new_detector: Makes the speech detector of one session from the settings in force.
        wake_words: Of the server; those of the settings were checked.
        archive: Where sessions are recorded, if they are.

    Attributes:
        settings: In force. They are frozen and replaced as a whole: who keeps them keeps what was in force then.
        shown_settings: Those of them that clients may see, by name; replaced along with them, to read only.
        exit: Through it go connections and sessions that end by themselves: a crowd that vanishes delays nobody.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        lanes: Lanes,
        new_detector: Callable[[Settings], Detector],
        wake_words: WakeWords | None = None,
        archive: RecordingArchive | None = None,
    ) -> None:
        self.settings = settings
        self.shown_settings = public_settings(settings)
        self.lanes = lanes
        self.archive = archive
        self._new_detector = new_detector
        self._wake_words = wake_words or WakeWords()
        self._sessions: dict[str, SessionHandle] = {}
        self._reserved: set[str] = set()
        self._disconnected: dict[str, SessionHandle] = {}  # whose client was cut off, the longest absence first
        self._speakers: set[str] = set()
        self._rejected_sessions = 0
        self._closing = False
        self._departure = trio.Event()
        self.exit = Stagger()
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the lanes, and the sessions that `start` begins, until cancelled; what they record is written then."""
        async with trio.open_nursery() as base:
            if self.archive:
                await base.start(self.archive.run)
            try:
                async with trio.open_nursery() as nursery:
                    await nursery.start(self.lanes.run)
                    self._nursery = nursery
                    task_status.started()
            finally:
                if self.archive:
                    self.archive.end()

    @property
    def active_sessions(self) -> int:
        """Admitted sessions, those included whose client was cut off and may come back."""
        return len(self._sessions)

    @property
    def active_speakers(self) -> int:
        """Sessions that record an utterance."""
        return len(self._speakers)

    @property
    def is_closing(self) -> bool:
        """Whether the server shuts down."""
        return self._closing

    @property
    def is_full(self) -> bool:
        """Whether sessions with a client and reservations fill `max_sessions`."""
        return len(self._sessions) - len(self._disconnected) + len(self._reserved) >= self.settings.max_sessions

    def reserve(self) -> str:
        """Take a place for a session that is about to be made; returns its id. Follow with `admit` or `leave`.

        Disconnected sessions do not count against the limit: `evict_over_limit` ends them once the new client turns out
        not to be a returning one.

        Raises:
            ServerFull: Sessions with a client and reservations fill `max_sessions`.
            ServerClosing: The server shuts down.
        """
        if self._closing:
            self._rejected_sessions += 1
            raise ServerClosing("the server shuts down; try again in a minute")
        if self.is_full:
            self._rejected_sessions += 1
            raise ServerFull(f"the server is full: max_sessions is {self.settings.max_sessions}")
        session_id = uuid.uuid4().hex
        self._reserved.add(session_id)
        return session_id

    def count_rejected(self) -> None:
        """Somebody who wanted a session was turned away at the door."""
        self._rejected_sessions += 1

    def admit(self, session: SessionHandle) -> None:
        """The session takes the place that was reserved under its id."""
        self._reserved.remove(session.session_id)
        self._sessions[session.session_id] = session

    def start(self, session: SessionHandle) -> None:
        """Admit a session, and let it live in the house's nursery until its end.

        Raises:
            RuntimeError: The house does not run.
        """
        if self._nursery is None:
            raise RuntimeError("the house does not run")
        self.admit(session)
        self._nursery.start_soon(self._host, session)

    async def _host(self, session: SessionHandle) -> None:
        try:
            await session.run()
        except Exception:  # noqa: BLE001 - the session logged it, and its client is told; others go on
            logger.debug("session %s ended by a fault", session.session_id)
        finally:
            self.leave(session.session_id)

    def find(self, resume: Resume, *, other_than: str) -> SessionHandle:
        """The session that a client asks for, kept for it for the whole grace from now on.

        Raises:
            ResumeError: There is none of that token but the asking one, or no longer.
        """
        session_id = resume.token.partition(".")[0]
        session = self._sessions.get(session_id)
        if session is None or session_id == other_than:
            raise ResumeError(NO_SUCH_SESSION)
        session.extend_grace(resume)
        return session

    def evict_over_limit(self) -> None:
        """A new session stays: if it is one too many, the one whose client has been away for longest gives way."""
        too_many = len(self._sessions) + len(self._reserved) - self.settings.max_sessions
        for session in list(islice(self._disconnected.values(), max(0, too_many))):
            session.terminate()

    def note_connection_status(self, session_id: str, connected: bool) -> None:
        """The client of a session came, was cut off, or is waited for anew."""
        self._disconnected.pop(session_id, None)
        session = self._sessions.get(session_id)
        if session is not None and not connected:
            self._disconnected[session_id] = session

    def evict_never_active(self) -> None:
        """A client was cut off: of too many that never sent anything, the longest absent are not waited for."""
        never_active_sessions = [session for session in self._disconnected.values() if session.never_active]
        for session in never_active_sessions[:-MAX_NEVER_ACTIVE]:
            session.terminate()

    def leave(self, session_id: str) -> None:
        """Give the place back, admitted or only reserved."""
        self._reserved.discard(session_id)
        self._sessions.pop(session_id, None)
        self._disconnected.pop(session_id, None)
        self.release_speaker(session_id)
        self._departure.set()

    async def drain(self, grace_s: float) -> None:
        """Take no new sessions, let the others say what they still owe their clients, and end them.

        Args:
            grace_s: Seconds until those that are not done are ended all the same.
        """
        self._closing = True
        with trio.move_on_after(grace_s):
            async with trio.open_nursery() as nursery:
                for session in self._sessions.values():
                    nursery.start_soon(session.drain)
        for session in list(self._sessions.values()):
            session.terminate()
        with trio.move_on_after(_PARTING_S):
            while self._sessions:
                self._departure = trio.Event()
                await self._departure.wait()

    def take_speaker(self, session_id: str) -> bool:
        """Take a speaker slot; False when all are taken."""
        if len(self._speakers) >= self.settings.max_active_speakers:
            return False
        self._speakers.add(session_id)
        return True

    def release_speaker(self, session_id: str) -> None:
        """Give the slot back; without one, nothing happens."""
        self._speakers.discard(session_id)

    def new_detector(self) -> Detector:
        """A speech detector for one session."""
        return self._new_detector(self.settings)

    def new_wake_word_detector(self) -> WakeWordDetector | None:
        """A wake-word detector for one session; None where sessions wait for no word."""
        return self._wake_words.new_detector(self.settings)

    def limits(self) -> Limits:
        """Limits in force: docs/protocol.md, The limits object."""
        return limits_report(self.settings)

    def startup_errors(self) -> list[StartupError]:
        """One entry for each lane that could not load."""
        return [StartupError(message=why, where=f"{lane}_engine") for lane, why in self.lanes.startup_errors.items()]

    def config(self) -> ConfigReport:
        """Body of `/api/config`."""
        return ConfigReport(
            settings=self.shown_settings,
            limits=self.limits(),
            supported_engines=engine_names(),
            runtime_settings=runtime_settings(),
            schema=setting_schemas(),
        )

    def revise(self, changes: Mapping[str, msgspec.Raw]) -> Revision:
        """Judge changes of the settings, JSON values by name; `adopt` makes them. May be slow, runs in any thread."""
        return revise(self.settings, changes, self._wake_words.check)

    def adopt(self, revision: Revision) -> ConfigUpdateReport:
        """Put a revision of the settings in force; returns the body of the answer."""
        if revision.settings.log_level != self.settings.log_level:
            logging.getLogger("trio_stt").setLevel(revision.settings.log_level)
        self.settings = revision.settings
        if revision.applied:  # names alone: a prompt is nobody else's business
            logger.info("settings changed: %s", ", ".join(declaration.name for declaration in revision.applied))
        shown = self.shown_settings = public_settings(self.settings)
        return ConfigUpdateReport(
            applied={declaration.name: applied_report(declaration, shown) for declaration in revision.applied},
            rejected={
                name: RejectedSetting(reason=rejection.reason, message=rejection.message)
                for name, rejection in revision.rejected.items()
            },
            settings=shown,
            runtime_settings=runtime_settings(),
            warnings=setting_warnings(self.settings)
            if WAKE_WORD_SETTINGS & {each.name for each in revision.applied}
            else (),
        )

    def health(self) -> HealthReport:
        """Body of `/health`."""
        return HealthReport(
            ok=self.lanes.ok,
            ready=self.lanes.ready,
            active_sessions=self.active_sessions,
            active_speakers=self.active_speakers,
            rejected_sessions=self._rejected_sessions,
            scheduler=scheduler_report(self.lanes.statistics()),
            startup_errors=self.startup_errors(),
        )

    def metrics(self) -> MetricsReport:
        """Body of `/api/metrics`."""
        return MetricsReport(
            active_sessions=self.active_sessions,
            active_speakers=self.active_speakers,
            rejected_sessions=self._rejected_sessions,
            pending_session_admissions=len(self._reserved),
            sessions={session_id: session.report() for session_id, session in self._sessions.items()},
            ready=self.lanes.ready,
            ok=self.lanes.ok,
            scheduler=scheduler_report(self.lanes.statistics()),
            limits=self.limits(),
            startup_errors=self.startup_errors(),
        )

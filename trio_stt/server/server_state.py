"""The state that all sessions of a server share: settings in force, lanes, detectors, session registry, speaker slots.

It runs the sessions' nursery, and implements their `SessionHost`. The api package connects clients to it.
"""

import logging
from collections.abc import Callable, Mapping

import msgspec
import numpy as np
import trio
from numpy.typing import NDArray

from trio_stt.dsp.wake_words import WakeWordDetector, WakeWords
from trio_stt.errors import ServerClosing, ServerFull
from trio_stt.lanes.scheduler import Lanes
from trio_stt.metrics import Latencies
from trio_stt.processes.counts import SINGLE_PROCESS, Count, ProcessCounts
from trio_stt.processes.peers import NO_PEERS, Peers
from trio_stt.protocol.config_reports import ConfigReport, ConfigUpdateReport
from trio_stt.protocol.reports import HealthReport, Limits, MetricsReport, StartupError
from trio_stt.server import reports
from trio_stt.server.http_traffic import HttpTraffic
from trio_stt.server.recordings import RecordingArchive
from trio_stt.server.session_registry import SessionRegistry
from trio_stt.server.traffic import NATIVE, Traffic
from trio_stt.server.turn_judge import TurnJudge
from trio_stt.session.host import Recorder, SessionHandle
from trio_stt.settings import Settings, public_settings
from trio_stt.settings.revision import Revision, revise
from trio_stt.speech.pipeline import Detector

logger = logging.getLogger(__name__)


class ServerState:
    """The shared state of a server.

    Args:
        settings: The settings at the start.
        lanes: The lanes of the server.
        new_detector: Makes the speech detector of one session from its settings.
        wake_words: Makes wake-word detectors; the settings were checked with it.
        turn_judge: Judges by its sound whether a talker is done.
        archive: Records sessions, where `record` is set.
        counts: What the other processes of the server have, for limits that hold for all.
        peers: The other processes of the server.

    Attributes:
        settings: In force. Frozen and replaced as a whole, so that a session keeps those that it began with.
        shown_settings: The public ones by name; replaced with them. Not to be changed.
        lanes: The lanes of the server.
        archive: Records sessions, where `record` is set.
        registry: All sessions.
        traffic: What the clients of each dialect did so far.
        http_traffic: The HTTP requests so far.
        latencies: How long talkers waited.
        counts: What the other processes of the server have.
        peers: The other processes of the server.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        lanes: Lanes,
        new_detector: Callable[[Settings], Detector],
        wake_words: WakeWords | None = None,
        turn_judge: TurnJudge | None = None,
        archive: RecordingArchive | None = None,
        counts: ProcessCounts = SINGLE_PROCESS,
        peers: Peers = NO_PEERS,
    ) -> None:
        self.settings = settings
        self.shown_settings = public_settings(settings)
        self.lanes = lanes
        self.archive = archive
        self.registry = SessionRegistry(lambda: self.settings.max_sessions, counts, peers)
        self.counts = counts
        self.peers = peers
        self.traffic = Traffic()
        self.http_traffic = HttpTraffic()
        self.latencies = Latencies()
        self._new_detector = new_detector
        self._wake_words = wake_words or WakeWords()
        self._turn_judge = turn_judge or TurnJudge(None)
        self._speakers: set[str] = set()
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run lanes, sessions and the archive until cancelled; the archive then writes what is queued."""
        async with trio.open_nursery() as outer:
            if self.archive:
                await outer.start(self.archive.run)
            try:
                async with trio.open_nursery() as nursery:
                    await nursery.start(self.lanes.run)
                    await nursery.start(self.peers.run)
                    self._nursery = nursery
                    task_status.started()
            finally:
                if self.archive:
                    self.archive.end()

    # --- admission ---

    @property
    def own_sessions(self) -> int:
        """Admitted sessions of this process, connected or waiting for their client to resume."""
        return len(self.registry.sessions)

    @property
    def own_speakers(self) -> int:
        """Sessions of this process with a running utterance."""
        return len(self._speakers)

    @property
    def active_speakers(self) -> int:
        """Sessions of all processes with a running utterance."""
        return len(self._speakers) + self.counts.others(Count.SPEAKERS)

    def reserve(self, dialect: str = NATIVE) -> str:
        """Reserve a place for a new session of a dialect; returns its id. Then `start`, `registry.admit` or `leave`.

        Raises:
            ServerFull: Connected sessions and reservations fill `max_sessions`.
            ServerClosing: The server is shutting down.
        """
        try:
            session_id = self.registry.reserve()
        except ServerFull:
            self.traffic.reject(dialect, "full")
            raise
        except ServerClosing:
            self.traffic.reject(dialect, "closing")
            raise
        self.traffic.enter(session_id, dialect)
        return session_id

    def reserve_several(self, dialect: str, places: int) -> list[str]:
        """Reserve places for sessions of one client, all or none; raises as `reserve` does."""
        session_ids: list[str] = []
        try:
            for _ in range(places):
                session_ids.append(self.reserve(dialect))  # noqa: PERF401 - those before a failure are given up
        except BaseException:
            for session_id in session_ids:
                self.leave(session_id)
            raise
        return session_ids

    def start(self, session: SessionHandle) -> None:
        """Admit a session and run it in the server's nursery.

        Raises:
            RuntimeError: `run` is not running.
        """
        if self._nursery is None:
            raise RuntimeError("sessions can only start while ServerState.run is running")
        self.registry.admit(session)
        self._nursery.start_soon(self._run_session, session)

    async def _run_session(self, session: SessionHandle) -> None:
        try:
            await session.run()
        except Exception:  # noqa: BLE001 - logged by the session; other sessions go on
            logger.debug("session %s ended with an error", session.session_id)
        finally:
            self.leave(session.session_id)

    def leave(self, session_id: str) -> None:
        """Give up a place, admitted or only reserved, and its speaker slot."""
        self.traffic.leave(session_id, self.registry.sessions.get(session_id))
        self.registry.remove(session_id)
        self.release_speaker(session_id)

    # --- what sessions take ---

    def take_speaker(self, session_id: str) -> bool:
        """Take a speaker slot; where none is free, that of the session that has been disconnected longest.

        The utterance of that session ends. Sessions of other processes keep their slots.

        Returns:
            False when connected sessions hold `max_active_speakers` slots.
        """
        with self.counts.exclusive() as exclusive:
            excess = self.active_speakers + 1 - self.settings.max_active_speakers
            disconnected = self.registry.disconnected_among(self._speakers)[: max(0, excess)]
            if len(disconnected) < excess or not exclusive:
                return False
            self._speakers.add(session_id)
            for session in disconnected:
                self.release_speaker(session.session_id)
            self.counts.publish(Count.SPEAKERS, len(self._speakers))
        for session in disconnected:
            session.yield_speaker()
        return True

    def release_speaker(self, session_id: str) -> None:
        """Return the slot; does nothing without one."""
        self._speakers.discard(session_id)
        self.counts.publish(Count.SPEAKERS, len(self._speakers))

    def new_detector(self, settings: Settings) -> Detector:
        """A speech detector for a session with these settings."""
        return self._new_detector(settings)

    def new_wake_word_detector(self, settings: Settings) -> WakeWordDetector | None:
        """A wake-word detector for a session with these settings; None where no wake word is set."""
        return self._wake_words.new_detector(settings)

    async def turn_probability(self, clip: NDArray[np.float32], *, patient: bool) -> float | None:
        """How likely a talker is done whose speech ends `clip`; None without a turn model."""
        return await self._turn_judge.probability(clip, patient=patient)

    @property
    def has_turn_model(self) -> bool:
        """Whether a model judges by the sound if a talker is done."""
        return self._turn_judge.available

    def wake_words(self) -> tuple[str, ...]:
        """The wake words that the settings in force name; none without a backend."""
        return self._wake_words.labels(self.settings)

    def new_recorder(self, session_id: str) -> Recorder | None:
        """A recorder for one session; None where `record` is not set."""
        return self.archive.open(session_id) if self.archive else None

    # --- settings and reports ---

    def revise(self, changes: Mapping[str, msgspec.Raw]) -> Revision:
        """Validate changes of settings, JSON values by name; `adopt` applies them. May be slow; runs in any thread."""
        return revise(self.settings, changes, self._wake_words.check)

    def adopt(self, revision: Revision) -> ConfigUpdateReport:
        """Put a revision of the settings in force; returns the body of the answer."""
        if revision.settings.log_level != self.settings.log_level:
            logging.getLogger("trio_stt").setLevel(revision.settings.log_level)
        self.settings = revision.settings
        self.shown_settings = public_settings(self.settings)
        if revision.applied:  # names only: values may be private, prompts above all
            logger.info("settings changed: %s", ", ".join(declaration.name for declaration in revision.applied))
        return reports.config_update_report(revision, self.shown_settings)

    def limits(self) -> Limits:
        """Limits in force: docs/protocol.md, The limits object."""
        return reports.limits_report(self.settings)

    def startup_errors(self) -> list[StartupError]:
        """One entry per lane that could not load."""
        return [StartupError(message=why, where=f"{lane}_engine") for lane, why in self.lanes.startup_errors.items()]

    def config(self) -> ConfigReport:
        """Body of `/api/config`."""
        return reports.config_report(self.settings, self.shown_settings)

    def health(self) -> HealthReport:
        """Body of `/health`."""
        return HealthReport(
            ok=self.lanes.ok,
            ready=self.lanes.ready,
            active_sessions=self.own_sessions,
            active_speakers=self.own_speakers,
            rejected_sessions=self.traffic.rejected_sessions,
            scheduler=reports.scheduler_report(self.lanes.statistics()),
            startup_errors=self.startup_errors(),
        )

    def metrics(self) -> MetricsReport:
        """Body of `/api/metrics`."""
        return MetricsReport(
            active_sessions=self.own_sessions,
            active_speakers=self.own_speakers,
            rejected_sessions=self.traffic.rejected_sessions,
            pending_session_admissions=self.registry.reserved,
            sessions={session_id: session.report() for session_id, session in self.registry.sessions.items()},
            ready=self.lanes.ready,
            ok=self.lanes.ok,
            scheduler=reports.scheduler_report(self.lanes.statistics()),
            limits=self.limits(),
            startup_errors=self.startup_errors(),
        )

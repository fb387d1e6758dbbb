"""One client's session: its tasks, what it takes from the client, and the reports about it.

It owns the nursery. It must not know connections (`visits` does), hear (`hearing`) or word events (`publisher`).
"""

import logging
from functools import partial

import trio
from msgspec import UNSET
from structlog.contextvars import bound_contextvars

from trio_stt.lanes.engines.registry import engine_names
from trio_stt.protocol.commands import Resume
from trio_stt.protocol.events import Error, Hello, Ready, Where
from trio_stt.protocol.reports import SessionReport
from trio_stt.server.server_state import ServerState
from trio_stt.session.audio_processor import AudioProcessor
from trio_stt.session.connection import Connection
from trio_stt.session.connection_status import ConnectionStatus
from trio_stt.session.connections import SessionConnections
from trio_stt.session.counters import SessionCounters
from trio_stt.session.event_publisher import EventPublisher, StatusFacts
from trio_stt.session.inbox import Gap, Inbox
from trio_stt.session.outbox import Outbox
from trio_stt.session.receiver import Receiver
from trio_stt.session.shutdown import CloseReason, SessionShutdown
from trio_stt.session.utterances import Utterances
from trio_stt.session.weak_callback import weak_callback
from trio_stt.settings import runtime_settings
from trio_stt.speech.pipeline import SpeechPipeline
from trio_stt.speech.segmenter_config import SegmenterConfig
from trio_stt.speech.wake_mode import WakeConfig, WakeMode

logger = logging.getLogger(__name__)

HEARTBEAT_S = 5.0
"""Between two heartbeats of a client that streams."""


class Session:
    """One client's session: `run` is its whole life, `serve_connection` serves one of its connections.

    Args:
        session_id: 32 hexadecimal digits.
        house: What all sessions share.
        partials: Whether partials are made; transcribing a file needs none.
        live: Whether the client is heard as it speaks: audio that waits too long is shed, and a client that falls
            silent for too long has stalled, and one that is cut off may come back. A file waits instead.
    """

    def __init__(self, *, session_id: str, server_state: ServerState, partials: bool = True, live: bool = True) -> None:
        self._id = session_id
        self._server_state = server_state
        self._settings = settings = server_state.settings
        self._shown_settings = server_state.shown_settings
        self._makes_partials = partials
        self._counters = SessionCounters()
        self._inbox = Inbox(settings.audio_queue_size, sheds=live)
        grace_s = settings.resume_grace_s if live else 0.0
        self._recorder = server_state.archive.open(session_id) if server_state.archive else None
        self._outbox = Outbox(keeps=grace_s > 0, tap=self._recorder.event if self._recorder else None)
        self._connection_status = ConnectionStatus(partial(server_state.note_connection_status, session_id))
        self._shutdown = SessionShutdown()
        self._publisher = EventPublisher(
            session_id=session_id, settings=settings, outbox=self._outbox, facts=weak_callback(self._status_facts)
        )
        wake_words = server_state.new_wake_word_detector()
        pipeline = SpeechPipeline(
            SegmenterConfig.of(settings),
            server_state.new_detector(),
            WakeMode(WakeConfig.of(settings), wake_words) if wake_words else None,
            self._recorder.audio if self._recorder else None,
        )
        self._utterances = Utterances(
            session_id=session_id,
            server_state=server_state,
            settings=settings,
            pipeline=pipeline,
            counters=self._counters,
            publisher=self._publisher,
        )
        self._audio_processor = AudioProcessor(
            settings=settings,
            inbox=self._inbox,
            pipeline=pipeline,
            utterances=self._utterances,
            publisher=self._publisher,
            connection_status=self._connection_status,
            live=live,
        )
        self._receiver = Receiver(
            session_id=session_id,
            server_state=server_state,
            settings=settings,
            inbox=self._inbox,
            counters=self._counters,
            publisher=self._publisher,
            finals=self._utterances.finals,
            report=weak_callback(self.report),
        )
        self._connections = SessionConnections(
            session_id=session_id,
            grace_s=grace_s,
            connection_status=self._connection_status,
            outbox=self._outbox,
            receiver=self._receiver,
            shutdown=self._shutdown,
            departures=server_state.exit,
        )
        self._greet(grace_s)

    @property
    def session_id(self) -> str:
        """32 hexadecimal digits."""
        return self._id

    @property
    def never_active(self) -> bool:
        """Whether its client never sent anything: if there was something, it was lost on the way."""
        return not self._receiver.has_begun

    def extend_grace(self, resume: Resume) -> None:
        """The client is coming back: wait for it for the whole grace once more.

        Raises:
            ResumeError: It is not this session's client, or too late, or was never told what it says.
        """
        self._connections.extend_grace(resume)

    async def serve_connection(self, connection: Connection, resume: Resume | None = None) -> CloseReason | None:
        """Serve the client over this connection, in the place of an earlier one; returns why the server left it.

        Returns None when the client did. A client that shows that it belongs to another session goes on there.
        """
        with bound_contextvars(session=self._id):
            try:
                return await self._connections.serve_connection(connection, resume)
            finally:
                if self.never_active:
                    self._server_state.evict_never_active()

    async def wait_backlog_below(self, seconds: float) -> None:
        """Wait until less finished speech than this waits for finals."""
        await self._utterances.finals.wait_backlog_below(seconds)

    async def wait_drained(self) -> None:
        """Wait until all that was received has been heard, and all that it led to has been sent to who is there."""
        if not self.never_active:
            await self._inbox.wait_idle()
            await self._utterances.finals.wait_idle()
        await self._outbox.wait_idle()

    async def drain(self) -> None:
        """End the utterance, deliver all that the client is owed, and say goodbye: the server shuts down."""
        self._publisher.warning("The server shuts down: what was said so far is still written, more is not heard.")
        await self._finish()
        self.terminate()

    def terminate(self) -> None:
        """Say goodbye at once: the server shuts down, or another client needs the place of one that is away."""
        self._shutdown.trigger(CloseReason.SHUTDOWN)

    async def run(self) -> None:
        """Live until the client leaves, stays away or is idle for too long, or is told to leave."""
        with bound_contextvars(session=self._id):
            try:
                await self._live()
            finally:
                counters = self._counters
                logger.info(
                    "%s; %g s of audio, %d finals",
                    self._shutdown.close_reason,
                    counters.received_s,
                    counters.final.completed,
                )

    async def _live(self) -> None:
        try:
            with self._shutdown.scope():
                async with trio.open_nursery() as nursery:
                    if self._server_state.lanes.ready:
                        self._publish_ready()
                    else:
                        nursery.start_soon(self._publish_ready_when_loaded)
                    nursery.start_soon(self._end_when_idle)
                    nursery.start_soon(self._end_when_left)
                    await self._receiver.wait_begun()  # who only knocks is not worth the tasks
                    nursery.start_soon(self._audio_processor.run)
                    nursery.start_soon(self._utterances.finals.run)
                    if self._makes_partials:
                        nursery.start_soon(self._utterances.partials.run)
                    nursery.start_soon(self._beat)
        except* Exception:
            logger.exception("the session failed")
            self._shutdown.trigger(CloseReason.FAILED)
            raise
        finally:
            self._shutdown.trigger(CloseReason.SHUTDOWN)
            self._utterances.close()
            self._server_state.lanes.cancel_session(self._id)
            if self._recorder:
                self._recorder.close()

    def report(self) -> SessionReport:
        """The session as metrics show it; no transcript text."""
        recording = self._utterances.recording
        return self._counters.report(
            session_id=self._id,
            streaming=self._utterances.streaming,
            recording=recording is not None,
            state=self._publisher.state,
            wake_word_enabled=self._utterances.wake_word_reporter.enabled,
            current_segment_id=self._utterances.current_segment_id,
            current_segment=recording.segment if recording else None,
            queue_depth=self._status_facts().queue_depth,
            recording_seconds=self._utterances.recorded_s,
        )

    async def _end_when_idle(self) -> None:
        """End the session when the client has done nothing for too long and is owed nothing."""
        limit_s = self._settings.idle_timeout_s
        while limit_s and not self._shutdown.is_over:
            await trio.sleep_until(self._receiver.active_s + limit_s)
            if trio.current_time() < self._receiver.active_s + limit_s:
                continue
            self._inbox.put_marker(Gap.GAP)  # what somebody was saying is owed, too
            await self.wait_drained()
            if trio.current_time() >= self._receiver.active_s + limit_s:
                self._shutdown.trigger(CloseReason.IDLE)

    async def _end_when_left(self) -> None:
        """End the session when its client stays away for too long; what it said last is written if it is recorded."""
        await self._connections.wait_given_up()
        await self._finish()
        await self._server_state.exit.wait_turn()
        self._shutdown.trigger(CloseReason.OVER)

    async def _finish(self) -> None:
        """End the utterance and bring all to its end that somebody will see: a client that is there, or the record."""
        if self._recorder or self._connection_status.disconnected_since_s is None:
            self._receiver.close()
            await self.wait_drained()

    # --- what the client hears ---

    async def _beat(self) -> None:
        while True:
            await self._audio_processor.wait_streaming()
            await trio.sleep(HEARTBEAT_S)
            if self._utterances.streaming:
                self._publisher.heartbeat(
                    received_s=self._counters.received_s,
                    real_time_factor=self._counters.real_time_factor,
                    queue_delay_s=self._counters.latest_queue_delay_s,
                )

    def _greet(self, grace_s: float) -> None:
        self._outbox.put(
            Hello(
                client_id=self._id,
                session_id=self._id,
                resume_token=self._connections.token if grace_s else UNSET,
                resume_grace_seconds=grace_s,
                settings=self._shown_settings,
                limits=self._server_state.limits(),
                supported_engines=engine_names(),
                runtime_settings=runtime_settings(),
            )
        )

    async def _publish_ready_when_loaded(self) -> None:
        await self._server_state.lanes.wait_loaded()
        if self._server_state.lanes.ready:  # else the server ended meanwhile
            self._publish_ready()

    def _publish_ready(self) -> None:
        self._outbox.put(
            Ready(
                session_id=self._id,
                settings=self._shown_settings,
                limits=self._server_state.limits(),
                runtime_settings=runtime_settings(),
                ok=self._server_state.lanes.ok,
            )
        )
        for error in self._server_state.startup_errors():
            self._outbox.put(Error(message=error.message, where=Where(error.where)))

    def _status_facts(self) -> StatusFacts:
        return StatusFacts(
            streaming=self._utterances.streaming,
            queue_depth=self._inbox.windows + self._utterances.finals.depth,
            dropped_chunks=self._counters.dropped_audio_chunks,
            coalesced_realtime=self._counters.coalesced_realtime,
            stale_realtime_discarded=self._counters.stale_realtime_discarded,
            active_sessions=self._server_state.active_sessions,
            active_speakers=self._server_state.active_speakers,
            degraded=self._utterances.streaming and self._utterances.partials.degraded,
        )

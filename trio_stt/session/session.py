"""One client's session: builds its parts and runs their tasks in one nursery.

Connections come and go beneath it (`connections`); audio, utterances and events have their own modules.
"""

import logging

import trio
from msgspec import UNSET
from structlog.contextvars import bound_contextvars

from trio_stt.lanes.engines.registry import engine_names
from trio_stt.protocol.commands import Resume
from trio_stt.protocol.events import Hello, Ready
from trio_stt.protocol.reports import SessionReport
from trio_stt.session.audio_processor import AudioProcessor
from trio_stt.session.connection import CloseReason, Connection, ConnectionStatus
from trio_stt.session.connections import SessionConnections, SessionShutdown
from trio_stt.session.context import SessionContext
from trio_stt.session.counters import SessionCounters
from trio_stt.session.event_publisher import EventPublisher
from trio_stt.session.host import SessionHost
from trio_stt.session.inbox import Gap, Inbox
from trio_stt.session.outbox import Outbox
from trio_stt.session.receiver import Receiver
from trio_stt.session.report import session_report
from trio_stt.session.utterances import Utterances
from trio_stt.settings import Settings, runtime_settings
from trio_stt.speech.pipeline import SpeechPipeline
from trio_stt.speech.segmenter_config import SegmenterConfig
from trio_stt.speech.wake_mode import WakeConfig, WakeMode

logger = logging.getLogger(__name__)

HEARTBEAT_S = 5.0
"""Seconds between two heartbeats to a client that streams."""


class Session:
    """One client's session: `run` runs it from start to end, `serve_connection` serves one of its connections.

    Its parts refer downward only (session, connections, receiver, audio processor, utterances, finals and partials,
    publisher, context), so that all of them are freed with the last task, without the garbage collector.

    Args:
        session_id: 32 hexadecimal digits.
        host: The server.
        settings: Of the session; those in force if None.
        partials: Whether partials are made; transcribing a file needs none.
        live: Whether audio comes as it is spoken: then queued audio may be shed, a pause in it means a stalled client,
            and a disconnected client may resume. A file waits instead, takes no speaker slot, and is not recorded.
        shows_causes: Whether the client may read why an engine failed: its message may hold addresses and secrets.
        resumes_turns: Whether the client understands `turn_resumed`; otherwise no final is taken back.
    """

    def __init__(
        self,
        *,
        session_id: str,
        host: SessionHost,
        settings: Settings | None = None,
        partials: bool = True,
        live: bool = True,
        shows_causes: bool = True,
        resumes_turns: bool = True,
    ) -> None:
        self._id = session_id
        self._host = host
        self._shown_settings = host.shown_settings
        self._makes_partials = partials
        self._shutdown = SessionShutdown()
        self._recorder = recorder = host.new_recorder(session_id) if live else None
        settings = settings or host.settings
        grace_s = settings.resume_grace_s if live else 0.0
        wake_words = host.new_wake_word_detector(settings)
        self._context = context = SessionContext(
            session_id=session_id,
            host=host,
            settings=settings,
            live=live,
            shows_causes=shows_causes,
            resumes_turns=resumes_turns,
            grace_s=grace_s,
            pipeline=SpeechPipeline(
                SegmenterConfig.from_settings(settings, resumes=resumes_turns),
                host.new_detector(settings),
                WakeMode(WakeConfig.from_settings(settings), wake_words) if wake_words else None,
                recorder.audio if recorder else None,
            ),
            inbox=Inbox(settings.audio_queue_size, sheds=live),
            outbox=Outbox(keeps=grace_s > 0, tap=recorder.event if recorder else None),
            connection_status=ConnectionStatus(
                lambda connected: host.registry.note_connection_status(session_id, connected=connected)
            ),
        )
        self._inbox, self._outbox = context.inbox, context.outbox
        self._publisher = EventPublisher(context)
        self._utterances = Utterances(context, self._publisher)
        self._audio_processor = AudioProcessor(context, self._publisher, self._utterances)
        self._receiver = Receiver(context, self._publisher, self._audio_processor, self._utterances.finals)
        self._connections = SessionConnections(context, self._receiver, self._shutdown)
        self._greet()

    @property
    def session_id(self) -> str:
        """32 hexadecimal digits."""
        return self._id

    @property
    def never_active(self) -> bool:
        """Whether the client never sent anything; a message may have been lost with its connection."""
        return self._receiver.never_active

    def extend_grace(self, resume: Resume) -> None:
        """Restart the grace period of a client that is reconnecting.

        Raises:
            ResumeError: The token is not this session's, the grace period is over, or the number was never sent.
        """
        self._connections.extend_grace(resume)

    async def serve_connection(self, connection: Connection, resume: Resume | None = None) -> CloseReason | None:
        """Serve the client over this connection, which replaces an earlier one.

        A client that asks to resume another session is served by that session.

        Returns:
            Why the server closes the connection; None when the client did.
        """
        with bound_contextvars(session=self._id):
            try:
                return await self._connections.serve_connection(connection, resume)
            finally:
                if self.never_active:
                    self._host.registry.evict_never_active()

    async def wait_backlog_below(self, seconds: float) -> None:
        """Wait until less ended speech than this waits for finals."""
        await self._utterances.finals.wait_backlog_below(seconds)

    async def wait_drained(self) -> None:
        """Wait until all received audio is processed, transcribed, and sent if there is a connection."""
        if not self.never_active:
            await self._inbox.wait_idle()
            await self._utterances.finals.wait_idle()
        await self._outbox.wait_idle()

    async def drain(self) -> None:
        """Shut down with the server: end the utterance, deliver what is pending, and close."""
        self._publisher.warning(
            "The server is shutting down: speech so far is still transcribed, further audio is ignored."
        )
        # The session may end meanwhile, because its client leaves: its tasks then deliver nothing more to wait for.
        with self._shutdown.scope():
            await self._finish()
        self.terminate(CloseReason.SHUTDOWN)

    def terminate(self, reason: CloseReason) -> None:
        """Close at once."""
        self._shutdown.trigger(reason)

    def yield_speaker(self) -> None:
        """End the running utterance, because another session took its speaker slot; its final stays due."""
        self._inbox.put_marker(Gap.SPEAKER_TAKEN)

    async def run(self) -> None:
        """Run until the client leaves, does not resume in time, is idle for too long, or the session is terminated."""
        with bound_contextvars(session=self._id):
            try:
                await self._run_tasks()
            finally:
                counters = self._context.counters
                logger.info(
                    "session ended: %s; %g s of audio, %d finals",
                    self._shutdown.close_reason,
                    counters.received_s,
                    counters.final.completed,
                )

    async def _run_tasks(self) -> None:
        try:
            with self._shutdown.scope():
                async with trio.open_nursery() as nursery:
                    if self._host.lanes.ready:
                        self._publish_ready()
                    else:
                        nursery.start_soon(self._publish_ready_when_loaded)
                    nursery.start_soon(self._end_when_idle)
                    nursery.start_soon(self._end_when_grace_is_over)
                    await self._receiver.wait_active()  # no tasks for clients that never send anything
                    nursery.start_soon(self._audio_processor.run)
                    nursery.start_soon(self._audio_processor.answer_questions)
                    nursery.start_soon(self._utterances.finals.run)
                    if self._makes_partials:
                        nursery.start_soon(self._utterances.partials.run)
                    nursery.start_soon(self._send_heartbeats)
        except* Exception:
            logger.exception("the session failed")
            self._shutdown.trigger(CloseReason.FAILED)
            raise
        finally:
            # The first reason stays: this one counts only where this task is cancelled, by the server in its shutdown,
            # or by a file's request, whose client has left.
            self._shutdown.trigger(CloseReason.SHUTDOWN if self._context.live else CloseReason.OVER)
            self._utterances.close()
            self._host.lanes.cancel_session(self._id)
            if self._recorder:
                self._recorder.close()

    @property
    def counters(self) -> SessionCounters:
        """The session's counters. Not to be changed."""
        return self._context.counters

    def report(self) -> SessionReport:
        """The session's entry in `/api/metrics`; it holds no transcript text."""
        return session_report(self._context)

    async def _end_when_idle(self) -> None:
        """End the session when the client was idle for `idle_timeout_s`, after its last utterance is delivered."""
        limit_s = self._context.settings.idle_timeout_s
        while limit_s and not self._shutdown.triggered:
            await trio.sleep_until(self._receiver.active_s + limit_s)
            if trio.current_time() < self._receiver.active_s + limit_s:
                continue
            self._inbox.put_marker(Gap.GAP)  # ends a running utterance, so that it is transcribed, too
            await self.wait_drained()
            if trio.current_time() >= self._receiver.active_s + limit_s:
                self._shutdown.trigger(CloseReason.IDLE)

    async def _end_when_grace_is_over(self) -> None:
        """End the session when its client did not resume in time."""
        await self._connections.wait_grace_over()
        await self._finish()
        await self._host.registry.wait_departure_turn()
        self._shutdown.trigger(CloseReason.OVER)

    async def _finish(self) -> None:
        """End the utterance and transcribe what is pending, if a client or a recording takes its text."""
        if self._recorder or self._context.connection_status.disconnected_since_s is None:
            self._receiver.close()
            await self.wait_drained()

    async def _send_heartbeats(self) -> None:
        while True:
            await self._audio_processor.wait_streaming()
            await trio.sleep(HEARTBEAT_S)
            if self._context.state.streaming:
                self._publisher.heartbeat()

    def _greet(self) -> None:
        self._outbox.put(
            Hello(
                client_id=self._id,
                session_id=self._id,
                resume_token=self._connections.token if self._context.grace_s else UNSET,
                resume_grace_seconds=self._context.grace_s,
                settings=self._shown_settings,
                limits=self._host.limits(),
                supported_engines=engine_names(),
                runtime_settings=runtime_settings(),
            )
        )

    async def _publish_ready_when_loaded(self) -> None:
        await self._host.lanes.wait_loaded()
        if self._host.lanes.ready:  # not when the server shut down meanwhile
            self._publish_ready()

    def _publish_ready(self) -> None:
        self._outbox.put(
            Ready(
                session_id=self._id,
                settings=self._shown_settings,
                limits=self._host.limits(),
                runtime_settings=runtime_settings(),
                ok=self._host.lanes.ok,
            )
        )
        for error in self._host.startup_errors():
            self._publisher.lane_failed(error)
        self._utterances.hints.check()

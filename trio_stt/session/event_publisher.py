"""Builds the events that a session publishes, and puts them into the outbox. See docs/protocol.md, Events.

It owns their texts, and their order where several belong together; its callers decide when they are published. `hello`,
`ready` and `resumed` are built where a session or a connection begins.
"""

import time
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.errors import HIDDEN_CAUSE
from trio_stt.lanes.engines.base import TimedText
from trio_stt.lanes.job import JobResult
from trio_stt.protocol.commands import Flush
from trio_stt.protocol.event_objects import State, WakeWordStatus, Where, iso
from trio_stt.protocol.events import (
    Clear,
    Error,
    Flushed,
    Heartbeat,
    Metrics,
    Pong,
    Realtime,
    Status,
    Timeline,
    TurnResumed,
    WarningEvent,
)
from trio_stt.protocol.reports import StartupError
from trio_stt.session.active_utterance import END_REASON, ActiveUtterance
from trio_stt.session.context import SessionContext
from trio_stt.session.report import session_report
from trio_stt.session.transcript_events import final_event, realtime_event, timing_of
from trio_stt.speech.stabilizer import StableText
from trio_stt.speech.wake_mode import WakeState

_STATE_OF_WAKE = {
    WakeState.WAITING: State.WAKEWORD_WAIT,
    WakeState.DETECTED: State.WAKEWORD_DETECTED,
    WakeState.FOLLOWUP: State.WAKEWORD_DETECTED,
}
"""State of a session that streams without a running utterance; without wake words it is `listening`."""


class EventPublisher:
    """Publishes the events of one session."""

    def __init__(self, context: SessionContext) -> None:
        settings = context.settings
        self._context = context
        self._id = context.session_id
        self._outbox = context.outbox
        self._stabilized = settings.realtime_callback == "stabilized"
        self._wake_words = WakeWordStatus(
            enabled=settings.wake_words_enabled, backend=settings.wakeword_backend, wake_words=settings.wake_words
        )

    def status(self, state: State) -> None:
        """Publish a `status` event with this state."""
        context, counters, now = self._context, self._context.counters, time.time()
        context.state.published = state
        self._outbox.put(
            Status(
                session_id=self._id,
                state=state,
                timestamp=now,
                timestamp_iso=iso(now),
                active_client_id=self._id if context.state.streaming else None,
                queue_depth=context.queue_depth,
                dropped_chunks=counters.dropped_audio_chunks,
                coalesced_realtime=counters.coalesced_realtime,
                stale_realtime_discarded=counters.stale_realtime_discarded,
                active_sessions=context.host.registry.active_sessions,
                active_speakers=context.host.active_speakers,
                wake_word_enabled=self._wake_words.enabled,
                wake_word=replace(self._wake_words, state=state if state.is_about_wake_words else None),
                degraded=context.state.streaming and context.state.degraded,
            )
        )

    def current_status(self) -> None:
        """Publish what the session does now, transcription of ended utterances aside."""
        now = self._context.state
        if now.utterance is not None and now.utterance.running:
            self.status(State.RECORDING)
        elif now.streaming:
            self.status(_STATE_OF_WAKE.get(self._context.pipeline.wake_state, State.LISTENING))
        else:
            self.status(State.IDLE)

    def recording_started(self, utterance: ActiveUtterance) -> None:
        """Publish that an utterance began: its timeline entry between the states `voice` and `recording`."""
        self.status(State.VOICE)
        segment = utterance.segment
        self._timeline(
            utterance,
            "recording_started",
            segment.recording_started_at,
            pre_recording_buffer=segment.pre_recording_buffer,
        )
        self.status(State.RECORDING)

    def recording_ended(self, utterance: ActiveUtterance) -> None:
        """Publish that an utterance ended; its final follows."""
        segment = utterance.segment
        self._timeline(
            utterance,
            "recording_ended",
            segment.recording_ended_at,
            duration_seconds=segment.duration_seconds,
            reason=END_REASON,
        )

    def transcription_started(self, utterance: ActiveUtterance) -> None:
        """Publish that the final of an ended utterance is being transcribed."""
        self._timeline(utterance, "transcription_started", time.time())
        self.status(State.TRANSCRIBING)

    def partial(self, utterance: ActiveUtterance, text: StableText, result: JobResult, *, end_sample: int) -> None:
        """Publish the text of the running utterance up to `end_sample`, and its timeline entry."""
        if self._context.live and not utterance.shown:
            self._context.host.latencies.first_partial.add(time.time() - utterance.started_at)
        utterance.shown = True
        end_s = end_sample / SAMPLE_RATE_HZ
        event = realtime_event(
            self._id, utterance, text, timing_of(result), stabilized=self._stabilized, audio_end_seconds=end_s
        )
        self._realtime(utterance, event)

    def _retract(self, utterance: ActiveUtterance) -> None:
        """Withdraw the text that partials have shown; clients of RealtimeSTT would keep showing it as live text."""
        text = utterance.stabilizer.retract()
        event = realtime_event(self._id, utterance, text, timing_of(None), stabilized=self._stabilized, retracted=True)
        self._realtime(utterance, event)

    def _realtime(self, utterance: ActiveUtterance, event: Realtime) -> None:
        self._outbox.put(event)
        self._timeline(utterance, "realtime_transcript", event.timestamp, text=event.text, sequence=event.sequence)

    def final(
        self,
        utterance: ActiveUtterance,
        text: str,
        timed: Sequence[TimedText] = (),
        *,
        language: str | None = None,
    ) -> None:
        """Publish the text of an ended utterance, see `final_event`, and its timeline entry."""
        event = final_event(self._id, utterance, text, timed, language)
        self._outbox.put(event)
        self._timeline(utterance, "final_transcript", event.timestamp, text=text)

    def turn_resumed(self, utterance: ActiveUtterance) -> None:
        """Publish that speech goes on after a final that was published in a pause."""
        now = time.time()
        self._outbox.put(
            TurnResumed(session_id=self._id, segment_id=utterance.segment_id, timestamp=now, timestamp_iso=iso(now))
        )
        self.current_status()

    def segment_closed(self, utterance: ActiveUtterance, reason: str) -> None:
        """Publish that a segment ended without a final; without words, what partials showed is withdrawn before.

        Args:
            utterance: The utterance of the segment.
            reason: Why, as docs/protocol.md lists them: `empty`, `failed`, `no_speech` or `repetition`. After a
                failure, the partials stay, because no other text shows what was spoken.
        """
        if utterance.shown and reason != "failed":
            self._retract(utterance)
        self._timeline(utterance, "segment_closed", time.time(), reason=reason)

    def cleared(self, next_segment_id: int) -> None:
        """Answer a `clear`."""
        self._outbox.put(Clear(session_id=self._id, next_segment_id=next_segment_id))

    def flushed(self, flush: Flush) -> None:
        """Answer a `flush`: every utterance before it has its final."""
        self._outbox.put(Flushed(session_id=self._id, id=flush.id))

    def heartbeat(self) -> None:
        """Publish a sign of life for a client that streams."""
        now, counters = time.time(), self._context.counters
        self._outbox.put(
            Heartbeat(
                session_id=self._id,
                timestamp=now,
                timestamp_iso=iso(now),
                audio_received_seconds=counters.received_s,
                real_time_factor=counters.real_time_factor,
                queue_delay_ms=counters.latest_queue_delay_s * 1000,
            )
        )

    def warning(self, message: str) -> None:
        """Publish a notice for the user of the client."""
        self._outbox.put(WarningEvent(session_id=self._id, message=message))

    def error(self, where: Where, message: str) -> None:
        """Publish an error, and what it is about."""
        self._outbox.put(Error(session_id=self._id, where=where, message=message))

    def failure(self, where: Where, cause: str) -> None:
        """Publish that accepted work failed."""
        self.error(where, self._shown(cause))

    def lane_failed(self, error: StartupError) -> None:
        """Publish that a lane could not load its engine."""
        self._outbox.put(Error(where=Where(error.where), message=self._shown(error.message)))

    def _shown(self, cause: str) -> str:
        return cause if self._context.shows_causes else HIDDEN_CAUSE

    def metrics(self) -> None:
        """Answer a `metrics`."""
        self._outbox.put(Metrics(session_id=self._id, metrics=session_report(self._context)))

    def pong(self) -> None:
        """Answer a `ping`."""
        self._outbox.put(Pong(session_id=self._id, server_time=time.time()))

    def timeline(self, event: str, timestamp: float, **extras: Any) -> None:
        """Publish a timeline entry; `timestamp` in seconds since the epoch."""
        self._outbox.put(
            Timeline(session_id=self._id, event=event, timestamp=timestamp, timestamp_iso=iso(timestamp), **extras)
        )

    def _timeline(self, utterance: ActiveUtterance, event: str, timestamp: object, **extras: Any) -> None:
        if not isinstance(timestamp, float):
            raise TypeError(f"{event} has no time")
        self.timeline(event, timestamp, segment_id=utterance.segment_id, segment=utterance.segment, **extras)

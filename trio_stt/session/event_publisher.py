"""Builds the events that a session publishes, and puts them into the outbox. See docs/protocol.md, Events.

It owns their texts, and their order where several belong together; its callers decide when they are published. `hello`,
`ready` and `resumed` are built where a session or a connection begins.
"""

import time
from collections.abc import Sequence
from typing import Any

import trio
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.errors import HIDDEN_CAUSE
from trio_stt.lanes.engines.base import TimedText
from trio_stt.lanes.job import JobResult
from trio_stt.protocol.commands import Flush
from trio_stt.protocol.events import (
    Clear,
    Error,
    Final,
    Flushed,
    Heartbeat,
    Metrics,
    Pong,
    Realtime,
    RealtimeTiming,
    State,
    Status,
    Timeline,
    TurnResumed,
    WakeWordStatus,
    WarningEvent,
    Where,
    segment_times,
)
from trio_stt.protocol.reports import StartupError
from trio_stt.protocol.segment import Piece, iso
from trio_stt.session.active_utterance import END_REASON, ActiveUtterance
from trio_stt.session.context import SessionContext
from trio_stt.session.report import session_report
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
        completed = trio.current_time()
        timing = RealtimeTiming(
            created_at_monotonic=completed - result.total_s,
            completed_at_monotonic=completed,
            received_at_wall_time=time.time(),
            queue_delay_seconds=result.queue_delay_s,
            inference_duration_seconds=result.inference_s,
            total_latency_seconds=result.total_s,
        )
        utterance.shown = True
        self._realtime(utterance, text, timing, audio_end_seconds=end_sample / SAMPLE_RATE_HZ)

    def _retract(self, utterance: ActiveUtterance) -> None:
        """Withdraw the text that partials have shown; clients of RealtimeSTT would keep showing it as live text."""
        now_s = trio.current_time()
        timing = RealtimeTiming(
            created_at_monotonic=now_s,
            completed_at_monotonic=now_s,
            received_at_wall_time=time.time(),
            queue_delay_seconds=None,
            inference_duration_seconds=None,
            total_latency_seconds=None,
        )
        self._realtime(utterance, utterance.stabilizer.retract(), timing, retracted=True)

    def _realtime(
        self,
        utterance: ActiveUtterance,
        text: StableText,
        timing: RealtimeTiming,
        *,
        audio_end_seconds: float | UnsetType = UNSET,
        retracted: bool | UnsetType = UNSET,
    ) -> None:
        now = timing.received_at_wall_time
        self._outbox.put(
            Realtime(
                session_id=self._id,
                segment_id=utterance.segment_id,
                recording_id=utterance.number,
                sequence=text.sequence,
                text=text.display if self._stabilized else text.raw,
                raw_text=text.raw,
                display_text=text.display,
                stable_text=text.stable,
                stable_delta=text.delta,
                unstable_text=text.unstable,
                committed_stable_text=text.stable,
                committed_stable_delta=text.delta,
                visual_stable_text=text.stable,
                visual_unstable_text=text.unstable,
                consensus_text=text.consensus,
                consensus_unstable_text=text.consensus_unstable,
                consensus_display_text=text.consensus_display,
                public_consensus_aligned=text.public_consensus_aligned,
                internal_revision=text.internal_revision,
                is_outlier=text.is_outlier,
                stable_prefix_conflict=text.stable_prefix_conflict,
                commit_reason=text.commit_reason,
                stable_normalized_offset=text.stable_normalized_offset,
                timestamp=now,
                timestamp_iso=iso(now),
                timing=timing,
                audio_end_seconds=audio_end_seconds,
                retracted=retracted,
                **segment_times(utterance.segment),
            )
        )
        self._timeline(
            utterance,
            "realtime_transcript",
            now,
            text=text.display if self._stabilized else text.raw,
            sequence=text.sequence,
        )

    def final(
        self,
        utterance: ActiveUtterance,
        text: str,
        timed: Sequence[TimedText] = (),
        *,
        language: str | None = None,
    ) -> None:
        """Publish the text of an ended utterance, and its timeline entry.

        Args:
            utterance: The utterance.
            text: As it is shown.
            timed: Pieces of the text with times in seconds from the utterance's first sample; empty without times.
            language: Code of the language that the model detected, if it did.
        """
        now = time.time()
        begun_s = utterance.start_sample / SAMPLE_RATE_HZ
        pieces = tuple(
            Piece(
                text=each.text,
                start_seconds=round(begun_s + each.start_s, 3),
                end_seconds=round(begun_s + each.end_s, 3),
                confidence=UNSET if each.confidence is None else round(each.confidence, 3),
            )
            for each in timed
        )
        self._outbox.put(
            Final(
                session_id=self._id,
                segment_id=utterance.segment_id,
                text=text,
                stable_text_agreed=utterance.stabilizer.agrees_with(text),
                pieces=pieces or UNSET,
                language=language or UNSET,
                timestamp=now,
                timestamp_iso=iso(now),
                **segment_times(utterance.segment),
            )
        )
        self._timeline(utterance, "final_transcript", now, text=text)

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

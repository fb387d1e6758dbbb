"""What a session tells its client: every event is built here and goes to the outbox. See docs/protocol.md, Events.

It owns wording and order within one announcement; it must not decide when something is announced.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import trio
from msgspec import UNSET
from msgspec.structs import replace

from trio_stt.dsp import SAMPLE_RATE_HZ
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
    WakeWordStatus,
    WarningEvent,
    Where,
    segment_times,
)
from trio_stt.protocol.reports import SessionReport
from trio_stt.protocol.segment import Piece, iso
from trio_stt.session.active_utterance import END_REASON, ActiveUtterance
from trio_stt.session.outbox import Outbox
from trio_stt.settings import Settings
from trio_stt.speech.stabilizer import StableText


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusFacts:
    """The figures of a status event."""

    streaming: bool
    queue_depth: int
    dropped_chunks: int
    coalesced_realtime: int
    stale_realtime_discarded: int
    active_sessions: int
    active_speakers: int
    degraded: bool


class EventPublisher:
    """Speaks for one session.

    Args:
        session_id: Named in every event.
        settings: Of the session.
        outbox: Where events go.
        facts: Asked for the figures of each status.
    """

    def __init__(
        self, *, session_id: str, settings: Settings, outbox: Outbox, facts: Callable[[], StatusFacts]
    ) -> None:
        self._id = session_id
        self._wake_words = WakeWordStatus(
            enabled=settings.wake_words_enabled, backend=settings.wakeword_backend, wake_words=settings.wake_words
        )
        self._stabilized = settings.realtime_callback == "stabilized"
        self._outbox = outbox
        self._facts = facts
        self._state = State.IDLE

    @property
    def state(self) -> State:
        """The state published last."""
        return self._state

    def status(self, state: State) -> None:
        """The session's state is now this."""
        self._state = state
        facts = self._facts()
        now = time.time()
        self._outbox.put(
            Status(
                session_id=self._id,
                state=state,
                timestamp=now,
                timestamp_iso=iso(now),
                active_client_id=self._id if facts.streaming else None,
                queue_depth=facts.queue_depth,
                dropped_chunks=facts.dropped_chunks,
                coalesced_realtime=facts.coalesced_realtime,
                stale_realtime_discarded=facts.stale_realtime_discarded,
                active_sessions=facts.active_sessions,
                active_speakers=facts.active_speakers,
                wake_word_enabled=self._wake_words.enabled,
                wake_word=replace(self._wake_words, state=state if state.is_about_wake_words else None),
                degraded=facts.degraded,
            )
        )

    def recording_started(self, recording: ActiveUtterance) -> None:
        """An utterance began."""
        self.status(State.VOICE)
        segment = recording.segment
        self._timeline(
            recording,
            "recording_started",
            segment.recording_started_at,
            pre_recording_buffer=segment.pre_recording_buffer,
        )
        self.status(State.RECORDING)

    def recording_ended(self, recording: ActiveUtterance) -> None:
        """An utterance is complete; its final follows."""
        segment = recording.segment
        self._timeline(
            recording,
            "recording_ended",
            segment.recording_ended_at,
            duration_seconds=segment.duration_seconds,
            reason=END_REASON,
        )

    def transcription_started(self, recording: ActiveUtterance) -> None:
        """The final of a finished utterance is being made."""
        self._timeline(recording, "transcription_started", time.time())
        self.status(State.TRANSCRIBING)

    def partial(self, recording: ActiveUtterance, text: StableText, result: JobResult) -> None:
        """What is heard so far."""
        now = time.time()
        completed = trio.current_time()
        self._outbox.put(
            Realtime(
                session_id=self._id,
                segment_id=recording.segment_id,
                recording_id=recording.utterance,
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
                timing=RealtimeTiming(
                    created_at_monotonic=completed - result.total_s,
                    completed_at_monotonic=completed,
                    received_at_wall_time=now,
                    queue_delay_seconds=result.queue_delay_s,
                    inference_duration_seconds=result.inference_s,
                    total_latency_seconds=result.total_s,
                ),
                **segment_times(recording.segment),
            )
        )
        self._timeline(
            recording,
            "realtime_transcript",
            now,
            text=text.display if self._stabilized else text.raw,
            sequence=text.sequence,
        )

    def final(self, recording: ActiveUtterance, text: str, timed: Sequence[TimedText] = ()) -> None:
        """The words of a finished utterance, and those that the engine timed, from the utterance's first sample."""
        now = time.time()
        begun_s = recording.start_sample / SAMPLE_RATE_HZ
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
                segment_id=recording.segment_id,
                text=text,
                stable_text_agreed=recording.stabilizer.agrees_with(text),
                pieces=pieces or UNSET,
                timestamp=now,
                timestamp_iso=iso(now),
                **segment_times(recording.segment),
            )
        )
        self._timeline(recording, "final_transcript", now, text=text)

    def segment_closed(self, recording: ActiveUtterance, reason: str) -> None:
        """A segment will have no final; `reason` says why. Our addition."""
        self._timeline(recording, "segment_closed", time.time(), reason=reason)

    def cleared(self, next_segment_id: int) -> None:
        """Everything was discarded."""
        self._outbox.put(Clear(session_id=self._id, next_segment_id=next_segment_id))

    def flushed(self, flush: Flush) -> None:
        """What was said before a `flush` has its final."""
        self._outbox.put(Flushed(session_id=self._id, id=flush.id))

    def heartbeat(self, *, received_s: float, real_time_factor: float, queue_delay_s: float) -> None:
        """The session lives."""
        now = time.time()
        self._outbox.put(
            Heartbeat(
                session_id=self._id,
                timestamp=now,
                timestamp_iso=iso(now),
                audio_received_seconds=received_s,
                real_time_factor=real_time_factor,
                queue_delay_ms=queue_delay_s * 1000,
            )
        )

    def warning(self, message: str) -> None:
        """Something the client should know."""
        self._outbox.put(WarningEvent(session_id=self._id, message=message))

    def error(self, where: Where, message: str) -> None:
        """Something went wrong."""
        self._outbox.put(Error(session_id=self._id, where=where, message=message))

    def metrics(self, report: SessionReport) -> None:
        """Answer to `metrics`."""
        self._outbox.put(Metrics(session_id=self._id, metrics=report))

    def pong(self) -> None:
        """Answer to `ping`."""
        self._outbox.put(Pong(session_id=self._id, server_time=time.time()))

    def wake(self, event: str, timestamp: float, **extras: Any) -> None:
        """Something about wake words."""
        self._put_timeline(event, timestamp, **extras)

    def _timeline(self, recording: ActiveUtterance, event: str, timestamp: object, **extras: Any) -> None:
        if not isinstance(timestamp, float):
            raise TypeError(f"{event} has no time")
        self._put_timeline(event, timestamp, segment_id=recording.segment_id, segment=recording.segment, **extras)

    def _put_timeline(self, event: str, timestamp: float, **extras: Any) -> None:
        self._outbox.put(
            Timeline(session_id=self._id, event=event, timestamp=timestamp, timestamp_iso=iso(timestamp), **extras)
        )

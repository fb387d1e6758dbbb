"""Builds the events that a session publishes, and puts them into the outbox. See docs/protocol.md, Events.

It owns their texts, and their order where several belong together; its callers decide when they are published. `status`
events are built in `session_status`; `hello`, `ready` and `resumed` where a session or a connection begins.
"""

import time
from collections.abc import Sequence
from typing import Any

import trio
from msgspec import UNSET, UnsetType

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
    Timeline,
    WarningEvent,
    Where,
    segment_times,
)
from trio_stt.protocol.reports import SessionReport
from trio_stt.protocol.segment import Piece, iso
from trio_stt.session.active_utterance import END_REASON, ActiveUtterance
from trio_stt.session.outbox import Outbox
from trio_stt.session.session_status import SessionStatus
from trio_stt.settings import Settings
from trio_stt.speech.stabilizer import StableText


class EventPublisher:
    """Publishes the events of one session.

    Args:
        session_id: Named in every event.
        settings: Of the session.
        outbox: Takes the events.
        status: Of the session.
    """

    def __init__(self, *, session_id: str, settings: Settings, outbox: Outbox, status: SessionStatus) -> None:
        self._id = session_id
        self._stabilized = settings.realtime_callback == "stabilized"
        self._outbox = outbox
        self._status = status

    def recording_started(self, utterance: ActiveUtterance) -> None:
        """Publish that an utterance began: its timeline entry between the states `voice` and `recording`."""
        self._status.publish(State.VOICE)
        segment = utterance.segment
        self._timeline(
            utterance,
            "recording_started",
            segment.recording_started_at,
            pre_recording_buffer=segment.pre_recording_buffer,
        )
        self._status.publish(State.RECORDING)

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
        self._status.publish(State.TRANSCRIBING)

    def partial(self, utterance: ActiveUtterance, text: StableText, result: JobResult) -> None:
        """Publish the text of the running utterance so far, and its timeline entry."""
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
        self._realtime(utterance, text, timing)

    def _retract(self, utterance: ActiveUtterance) -> None:
        """Withdraw the text that partials have shown; clients of RealtimeSTT would keep it as live text for good."""
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

    def final(self, utterance: ActiveUtterance, text: str, timed: Sequence[TimedText] = ()) -> None:
        """Publish the text of an ended utterance, and its timeline entry.

        Args:
            utterance: Whose text it is.
            text: As it is shown.
            timed: Pieces of the text with times in seconds from the utterance's first sample; empty without times.
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
                timestamp=now,
                timestamp_iso=iso(now),
                **segment_times(utterance.segment),
            )
        )
        self._timeline(utterance, "final_transcript", now, text=text)

    def segment_closed(self, utterance: ActiveUtterance, reason: str) -> None:
        """Publish that a segment ended without a final; without words, what partials showed is withdrawn before.

        Args:
            utterance: Of the segment.
            reason: Why, as docs/protocol.md lists them: `empty`, `failed`, `no_speech` or `repetition`. After a failure,
                the partials are all there is of the speaker's words.
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

    def heartbeat(self, *, received_s: float, real_time_factor: float, queue_delay_s: float) -> None:
        """Publish a sign of life for a client that streams; times in seconds."""
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
        """Publish a notice for the user of the client."""
        self._outbox.put(WarningEvent(session_id=self._id, message=message))

    def error(self, where: Where, message: str) -> None:
        """Publish an error, and what it is about."""
        self._outbox.put(Error(session_id=self._id, where=where, message=message))

    def metrics(self, report: SessionReport) -> None:
        """Answer a `metrics`."""
        self._outbox.put(Metrics(session_id=self._id, metrics=report))

    def pong(self) -> None:
        """Answer a `ping`."""
        self._outbox.put(Pong(session_id=self._id, server_time=time.time()))

    def wake(self, event: str, timestamp: float, **extras: Any) -> None:
        """Publish a timeline entry about wake words; `timestamp` in seconds since the epoch."""
        self._put_timeline(event, timestamp, **extras)

    def _timeline(self, utterance: ActiveUtterance, event: str, timestamp: object, **extras: Any) -> None:
        if not isinstance(timestamp, float):
            raise TypeError(f"{event} has no time")
        self._put_timeline(event, timestamp, segment_id=utterance.segment_id, segment=utterance.segment, **extras)

    def _put_timeline(self, event: str, timestamp: float, **extras: Any) -> None:
        self._outbox.put(
            Timeline(session_id=self._id, event=event, timestamp=timestamp, timestamp_iso=iso(timestamp), **extras)
        )

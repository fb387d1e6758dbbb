"""Builds the events that carry recognised text: `realtime` and `final`. See docs/protocol.md, Events."""

import time
from collections.abc import Sequence
from typing import Any

import trio
from msgspec import UNSET, UnsetType

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.lanes.engines.base import TimedText
from trio_stt.lanes.job import JobResult
from trio_stt.protocol.event_objects import Piece, RealtimeTiming, Segment, iso
from trio_stt.protocol.events import Final, Realtime, SegmentTimes
from trio_stt.session.active_utterance import ActiveUtterance
from trio_stt.speech.stabilizer import StableText


def timing_of(result: JobResult | None) -> RealtimeTiming:
    """When the text of an engine's result was ready, and what it took; None for a text that no engine gave."""
    completed_s = trio.current_time()
    return RealtimeTiming(
        created_at_monotonic=completed_s - (result.total_s if result else 0.0),
        completed_at_monotonic=completed_s,
        received_at_wall_time=time.time(),
        queue_delay_seconds=result.queue_delay_s if result else None,
        inference_duration_seconds=result.inference_s if result else None,
        total_latency_seconds=result.total_s if result else None,
    )


def realtime_event(
    session_id: str,
    utterance: ActiveUtterance,
    text: StableText,
    timing: RealtimeTiming,
    *,
    stabilized: bool,
    audio_end_seconds: float | UnsetType = UNSET,
    retracted: bool | UnsetType = UNSET,
) -> Realtime:
    """The text of a running utterance.

    Args:
        session_id: The session.
        utterance: The utterance.
        text: What its partials agree on, and the newest one.
        timing: Of the newest one.
        stabilized: Whether `text` is the stabilised text, instead of the engine's.
        audio_end_seconds: Up to where its audio reaches.
        retracted: Whether the text that was shown is withdrawn.
    """
    now = timing.received_at_wall_time
    return Realtime(
        session_id=session_id,
        segment_id=utterance.segment_id,
        recording_id=utterance.number,
        sequence=text.sequence,
        text=text.display if stabilized else text.raw,
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


def final_event(
    session_id: str, utterance: ActiveUtterance, text: str, timed: Sequence[TimedText], language: str | None
) -> Final:
    """The text of an ended utterance.

    Args:
        session_id: The session.
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
    return Final(
        session_id=session_id,
        segment_id=utterance.segment_id,
        text=text,
        stable_text_agreed=utterance.stabilizer.agrees_with(text),
        pieces=pieces or UNSET,
        language=language or UNSET,
        timestamp=now,
        timestamp_iso=iso(now),
        **segment_times(utterance.segment),
    )


def segment_times(segment: Segment) -> dict[str, Any]:
    """Keyword arguments of `SegmentTimes`: the segment and copies of its fields."""
    copied = set(SegmentTimes.__struct_fields__) - {"segment", "seq"}
    return {"segment": segment} | {name: getattr(segment, name) for name in copied}

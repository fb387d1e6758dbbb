"""The `segment` object: one utterance and its times, as events and reports carry it.

See docs/protocol.md, The segment object.
"""

from datetime import UTC, datetime

import msgspec
from msgspec import UNSET, UnsetType


class PreRecordingBuffer(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Audio kept from before the detected start; `included_seconds` is the true amount."""

    configured_seconds: float
    included_seconds: float
    start_timestamp: float
    start_timestamp_iso: str
    end_timestamp: float
    end_timestamp_iso: str
    exact: bool = True


class WakeWord(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Where a session is with its wake words, and when it got there. See docs/protocol.md, The wakeWord object."""

    enabled: bool
    backend: str
    wake_words: str
    state: str
    word: str | UnsetType = UNSET
    wait_started_at: float | UnsetType = UNSET
    wait_started_at_iso: str | UnsetType = UNSET
    wait_ended_at: float | UnsetType = UNSET
    wait_ended_at_iso: str | UnsetType = UNSET
    detected_at: float | UnsetType = UNSET
    detected_at_iso: str | UnsetType = UNSET
    timeout_at: float | UnsetType = UNSET
    timeout_at_iso: str | UnsetType = UNSET


class Segment(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One utterance and its times.

    `audio_start_seconds` and `audio_end_seconds` (our addition) place its speech in the audio that was taken from the
    client, in seconds from the first sample after connecting; they follow the audio, not the wall clock.
    """

    segment_id: int
    recording_started_at: float | UnsetType = UNSET
    recording_started_at_iso: str | UnsetType = UNSET
    recording_ended_at: float | UnsetType = UNSET
    recording_ended_at_iso: str | UnsetType = UNSET
    duration_seconds: float | UnsetType = UNSET
    end_reason: str | UnsetType = UNSET
    pre_recording_buffer: PreRecordingBuffer | UnsetType = UNSET
    wake_word: WakeWord | UnsetType = UNSET
    audio_start_seconds: float | UnsetType = UNSET
    audio_end_seconds: float | UnsetType = UNSET


class Piece(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A word or a phrase of a final, placed like the segment's speech; `confidence` from 0 to 1, where it is known."""

    text: str
    start_seconds: float
    end_seconds: float
    confidence: float | UnsetType = UNSET


def iso(timestamp: float) -> str:
    """UTC with milliseconds and a trailing Z."""
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"

"""The segment object, an utterance with its times, and the objects in it. See docs/protocol.md, The segment object."""

from datetime import UTC, datetime

import msgspec
from msgspec import UNSET, UnsetType


class PreRecordingBuffer(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Pre-roll: audio of an utterance from before its detection."""

    configured_seconds: float
    included_seconds: float
    start_timestamp: float
    start_timestamp_iso: str
    end_timestamp: float
    end_timestamp_iso: str
    exact: bool = True


class WakeWord(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """State of the wake-word cycle and its times. See docs/protocol.md, The wakeWord object."""

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

    Attributes:
        audio_start_seconds: Start of its speech in the audio of the session, counted in samples from the first. Added.
        audio_end_seconds: End of its speech there. Added.
        cut: True where it was cut at its maximum length, and the next one continues it. Added.
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
    cut: bool | UnsetType = UNSET


class Piece(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A word or phrase of a final, on the same time axis as `audio_start_seconds`; `confidence` is 0 to 1."""

    text: str
    start_seconds: float
    end_seconds: float
    confidence: float | UnsetType = UNSET


def iso(timestamp: float) -> str:
    """Format as UTC with milliseconds and a trailing Z."""
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"

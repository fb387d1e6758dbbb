"""The objects in events, and the words of their fields `state` and `where`. See docs/protocol.md, Objects in events."""

from datetime import UTC, datetime
from enum import StrEnum

import msgspec
from msgspec import UNSET, UnsetType


class State(StrEnum):
    """State of a session, as clients see it."""

    IDLE = "idle"
    LISTENING = "listening"
    VOICE = "voice"
    SILENCE = "silence"
    RECORDING = "recording"
    TRANSCRIBING = "transcribing"
    WAKEWORD_WAIT = "wakeword_wait"
    WAKEWORD_DETECTED = "wakeword_detected"
    WAKEWORD_TIMEOUT = "wakeword_timeout"

    @property
    def is_about_wake_words(self) -> bool:
        """Whether `wakeWord.state` of a status repeats this state."""
        return self in (State.WAKEWORD_WAIT, State.WAKEWORD_DETECTED, State.WAKEWORD_TIMEOUT)


class Where(StrEnum):
    """Subject of an `error` event."""

    ADMISSION = "admission"
    AUDIO_PACKET = "audio_packet"
    AUDIO = "audio"
    COMMAND = "command"
    RECORDER = "recorder"
    MAIN_ENGINE = "main_engine"
    REALTIME_ENGINE = "realtime_engine"
    RESUME = "resume"  # not in RealtimeSTT's protocol

    @property
    def costs_words(self) -> bool:
        """Whether words are lost, unlike with partials that fail, which come back by themselves."""
        return self in (Where.AUDIO, Where.RECORDER, Where.MAIN_ENGINE)


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


class WakeWordStatus(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Wake-word part of a `status`."""

    enabled: bool = False
    backend: str = ""
    wake_words: str = ""
    state: str | None = None


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


class RealtimeTiming(msgspec.Struct, frozen=True, kw_only=True):
    """Times of a partial, in seconds; snake_case on the wire."""

    created_at_monotonic: float
    completed_at_monotonic: float
    received_at_wall_time: float
    queue_delay_seconds: float | None
    inference_duration_seconds: float | None
    total_latency_seconds: float | None


class Piece(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A word or phrase of a final, on the same time axis as `audio_start_seconds`; `confidence` is 0 to 1."""

    text: str
    start_seconds: float
    end_seconds: float
    confidence: float | UnsetType = UNSET


def iso(timestamp: float) -> str:
    """Format as UTC with milliseconds and a trailing Z."""
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"

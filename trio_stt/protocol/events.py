"""Server events: what clients receive on the socket. See docs/protocol.md, Events.

One frozen class per event, encoded by `encode` and nowhere else. A field that is UNSET is absent on the wire; None is
`null`. Times are seconds since the Unix epoch. It must not decide when an event is sent.
"""

from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from trio_stt.protocol.reports import Limits, SessionReport
from trio_stt.protocol.segment import Piece, PreRecordingBuffer, Segment, WakeWord


class Event(msgspec.Struct, frozen=True, rename="camel", tag_field="type", kw_only=True):
    """Base of all events; its tag is the wire's `type`.

    `seq` (our addition) numbers the events of a session as they are sent: 1, 2, and so on. Only what is said before
    there is a session has none.
    """

    seq: int | UnsetType = UNSET


class State(StrEnum):
    """What a session is doing, as clients see it."""

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
        """Whether `wakeWord.state` of a status repeats it."""
        return self in (State.WAKEWORD_WAIT, State.WAKEWORD_DETECTED, State.WAKEWORD_TIMEOUT)


class Where(StrEnum):
    """What an `error` is about."""

    ADMISSION = "admission"
    AUDIO_PACKET = "audio_packet"
    AUDIO = "audio"
    COMMAND = "command"
    RECORDER = "recorder"
    MAIN_ENGINE = "main_engine"
    REALTIME_ENGINE = "realtime_engine"
    RESUME = "resume"  # our addition


class AuthRequired(Event, frozen=True, kw_only=True, tag="auth_required"):
    """First frame where a key is needed and none came with the handshake: the client must `auth` in time. Ours."""

    timeout_seconds: float


class Hello(Event, frozen=True, kw_only=True, tag="hello"):
    """First frame of every session.

    `resume_grace_seconds` (our addition) is how long the session is kept for a client that was cut off, and
    `resume_token` what that client then shows; absent where none is kept.
    """

    client_id: str
    session_id: str
    resume_token: str | UnsetType = UNSET
    resume_grace_seconds: float = 0.0
    settings: dict[str, object]
    limits: Limits
    supported_engines: tuple[str, ...]
    runtime_settings: dict[str, list[str]]


class Ready(Event, frozen=True, kw_only=True, tag="ready"):
    """Every lane finished its load attempt; `ok` tells whether all succeeded."""

    session_id: str
    settings: dict[str, object]
    limits: Limits
    runtime_settings: dict[str, list[str]]
    ok: bool


class Resumed(Event, frozen=True, kw_only=True, tag="resumed"):
    """Answer to `resume`, in the words of the session that goes on. Our addition.

    `seq` repeats the client's; what it has missed since follows. `received_packets` and `received_commands` count the
    binary and the text frames that the session took, a `resume` aside; `streaming` tells whether it takes audio.
    `missed_events` is how many events after `seq` are lost because too many had to be kept.
    """

    session_id: str
    received_packets: int
    received_commands: int
    streaming: bool
    missed_events: int


class WakeWordStatus(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Wake-word part of a status."""

    enabled: bool = False
    backend: str = ""
    wake_words: str = ""
    state: str | None = None


class Status(Event, frozen=True, kw_only=True, tag="status"):
    """The session's state and the counters that go with it.

    `degraded` (our addition) tells that partials come less often because the server is behind.
    """

    session_id: str
    state: State
    timestamp: float
    active_client_id: str | None
    queue_depth: int
    dropped_chunks: int
    coalesced_realtime: int
    stale_realtime_discarded: int
    active_sessions: int
    active_speakers: int
    wake_word_enabled: bool = False
    wake_word: WakeWordStatus = WakeWordStatus()
    degraded: bool = False
    timestamp_iso: str


class Timeline(Event, frozen=True, kw_only=True, tag="timeline"):
    """Something that happened to a segment, for logs and timelines."""

    session_id: str
    event: str
    timestamp: float
    timestamp_iso: str
    segment_id: int | UnsetType = UNSET
    segment: Segment | UnsetType = UNSET
    pre_recording_buffer: PreRecordingBuffer | UnsetType = UNSET
    duration_seconds: float | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    text: str | UnsetType = UNSET
    sequence: int | UnsetType = UNSET
    wake_word: WakeWord | UnsetType = UNSET


class SegmentTimes(Event, frozen=True, kw_only=True):
    """Top-level copies of a segment's fields that `realtime` and `final` carry."""

    segment: Segment | UnsetType = UNSET
    recording_started_at: float | UnsetType = UNSET
    recording_started_at_iso: str | UnsetType = UNSET
    recording_ended_at: float | UnsetType = UNSET
    recording_ended_at_iso: str | UnsetType = UNSET
    duration_seconds: float | UnsetType = UNSET
    end_reason: str | UnsetType = UNSET
    pre_recording_buffer: PreRecordingBuffer | UnsetType = UNSET
    wake_word: WakeWord | UnsetType = UNSET


class RealtimeTiming(msgspec.Struct, frozen=True, kw_only=True):
    """When a partial was made; snake_case on the wire."""

    created_at_monotonic: float
    completed_at_monotonic: float
    received_at_wall_time: float
    queue_delay_seconds: float | None
    inference_duration_seconds: float | None
    total_latency_seconds: float | None


class Realtime(SegmentTimes, frozen=True, kw_only=True, tag="realtime"):
    """A partial: what is heard so far of a running utterance."""

    session_id: str
    segment_id: int
    recording_id: int
    sequence: int
    text: str
    raw_text: str
    display_text: str
    stable_text: str
    stable_delta: str
    unstable_text: str
    committed_stable_text: str
    committed_stable_delta: str
    visual_stable_text: str
    visual_unstable_text: str
    consensus_text: str
    consensus_unstable_text: str
    consensus_display_text: str
    public_consensus_aligned: bool
    internal_revision: bool
    is_outlier: bool
    stable_prefix_conflict: bool
    commit_reason: str
    stable_normalized_offset: int
    timestamp: float
    timestamp_iso: str
    timing: RealtimeTiming


class Final(SegmentTimes, frozen=True, kw_only=True, tag="final"):
    """The words of a finished utterance; never empty.

    `stable_text_agreed` (our addition) tells whether they begin with the words that partials had shown as stable, and
    `pieces` (our addition) when each was spoken, as far as the engine says.
    """

    session_id: str
    segment_id: int
    text: str
    stable_text_agreed: bool
    pieces: tuple[Piece, ...] | UnsetType = UNSET
    timestamp: float
    timestamp_iso: str


class Notice(Event, frozen=True, kw_only=True, tag="warning"):
    """Something the client should know; the session goes on."""

    session_id: str
    message: str


class Error(Event, frozen=True, kw_only=True, tag="error"):
    """Something that was asked for or accepted did not work."""

    message: str
    where: Where
    session_id: str | UnsetType = UNSET
    limits: Limits | UnsetType = UNSET


class Clear(Event, frozen=True, kw_only=True, tag="clear"):
    """All that was recorded so far is discarded."""

    session_id: str
    next_segment_id: int


class Pong(Event, frozen=True, kw_only=True, tag="pong"):
    """Answer to `ping`."""

    session_id: str
    server_time: float


class Flushed(Event, frozen=True, kw_only=True, tag="flushed"):
    """Answer to `flush`, after the final of what was said before it. Our addition."""

    session_id: str
    id: str | int | None


class Heartbeat(Event, frozen=True, kw_only=True, tag="heartbeat"):
    """The session lives: sent every few seconds while the client streams. Our addition.

    `audio_received_seconds` counts since connecting; `real_time_factor` is the engines' time for this session divided
    by that; `queue_delay_ms` is the longer of what its latest partial and its latest final waited for their engine.
    """

    session_id: str
    timestamp: float
    timestamp_iso: str
    audio_received_seconds: float
    real_time_factor: float
    queue_delay_ms: float


class Metrics(Event, frozen=True, kw_only=True, tag="metrics"):
    """Answer to `metrics`."""

    session_id: str
    metrics: SessionReport


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder[Event](
    AuthRequired
    | Hello
    | Ready
    | Resumed
    | Status
    | Timeline
    | Realtime
    | Final
    | Notice
    | Error
    | Clear
    | Pong
    | Flushed
    | Heartbeat
    | Metrics
)


def encode(event: Event) -> str:
    """The text frame of an event."""
    return _encoder.encode(event).decode()


def decode(message: str) -> Event:
    """The event of a text frame.

    Raises:
        msgspec.ValidationError: It is none of ours.
    """
    event: Event = _decoder.decode(message)
    return event


def segment_times(segment: Segment) -> dict[str, Any]:
    """Keyword arguments of `SegmentTimes` for a segment: itself and the copies of what is known of it."""
    names = set(SegmentTimes.__struct_fields__) - {"segment", "seq"}
    return {"segment": segment} | {name: getattr(segment, name) for name in names}

"""Server events: the text frames that clients receive. See docs/protocol.md, Events.

One frozen class per event, encoded by `encode`. A field that is UNSET is absent on the wire; None is `null`. Times are
seconds since the Unix epoch. Fields and events marked "Added" are not in RealtimeSTT's protocol.
"""

import msgspec
from msgspec import UNSET, UnsetType

from trio_stt.protocol.event_objects import (
    Piece,
    PreRecordingBuffer,
    RealtimeTiming,
    Segment,
    State,
    WakeWord,
    WakeWordStatus,
    Where,
)
from trio_stt.protocol.reports import Limits, SessionReport


class Event(msgspec.Struct, frozen=True, rename="camel", tag_field="type", kw_only=True):
    """Base of all events; the tag is the `type` on the wire.

    Attributes:
        seq: Number of the event in its session, from 1, in the order of sending. UNSET outside a session. Added.
    """

    seq: int | UnsetType = UNSET


class AuthRequired(Event, frozen=True, kw_only=True, tag="auth_required"):
    """First frame if a key is needed and the handshake had none: the client must send `auth` in time. Added."""

    timeout_seconds: float


class Hello(Event, frozen=True, kw_only=True, tag="hello"):
    """First event of every session.

    Attributes:
        resume_token: Secret for `resume`; UNSET if the session is not kept. Added.
        resume_grace_seconds: How long the session is kept after its connection broke. Added.
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
    """Every lane finished loading; `ok` says whether all succeeded."""

    session_id: str
    settings: dict[str, object]
    limits: Limits
    runtime_settings: dict[str, list[str]]
    ok: bool


class Resumed(Event, frozen=True, kw_only=True, tag="resumed"):
    """Answer to `resume`, from the continued session; `seq` repeats the number in the request. Added.

    Attributes:
        received_packets: Binary frames that the session has taken.
        received_commands: Text frames that the session has taken, without `resume`.
        streaming: Whether the session accepts audio.
        missed_events: Events after `seq` that are no longer kept.
    """

    session_id: str
    received_packets: int
    received_commands: int
    streaming: bool
    missed_events: int


class Status(Event, frozen=True, kw_only=True, tag="status"):
    """State of the session, and counters.

    Attributes:
        degraded: Partials come less often because the server is behind. Added.
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
    """Something that happened to a segment or to the wake-word state, for logs and timelines."""

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
    """Base of `realtime` and `final`: the segment, and top-level copies of its fields."""

    segment: Segment | UnsetType = UNSET
    recording_started_at: float | UnsetType = UNSET
    recording_started_at_iso: str | UnsetType = UNSET
    recording_ended_at: float | UnsetType = UNSET
    recording_ended_at_iso: str | UnsetType = UNSET
    duration_seconds: float | UnsetType = UNSET
    end_reason: str | UnsetType = UNSET
    pre_recording_buffer: PreRecordingBuffer | UnsetType = UNSET
    wake_word: WakeWord | UnsetType = UNSET


class Realtime(SegmentTimes, frozen=True, kw_only=True, tag="realtime"):
    """A partial: the text so far of a running utterance.

    Attributes:
        audio_end_seconds: Where the audio that it covers ends, as in a segment. Added.
        retracted: True in the last one of a segment that is closed without words: its text is withdrawn. Added.
    """

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
    audio_end_seconds: float | UnsetType = UNSET
    retracted: bool | UnsetType = UNSET


class Final(SegmentTimes, frozen=True, kw_only=True, tag="final"):
    """The text of a finished utterance; never empty.

    Attributes:
        stable_text_agreed: Whether it begins with the words that partials had shown as stable. Added.
        pieces: Words or phrases with their times; UNSET if the engine gives none. Added.
        language: Code of the language that the model detected; UNSET if it was given the language. Added.
    """

    session_id: str
    segment_id: int
    text: str
    stable_text_agreed: bool
    pieces: tuple[Piece, ...] | UnsetType = UNSET
    language: str | UnsetType = UNSET
    timestamp: float
    timestamp_iso: str


class TurnResumed(Event, frozen=True, kw_only=True, tag="turn_resumed"):
    """Speech goes on in a segment whose final was published in a pause; another final will replace it. Added."""

    session_id: str
    segment_id: int
    timestamp: float
    timestamp_iso: str


class WarningEvent(Event, frozen=True, kw_only=True, tag="warning"):
    """A warning for people; the session goes on."""

    session_id: str
    message: str


class Error(Event, frozen=True, kw_only=True, tag="error"):
    """A request was rejected, or accepted work failed."""

    message: str
    where: Where
    session_id: str | UnsetType = UNSET
    limits: Limits | UnsetType = UNSET


class Clear(Event, frozen=True, kw_only=True, tag="clear"):
    """Answer to `clear`: everything received before it is discarded."""

    session_id: str
    next_segment_id: int


class Pong(Event, frozen=True, kw_only=True, tag="pong"):
    """Answer to `ping`."""

    session_id: str
    server_time: float


class Flushed(Event, frozen=True, kw_only=True, tag="flushed"):
    """Answer to `flush`, after the final of everything said before it. Added."""

    session_id: str
    id: str | int | None


class Heartbeat(Event, frozen=True, kw_only=True, tag="heartbeat"):
    """Sent every few seconds while the client streams. Added.

    Attributes:
        audio_received_seconds: Audio received in this session.
        real_time_factor: Engine seconds for each second of that audio.
        queue_delay_ms: Queue delay of the latest partial or of the latest final, the longer of both.
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
    | TurnResumed
    | WarningEvent
    | Error
    | Clear
    | Pong
    | Flushed
    | Heartbeat
    | Metrics
)


def encode(event: Event) -> str:
    """Encode an event as the text of a frame."""
    return _encoder.encode(event).decode()


def decode(message: str) -> Event:
    """Decode a text frame, for clients written in Python.

    Raises:
        msgspec.ValidationError: The text is not an event of this protocol.
    """
    event: Event = _decoder.decode(message)
    return event

"""The settings of the server itself: its address, its places, its profile, and the audio that it takes in."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from trio_stt.settings.option import MAX_SECONDS, OptionalText, SettingsGroup, active, new_sessions, startup
from trio_stt.settings.profiles import PROFILES, ProfileName, profile_spelled

_LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
    BeforeValidator(lambda value: value.strip().upper() if isinstance(value, str) else value),
]


class ServerSettings(SettingsGroup):
    """The server, and what it takes in."""

    host: Annotated[str, Field(min_length=1, description="Address to listen on."), startup("--host")] = "127.0.0.1"
    port: Annotated[
        int, Field(ge=0, le=65535, description="Port to listen on; 0 takes a free one."), startup("--port")
    ] = 8010
    tuning_profile: Annotated[
        ProfileName,
        BeforeValidator(profile_spelled),
        Field(description="Set of defaults for a purpose; what is set on its own wins over it."),
        startup("--profile", "--tuning-profile"),
    ] = "custom"
    tuning_description: Annotated[
        str, Field(description="What the tuning profile is for; shown, never set."), startup()
    ] = PROFILES["custom"].description
    log_level: Annotated[
        _LogLevel, Field(description="Least severe log lines that are written."), active("--log-level")
    ] = "INFO"
    log_format: Annotated[
        Literal["console", "json"],
        Field(description="Form of log lines: for people, or one JSON object a line."),
        startup("--log-format"),
    ] = "console"
    stall_warning_ms: Annotated[
        int,
        Field(ge=0, le=60_000, description="A task that holds the event loop for longer is logged; 0 logs none."),
        startup("--stall-warning-ms"),
    ] = 50
    max_sessions: Annotated[
        int,
        Field(ge=1, le=100_000, description="Connected sessions; more are refused."),
        active("--max-sessions"),
    ] = 32
    max_active_speakers: Annotated[
        int,
        Field(ge=1, le=100_000, description="Sessions that may record an utterance at the same time."),
        active("--max-active-speakers"),
    ] = 32

    max_audio_packet_bytes: Annotated[
        int,
        Field(ge=1024, le=16_777_216, description="PCM bytes that one audio packet may carry."),
        active("--max-audio-packet-bytes"),
    ] = 524_288
    audio_queue_size: Annotated[
        int,
        Field(ge=1, le=100_000, description="32 ms windows of received audio that may wait to be processed."),
        new_sessions("--audio-queue-size"),
    ] = 128
    max_backlog_seconds: Annotated[
        float,
        Field(
            gt=0,
            le=86_400,
            description="Seconds of finished speech that may wait for finals before audio is refused.",
        ),
        new_sessions("--max-backlog-seconds"),
    ] = 300.0
    stream_stall_timeout_s: Annotated[
        float,
        Field(
            ge=0,
            le=MAX_SECONDS,
            description="Seconds without audio that end an utterance whose client stopped sending; 0 waits forever.",
        ),
        new_sessions("--stream-stall-timeout-s"),
    ] = 5.0
    shutdown_grace_s: Annotated[
        float,
        Field(
            ge=0,
            le=600,
            description="Seconds that a server told to end leaves to utterances that still need their finals.",
        ),
        startup("--shutdown-grace-s"),
    ] = 10.0
    resume_grace_s: Annotated[
        float,
        Field(
            ge=0,
            le=600,
            description="Seconds for which a session is kept for a client that was cut off; 0 ends it at once.",
        ),
        new_sessions("--resume-grace-s"),
    ] = 10.0
    record: Annotated[
        OptionalText,
        Field(description="Folder in which each session's audio and events are recorded; empty records nothing."),
        startup("--record"),
    ] = None
    record_max_mb: Annotated[
        int,
        Field(
            ge=0,
            le=1_000_000_000,
            description="Megabytes that all recordings may take, the oldest go first; 0 for no limit.",
        ),
        startup("--record-max-mb"),
    ] = 10_000
    record_max_age_h: Annotated[
        float,
        Field(ge=0, le=1_000_000, description="Hours after its end at which a recording is removed; 0 for no limit."),
        startup("--record-max-age-h"),
    ] = 720.0
    idle_timeout_s: Annotated[
        float,
        Field(
            ge=0,
            le=86_400,
            description="Seconds after which a session that sends nothing at all is closed; 0 never closes.",
        ),
        new_sessions("--idle-timeout-s"),
    ] = 0.0

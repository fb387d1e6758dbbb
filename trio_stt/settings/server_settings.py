"""Settings of the server itself: address, profile, log, sessions, incoming audio and recordings."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from trio_stt.settings.option import MAX_SECONDS, OptionalText, SettingsGroup, active, new_sessions, startup
from trio_stt.settings.profiles import PROFILES, ProfileName, canonical_profile

_LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
    BeforeValidator(lambda value: value.strip().upper() if isinstance(value, str) else value),
]


class ServerSettings(SettingsGroup):
    """The server and its sessions."""

    group = "server"

    host: Annotated[str, Field(min_length=1, description="Address to listen on."), startup("--host")] = "127.0.0.1"
    port: Annotated[
        int, Field(ge=0, le=65535, description="Port to listen on; 0 chooses a free one."), startup("--port")
    ] = 8010
    tuning_profile: Annotated[
        ProfileName,
        BeforeValidator(canonical_profile),
        Field(description="Set of defaults for one purpose; explicit settings override it."),
        startup("--profile", "--tuning-profile"),
    ] = "custom"
    tuning_description: Annotated[
        str, Field(description="Description of the tuning profile; it cannot be set."), startup()
    ] = PROFILES["custom"].description
    log_level: Annotated[
        _LogLevel, Field(description="Lowest level of log lines that are written."), active("--log-level")
    ] = "INFO"
    log_format: Annotated[
        Literal["console", "json"],
        Field(description="Format of log lines: text for people, or one JSON object a line."),
        startup("--log-format"),
    ] = "console"
    stall_warning_ms: Annotated[
        int,
        Field(
            ge=0,
            le=60_000,
            description="Log a task that blocks the event loop for longer than this, in milliseconds; 0 logs none.",
        ),
        startup("--stall-warning-ms"),
    ] = 50
    max_sessions: Annotated[
        int,
        Field(ge=1, le=100_000, description="Connected sessions; further connections are rejected."),
        active("--max-sessions"),
    ] = 32
    max_active_speakers: Annotated[
        int,
        Field(ge=1, le=100_000, description="Sessions that may have a running utterance at the same time."),
        active("--max-active-speakers"),
    ] = 32

    max_audio_packet_bytes: Annotated[
        int,
        Field(ge=1024, le=16_777_216, description="Maximum PCM bytes in one audio packet."),
        active("--max-audio-packet-bytes"),
    ] = 524_288
    audio_queue_size: Annotated[
        int,
        Field(ge=1, le=100_000, description="Received audio that may wait to be processed, in windows of 32 ms."),
        new_sessions("--audio-queue-size"),
    ] = 128
    max_backlog_seconds: Annotated[
        float,
        Field(
            gt=0,
            le=86_400,
            description="Seconds of finished speech that may wait for finals before audio is rejected.",
        ),
        new_sessions("--max-backlog-seconds"),
    ] = 300.0
    stream_stall_timeout_s: Annotated[
        float,
        Field(
            ge=0,
            le=MAX_SECONDS,
            description="Seconds without audio after which a running utterance ends; 0 waits forever.",
        ),
        new_sessions("--stream-stall-timeout-s"),
    ] = 5.0
    shutdown_grace_s: Annotated[
        float,
        Field(
            ge=0,
            le=600,
            description="Seconds that a shutdown waits for the finals of running utterances.",
        ),
        startup("--shutdown-grace-s"),
    ] = 10.0
    resume_grace_s: Annotated[
        float,
        Field(
            ge=0,
            le=600,
            description="Seconds for which a session is kept after its connection broke; 0 ends it at once.",
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
            description="Megabytes that all recordings may take; the oldest are removed first; 0 sets no limit.",
        ),
        startup("--record-max-mb"),
    ] = 10_000
    record_max_age_h: Annotated[
        float,
        Field(ge=0, le=1_000_000, description="Hours after its end at which a recording is removed; 0 sets no limit."),
        startup("--record-max-age-h"),
    ] = 720.0
    idle_timeout_s: Annotated[
        float,
        Field(
            ge=0,
            le=86_400,
            description="Seconds after which a session whose client sends nothing is closed; 0 never closes one.",
        ),
        new_sessions("--idle-timeout-s"),
    ] = 0.0

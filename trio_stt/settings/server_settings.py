"""Settings of the server itself: address, profile, log, sessions, incoming audio and recordings."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from trio_stt.settings.option import (
    MAX_SECONDS,
    OptionalText,
    SettingsGroup,
    UserPath,
    active,
    new_sessions,
    not_settable,
    startup,
)
from trio_stt.settings.profiles import PROFILES, ProfileName, canonical_profile

_LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
    BeforeValidator(lambda value: value.strip().upper() if isinstance(value, str) else value),
]


class ServerSettings(SettingsGroup):
    """The server and its sessions."""

    group = "server"

    host: Annotated[str, Field(min_length=1), startup()] = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535), startup()] = 8010
    """Port to listen on; 0 chooses a free one."""
    processes: Annotated[int, Field(ge=1, le=256), startup()] = 1
    """Server processes that share the port, each with its own event loop and engines; more than 1 need Linux."""
    wyoming_port: Annotated[int, Field(ge=0, le=65535), startup()] = 0
    """Port for Wyoming, Home Assistant's protocol, usually 10300; it has no keys and no encryption. 0 opens none."""
    wyoming_host: Annotated[str, Field(max_length=256), startup()] = ""
    """Address of the Wyoming port; empty is that of the server."""
    wyoming_endpointing: Annotated[bool, active()] = False
    """A silence ends a Wyoming command before its client says so, for versions of Home Assistant that allow it."""
    wyoming_zeroconf: Annotated[bool, startup()] = False
    """Announce the Wyoming port in the local network, so that Home Assistant finds it; needs the extra zeroconf."""
    tuning_profile: Annotated[
        ProfileName, BeforeValidator(canonical_profile), startup("--profile", "--tuning-profile")
    ] = "custom"
    """Set of defaults for one purpose; explicit settings override it."""
    tuning_description: Annotated[str, not_settable()] = PROFILES["custom"].description
    """Description of the tuning profile; it cannot be set."""
    log_level: Annotated[_LogLevel, active()] = "INFO"
    """Lowest level of log lines that are written."""
    log_format: Annotated[Literal["console", "json"], startup()] = "console"
    """Format of log lines: text for people, or one JSON object a line."""
    stall_warning_ms: Annotated[int, Field(ge=0, le=60_000), startup()] = 50
    """Log a task that blocks the event loop for longer than this, in milliseconds; 0 logs none."""
    max_sessions: Annotated[int, Field(ge=1, le=100_000), active()] = 32
    """Connected sessions; further connections are rejected."""
    max_active_speakers: Annotated[int, Field(ge=1, le=100_000), active()] = 32
    """Sessions that may have a running utterance at the same time."""
    max_audio_packet_bytes: Annotated[int, Field(ge=1024, le=16_777_216), active()] = 524_288
    """Maximum PCM bytes in one audio packet."""
    audio_queue_size: Annotated[int, Field(ge=1, le=100_000), new_sessions()] = 128
    """Received audio that may wait to be processed, in windows of 32 ms."""
    max_backlog_seconds: Annotated[float, Field(gt=0, le=86_400), new_sessions()] = 300.0
    """Seconds of finished speech that may wait for finals before audio is rejected."""
    stream_stall_timeout_s: Annotated[float, Field(ge=0, le=MAX_SECONDS), new_sessions()] = 5.0
    """Seconds without audio after which a running utterance ends; 0 waits forever."""
    shutdown_grace_s: Annotated[float, Field(ge=0, le=600), startup()] = 10.0
    """Seconds that a shutdown waits for the finals of running utterances."""
    resume_grace_s: Annotated[float, Field(ge=0, le=600), new_sessions()] = 10.0
    """Seconds for which a session is kept after its connection broke; 0 ends it at once."""
    record: Annotated[OptionalText, UserPath, startup()] = None
    """Folder in which each session's audio and events are recorded; empty records nothing."""
    record_max_mb: Annotated[int, Field(ge=0, le=1_000_000_000), startup()] = 10_000
    """Megabytes that all recordings may take; the oldest are removed first; 0 sets no limit."""
    record_max_age_h: Annotated[float, Field(ge=0, le=1_000_000), startup()] = 720.0
    """Hours after its end at which a recording is removed; 0 sets no limit."""
    idle_timeout_s: Annotated[float, Field(ge=0, le=86_400), new_sessions()] = 0.0
    """Seconds after which a session whose client sends nothing is closed; 0 never closes one."""

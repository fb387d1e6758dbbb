"""Every setting of trio-stt, declared once: name, type, range, default, flags, runtime class and help.

The command line, the environment, `/api/config` and the table in `docs/settings.md` all derive from this class
(`configuration` reads it). It must not know what a setting does to the server. Contract: section 3.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

ENV_PREFIX = "TRIO_STT_"


class RuntimeClass(StrEnum):
    """When a change of a setting takes effect; the value is the key of `runtimeSettings` on the wire."""

    ACTIVE = "activeSessionSafe"
    NEW_SESSIONS = "newSessionOnly"
    STARTUP = "startupOnly"


@dataclass(frozen=True, slots=True)
class Option:
    """How a setting is reached from outside.

    Attributes:
        runtime: When a change takes effect.
        flags: Command-line spellings, the preferred one first. A boolean's flag takes no value and turns it away
            from its default.
        public: Whether `/api/config` and `hello` show it; engine options may hold tokens.
    """

    runtime: RuntimeClass
    flags: tuple[str, ...]
    public: bool = True


def _active(*flags: str) -> Option:
    return Option(RuntimeClass.ACTIVE, flags)


def _new(*flags: str) -> Option:
    return Option(RuntimeClass.NEW_SESSIONS, flags)


def _startup(*flags: str, public: bool = True) -> Option:
    return Option(RuntimeClass.STARTUP, flags, public)


def _spelled(value: object) -> object:
    return value.strip().lower().replace("-", "_") if isinstance(value, str) else value


def _json_object(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError) as error:
        message = f"is not valid JSON: {error}"
        raise ValueError(message) from error
    if not isinstance(parsed, dict):
        raise ValueError("must be a JSON object")  # noqa: TRY004 - pydantic reports ValueError, not TypeError
    return parsed


def _blank_is_none(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


_EngineName = Annotated[str, BeforeValidator(_spelled)]
_OptionalText = Annotated[str | None, BeforeValidator(_blank_is_none)]
_EngineOptions = Annotated[
    dict[str, Any] | None, NoDecode, BeforeValidator(_json_object), BeforeValidator(_blank_is_none)
]
_LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
    BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
]

MAX_SECONDS = 3600.0
"""Upper bound of every duration: an hour. Longer ones are typing errors."""


class Settings(BaseSettings):
    """The whole configuration of one server. Frozen; build it with `load`."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=()
    )

    # --- the server ---
    host: Annotated[str, Field(min_length=1, description="Address to listen on."), _startup("--host")] = "127.0.0.1"
    port: Annotated[
        int, Field(ge=0, le=65535, description="Port to listen on; 0 takes a free one."), _startup("--port")
    ] = 8010
    log_level: Annotated[
        _LogLevel, Field(description="Least severe log lines that are written."), _active("--log-level")
    ] = "INFO"
    max_sessions: Annotated[
        int,
        Field(ge=1, le=100_000, description="Connected sessions; more are refused."),
        _active("--max-sessions"),
    ] = 32
    max_active_speakers: Annotated[
        int,
        Field(ge=1, le=100_000, description="Sessions that may record an utterance at the same time."),
        _active("--max-active-speakers"),
    ] = 32

    # --- engines and lanes ---
    transcription_engine: Annotated[
        _EngineName,
        Field(min_length=1, description="Engine of the finals."),
        _startup("--engine", "--transcription-engine"),
    ] = "sherpa_onnx_moonshine"
    model: Annotated[
        str,
        Field(description="Model name or path of the finals; empty takes the engine's own default."),
        _startup("--model"),
    ] = ""
    transcription_engine_options: Annotated[
        _EngineOptions,
        Field(description="Options of the final engine, a JSON object."),
        _startup("--engine-options", public=False),
    ] = None
    realtime_transcription_engine: Annotated[
        Annotated[_EngineName | None, BeforeValidator(_blank_is_none)],
        Field(description="Engine of the partials; empty takes the final engine."),
        _startup("--realtime-engine", "--realtime-transcription-engine"),
    ] = None
    realtime_model: Annotated[
        str,
        Field(
            description="Model name or path of the partials; empty takes that of the finals, or the engine's default."
        ),
        _startup("--realtime-model"),
    ] = ""
    realtime_transcription_engine_options: Annotated[
        _EngineOptions,
        Field(description="Options of the realtime engine, a JSON object; empty takes those of the finals."),
        _startup("--realtime-engine-options", public=False),
    ] = None
    use_main_model_for_realtime: Annotated[
        bool,
        Field(description="One lane with the final model makes the partials too."),
        _startup("--use-main-model-for-realtime"),
    ] = False
    language: Annotated[
        str,
        Field(
            max_length=32,
            description="Language of both lanes, a code such as en; empty lets the model decide.",
        ),
        _startup("--language"),
    ] = "en"
    download_root: Annotated[
        _OptionalText,
        Field(description="Folder in which relative model names are looked up."),
        _startup("--download-root"),
    ] = None
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        BeforeValidator(_spelled),
        Field(description="Where engines run; auto takes CUDA where the engine has it."),
        _startup("--device"),
    ] = "auto"
    beam_size: Annotated[int, Field(ge=1, le=64, description="Beam width of the finals."), _startup("--beam-size")] = 5
    beam_size_realtime: Annotated[
        int, Field(ge=1, le=64, description="Beam width of the partials."), _startup("--beam-size-realtime")
    ] = 3
    initial_prompt: Annotated[
        _OptionalText,
        Field(description="Text that primes the final model, where the engine takes one."),
        _new("--initial-prompt"),
    ] = None
    initial_prompt_realtime: Annotated[
        _OptionalText,
        Field(description="Text that primes the realtime model, where the engine takes one."),
        _new("--initial-prompt-realtime"),
    ] = None
    normalize_audio: Annotated[
        bool,
        Field(description="Scale each clip's peak to 0.95 before recognition."),
        _startup("--normalize-audio"),
    ] = False
    model_warmup: Annotated[
        bool, Field(description="Transcribe a short clip at start-up."), _startup("--no-model-warmup")
    ] = True
    max_final_queue_depth_per_session: Annotated[
        int,
        Field(ge=1, le=10_000, description="Finals of one session that a lane queues; more wait in the session."),
        _active("--max-final-queue-depth-per-session"),
    ] = 8
    max_global_inference_queue_depth: Annotated[
        int,
        Field(ge=1, le=100_000, description="Jobs that a lane queues for all sessions."),
        _active("--max-global-inference-queue-depth"),
    ] = 64
    max_realtime_queue_age_ms: Annotated[
        int,
        Field(ge=1, le=600_000, description="A partial still queued after this long is dropped."),
        _active("--max-realtime-queue-age-ms"),
    ] = 1500

    # --- audio in ---
    max_audio_packet_bytes: Annotated[
        int,
        Field(ge=1024, le=16_777_216, description="PCM bytes that one audio packet may carry."),
        _active("--max-audio-packet-bytes"),
    ] = 524_288
    audio_queue_size: Annotated[
        int,
        Field(ge=1, le=100_000, description="32 ms windows of received audio that may wait to be processed."),
        _new("--audio-queue-size"),
    ] = 128
    max_backlog_seconds: Annotated[
        float,
        Field(
            gt=0,
            le=86_400,
            description="Seconds of finished speech that may wait for finals before audio is refused.",
        ),
        _new("--max-backlog-seconds"),
    ] = 300.0

    # --- where utterances begin and end ---
    vad_energy_threshold: Annotated[
        float,
        Field(
            ge=0,
            le=32_768,
            description="Window RMS (16-bit units) above which the energy gate always passes.",
        ),
        _new("--vad-energy-threshold"),
    ] = 250.0
    webrtc_sensitivity: Annotated[
        int,
        Field(ge=0, le=3, description="WebRTC detector's mode; 3 rejects most."),
        _new("--webrtc-sensitivity"),
    ] = 3
    silero_sensitivity: Annotated[
        float,
        Field(ge=0, le=1, description="Speech starts where Silero's probability exceeds 1 minus this."),
        _new("--silero-sensitivity"),
    ] = 0.05
    pre_recording_buffer_duration: Annotated[
        float,
        Field(ge=0, le=30, description="Seconds of audio kept from before the detected start."),
        _new("--pre-recording-buffer-duration"),
    ] = 0.75
    post_speech_silence_duration: Annotated[
        float,
        Field(ge=0.16, le=60, description="Seconds without speech that end an utterance."),
        _new("--post-speech-silence-duration"),
    ] = 0.55
    early_transcription_on_silence: Annotated[
        float,
        Field(
            ge=0,
            le=60,
            description="Seconds of confirmed silence after which the final is computed ahead; 0 waits.",
        ),
        _new("--early-transcription-on-silence"),
    ] = 0.2
    min_length_of_recording: Annotated[
        float,
        Field(ge=0, le=60, description="Seconds before which silence does not end an utterance."),
        _new("--min-length-of-recording"),
    ] = 0.2
    min_gap_between_recordings: Annotated[
        float,
        Field(ge=0, le=60, description="Seconds after an utterance in which none starts."),
        _new("--min-gap-between-recordings"),
    ] = 0.0
    max_audio_queue_seconds_per_session: Annotated[
        float,
        Field(
            ge=0,
            le=MAX_SECONDS,
            description="Seconds after which an utterance is cut; 0 never cuts. Moonshine fails beyond a minute.",
        ),
        _new("--max-audio-queue-seconds-per-session"),
    ] = 30.0

    # --- partials ---
    realtime_processing_pause: Annotated[
        float,
        Field(ge=0, le=60, description="Seconds of audio between the starts of two partials of an utterance."),
        _new("--realtime-processing-pause"),
    ] = 0.02
    realtime_min_audio_seconds: Annotated[
        float,
        Field(ge=0, le=60, description="Seconds of recorded audio before the first partial."),
        _new("--realtime-min-audio-seconds"),
    ] = 0.25
    realtime_callback: Annotated[
        Literal["update", "stabilized"],
        Field(description="What `text` of a partial carries: the raw hypothesis, or the stable text and its tail."),
        _new("--realtime-callback"),
    ] = "update"

    @model_validator(mode="after")
    def _combinations(self) -> Self:
        longest_s = self.max_audio_queue_seconds_per_session
        # Below one second there is no second in which to look for the quietest place to cut.
        if 0 < longest_s < max(1.0, self.min_length_of_recording):
            least_s = max(1.0, self.min_length_of_recording)
            message = f"max_audio_queue_seconds_per_session: {longest_s:g} must be 0 or at least {least_s:g}"
            raise ValueError(message)
        return self

    @property
    def language_code(self) -> str | None:
        """The language, or None where the model decides."""
        return self.language.strip() or None

    @property
    def download_folder(self) -> Path | None:
        """`download_root` as an expanded path."""
        return Path(self.download_root).expanduser() if self.download_root else None

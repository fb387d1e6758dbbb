"""Settings of the engines and of the lanes that run them."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from trio_stt.settings.option import (
    MAX_SECONDS,
    OptionalText,
    SettingsGroup,
    active,
    blank_is_none,
    canonical_name,
    new_sessions,
    parse_json_object,
    startup,
)

_EngineOptions = Annotated[
    dict[str, Any] | None, NoDecode, BeforeValidator(parse_json_object), BeforeValidator(blank_is_none)
]


class EngineSettings(SettingsGroup):
    """Engines and lanes."""

    group = "engines"

    transcription_engine: Annotated[
        str,
        Field(min_length=1, description="Engine for finals."),
        BeforeValidator(canonical_name),
        startup("--engine", "--transcription-engine"),
    ] = "sherpa_onnx_moonshine"
    model: Annotated[
        str,
        Field(description="Model name or path for finals; empty chooses the engine's default."),
        startup("--model"),
    ] = ""
    transcription_engine_options: Annotated[
        _EngineOptions,
        Field(description="Options of the final engine, a JSON object."),
        startup("--engine-options", public=False),
    ] = None
    realtime_transcription_engine: Annotated[
        Annotated[str, BeforeValidator(canonical_name)] | None,
        BeforeValidator(blank_is_none),
        Field(description="Engine for partials; empty chooses the final engine."),
        startup("--realtime-engine", "--realtime-transcription-engine"),
    ] = None
    realtime_model: Annotated[
        str,
        Field(
            description="Model name or path for partials; empty chooses the model for finals, or the engine's default."
        ),
        startup("--realtime-model"),
    ] = ""
    realtime_transcription_engine_options: Annotated[
        _EngineOptions,
        Field(description="Options of the realtime engine, a JSON object; empty uses those of the final engine."),
        startup("--realtime-engine-options", public=False),
    ] = None
    use_main_model_for_realtime: Annotated[
        bool,
        Field(description="One lane with the final model makes the partials, too."),
        startup("--use-main-model-for-realtime"),
    ] = False
    language: Annotated[
        str,
        Field(
            max_length=32,
            description="Language of both lanes, a code such as en; empty lets the model decide.",
        ),
        startup("--language"),
    ] = "en"
    download_root: Annotated[
        OptionalText,
        Field(
            description="Folder in which relative model names are looked up and to which models are "
            "downloaded; empty downloads to the user's cache."
        ),
        startup("--download-root"),
    ] = None
    offline: Annotated[
        bool,
        Field(description="Never download a model; an error says how to fetch a missing one."),
        startup("--offline"),
    ] = False
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        BeforeValidator(canonical_name),
        Field(description="Device of the engines; auto chooses CUDA if the engine supports it here."),
        startup("--device"),
    ] = "auto"
    gpu_device_index: Annotated[
        int, Field(ge=0, le=127, description="Index of the GPU, with device cuda."), startup("--gpu-device-index")
    ] = 0
    compute_type: Annotated[
        str,
        Field(
            min_length=1,
            max_length=32,
            description="Precision of the model, such as int8 or float16, if the engine has a choice.",
        ),
        BeforeValidator(canonical_name),
        startup("--compute-type"),
    ] = "default"
    beam_size: Annotated[int, Field(ge=1, le=64, description="Beam width for finals."), startup("--beam-size")] = 5
    beam_size_realtime: Annotated[
        int, Field(ge=1, le=64, description="Beam width for partials."), startup("--beam-size-realtime")
    ] = 3
    batch_size: Annotated[
        int,
        Field(ge=1, le=1024, description="Finals that the engine may process in one batch, if it supports batches."),
        startup("--batch-size"),
    ] = 16
    realtime_batch_size: Annotated[
        int,
        Field(
            ge=1,
            le=1024,
            description="Partials that the engine may process in one batch, if it supports batches; a "
            "shared lane changes at once.",
        ),
        new_sessions("--realtime-batch-size"),
    ] = 16
    lane_workers: Annotated[
        int,
        Field(
            ge=0,
            le=64,
            description="Finals processed at the same time; workers share one loaded model if the engine "
            "allows it, and the cores. 0 chooses: up to 4 if one model serves all and one "
            "thread is fastest, else 1.",
        ),
        startup("--lane-workers"),
    ] = 0
    realtime_lane_workers: Annotated[
        int,
        Field(ge=0, le=64, description="The same for partials, if they have a lane of their own."),
        startup("--realtime-lane-workers"),
    ] = 0
    job_deadline_s: Annotated[
        float,
        Field(
            ge=0,
            le=MAX_SECONDS,
            description="Seconds that an engine may take for a job, plus as many for each 10 s of its "
            "audio, before it is replaced as hung; 0 waits forever.",
        ),
        active("--job-deadline-s"),
    ] = 30.0
    engine_outage_limit_s: Annotated[
        float,
        Field(
            ge=0,
            le=MAX_SECONDS,
            description="Seconds that finals wait for another engine after theirs is lost; then they fail.",
        ),
        active("--engine-outage-limit-s"),
    ] = 60.0
    vad_filter: Annotated[
        bool,
        Field(description="The engine's own voice detection skips silence inside a clip, if it has one."),
        new_sessions("--no-vad-filter"),
    ] = True
    initial_prompt: Annotated[
        OptionalText,
        Field(description="Prompt for the final model, if the engine takes one."),
        new_sessions("--initial-prompt"),
    ] = None
    initial_prompt_realtime: Annotated[
        OptionalText,
        Field(description="Prompt for the realtime model, if the engine takes one."),
        new_sessions("--initial-prompt-realtime"),
    ] = None
    normalize_audio: Annotated[
        bool,
        Field(description="Scale each clip's peak to 0.95 before recognition."),
        startup("--normalize-audio"),
    ] = False
    model_warmup: Annotated[
        bool, Field(description="Transcribe a short clip at start-up."), startup("--no-model-warmup")
    ] = True
    max_final_queue_depth_per_session: Annotated[
        int,
        Field(ge=1, le=10_000, description="Finals of one session that a lane queues; more wait in the session."),
        active("--max-final-queue-depth-per-session"),
    ] = 8
    max_global_inference_queue_depth: Annotated[
        int,
        Field(ge=1, le=100_000, description="Jobs that a lane queues for all sessions."),
        active("--max-global-inference-queue-depth"),
    ] = 64
    max_realtime_queue_age_ms: Annotated[
        int,
        Field(ge=1, le=600_000, description="Milliseconds after which a partial that is still queued is dropped."),
        active("--max-realtime-queue-age-ms"),
    ] = 1500
    realtime_degradation_threshold_ms: Annotated[
        int,
        Field(ge=1, le=600_000, description="Queue delay in milliseconds above which partials are slowed."),
        active("--realtime-degradation-threshold-ms"),
    ] = 1500

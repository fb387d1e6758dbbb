"""The settings of the engines and of the lanes that run them."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from trio_stt.settings.option import (
    MAX_SECONDS,
    OptionalText,
    SettingsGroup,
    active,
    blank_is_none,
    json_object,
    new_sessions,
    spelled,
    startup,
)

_EngineOptions = Annotated[
    dict[str, Any] | None, NoDecode, BeforeValidator(json_object), BeforeValidator(blank_is_none)
]


class EngineSettings(SettingsGroup):
    """Engines and lanes."""

    transcription_engine: Annotated[
        str,
        Field(min_length=1, description="Engine of the finals."),
        BeforeValidator(spelled),
        startup("--engine", "--transcription-engine"),
    ] = "sherpa_onnx_moonshine"
    model: Annotated[
        str,
        Field(description="Model name or path of the finals; empty takes the engine's own default."),
        startup("--model"),
    ] = ""
    transcription_engine_options: Annotated[
        _EngineOptions,
        Field(description="Options of the final engine, a JSON object."),
        startup("--engine-options", public=False),
    ] = None
    realtime_transcription_engine: Annotated[
        Annotated[str, BeforeValidator(spelled)] | None,
        BeforeValidator(blank_is_none),
        Field(description="Engine of the partials; empty takes the final engine."),
        startup("--realtime-engine", "--realtime-transcription-engine"),
    ] = None
    realtime_model: Annotated[
        str,
        Field(
            description="Model name or path of the partials; empty takes that of the finals, or the engine's default."
        ),
        startup("--realtime-model"),
    ] = ""
    realtime_transcription_engine_options: Annotated[
        _EngineOptions,
        Field(description="Options of the realtime engine, a JSON object; empty takes those of the finals."),
        startup("--realtime-engine-options", public=False),
    ] = None
    use_main_model_for_realtime: Annotated[
        bool,
        Field(description="One lane with the final model makes the partials too."),
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
            description="Folder in which relative model names are looked up, and to which models are downloaded; "
            "empty downloads to the user's cache."
        ),
        startup("--download-root"),
    ] = None
    offline: Annotated[
        bool,
        Field(description="Never download a model; say how to fetch one that is missing."),
        startup("--offline"),
    ] = False
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        BeforeValidator(spelled),
        Field(description="Where engines run; auto takes CUDA where the engine has it."),
        startup("--device"),
    ] = "auto"
    gpu_device_index: Annotated[
        int, Field(ge=0, le=127, description="Which GPU, where device is cuda."), startup("--gpu-device-index")
    ] = 0
    compute_type: Annotated[
        str,
        Field(
            min_length=1,
            max_length=32,
            description="Precision of the model, such as int8 or float16, where the engine has a choice.",
        ),
        BeforeValidator(spelled),
        startup("--compute-type"),
    ] = "default"
    beam_size: Annotated[int, Field(ge=1, le=64, description="Beam width of the finals."), startup("--beam-size")] = 5
    beam_size_realtime: Annotated[
        int, Field(ge=1, le=64, description="Beam width of the partials."), startup("--beam-size-realtime")
    ] = 3
    batch_size: Annotated[
        int,
        Field(ge=1, le=1024, description="Finals that the engine may take at once, where it batches."),
        startup("--batch-size"),
    ] = 16
    realtime_batch_size: Annotated[
        int,
        Field(
            ge=1,
            le=1024,
            description="Partials that the engine may take at once, where it batches; the shared lane follows at once.",
        ),
        new_sessions("--realtime-batch-size"),
    ] = 16
    lane_workers: Annotated[
        int,
        Field(
            ge=0,
            le=64,
            description="Jobs that the lane of the finals does at the same time; they share one loaded model where the "
            "engine allows it, and the cores. 0 chooses: up to 4 where one model serves all and a single thread is "
            "fastest, else 1.",
        ),
        startup("--lane-workers"),
    ] = 0
    realtime_lane_workers: Annotated[
        int,
        Field(ge=0, le=64, description="The same for the lane of the partials, where they have one of their own."),
        startup("--realtime-lane-workers"),
    ] = 0
    job_deadline_s: Annotated[
        float,
        Field(
            ge=0,
            le=MAX_SECONDS,
            description="Seconds that an engine may take for a job, and as long again for each 10 s of its audio, "
            "before it is taken to hang and replaced; 0 waits forever.",
        ),
        active("--job-deadline-s"),
    ] = 30.0
    engine_outage_limit_s: Annotated[
        float,
        Field(
            ge=0,
            le=MAX_SECONDS,
            description="Seconds that finals wait for another engine when theirs is lost; after that they fail.",
        ),
        active("--engine-outage-limit-s"),
    ] = 60.0
    vad_filter: Annotated[
        bool,
        Field(description="The engine's own voice detector skips silence inside a clip, where it has one."),
        new_sessions("--no-vad-filter"),
    ] = True
    initial_prompt: Annotated[
        OptionalText,
        Field(description="Text that primes the final model, where the engine takes one."),
        new_sessions("--initial-prompt"),
    ] = None
    initial_prompt_realtime: Annotated[
        OptionalText,
        Field(description="Text that primes the realtime model, where the engine takes one."),
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
        Field(ge=1, le=600_000, description="A partial still queued after this long is dropped."),
        active("--max-realtime-queue-age-ms"),
    ] = 1500
    realtime_degradation_threshold_ms: Annotated[
        int,
        Field(ge=1, le=600_000, description="Queue delay past which partials slow down."),
        active("--realtime-degradation-threshold-ms"),
    ] = 1500

"""Settings of the engines and of the lanes that run them."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from trio_stt.settings.option import (
    MAX_SECONDS,
    OptionalText,
    SettingsGroup,
    UserPath,
    active,
    blank_is_none,
    canonical_language,
    canonical_name,
    new_sessions,
    parse_json_object,
    startup,
)

_EngineOptions = Annotated[dict[str, Any] | None, BeforeValidator(parse_json_object), BeforeValidator(blank_is_none)]

_MAX_RESOURCE = 2.0**50
"""Largest amount of a resource; memory is in bytes."""


def _ray_address(value: str | None) -> str | None:
    """The address of a Ray cluster, stripped.

    Raises:
        ValueError: It is not of the form ray://HOST:PORT.
    """
    if value is None:
        return None
    try:
        place = urlsplit(value.strip())
        is_whole = place.scheme == "ray" and place.hostname and place.port and place.netloc == place.geturl()[6:]
    except ValueError:
        is_whole = False
    if not is_whole or place.username is not None:
        raise ValueError("is not the address of a Ray cluster; expected ray://HOST:PORT, such as ray://10.0.0.1:10001")
    return value.strip()


def _resources(value: dict[str, Any] | None) -> dict[str, float] | None:
    """Amounts of resources by name; None for none.

    Raises:
        ValueError: A name or an amount that Ray does not take, or only amounts of 0, with which an engine could be put
            on a dead node.
    """
    if value is None:
        return None
    for name, amount in value.items():
        if not name or not name.replace("_", "").isalnum():
            message = f"has the resource {name!r}; expected letters, digits and underscores"
            raise ValueError(message)
        if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount <= _MAX_RESOURCE:
            message = f"has the amount {amount!r} of {name}; expected a number from 0 to {_MAX_RESOURCE:g}"
            raise ValueError(message)
        if amount > 1 and amount != int(amount):
            message = f"has the amount {amount!r} of {name}; above 1, Ray takes whole numbers only"
            raise ValueError(message)
    if not any(value.values()):
        raise ValueError("asks for nothing; expected at least one amount above 0")
    return {name: float(amount) for name, amount in value.items()}


_Resources = Annotated[
    dict[str, Any] | None,
    AfterValidator(_resources),
    BeforeValidator(parse_json_object),
    BeforeValidator(blank_is_none),
]


class EngineSettings(SettingsGroup):
    """Engines and lanes."""

    group = "engines"

    transcription_engine: Annotated[
        str, Field(min_length=1), BeforeValidator(canonical_name), startup("--engine", "--transcription-engine")
    ] = "sherpa_onnx_moonshine"
    """Engine for finals."""
    model: Annotated[str, UserPath, startup()] = ""
    """Model name or path for finals; empty chooses the engine's default."""
    transcription_engine_options: Annotated[_EngineOptions, startup("--engine-options", public=False)] = None
    """Options of the final engine, a JSON object."""
    realtime_transcription_engine: Annotated[
        Annotated[str, BeforeValidator(canonical_name)] | None,
        BeforeValidator(blank_is_none),
        startup("--realtime-engine", "--realtime-transcription-engine"),
    ] = None
    """Engine for partials; empty chooses the final engine."""
    realtime_model: Annotated[str, UserPath, startup()] = ""
    """Model name or path for partials; empty chooses the model for finals, or the engine's default."""
    realtime_transcription_engine_options: Annotated[
        _EngineOptions, startup("--realtime-engine-options", public=False)
    ] = None
    """Options of the realtime engine, a JSON object; empty uses those of the final engine."""
    use_main_model_for_realtime: Annotated[bool, startup()] = False
    """One lane with the final model makes the partials, too."""
    language: Annotated[str, Field(max_length=32), AfterValidator(canonical_language), startup()] = "en"
    """Language that is spoken: a code or an English name, such as de, de-AT or German; auto or empty lets the model
    decide. A client may choose another one for its session if the engine can.
    """
    download_root: Annotated[OptionalText, UserPath, startup()] = None
    """Folder in which relative model names are looked up and to which models are downloaded; empty downloads to the
    user's cache.
    """
    offline: Annotated[bool, startup()] = False
    """Never download a model; an error says how to fetch a missing one."""
    device: Annotated[Literal["auto", "cpu", "cuda"], BeforeValidator(canonical_name), startup()] = "auto"
    """Device of the engines; auto chooses CUDA if the engine supports it here."""
    gpu_device_index: Annotated[int, Field(ge=0, le=127), startup()] = 0
    """Index of the GPU, with device cuda."""
    compute_type: Annotated[str, Field(min_length=1, max_length=32), BeforeValidator(canonical_name), startup()] = (
        "default"
    )
    """Precision of the model, such as int8 or float16, if the engine has a choice."""
    beam_size: Annotated[int, Field(ge=1, le=64), startup()] = 5
    """Beam width for finals."""
    beam_size_realtime: Annotated[int, Field(ge=1, le=64), startup()] = 3
    """Beam width for partials."""
    batch_size: Annotated[int, Field(ge=1, le=1024), startup()] = 16
    """Finals that the engine may process in one batch, if it supports batches."""
    realtime_batch_size: Annotated[int, Field(ge=1, le=1024), new_sessions()] = 16
    """Partials that the engine may process in one batch, if it supports batches; a shared lane changes at once."""
    lane_workers: Annotated[int, Field(ge=0, le=64), startup()] = 0
    """Finals processed at the same time; workers share one loaded model if the engine allows it, and the cores. 0
    chooses: up to 4 if one model serves all and one thread is fastest, else 1.
    """
    realtime_lane_workers: Annotated[int, Field(ge=0, le=64), startup()] = 0
    """The same for partials, if they have a lane of their own."""
    lane_workers_max: Annotated[int, Field(ge=0, le=64), startup()] = 0
    """Most workers for finals: from lane_workers on, their number follows the queue delay and how busy they are; 0
    keeps the number.
    """
    realtime_lane_workers_max: Annotated[int, Field(ge=0, le=64), startup()] = 0
    """The same for partials, if they have a lane of their own."""
    lane_executor: Annotated[Literal["thread", "process", "ray"], startup()] = "thread"
    """Where engines run: in threads of the server, or each in a process of its own, which costs memory and a few
    milliseconds a job, and keeps a crash, a hang or a leak of an engine away from the server; or on the nodes of a Ray
    cluster.
    """
    realtime_lane_executor: Annotated[Literal["", "thread", "process", "ray"], startup()] = ""
    """The same for partials, if they have a lane of their own; empty for the same as finals."""
    ray_address: Annotated[OptionalText, AfterValidator(_ray_address), startup(public=False)] = None
    """Address of the Ray cluster for lane_executor ray, such as ray://10.0.0.1:10001."""
    lane_resources: Annotated[_Resources, startup(public=False)] = None
    """What each engine asks of a node of the cluster, a JSON object such as {"num_gpus": 0.5}; other names than
    num_cpus, num_gpus and memory (bytes) are resources of the cluster's own. Empty asks for one CPU.
    """
    realtime_lane_resources: Annotated[_Resources, startup(public=False)] = None
    """The same for partials, if they have a lane of their own; empty for the same as finals."""
    lane_start_limit_s: Annotated[float, Field(gt=0, le=MAX_SECONDS), startup()] = 120.0
    """Seconds that an engine waits for room on a node of the cluster; then its lane says so and tries again."""
    engine_load_limit_s: Annotated[float, Field(ge=0, le=MAX_SECONDS), startup()] = 600.0
    """Seconds that an engine may take to load in a process of its own or on a node of the cluster, before it is killed
    and loaded again; 0 waits forever. The download of a model of the catalogue counts on a cluster only.
    """
    lane_fallback: Annotated[Literal["none", "thread"], startup()] = "none"
    """What engines do while the Ray cluster does not answer or has no room: none waits for it, thread runs them in
    threads of the server.
    """
    job_deadline_s: Annotated[float, Field(ge=0, le=MAX_SECONDS), active()] = 30.0
    """Seconds that an engine may take for a job, plus as many for each 10 s of its audio, before it is replaced as
    hung; 0 waits forever.
    """
    engine_outage_limit_s: Annotated[float, Field(ge=0, le=MAX_SECONDS), active()] = 60.0
    """Seconds that finals wait for another engine after theirs is lost; then they fail."""
    vad_filter: Annotated[bool, new_sessions("--no-vad-filter")] = True
    """The engine's own voice detection skips silence inside a clip, if it has one."""
    initial_prompt: Annotated[OptionalText, new_sessions()] = None
    """Prompt for the final model, if the engine takes one."""
    initial_prompt_realtime: Annotated[OptionalText, new_sessions()] = None
    """Prompt for the realtime model, if the engine takes one."""
    normalize_audio: Annotated[bool, startup()] = False
    """Scale each clip's peak to 0.95 before recognition."""
    model_warmup: Annotated[bool, startup("--no-model-warmup")] = True
    """Transcribe a short clip at start-up."""
    max_final_queue_depth_per_session: Annotated[int, Field(ge=1, le=10_000), active()] = 8
    """Finals of one session that a lane queues; more wait in the session."""
    max_global_inference_queue_depth: Annotated[int, Field(ge=1, le=100_000), active()] = 64
    """Jobs that a lane queues for all sessions."""
    max_realtime_queue_age_ms: Annotated[int, Field(ge=1, le=600_000), active()] = 1500
    """Milliseconds after which a partial that is still queued is dropped."""
    realtime_degradation_threshold_ms: Annotated[int, Field(ge=1, le=600_000), active()] = 1500
    """Queue delay in milliseconds above which partials are slowed."""

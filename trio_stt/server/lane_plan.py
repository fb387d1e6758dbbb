"""What the settings lead to: the engine and model of each lane, and how many of them this machine's cores carry.

It decides and loads nothing; `build` makes lanes of the plans.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from trio_stt.lanes import model_resolver
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import EngineConfig
from trio_stt.lanes.lane_state import LaneName
from trio_stt.models import catalogue
from trio_stt.models.cache import ModelCache, default_root
from trio_stt.runtime.cpus import usable_cores
from trio_stt.server.lane_executors import cpus_of
from trio_stt.settings import Settings

logger = logging.getLogger(__name__)

_MAX_ENGINE_THREADS = 4
"""Threads of one engine call; models of this size gain nothing from more."""

_MAX_AUTOMATIC_WORKERS = 4
"""Workers of a lane unless the settings say otherwise; with more, the event loop limits the server."""


@dataclass(frozen=True, slots=True)
class LanePlan:
    """The engines of one lane: their configuration, least and most number, and executor."""

    name: LaneName
    config: EngineConfig
    workers: int
    most_workers: int
    executor: str


def planned_lanes(settings: Settings) -> Sequence[LanePlan]:
    """The lanes that these settings and this machine's cores lead to, the main one first.

    Raises:
        SettingError: An engine is unknown.
    """
    final_config, partial_config = engine_configs(settings)
    cores = cores_of_process(settings) // (1 if partial_config is None else 2)
    executor = settings.lane_executor
    numbers = workers_of(final_config, settings.lane_workers, settings.lane_workers_max, cores=cores)
    plans = [LanePlan("main", final_config, *numbers, executor)]
    if partial_config is not None:
        numbers = workers_of(
            partial_config, settings.realtime_lane_workers, settings.realtime_lane_workers_max, cores=cores
        )
        plans.append(LanePlan("realtime", partial_config, *numbers, settings.realtime_lane_executor or executor))
    threads = _threads_per_call([plan for plan in plans if plan.executor != "ray"], cores_of_process(settings))
    return [
        replace(plan, config=_config_of(plan, cpus_of(settings, plan.name) if plan.executor == "ray" else threads))
        for plan in plans
    ]


def _config_of(plan: LanePlan, threads: int) -> EngineConfig:
    adapter = registry.adapter(plan.config)
    shared = adapter.workers == "shared" and plan.executor == "thread"  # processes cannot share a loaded model
    return replace(
        plan.config,
        num_threads=1 if adapter.single_threaded else threads,
        num_workers=plan.most_workers if shared else 1,
    )


def engine_configs(settings: Settings) -> tuple[EngineConfig, EngineConfig | None]:
    """The configuration of the engine for finals, and of the one for partials unless both share one.

    Raises:
        SettingError: An engine is unknown.
    """
    settings = with_models(settings)
    final_config = EngineConfig(
        engine=settings.transcription_engine,
        model=settings.model,
        language=settings.language_code,
        download_root=settings.download_folder,
        offline=settings.offline,
        device=settings.device,
        gpu_device_index=settings.gpu_device_index,
        compute_type=settings.compute_type,
        beam_size=settings.beam_size,
        normalize_audio=settings.normalize_audio,
        options=settings.transcription_engine_options or {},
    )
    partial_options = settings.realtime_transcription_engine_options
    partial_config = replace(
        final_config,
        engine=registry.resolve(settings.realtime_transcription_engine or settings.transcription_engine).name,
        model=settings.realtime_model,
        beam_size=settings.beam_size_realtime,
        options=final_config.options if partial_options is None else partial_options,
    )
    shared = settings.use_main_model_for_realtime or registry.same_engine(final_config, partial_config)
    return final_config, None if shared else partial_config


def with_models(settings: Settings) -> Settings:
    """The settings with the names of all engines and models filled in, so that clients see what is loaded.

    Raises:
        SettingError: An engine is unknown, or there is no model for the language.
    """
    settings = _with_engine_for_language(settings)
    final = registry.resolve(settings.transcription_engine)
    partials = registry.resolve(settings.realtime_transcription_engine or final.name)
    model = settings.model or final.default_model
    realtime_model = settings.realtime_model or (model if partials is final else partials.default_model)
    return settings.model_copy(
        update={"transcription_engine": final.name, "model": model, "realtime_model": realtime_model}
    )


def _with_engine_for_language(settings: Settings) -> Settings:
    """The settings with the best engine and model for the language where neither was chosen and the default lacks it.

    Raises:
        SettingError: There is no model for the language.
    """
    chosen = settings.model or settings.is_set("transcription_engine") or settings.transcription_engine_options
    language, default = settings.language_code, registry.resolve(settings.transcription_engine)
    if chosen or language is None or language in catalogue.languages_of(default.name, default.default_model):
        return settings
    entry = model_resolver.choose_for_language(language, model_cache(settings), offline=settings.offline)
    return settings.model_copy(update={"transcription_engine": entry.engine, "model": entry.name})


def workers_of(config: EngineConfig, least: int, most: int, *, cores: int) -> tuple[int, int]:
    """The least and the most workers of a lane: as the settings say, or for 0 by the engine and the lane's cores.

    No core is kept free for the event loop, because engine threads have a lower priority.
    """
    if max(least, most) > 1 and registry.adapter(config).workers == "one":
        logger.warning(
            "engine %s runs with one worker, not %d: it decodes all utterances in one call",
            config.engine,
            max(least, most),
        )
        return 1, 1
    if not least:
        one_per_core = registry.adapter(config).single_threaded and config.device != "cuda"
        least = max(1, min(_MAX_AUTOMATIC_WORKERS, cores, most or cores)) if one_per_core else 1
    return least, max(least, most)


def cores_of_process(settings: Settings) -> int:
    """The usable cores that each of the server's processes may fill with threads, at least 1."""
    return max(1, usable_cores() // settings.processes)


def _threads_per_call(plans: Sequence[LanePlan], cores: int) -> int:
    """Threads of each engine call, so that all calls that may run at the same time fit on the cores.

    One core is left to the event loop. Engines without `num_threads`, such as remote ones, are not counted.
    """
    calls = sum(
        plan.most_workers for plan in plans if "num_threads" not in registry.resolve(plan.config.engine).ignores
    )
    return min(_MAX_ENGINE_THREADS, max(1, (cores - 1) // max(1, calls)))


def model_cache(settings: Settings) -> ModelCache:
    """The models on this machine."""
    return ModelCache(settings.download_folder or default_root())

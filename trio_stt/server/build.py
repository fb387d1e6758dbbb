"""Builds a server from its settings: models, lanes, detectors, the archive of recordings.

The composition root of all that sessions share; the api package builds what serves them over the web.
"""

import logging
import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from trio_stt.dsp import SAMPLE_RATE_HZ, boundary, downmix, kernels
from trio_stt.dsp.detector import SpeechDetector
from trio_stt.dsp.openwakeword import packaged_models
from trio_stt.dsp.silero import SileroModel
from trio_stt.dsp.turn_model import packaged_model
from trio_stt.dsp.wake_words import WakeWords, uses_openwakeword
from trio_stt.lanes import model_resolver
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import EngineConfig
from trio_stt.lanes.executor import EngineExecutor
from trio_stt.lanes.fair_queue import QueueLimits
from trio_stt.lanes.job import JobKind
from trio_stt.lanes.lane import Lane
from trio_stt.lanes.lane_state import LaneName, LaneState
from trio_stt.lanes.scheduler import Lanes
from trio_stt.models import catalogue
from trio_stt.models.cache import ModelCache, default_root
from trio_stt.models.turn_models import SMART_TURN
from trio_stt.models.wake_word_models import OPENWAKEWORD
from trio_stt.processes.counts import SINGLE_PROCESS, ProcessCounts
from trio_stt.processes.peers import NO_PEERS, Peers
from trio_stt.runtime.cpus import usable_cores
from trio_stt.runtime.packages import install_command
from trio_stt.server.lane_executors import LaneExecutors, cpus_of
from trio_stt.server.recordings import RecordingArchive
from trio_stt.server.server_state import ServerState
from trio_stt.server.setting_schemas import setting_schemas
from trio_stt.server.turn_judge import TurnJudge
from trio_stt.settings import Settings, setting_warnings

logger = logging.getLogger(__name__)

_SWITCH_INTERVAL_S = 0.0005
"""Seconds that a thread may hold the interpreter while the event loop waits; Python's 5 ms would delay every event."""

_MAX_ENGINE_THREADS = 4
"""Threads of one engine call; models of this size gain nothing from more."""

_MAX_AUTOMATIC_WORKERS = 4
"""Workers of a lane unless the settings say otherwise; with more, the event loop limits the server."""

_WARMUP_CLIP = np.zeros(SAMPLE_RATE_HZ, np.float32)
"""A second of silence: enough for an engine to allocate and compile what the first job would wait for."""


@dataclass(frozen=True, slots=True)
class LanePlan:
    """The engines of one lane: their configuration, least and most number, and executor."""

    name: LaneName
    config: EngineConfig
    workers: int
    most_workers: int
    executor: str


def build_server(settings: Settings, counts: ProcessCounts = SINGLE_PROCESS, peers: Peers = NO_PEERS) -> ServerState:
    """Build everything that sessions share; nothing runs yet.

    Args:
        settings: At the start.
        counts: What the other processes of the server have.
        peers: The other processes of the server.

    Raises:
        SettingError: An engine or a wake word is unknown, or cannot be what the settings ask for; or the folder for
            recordings cannot be written to.
        EngineUnavailable: The VAD model is missing.
    """
    settings = _with_models(settings)
    for notice in setting_warnings(settings):
        logger.warning(notice)
    wake_words = WakeWords(partial(_models(settings).find, OPENWAKEWORD))
    wake_words.check(settings)
    silero = SileroModel()

    def new_detector(current: Settings) -> SpeechDetector:
        # Settings that were set mean what they mean in the reference server; their defaults are not used.
        return SpeechDetector(
            silero,
            energy_threshold=current.vad_energy_threshold if current.is_set("vad_energy_threshold") else None,
            webrtc_mode=current.webrtc_sensitivity if current.is_set("webrtc_sensitivity") else None,
        )

    turn_judge = TurnJudge(packaged_model() or _models(settings).find(SMART_TURN))
    if settings.endpointing == "adaptive" and not turn_judge.available:
        logger.warning(
            "endpointing adaptive: pauses are judged by their text alone, because no turn model is on this machine; run"
            " `trio-stt models pull %s` or `%s`",
            SMART_TURN.name,
            install_command("--no-deps", "pipecat-ai==1.14.0"),
        )
    # `server_state` is assigned below: lanes read settings only once they run, so it exists by then.
    lanes = _build_lanes(settings, current=lambda: server_state.settings)
    server_state = ServerState(
        settings=settings,
        lanes=lanes,
        new_detector=new_detector,
        wake_words=wake_words,
        turn_judge=turn_judge,
        archive=_archive(settings),
        counts=counts,
        peers=peers,
    )
    return server_state


def fetch_wake_words(settings: Settings) -> None:
    """Download openWakeWord's models if these settings need them and this machine lacks them. Blocks.

    Raises:
        ModelError: They cannot be downloaded.
    """
    if will_fetch_wake_words(settings):
        model_resolver.fetch(OPENWAKEWORD, _models(settings))


def will_fetch_wake_words(settings: Settings) -> bool:
    """Whether openWakeWord's models have to be downloaded for these settings, and may be."""
    is_missing = uses_openwakeword(settings) and packaged_models() is None
    return is_missing and not settings.offline and _models(settings).find(OPENWAKEWORD) is None


def _models(settings: Settings) -> ModelCache:
    return ModelCache(settings.download_folder or default_root())


def _archive(settings: Settings) -> RecordingArchive | None:
    if settings.record is None:
        return None
    folder = Path(settings.record).expanduser()
    return RecordingArchive(folder, max_mb=settings.record_max_mb, max_age_h=settings.record_max_age_h)


def prepare_process() -> None:
    """Compile the kernels, build the settings' schema and shorten the interpreter's switch interval, before serving."""
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    if folder := os.environ.get("NUMBA_CACHE_DIR"):
        logger.info("compiled kernels are kept in %s (NUMBA_CACHE_DIR)", folder)
    kernels.warm_up()
    downmix.warm_up()
    boundary.warm_up()
    setting_schemas()


def _build_lanes(settings: Settings, *, current: Callable[[], Settings]) -> Lanes:
    """One lane if finals and partials come from the same model, otherwise two."""
    executors = LaneExecutors(settings)
    main, *rest = (_lane(plan, settings, executors, current=current) for plan in planned_lanes(settings))
    return Lanes(main=main, realtime=rest[0] if rest else main)


def planned_lanes(settings: Settings) -> Sequence[LanePlan]:
    """The lanes that these settings and this machine's cores lead to, the main one first.

    Raises:
        SettingError: An engine is unknown.
    """
    final_config, partial_config = engine_configs(settings)
    cores = cores_of_process(settings) // (1 if partial_config is None else 2)
    executor = settings.lane_executor
    numbers = _workers(final_config, settings.lane_workers, settings.lane_workers_max, cores=cores)
    plans = [LanePlan("main", final_config, *numbers, executor)]
    if partial_config is not None:
        numbers = _workers(
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
    settings = _with_models(settings)
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


def _with_models(settings: Settings) -> Settings:
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
    entry = model_resolver.choose_for_language(language, _models(settings), offline=settings.offline)
    return settings.model_copy(update={"transcription_engine": entry.engine, "model": entry.name})


def _workers(config: EngineConfig, least: int, most: int, *, cores: int) -> tuple[int, int]:
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


def _lane(plan: LanePlan, settings: Settings, executors: LaneExecutors, *, current: Callable[[], Settings]) -> Lane:
    made = executors.of(
        plan.name,
        plan.config,
        kind=plan.executor,
        local_limit=_workers(plan.config, 0, 0, cores=cores_of_process(settings))[0],
        unwanted=lambda: lane.state is LaneState.CLOSED,
    )
    lane: Lane = new_lane(
        plan.name,
        settings,
        made.new,
        workers=plan.workers,
        most_workers=plan.most_workers,
        notice=made.notice,
        current=current,
    )
    return lane


def new_lane(
    name: LaneName,
    settings: Settings,
    new_executor: Callable[[], EngineExecutor],
    *,
    workers: int,
    most_workers: int = 0,
    notice: Callable[[], str | None] = lambda: None,
    current: Callable[[], Settings],
) -> Lane:
    """A lane with the limits of the settings.

    Args:
        name: Of the lane.
        settings: At the start.
        new_executor: Makes an executor for one engine.
        workers: Number of engines that work at the same time.
        most_workers: See `Lane`.
        notice: See `Lane`.
        current: Returns the settings in force, once the lane runs.
    """
    return Lane(
        name,
        new_executor=new_executor,
        limits=lambda: _queue_limits(current()),
        workers=workers,
        most_workers=most_workers,
        notice=notice,
        batch_size=lambda kind: _batch_size(current(), kind),
        degradation_threshold_s=lambda: current().realtime_degradation_threshold_ms / 1000,
        job_deadline_s=lambda: current().job_deadline_s or math.inf,
        outage_limit_s=lambda: current().engine_outage_limit_s,
        warmup_clips=[_WARMUP_CLIP] if settings.model_warmup else [],
    )


def _batch_size(settings: Settings, kind: JobKind) -> int:
    return settings.batch_size if kind is JobKind.FINAL else settings.realtime_batch_size


def _queue_limits(settings: Settings) -> QueueLimits:
    return QueueLimits(
        max_finals_per_session=settings.max_final_queue_depth_per_session,
        max_jobs=settings.max_global_inference_queue_depth,
    )

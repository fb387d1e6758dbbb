"""The composition root: settings become lanes and a house. What serves them over the web is built in `serving`.

It owns what is built from what. It must not hold logic of its own.
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

from trio_stt.dsp import SAMPLE_RATE_HZ, boundary, kernels
from trio_stt.dsp.detector import SpeechDetector
from trio_stt.dsp.silero import SileroModel
from trio_stt.dsp.wake_words import WakeWords
from trio_stt.lanes import model_resolver
from trio_stt.lanes.engine_thread import engine_threads
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import EngineConfig
from trio_stt.lanes.fair_queue import QueueLimits
from trio_stt.lanes.job import JobKind
from trio_stt.lanes.lane import Lane
from trio_stt.lanes.lane_state import LaneName, LaneState
from trio_stt.lanes.scheduler import Lanes
from trio_stt.server.recordings import RecordingArchive
from trio_stt.server.server_state import ServerState
from trio_stt.server.setting_schemas import setting_schemas
from trio_stt.settings import Settings, setting_warnings

logger = logging.getLogger(__name__)

_SWITCH_INTERVAL_S = 0.0005
"""How long a thread may hold the interpreter while the event loop waits; Python's 5 ms would show in every event."""

_MAX_ENGINE_THREADS = 4
_MAX_CHOSEN_WORKERS = 4
"""With more, the event loop is what limits a server."""
_WARMUP_CLIP = np.zeros(SAMPLE_RATE_HZ, np.float32)
"""A second of silence: enough for an engine to allocate and compile what the first talker would wait for."""


@dataclass(frozen=True, slots=True)
class LanePlan:
    """What one lane shall have: engines of this kind, and how many of them."""

    name: LaneName
    config: EngineConfig
    workers: int


def build_server(settings: Settings) -> ServerState:
    """Everything that sessions share; nothing runs yet.

    Raises:
        SettingError: An engine or a wake word is unknown, or cannot be what the settings ask for; or the folder for
            recordings cannot be written to.
        EngineUnavailable: The VAD model is missing.
    """
    settings = _with_models(settings)
    for notice in setting_warnings(settings):
        logger.warning(notice)
    wake_words = WakeWords()
    wake_words.check(settings)
    silero = SileroModel()

    def new_detector(current: Settings) -> SpeechDetector:
        return SpeechDetector(
            silero, energy_threshold=current.vad_energy_threshold, webrtc_mode=current.webrtc_sensitivity
        )

    # Lanes ask for limits once they run, when there is a house to ask.
    lanes = _build_lanes(settings, current=lambda: server_state.settings)
    server_state = ServerState(
        settings=settings, lanes=lanes, new_detector=new_detector, wake_words=wake_words, archive=_archive(settings)
    )
    return server_state


def _archive(settings: Settings) -> RecordingArchive | None:
    if settings.record is None:
        return None
    folder = Path(settings.record).expanduser()
    return RecordingArchive(folder, max_mb=settings.record_max_mb, max_age_h=settings.record_max_age_h)


def prepare_process() -> None:
    """Compile the kernels, draw up the settings' schema and shorten the interpreter's switch interval.

    Before anybody waits for any of it.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    kernels.warm_up()
    boundary.warm_up()
    setting_schemas()


def _build_lanes(settings: Settings, *, current: Callable[[], Settings]) -> Lanes:
    """One lane where finals and partials come from the same model, else two."""
    final_config, partial_config = _engine_configs(settings)
    one = settings.use_main_model_for_realtime or registry.same_engine(final_config, partial_config)
    cores = (os.cpu_count() or 1) // (1 if one else 2)
    plans = [LanePlan("main", final_config, _workers(final_config, settings.lane_workers, cores=cores))]
    if not one:
        wanted = settings.realtime_lane_workers
        plans.append(LanePlan("realtime", partial_config, _workers(partial_config, wanted, cores=cores)))
    threads = _threads_each(plans)
    main, *rest = (_lane(plan, threads=threads, warmup=settings.model_warmup, current=current) for plan in plans)
    return Lanes(main=main, realtime=rest[0] if rest else main)


def engine_configs(settings: Settings) -> tuple[EngineConfig, EngineConfig | None]:
    """What a server with these settings would load for its finals, and for its partials unless it is the same.

    Raises:
        SettingError: An engine is unknown.
    """
    final_config, partial_config = _engine_configs(_with_models(settings))
    shared = settings.use_main_model_for_realtime or registry.same_engine(final_config, partial_config)
    return final_config, None if shared else partial_config


def _with_models(settings: Settings) -> Settings:
    """The settings with every engine and model named as they will be loaded, so that clients see what there is."""
    final = registry.resolve(settings.transcription_engine)
    partials = registry.resolve(settings.realtime_transcription_engine or final.name)
    model = settings.model or final.default_model
    realtime_model = settings.realtime_model or (model if partials is final else partials.default_model)
    return settings.model_copy(
        update={"transcription_engine": final.name, "model": model, "realtime_model": realtime_model}
    )


def _engine_configs(settings: Settings) -> tuple[EngineConfig, EngineConfig]:
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
    return final_config, partial_config


def _workers(config: EngineConfig, wanted: int, *, cores: int) -> int:
    """How many workers a lane gets that has so many cores; the engines stand back behind the event loop on all."""
    if not wanted:
        many = registry.single_threaded(config) and config.device != "cuda"
        return max(1, min(_MAX_CHOSEN_WORKERS, cores)) if many else 1
    if wanted > 1 and registry.workers(config) == "one":
        logger.warning("engine %s has one worker only, not %d: it hears all utterances at once", config.engine, wanted)
        return 1
    return wanted


def _threads_each(plans: Sequence[LanePlan]) -> int:
    """Threads for each call of an engine, so that all that may run at the same time find a core.

    One core stays with the event loop; more than four threads no longer help models of this size. Engines that have no
    use for threads, as they ask somebody else, take none away.
    """
    calls = sum(plan.workers for plan in plans if "num_threads" not in registry.resolve(plan.config.engine).ignores)
    return min(_MAX_ENGINE_THREADS, max(1, ((os.cpu_count() or 1) - 1) // max(1, calls)))


def _lane(plan: LanePlan, *, threads: int, warmup: bool, current: Callable[[], Settings]) -> Lane:
    shared = registry.workers(plan.config) == "shared"
    config = replace(
        plan.config,
        num_threads=1 if registry.single_threaded(plan.config) else threads,
        num_workers=plan.workers if shared else 1,
    )
    load = partial(model_resolver.load, config, unwanted=lambda: lane.state is LaneState.CLOSED)
    lane: Lane = Lane(
        plan.name,
        new_executor=engine_threads(plan.name, load, shared=shared and plan.workers > 1),
        limits=lambda: _queue_limits(current()),
        workers=plan.workers,
        batch_size=lambda kind: _batch_size(current(), kind),
        degradation_threshold_s=lambda: current().realtime_degradation_threshold_ms / 1000,
        job_deadline_s=lambda: current().job_deadline_s or math.inf,
        outage_limit_s=lambda: current().engine_outage_limit_s,
        warmup_clips=[_WARMUP_CLIP] if warmup else [],
    )
    return lane


def _batch_size(settings: Settings, kind: JobKind) -> int:
    return settings.batch_size if kind is JobKind.FINAL else settings.realtime_batch_size


def _queue_limits(settings: Settings) -> QueueLimits:
    return QueueLimits(
        max_finals_per_session=settings.max_final_queue_depth_per_session,
        max_jobs=settings.max_global_inference_queue_depth,
    )

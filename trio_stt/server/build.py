"""Builds a server from its settings: models, lanes, detectors, the archive of recordings.

The composition root of all that sessions share; the api package builds what serves them over the web.
"""

import logging
import math
import os
import sys
from collections.abc import Callable
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
from trio_stt.lanes.executor import EngineExecutor
from trio_stt.lanes.fair_queue import QueueLimits
from trio_stt.lanes.job import JobKind
from trio_stt.lanes.lane import Lane
from trio_stt.lanes.lane_state import LaneName, LaneState
from trio_stt.lanes.scheduler import Lanes
from trio_stt.models.turn_models import SMART_TURN
from trio_stt.models.wake_word_models import OPENWAKEWORD
from trio_stt.processes.counts import SINGLE_PROCESS, ProcessCounts
from trio_stt.processes.peers import NO_PEERS, Peers
from trio_stt.runtime.packages import install_command
from trio_stt.server.lane_executors import LaneExecutors
from trio_stt.server.lane_plan import LanePlan, cores_of_process, model_cache, planned_lanes, with_models, workers_of
from trio_stt.server.recordings import RecordingArchive
from trio_stt.server.server_state import ServerState
from trio_stt.server.setting_schemas import setting_schemas
from trio_stt.server.turn_judge import TurnJudge
from trio_stt.settings import Settings, setting_warnings

logger = logging.getLogger(__name__)

_SWITCH_INTERVAL_S = 0.0005
"""Seconds that a thread may hold the interpreter while the event loop waits; Python's 5 ms would delay every event."""

_WARMUP_CLIP = np.zeros(SAMPLE_RATE_HZ, np.float32)
"""A second of silence: enough for an engine to allocate and compile what the first job would wait for."""


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
    settings = with_models(settings)
    for notice in setting_warnings(settings):
        logger.warning(notice)
    wake_words = WakeWords(partial(model_cache(settings).find, OPENWAKEWORD))
    wake_words.check(settings)
    silero = SileroModel()

    def new_detector(current: Settings) -> SpeechDetector:
        # Settings that were set mean what they mean in the reference server; their defaults are not used.
        return SpeechDetector(
            silero,
            energy_threshold=current.vad_energy_threshold if current.is_set("vad_energy_threshold") else None,
            webrtc_mode=current.webrtc_sensitivity if current.is_set("webrtc_sensitivity") else None,
        )

    turn_judge = TurnJudge(packaged_model() or model_cache(settings).find(SMART_TURN))
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
        model_resolver.fetch(OPENWAKEWORD, model_cache(settings))


def will_fetch_wake_words(settings: Settings) -> bool:
    """Whether openWakeWord's models have to be downloaded for these settings, and may be."""
    is_missing = uses_openwakeword(settings) and packaged_models() is None
    return is_missing and not settings.offline and model_cache(settings).find(OPENWAKEWORD) is None


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


def _lane(plan: LanePlan, settings: Settings, executors: LaneExecutors, *, current: Callable[[], Settings]) -> Lane:
    made = executors.of(
        plan.name,
        plan.config,
        kind=plan.executor,
        local_limit=workers_of(plan.config, 0, 0, cores=cores_of_process(settings))[0],
        unwanted=lambda: (
            lane.state is LaneState.CLOSED
        ),  # `lane` is assigned below; a download begins only once it runs
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

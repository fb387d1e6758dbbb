"""Builds the bodies of `/api/config`, `/health` and `/api/metrics` from settings and lane statistics.

See docs/protocol.md, HTTP routes.
"""

from collections.abc import Mapping
from typing import Literal

from trio_stt.lanes.engines.base import EngineInfo
from trio_stt.lanes.engines.registry import engine_names
from trio_stt.lanes.lane_state import LaneStatistics
from trio_stt.lanes.scheduler import LanesStatistics
from trio_stt.protocol.config_reports import AppliedSetting, ConfigReport, ConfigUpdateReport, RejectedSetting
from trio_stt.protocol.reports import (
    Capabilities,
    Limits,
    QueuedJobs,
    QueueReport,
    SchedulerReport,
    Statistics,
    WorkerReport,
)
from trio_stt.server.setting_schemas import setting_schemas
from trio_stt.settings import Declaration, RuntimeClass, Settings, runtime_settings, setting_warnings
from trio_stt.settings.revision import WAKE_WORD_SETTINGS, Revision


def config_report(settings: Settings, shown: dict[str, object]) -> ConfigReport:
    """The answer to `GET /api/config`; `shown` holds the public settings by name."""
    return ConfigReport(
        settings=shown,
        limits=limits_report(settings),
        supported_engines=engine_names(),
        runtime_settings=runtime_settings(),
        schema=setting_schemas(),
    )


def config_update_report(revision: Revision, shown: dict[str, object]) -> ConfigUpdateReport:
    """The answer to a change of the settings; `shown` holds the public settings in force since, by name."""
    applied = {declaration.name for declaration in revision.applied}
    return ConfigUpdateReport(
        applied={
            declaration.name: AppliedSetting(value=shown[declaration.name], applies_to=_applies_to(declaration))
            for declaration in revision.applied
        },
        rejected={
            name: RejectedSetting(reason=rejection.reason, message=rejection.message)
            for name, rejection in revision.rejected.items()
        },
        settings=shown,
        runtime_settings=runtime_settings(),
        warnings=setting_warnings(revision.settings) if WAKE_WORD_SETTINGS & applied else (),
    )


def _applies_to(declaration: Declaration) -> Literal["active_sessions", "new_sessions"]:
    return "active_sessions" if declaration.runtime is RuntimeClass.ACTIVE else "new_sessions"


def scheduler_report(statistics: LanesStatistics) -> SchedulerReport:
    """The `scheduler` object."""
    return SchedulerReport(
        mode=statistics.mode,
        queues={lane.name: _queue(lane) for lane in statistics.lanes},
        workers={lane.name: _worker(lane) for lane in statistics.lanes},
    )


def limits_report(settings: Settings) -> Limits:
    """The `limits` object."""
    return Limits(
        max_sessions=settings.max_sessions,
        max_active_speakers=settings.max_active_speakers,
        max_audio_queue_seconds_per_session=settings.max_audio_queue_seconds_per_session,
        max_realtime_queue_age_ms=settings.max_realtime_queue_age_ms,
        max_final_queue_depth_per_session=settings.max_final_queue_depth_per_session,
        max_global_inference_queue_depth=settings.max_global_inference_queue_depth,
        realtime_degradation_threshold_ms=settings.realtime_degradation_threshold_ms,
    )


def _queue(lane: LaneStatistics) -> QueueReport:
    queue = lane.queue
    per_session: Mapping[str, QueuedJobs] = {
        session_id: QueuedJobs(final=depth.finals, realtime=depth.partials)
        for session_id, depth in queue.per_session.items()
    }
    return QueueReport(
        name=lane.name,
        queued=queue.queued,
        sessions=len(per_session),
        per_session=dict(per_session),
        coalesced_realtime=queue.coalesced,
        stale_realtime_dropped=queue.stale,
        rejected_jobs=queue.rejected,
    )


def _worker(lane: LaneStatistics) -> WorkerReport:
    engines, work = lane.engines, lane.work
    engine = engines.info
    return WorkerReport(
        name=lane.name,
        ready=lane.ready,
        healthy=lane.healthy,
        completed_jobs=work.completed_jobs,
        failed_jobs=work.failed_jobs,
        busy_ratio=work.busy_ratio,
        queue_delay=Statistics.of(work.queue_delay),
        inference_duration=Statistics.of(work.inference),
        total_latency=Statistics.of(work.total),
        engine=engine.engine if engine else "",
        model=engine.model if engine else "",
        device=engine.device if engine else "",
        state=lane.state.value,
        workers=engines.workers,
        serving=engines.serving,
        restarts=engines.restarts,
        hung_threads=engines.hung_threads,
        dropped_partials=work.dropped_partials,
        last_error=engines.last_error,
        notice=engines.notice,
        capabilities=_capabilities(engine) if engine else None,
    )


def _capabilities(engine: EngineInfo) -> Capabilities:
    return Capabilities(
        streaming=engine.streaming,
        max_batch=engine.max_batch,
        devices=engine.devices,
        languages=engine.languages.known,
        language_per_session=engine.languages.per_request,
        prompt=engine.prompt,
        times=engine.times,
    )

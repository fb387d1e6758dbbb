"""The lanes, the limits and changed settings as reports and events show them. See docs/protocol.md, HTTP routes.

It must not change what it reports.
"""

from collections.abc import Mapping

import msgspec

from trio_stt.lanes.lane_state import LaneStatistics
from trio_stt.lanes.scheduler import LanesStatistics
from trio_stt.protocol.reports import (
    AppliedSetting,
    Capabilities,
    Limits,
    QueuedJobs,
    QueueReport,
    SchedulerReport,
    Statistics,
    WorkerReport,
)
from trio_stt.settings import Declaration, RuntimeClass, Settings


def applied_report(declaration: Declaration, shown: Mapping[str, object]) -> AppliedSetting:
    """A setting that was changed: its value, and for which sessions it holds.

    Args:
        declaration: Of the setting.
        shown: The values of public settings by name.
    """
    at_once = declaration.option.runtime is RuntimeClass.ACTIVE
    return AppliedSetting(value=shown[declaration.name], applies_to="active_sessions" if at_once else "new_sessions")


def scheduler_report(now: LanesStatistics) -> SchedulerReport:
    """The `scheduler` object."""
    return SchedulerReport(
        mode=now.mode,
        queues={lane.name: _queue(lane) for lane in now.lanes},
        workers={lane.name: _worker(lane) for lane in now.lanes},
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
        capabilities=msgspec.convert(engine, Capabilities, from_attributes=True) if engine else None,
    )

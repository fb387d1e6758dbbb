"""One report of several: what `/health`, `/api/metrics` and `/api/history` say of all processes of a server together.

Whole numbers count sessions, jobs and refusals, and are added up. Percentiles and shares cannot be: of percentiles the
highest stands, of shares the mean or, for the history's `busy`, the highest. The first report is that of the answering
process.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

import msgspec

from trio_stt.protocol.reports import (
    DialectReport,
    HealthReport,
    HistoryReport,
    MetricsReport,
    QueueReport,
    Report,
    SchedulerReport,
    Statistics,
    WorkerReport,
)

_STATES = ("ready", "restarting", "loading", "failed", "closed")
"""States of a lane, the best first: a lane that serves in one process serves."""


def merged_health(reports: Sequence[HealthReport]) -> HealthReport:
    """`/health` of all processes."""
    return reports[0] if len(reports) == 1 else msgspec.structs.replace(reports[0], **_common(reports))


def merged_metrics(reports: Sequence[MetricsReport]) -> MetricsReport:
    """`/api/metrics` of all processes."""
    if len(reports) == 1:
        return reports[0]
    return msgspec.structs.replace(
        reports[0],
        sessions={session_id: each for report in reports for session_id, each in report.sessions.items()},
        **_common(reports),
    )


def merged_history(reports: Sequence[HistoryReport]) -> HistoryReport:
    """`/api/history` of all processes; their samples of one interval are up to an interval apart."""
    if len(reports) == 1:
        return reports[0]
    return msgspec.structs.replace(
        reports[0],
        started_at=min(report.started_at for report in reports),
        uptime_seconds=max(report.uptime_seconds for report in reports),
        rejections=_summed(report.rejections for report in reports),
        dialects=_dialects([report.dialects for report in reports]),
        sessions=_columns([report.sessions for report in reports]),
        speakers=_columns([report.speakers for report in reports]),
        rejected=_columns([report.rejected for report in reports]),
        queued=_columns([report.queued for report in reports]),
        memory_bytes=_columns([report.memory_bytes for report in reports]),
        busy=tuple(map(max, _rows([report.busy for report in reports]))),
        cpu=tuple(round(min(1.0, sum(row)), 3) for row in _rows([report.cpu for report in reports])),
    )


def _common(reports: Sequence[HealthReport] | Sequence[MetricsReport]) -> dict[str, object]:
    """The merged fields that both reports have, and their counts."""
    return _counts(reports) | {
        "ok": all(report.ok for report in reports),
        "ready": any(report.ready for report in reports),
        "scheduler": _scheduler([report.scheduler for report in reports]),
        "startup_errors": list(dict.fromkeys(error for report in reports for error in report.startup_errors)),
    }


def _counts(reports: Sequence[Report]) -> dict[str, Any]:
    """Every field that is a whole number, added up."""
    names = [field.name for field in msgspec.structs.fields(reports[0]) if field.type is int]
    return {name: sum(getattr(report, name) for report in reports) for name in names}


def _rows(columns: Sequence[Sequence[float]]) -> list[tuple[float, ...]]:
    """The values of each interval, from the oldest; a process that started later has none of the oldest."""
    newest_first = list(zip_longest(*(reversed(column) for column in columns), fillvalue=0))
    return newest_first[::-1]


def _columns(columns: Sequence[Sequence[int]]) -> tuple[int, ...]:
    return tuple(int(sum(row)) for row in _rows(columns))


def _summed(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(total)


def _dialects(reports: Sequence[dict[str, DialectReport]]) -> dict[str, DialectReport]:
    names = dict.fromkeys(name for report in reports for name in report)
    return {name: _dialect([report[name] for report in reports if name in report]) for name in names}


def _dialect(reports: Sequence[DialectReport]) -> DialectReport:
    return msgspec.structs.replace(
        reports[0],
        **_counts(reports),
        audio_seconds=sum(report.audio_seconds for report in reports),
        rejections=_summed(report.rejections for report in reports),
    )


def _scheduler(reports: Sequence[SchedulerReport]) -> SchedulerReport:
    return SchedulerReport(
        mode=reports[0].mode,
        queues={
            name: _queue([report.queues[name] for report in reports if name in report.queues])
            for name in reports[0].queues
        },
        workers={
            name: _worker([report.workers[name] for report in reports if name in report.workers])
            for name in reports[0].workers
        },
    )


def _queue(reports: Sequence[QueueReport]) -> QueueReport:
    per_session = {session_id: each for report in reports for session_id, each in report.per_session.items()}
    return msgspec.structs.replace(reports[0], **_counts(reports), per_session=per_session)


def _worker(reports: Sequence[WorkerReport]) -> WorkerReport:
    """The workers of one lane; engine, model and device are those of the first process that has loaded one."""
    loaded = next((report for report in reports if report.engine), reports[0])
    return msgspec.structs.replace(
        loaded,
        **_counts(reports),
        ready=any(report.ready for report in reports),
        healthy=all(report.healthy for report in reports),
        state=min((report.state for report in reports), key=_STATES.index),
        busy_ratio=sum(report.busy_ratio for report in reports) / len(reports),
        queue_delay=_statistics([report.queue_delay for report in reports]),
        inference_duration=_statistics([report.inference_duration for report in reports]),
        total_latency=_statistics([report.total_latency for report in reports]),
        last_error=next((report.last_error for report in reports if report.last_error), None),
        notice=next((report.notice for report in reports if report.notice), None),
    )


def _statistics(reports: Sequence[Statistics]) -> Statistics:
    count = sum(report.count for report in reports)
    return Statistics(
        count=count,
        avg_ms=sum(report.avg_ms * report.count for report in reports) / count if count else 0.0,
        max_ms=max(report.max_ms for report in reports),
        p50_ms=max(report.p50_ms for report in reports),
        p95_ms=max(report.p95_ms for report in reports),
    )

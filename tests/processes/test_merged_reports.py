"""Reports and figures of several processes become one."""

import msgspec
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Summary

from tests.protocol.report_messages import OTHER_SESSION, REPORTS, SESSION
from trio_stt.protocol.reports import HealthReport, HistoryReport, MetricsReport, StartupError
from trio_stt.server.merged_figures import Figures, SeenCounters, families_of, merged_families
from trio_stt.server.merged_reports import merged_health, merged_history, merged_metrics


def metrics_report() -> MetricsReport:
    report = REPORTS["http_metrics"]
    assert isinstance(report, MetricsReport)
    return report


def test_one_report_stays_as_it_is() -> None:
    assert merged_metrics([metrics_report()]) is metrics_report()


def test_sessions_jobs_and_refusals_are_added_up() -> None:
    first = metrics_report()
    name = next(iter(first.scheduler.workers))
    second = msgspec.structs.replace(first, sessions={}, ok=False, ready=False)
    both = merged_metrics([first, second])
    assert both.active_sessions == 2 * first.active_sessions
    assert both.rejected_sessions == 2 * first.rejected_sessions
    assert both.sessions == first.sessions
    assert not both.ok
    assert both.ready
    one, merged = first.scheduler.workers[name], both.scheduler.workers[name]
    assert merged.completed_jobs == 2 * one.completed_jobs
    assert merged.busy_ratio == one.busy_ratio
    assert merged.queue_delay.count == 2 * one.queue_delay.count
    assert merged.queue_delay.avg_ms == pytest.approx(one.queue_delay.avg_ms)
    assert merged.queue_delay.p95_ms == one.queue_delay.p95_ms
    queue = both.scheduler.queues[name]
    assert queue.queued == 2 * first.scheduler.queues[name].queued
    assert {SESSION, OTHER_SESSION} & set(queue.per_session)


def test_every_report_can_be_read_back() -> None:
    for report in REPORTS.values():
        if isinstance(report, HealthReport | MetricsReport):
            assert msgspec.json.decode(msgspec.json.encode(report), type=type(report)) == report


def test_equal_start_up_errors_are_one() -> None:
    report = REPORTS["http_health"]
    assert isinstance(report, HealthReport)
    error = StartupError(message="no model", where="realtime_engine")
    reports = [msgspec.structs.replace(report, startup_errors=[error]) for _ in range(2)]
    assert merged_health(reports).startup_errors == [error]


def history(started_at: float, sessions: tuple[int, ...]) -> HistoryReport:
    shares = tuple(0.25 for _ in sessions)
    return HistoryReport(
        version="1",
        started_at=started_at,
        uptime_seconds=100 - started_at,
        cores=4,
        sample_seconds=10.0,
        rejections={"full": len(sessions)},
        dialects={},
        sessions=sessions,
        speakers=sessions,
        rejected=sessions,
        queued=sessions,
        busy=shares,
        cpu=shares,
        memory_bytes=sessions,
    )


def test_history_of_a_younger_process_is_added_to_the_newest_samples() -> None:
    both = merged_history([history(50, (5, 7)), history(10, (1, 2, 3, 4))])
    assert both.sessions == both.memory_bytes == (1, 2, 8, 11)
    assert both.cpu == (0.25, 0.25, 0.5, 0.5)
    assert both.busy == (0.25, 0.25, 0.25, 0.25)
    assert (both.started_at, both.uptime_seconds) == (10, 90)
    assert both.rejections == {"full": 6}


def registry(finals: int, *, limit: int = 32, seconds: float = 1.0) -> CollectorRegistry:
    made = CollectorRegistry()
    Counter("trio_stt_finals", "Finals.", ["dialect"], registry=made).labels("vosk").inc(finals)
    Gauge("trio_stt_max_sessions", "Limit.", registry=made).set(limit)
    Gauge("trio_stt_sessions", "Sessions.", registry=made).set(finals)
    Summary("trio_stt_inference_seconds", "Time.", registry=made).observe(seconds)
    return made


def values(*registries: CollectorRegistry) -> dict[str, float]:
    merged = merged_families([families_of(each) for each in registries])
    return {sample.name: sample.value for metric in merged for sample in metric.samples}


def test_counters_and_summaries_are_added_up_and_limits_are_not() -> None:
    both = values(registry(3, seconds=0.5), registry(4, seconds=2.0))
    assert both["trio_stt_finals_total"] == 7
    assert both["trio_stt_sessions"] == 7
    assert both["trio_stt_max_sessions"] == 32
    assert both["trio_stt_inference_seconds_sum"] == 2.5
    assert both["trio_stt_inference_seconds_count"] == 2


def test_counters_of_ended_processes_stay_and_never_fall() -> None:
    seen, later = SeenCounters(), SeenCounters()
    seen.note([Figures(instance=1, families=families_of(registry(3)), ended={})])
    assert seen.ended([1, 2]) == {}
    ended = seen.ended([2])
    later.note([Figures(instance=2, families=families_of(registry(1)), ended=ended)])
    older = Figures(instance=3, families=[], ended={1: families_of(registry(2))})
    later.note([older])
    kept = {family.name: family.samples[0][2] for family in later.ended([2, 3])[1]}
    assert kept["trio_stt_finals"] == 3, "of two reports the later counts, in whatever order they come"
    assert "trio_stt_sessions" not in kept, "the sessions of a process end with it"

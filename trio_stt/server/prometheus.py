"""The figures of a server for Prometheus, in its text format or as OpenMetrics.

It reads the server's own statistics at each request, and counts nothing itself. No label holds a session, a key, an
address or text.
"""

import platform
from collections.abc import Iterable, Iterator
from importlib.metadata import version

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from trio_stt.lanes.lane_state import LaneState, LaneStatistics
from trio_stt.metrics import DistributionSnapshot
from trio_stt.server.server_state import ServerState


class PrometheusExposition:
    """Writes the figures of one server and of its process."""

    def __init__(self, server_state: ServerState) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_ServerCollector(server_state))
        # These register themselves.
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def write(self, accept: str) -> tuple[bytes, str]:
        """The current figures and their content type, which follows the header `Accept` of the request."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class _ServerCollector(Collector):
    """Reads the server at each scrape."""

    def __init__(self, server_state: ServerState) -> None:
        self._server_state = server_state

    def describe(self) -> Iterable[Metric]:
        """No metrics: otherwise the registry would collect once at its start, when no lane runs yet."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The metrics now."""
        yield InfoMetricFamily(
            "trio_stt_build",
            "Version of the server.",
            value={"version": version("trio-stt"), "python": platform.python_version()},
        )
        yield from self._sessions()
        lanes = self._server_state.lanes.statistics().lanes
        yield from _queues(lanes)
        yield from _engines(lanes)

    def _sessions(self) -> Iterator[Metric]:
        server_state = self._server_state
        totals = server_state.totals()
        yield _gauge("sessions", "Sessions, with those whose client may resume.", server_state.active_sessions)
        yield _gauge("active_speakers", "Sessions with a running utterance.", server_state.active_speakers)
        yield _gauge("max_sessions", "The limit on sessions.", server_state.settings.max_sessions)
        yield _counter("sessions_started", "Sessions that began.", totals.sessions)
        yield _counter("sessions_rejected", "Clients that were refused a session.", server_state.rejected_sessions)
        yield _counter("finals", "Utterances whose final text was made.", totals.finals)
        yield _counter("partials", "Partial texts that were made.", totals.partials)
        yield _counter("suppressed_texts", "Texts withheld because they are no speech.", totals.suppressed_texts)


def _queues(lanes: Iterable[LaneStatistics]) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("trio_stt_lane_queue_jobs", "Queued jobs.", labels=("lane", "kind"))
    dropped = CounterMetricFamily(
        "trio_stt_lane_dropped_jobs", "Jobs that were dropped or refused.", labels=("lane", "reason")
    )
    for lane in lanes:
        depths = lane.queue.per_session.values()
        jobs.add_metric((lane.name, "final"), sum(depth.finals for depth in depths))
        jobs.add_metric((lane.name, "partial"), sum(depth.partials for depth in depths))
        dropped.add_metric((lane.name, "coalesced"), lane.queue.coalesced)
        dropped.add_metric((lane.name, "stale"), lane.queue.stale)
        dropped.add_metric((lane.name, "rejected"), lane.queue.rejected)
        dropped.add_metric((lane.name, "engine_lost"), lane.work.dropped_partials)
    yield jobs
    yield dropped


def _engines(lanes: Iterable[LaneStatistics]) -> Iterator[Metric]:
    info = InfoMetricFamily("trio_stt_lane_engine", "The loaded engine.", labels=("lane",))
    up = GaugeMetricFamily("trio_stt_lane_up", "1 while the lane has an engine.", labels=("lane",))
    workers = GaugeMetricFamily("trio_stt_lane_workers", "Engines by state.", labels=("lane", "state"))
    restarts = CounterMetricFamily("trio_stt_engine_restarts", "Engines that were replaced.", labels=("lane",))
    done = CounterMetricFamily("trio_stt_jobs", "Jobs by outcome.", labels=("lane", "outcome"))
    delay = SummaryMetricFamily("trio_stt_lane_queue_seconds", "Time of jobs in the queue.", labels=("lane",))
    inference = SummaryMetricFamily("trio_stt_inference_seconds", "Time of jobs in the engine.", labels=("lane",))
    for lane in lanes:
        if lane.engine:
            engine = {"engine": lane.engine.engine, "device": lane.engine.device}
            info.add_metric((lane.name,), engine)
        up.add_metric((lane.name,), float(lane.state is LaneState.READY))
        workers.add_metric((lane.name, "serving"), lane.engines.serving)
        workers.add_metric((lane.name, "missing"), lane.engines.workers - lane.engines.serving)
        workers.add_metric((lane.name, "hung"), lane.engines.hung_threads)
        restarts.add_metric((lane.name,), lane.engines.restarts)
        done.add_metric((lane.name, "completed"), lane.work.completed_jobs)
        done.add_metric((lane.name, "failed"), lane.work.failed_jobs)
        _add(delay, lane.name, lane.work.queue_delay)
        _add(inference, lane.name, lane.work.inference)
    yield from (info, up, workers, restarts, done, delay, inference)


def _add(summary: SummaryMetricFamily, lane: str, snapshot: DistributionSnapshot) -> None:
    summary.add_metric((lane,), count_value=snapshot.count, sum_value=snapshot.avg_ms * snapshot.count / 1000)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"trio_stt_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(f"trio_stt_{name}", text, value=value)

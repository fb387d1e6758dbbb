"""The figures of a server for Prometheus, in its text format or as OpenMetrics.

It reads the server's own statistics at each request, and counts nothing itself. No label holds a session, a key, an
address or text.
"""

import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import accumulate

import msgspec
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from trio_stt.lanes.lane_state import LaneState, LaneStatistics
from trio_stt.metrics import LATENCY_BOUNDS_S, DistributionSnapshot, Histogram
from trio_stt.server.merged_figures import Family, Figures, SeenCounters, families_of, merged_families
from trio_stt.server.public_reports import shown_model
from trio_stt.server.server_state import ServerState
from trio_stt.server.traffic import REJECTION_REASONS, DialectTraffic

_TOTALS = {
    "sessions": ("sessions_started", "Sessions that began."),
    "audio_s": ("audio_received_seconds", "Audio that was accepted."),
    "finals": ("finals", "Utterances whose final text was made."),
    "partials": ("partials", "Partial texts that were made."),
    "suppressed_texts": ("suppressed_texts", "Texts withheld because they are no speech."),
}
"""The counters by dialect: the field of `SessionTotals`, the name of the metric and its description."""


class PrometheusExposition:
    """Writes the figures of a server and of its process; of several processes, those of all together."""

    def __init__(self, server_state: ServerState) -> None:
        self._peers = server_state.peers
        self._received: list[Figures] = []
        self._seen = SeenCounters()
        self._registry = CollectorRegistry()
        self._registry.register(_ServerCollector(server_state))
        # These register themselves.
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def write(self, accept: str) -> tuple[bytes, str]:
        """The current figures and their content type, which follows the header `Accept` of the request."""
        encode, content_type = choose_encoder(accept)
        ended = self._seen.ended(self._peers.instances())
        if not self._received and not ended:
            return encode(self._registry), content_type
        merged = CollectorRegistry()
        received = (figures.families for figures in self._received)
        merged.register(_Merged([families_of(self._registry), *received, *ended.values()]))
        return encode(merged), content_type

    def note(self, received: Iterable[bytes]) -> None:
        """Take what other processes have sent with `figures`; it counts until the next call."""
        self._received = [msgspec.json.decode(each, type=Figures) for each in received]
        self._seen.note(self._received)

    def figures(self) -> bytes:
        """What this process sends to others."""
        ended = self._seen.ended(self._peers.instances())
        own = Figures(instance=self._peers.instance, families=families_of(self._registry), ended=ended)
        return msgspec.json.encode(own)


class _Merged(Collector):
    """The metrics of all processes, once."""

    def __init__(self, processes: Sequence[Sequence[Family]]) -> None:
        self._processes = processes

    def describe(self) -> Iterable[Metric]:
        """No metrics: see `_ServerCollector`."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The metrics."""
        return merged_families(self._processes)


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
        yield from self._server_state.http_traffic.metrics()
        lanes = self._server_state.lanes.statistics().lanes
        yield from _queues(lanes)
        yield from _engines(lanes)

    def _sessions(self) -> Iterator[Metric]:
        server_state = self._server_state
        yield _gauge("active_speakers", "Sessions with a running utterance.", server_state.own_speakers)
        yield _gauge("max_sessions", "The limit on sessions.", server_state.settings.max_sessions)
        yield from _dialects(server_state.traffic.by_dialect(server_state.registry.sessions))
        latencies = server_state.latencies
        yield _histogram("first_partial_latency", "From detected speech to its first partial.", latencies.first_partial)
        yield _histogram("final_latency", "From the end of live speech to its final.", latencies.final)
        yield _histogram(
            "event_loop_stall", "Steps that blocked the event loop beyond stall_warning_ms.", latencies.loop_stalls
        )


def _dialects(traffic: Mapping[str, DialectTraffic]) -> Iterator[Metric]:
    sessions = GaugeMetricFamily(
        "trio_stt_sessions", "Sessions, with those whose client may resume.", labels=("dialect",)
    )
    rejected = CounterMetricFamily(
        "trio_stt_sessions_rejected", "Clients that were refused a session.", labels=("dialect", "reason")
    )
    for name, each in traffic.items():
        sessions.add_metric((name,), each.active)
        for reason in REJECTION_REASONS:
            rejected.add_metric((name, reason), each.rejections.get(reason, 0))
    yield sessions
    yield rejected
    for total, (name, text) in _TOTALS.items():
        counter = CounterMetricFamily(f"trio_stt_{name}", text, labels=("dialect",))
        for dialect, each in traffic.items():
            counter.add_metric((dialect,), getattr(each.totals, total))
        yield counter


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
    done = CounterMetricFamily("trio_stt_jobs", "Jobs by outcome.", labels=("lane", "model", "outcome"))
    engine_s = CounterMetricFamily(
        "trio_stt_engine_seconds", "Time that engines worked on jobs.", labels=("lane", "engine", "model")
    )
    delay = SummaryMetricFamily("trio_stt_lane_queue_seconds", "Time of jobs in the queue.", labels=("lane",))
    inference = SummaryMetricFamily("trio_stt_inference_seconds", "Time of jobs in the engine.", labels=("lane",))
    for lane in lanes:
        if lane.engine:
            engine, model = lane.engine.engine, shown_model(lane.engine.model)
            info.add_metric((lane.name,), {"engine": engine, "model": model, "device": lane.engine.device})
            done.add_metric((lane.name, model, "completed"), lane.work.completed_jobs)
            done.add_metric((lane.name, model, "failed"), lane.work.failed_jobs)
            engine_s.add_metric((lane.name, engine, model), _sum_s(lane.work.inference))
        up.add_metric((lane.name,), float(lane.state is LaneState.READY))
        workers.add_metric((lane.name, "serving"), lane.engines.serving)
        workers.add_metric((lane.name, "missing"), lane.engines.workers - lane.engines.serving)
        workers.add_metric((lane.name, "hung"), lane.engines.hung_threads)
        restarts.add_metric((lane.name,), lane.engines.restarts)
        _add(delay, lane.name, lane.work.queue_delay)
        _add(inference, lane.name, lane.work.inference)
    yield from (info, up, workers, restarts, done, engine_s, delay, inference)


def _add(summary: SummaryMetricFamily, lane: str, snapshot: DistributionSnapshot) -> None:
    summary.add_metric((lane,), count_value=snapshot.count, sum_value=_sum_s(snapshot))


def _sum_s(snapshot: DistributionSnapshot) -> float:
    """The sum of all durations in seconds."""
    return snapshot.avg_ms * snapshot.count / 1000


def _histogram(name: str, text: str, histogram: Histogram) -> HistogramMetricFamily:
    bounds = [*map(str, LATENCY_BOUNDS_S), "+Inf"]
    buckets = list(zip(bounds, map(float, accumulate(histogram.counts)), strict=True))
    return HistogramMetricFamily(f"trio_stt_{name}_seconds", text, buckets=buckets, sum_value=histogram.sum_s)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"trio_stt_{name}", text, value=value)

"""What the clients of HTTP routes did since the server began: requests by route, method and status, and their times.

prometheus-client keeps the figures, and `/metrics` reads them. The number of series is bounded: a route is one of those
that the server has, or `OTHER`, and so is a method.
"""

from collections.abc import Iterator
from functools import cache
from typing import Final

from prometheus_client import Counter, Histogram
from prometheus_client.core import Metric

from trio_stt.server.traffic import OTHER

NO_ANSWER: Final = "none"
"""Status of a request whose client disconnected before the answer began."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds of the times that are counted together, in seconds: reports take milliseconds, uploads up to minutes."""


class HttpTraffic:
    """The requests of one process."""

    def __init__(self) -> None:
        # Without a registry: `PrometheusExposition` has its own, and each server in a process has its own figures.
        self._requests = Counter(
            "trio_stt_http_requests", "HTTP requests.", ("route", "method", "status"), registry=None
        )
        self._durations = Histogram(
            "trio_stt_http_request_duration_seconds",
            "From the head of a request to the end of its answer.",
            ("route",),
            registry=None,
            buckets=_BOUNDS_S,
        )
        # `labels` checks its arguments at each call, which costs as much as the count itself.
        self._counter_of, self._histogram_of = cache(self._requests.labels), cache(self._durations.labels)

    def add(self, route: str, method: str, status: int | None, duration_s: float) -> None:
        """Count a request.

        Args:
            route: Template of its route, or `OTHER`.
            method: As the client wrote it.
            status: Of the answer; None if there was none.
            duration_s: From the request to the end of its answer, in seconds.
        """
        method = method if method in _METHODS else OTHER
        self._counter_of(route, method, NO_ANSWER if status is None else status).inc()
        self._histogram_of(route).observe(duration_s)

    def metrics(self) -> Iterator[Metric]:
        """The figures now."""
        for each in (self._requests, self._durations):
            for metric in each.collect():
                # The times at which series began mean nothing once processes are added up.
                metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
                yield metric

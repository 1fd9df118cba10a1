"""What Prometheus may ask of the HTTP side. Label values are route templates, never what a client sent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)


class Answers(Collector):
    """Counts answers; Prometheus is told when it asks. Its own counters take a lock and four calls for each, which an answer to a
    worker feels."""

    def __init__(self) -> None:
        self.by_labels: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        """By method, route and status."""

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(
            "orpheus_http_requests", "HTTP requests answered.", labels=("method", "route", "status")
        )
        for (method, route, status), count in self.by_labels.items():
            family.add_metric((method, route, str(status)), count)
        yield family


class Metrics:
    """One registry per app, so that several can live in one process."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each counter, which nobody asks for
        self.registry = CollectorRegistry()
        self.requests = Answers()
        self.registry.register(self.requests)
        self.seconds = Histogram(
            "orpheus_http_request_duration_seconds",
            "Time from request to the end of its answer, waiting polls and streams excluded.",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.sockets = Gauge(
            "orpheus_streams_open", "Open WebSockets and event streams.", ("kind",), registry=self.registry
        )
        self.uploaded = Counter("orpheus_uploaded_bytes", "Bytes of uploaded files.", registry=self.registry)
        self._seconds: dict[tuple[str, str], Histogram] = {}

    def answered(self, method: str, route: str, status: int, seconds: float, *, timed: bool) -> None:
        """Count one answer. The children of the histogram are kept: looking labels up costs more than counting."""
        self.requests.by_labels[method, route, status] += 1
        if timed:
            histogram = self._seconds.get((method, route))
            if histogram is None:
                histogram = self._seconds[method, route] = self.seconds.labels(method, route)
            histogram.observe(seconds)

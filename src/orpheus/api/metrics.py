"""What Prometheus may ask of the HTTP side. Label values are route templates, never what a client sent."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)


class Metrics:
    """One registry per app, so that several can live in one process."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each counter, which nobody asks for
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "orpheus_http_requests", "HTTP requests answered.", ("method", "route", "status"), registry=self.registry
        )
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
        self._requests: dict[tuple[str, str, int], Counter] = {}
        self._seconds: dict[tuple[str, str], Histogram] = {}

    def answered(self, method: str, route: str, status: int, seconds: float, *, timed: bool) -> None:
        """Count one answer. Children are kept: looking labels up costs more than counting."""
        key = (method, route, status)
        counter = self._requests.get(key)
        if counter is None:
            counter = self._requests[key] = self.requests.labels(method, route, str(status))
        counter.inc()
        if timed:
            histogram = self._seconds.get((method, route))
            if histogram is None:
                histogram = self._seconds[method, route] = self.seconds.labels(method, route)
            histogram.observe(seconds)

"""The engine's counts and timings as Prometheus metrics, made anew at each scrape from what the engine tells.

`METRICS` says once what there is; docs/metrics.md is made from it and from `metrics.py`. Labels are bounded: states, queues,
tasks (the engine names the first 200, the rest is `other`), never a job.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import CollectorRegistry


@dataclass(frozen=True, slots=True)
class Shown:
    """One metric: where its value stands in the engine's stats, and how it is called.

    `path` leads through nested mappings. With labels, what it leads to is a mapping by label value, or by a tuple of them.
    """

    name: str
    """As it is scraped; a counter's ends in `_total`."""
    kind: str
    help: str
    path: tuple[str, ...]
    labels: tuple[str, ...] = ()


def _metrics() -> tuple[Shown, ...]:
    gauge, counter, histogram = "gauge", "counter", "histogram"
    return (
        Shown("orpheus_jobs", gauge, "Jobs in each state.", ("jobs",), ("state",)),
        Shown("orpheus_tasks", gauge, "Current tasks in each state.", ("tasks",), ("state",)),
        Shown("orpheus_queue_ready", gauge, "Tasks that wait in a queue to be claimed.", ("queue_ready",), ("queue",)),
        Shown("orpheus_queue_running", gauge, "Tasks of a queue that run.", ("queue_running",), ("queue",)),
        Shown("orpheus_workers", gauge, "Worker processes in contact.", ("sessions",)),
        Shown("orpheus_worker_slots", gauge, "Tasks that the workers in contact can run at a time.", ("slots",)),
        Shown("orpheus_leases", gauge, "Attempts that workers hold.", ("runs",)),
        Shown(
            "orpheus_events_total",
            counter,
            "Events committed, by type: job.completed counts completed jobs, task.retrying retries.",
            ("engine", "events"),
            ("type",),
        ),
        Shown(
            "orpheus_attempts_total",
            counter,
            "Attempts that ended: completed, failed, timed_out, lost, cancelled or returned.",
            ("engine", "attempts"),
            ("task", "outcome"),
        ),
        Shown(
            "orpheus_job_start_delay_seconds",
            histogram,
            "Time from a job's creation to the start of its first task.",
            ("engine", "job_starts"),
        ),
        Shown(
            "orpheus_job_duration_seconds",
            histogram,
            "Time from a job's creation to its end.",
            ("engine", "job_lengths"),
            ("state",),
        ),
        Shown(
            "orpheus_queue_wait_seconds",
            histogram,
            "Time a task was ready before a worker had it.",
            ("engine", "queue_waits"),
            ("queue",),
        ),
        Shown(
            "orpheus_attempt_duration_seconds",
            histogram,
            "Time from an attempt's claim to its end.",
            ("engine", "attempt_lengths"),
            ("task",),
        ),
        Shown("orpheus_claims_total", counter, "Tasks handed to workers.", ("engine", "claims")),
        Shown("orpheus_rescues_total", counter, "Attempts whose lease lapsed.", ("engine", "rescues")),
        Shown("orpheus_store_commits_total", counter, "Transactions committed.", ("engine", "commits")),
        Shown(
            "orpheus_store_wait_seconds",
            histogram,
            "Time an operation waited for its transaction.",
            ("engine", "wait"),
        ),
        Shown("orpheus_store_run_seconds", histogram, "Time a transaction took before its commit.", ("engine", "run")),
        Shown(
            "orpheus_store_commit_seconds",
            histogram,
            "Time a commit took, fsync included; of a large transaction, its statements too.",
            ("engine", "commit"),
        ),
        Shown(
            "orpheus_store_wal_bytes",
            gauge,
            "Bytes of the write-ahead log in use; its file keeps its size.",
            ("wal_bytes",),
        ),
        Shown("orpheus_operations_total", counter, "Operations carried out.", ("engine", "operations"), ("operation",)),
        Shown(
            "orpheus_operations_refused_total",
            counter,
            "Operations refused, for a reason told to who asked.",
            ("engine", "refused"),
            ("operation",),
        ),
        Shown("orpheus_operations_queued", gauge, "Operations that wait for a transaction.", ("queued_operations",)),
        Shown("orpheus_faults_total", counter, "Operations dropped for a fault of ours.", ("engine", "faults")),
        Shown("orpheus_stalls_total", counter, "Times the server itself stood still.", ("engine", "stalls")),
        Shown("orpheus_subscribers", gauge, "Readers of the event stream.", ("subscribers",)),
        Shown("orpheus_publications_pending", gauge, "Jobs with files to put in place.", ("publishing",)),
        Shown("orpheus_dispatch_window_tasks", gauge, "Ready tasks kept in memory.", ("windowed_tasks",)),
        Shown("orpheus_webhooks", gauge, "Webhook subscriptions.", ("webhooks", "subscriptions")),
        Shown("orpheus_webhook_deliveries_pending", gauge, "Deliveries in the outbox.", ("webhooks", "pending")),
        Shown("orpheus_webhook_deliveries_total", counter, "Deliveries that arrived.", ("webhooks", "delivered")),
        Shown("orpheus_webhook_failures_total", counter, "Calls of webhooks that failed.", ("webhooks", "failed")),
        Shown("orpheus_webhook_deliveries_dead_total", counter, "Deliveries given up.", ("webhooks", "dead")),
    )


METRICS = _metrics()
_FAMILIES = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily}


class EngineStats(CollectorRegistry):
    """Shows one answer of `Reads.stats`; what is not there is not shown."""

    def __init__(self, stats: Mapping[str, Any]) -> None:
        super().__init__()
        queues = stats.get("queues") or ()
        self._stats = {
            **stats,
            "queue_ready": {str(row["name"]): row.get("ready") or 0 for row in queues},
            "queue_running": {str(row["name"]): row.get("running") or 0 for row in queues},
        }

    def collect(self) -> Iterable[Metric]:
        """Yield every metric the stats hold."""
        for shown in METRICS:
            value: Any = self._stats
            for step in shown.path:
                value = value.get(step) if isinstance(value, Mapping) else None
            if value is not None:
                yield _family(shown, value)


class Everything(CollectorRegistry):
    """Several registries as one, so that an answer has one end."""

    def __init__(self, *registries: CollectorRegistry) -> None:
        super().__init__()
        self._registries = registries

    def collect(self) -> Iterator[Metric]:
        for registry in self._registries:
            yield from registry.collect()


def _family(shown: Shown, value: Any) -> Metric:
    by_label = [((), value)] if not shown.labels else list(value.items())
    pairs = [(_values(label), inner) for label, inner in by_label]
    if shown.kind == "histogram":
        histogram = HistogramMetricFamily(shown.name, shown.help, labels=shown.labels)
        for labels, inner in pairs:
            buckets = [(str(bound / 1000.0), float(count)) for bound, count in inner["buckets_ms"]]
            histogram.add_metric(labels, [*buckets, ("+Inf", float(inner["count"]))], inner["sum_ms"] / 1000.0)
        return histogram
    family: GaugeMetricFamily | CounterMetricFamily = _FAMILIES[shown.kind](
        shown.name.removesuffix("_total"), shown.help, labels=shown.labels
    )
    for labels, inner in pairs:
        family.add_metric(labels, float(inner))
    return family


def _values(label: Any) -> list[str]:
    return [str(each) for each in label] if isinstance(label, tuple) else [str(label)]

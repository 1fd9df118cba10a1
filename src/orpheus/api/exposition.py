"""The engine's counts and timings as Prometheus metrics, made anew at each scrape from what the engine tells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import CollectorRegistry


class EngineStats(CollectorRegistry):
    """Shows one answer of `Reads.stats`.

    Args:
        stats: nested counts. `jobs` and `tasks` are counts by state, `queues` a list of queues; histograms are
            `{"buckets_ms": [[bound, count]], "count", "sum_ms"}`. What is not there is not shown.
    """

    def __init__(self, stats: Mapping[str, Any]) -> None:
        super().__init__()
        self._stats = stats

    def collect(self) -> Iterable[Metric]:
        """Yield every metric the stats hold."""
        stats = self._stats
        yield from _by_state("orpheus_jobs", "Jobs by state.", stats.get("jobs"))
        yield from _by_state("orpheus_tasks", "Current tasks by state.", stats.get("tasks"))
        yield from _queues(stats.get("queues"))
        engine = stats.get("engine")
        timings = engine if isinstance(engine, Mapping) else stats
        for name, text in (
            ("wait", "Time an operation waited for its transaction."),
            ("run", "Time a transaction took before its commit."),
            ("commit", "Time a commit took (the fsync)."),
        ):
            yield from _histogram(f"orpheus_store_{name}_seconds", text, timings.get(name))
        for name, text in (
            ("commits", "Transactions committed."),
            ("claims", "Tasks handed to workers."),
            ("rescues", "Runs whose lease lapsed."),
            ("faults", "Operations dropped for a fault of ours."),
            ("stalls", "Times the server itself stood still."),
        ):
            value = timings.get(name)
            if isinstance(value, int | float):
                yield CounterMetricFamily(f"orpheus_engine_{name}", text, value=value)
        for key, label, text in (
            ("operations", "operation", "Operations carried out."),
            ("refused", "operation", "Operations refused."),
        ):
            counts = timings.get(key)
            if isinstance(counts, Mapping):
                family = CounterMetricFamily(f"orpheus_engine_{key}", text, labels=[label])
                for name, count in counts.items():
                    family.add_metric([str(name)], count)
                yield family
        for key in (
            "subscribers",
            "runs",
            "sessions",
            "queued_operations",
            "publishing",
            "windowed_tasks",
            "wal_bytes",
        ):
            value = stats.get(key, timings.get(key))
            if isinstance(value, int | float) and not isinstance(value, bool):
                yield GaugeMetricFamily(f"orpheus_{key}", f"{key.replace('_', ' ').capitalize()} now.", value=value)


def _by_state(name: str, text: str, counts: Any) -> Iterator[Metric]:
    if not isinstance(counts, Mapping):
        return
    family = GaugeMetricFamily(name, text, labels=["state"])
    for state, count in counts.items():
        if isinstance(count, int | float):
            family.add_metric([str(state)], count)
    yield family


def _queues(queues: Any) -> Iterator[Metric]:
    families = {
        "ready": GaugeMetricFamily("orpheus_queue_ready", "Tasks that may be claimed.", labels=["queue"]),
        "running": GaugeMetricFamily("orpheus_queue_running", "Tasks that run.", labels=["queue"]),
    }
    for row in queues or ():
        for key, family in families.items():
            family.add_metric([str(row["name"])], float(row.get(key) or 0))
    yield from families.values()


def _histogram(name: str, text: str, shown: Any) -> Iterator[Metric]:
    if not isinstance(shown, Mapping) or "buckets_ms" not in shown:
        return
    buckets = [(str(bound / 1000.0), count) for bound, count in shown["buckets_ms"]]
    buckets.append(("+Inf", shown["count"]))
    yield HistogramMetricFamily(name, text, buckets=buckets, sum_value=shown["sum_ms"] / 1000.0)

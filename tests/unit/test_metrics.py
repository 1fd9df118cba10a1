"""What Prometheus may ask is named, typed and labelled as `promtool check metrics` wants it, and stands in the docs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from orpheus.api.exposition import METRICS, EngineStats, Everything
from orpheus.api.metrics import Metrics
from orpheus.engine.stats import LABELS_MAX, WORK_MS, Histogram, Meter

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
# The rules of `promtool check metrics` (client_golang, prometheus/testutil/promlint/validations), and ours on labels.
UNITS = {
    *("amperes", "bytes", "celsius", "grams", "joules", "kelvin", "meters", "metres", "moles", "seconds", "volts"),
    *("ratio",),
}
NOT_BASE = re.compile(
    r"(milli|micro|nano|kilo|mega|giga|kibi|mebi)(seconds|bytes|meters)|(minutes|hours|days|weeks|kelvins|fahrenheit|bits|"
    r"percent|percents|ounces|pounds|inches|feet)(_|$)|_(s|ms|us|ns|sec|b|kb|mb|gb|m|h|d)(_|$)"
)
RESERVED = {"le", "quantile", "__name__", "job", "instance"}


def stats() -> dict[str, Any]:
    meter = Meter()
    histogram = Histogram(WORK_MS)
    for length_s in (0.001, 0.3, 7.0, 1e6):
        histogram.add(length_s)
    shown = meter.shown()
    shown |= {
        "job_lengths": {"completed": histogram.shown()},
        "queue_waits": {'a "b"\\c\n': histogram.shown()},
        "attempt_lengths": {"cut@1": histogram.shown()},
        "attempts": {("cut@1", "lost"): 2},
        "events": {"job.created": 3},
        "operations": {"tell": 1},
        "refused": {"tell": 1},
    }
    return {
        **{"jobs": {"queued": 1}, "tasks": {"ready": 2}, "queues": [{"name": "default", "ready": 3, "running": 1}]},
        **{"runs": 1, "sessions": 1, "slots": 4, "subscribers": 0, "queued_operations": 0, "publishing": 0},
        **{"windowed_tasks": 3, "wal_bytes": 4096, "engine": shown},
        "webhooks": {"subscriptions": 1, "pending": 0, "delivered": 2, "failed": 1, "dead": 0},
    }


def scraped(accept: str = "") -> tuple[str, str]:
    http = Metrics()
    http.answered("GET", "/jobs", 200, 0.01, timed=True)
    http.uploaded.inc(5)
    http.sockets.labels("ws").set(1)
    encode, content_type = choose_encoder(accept)
    return encode(Everything(http.registry, EngineStats(stats()))).decode(), content_type


def families() -> dict[str, Any]:
    found = list(text_string_to_metric_families(scraped()[0]))
    assert len({family.name for family in found}) == len(found), "a metric stands twice"
    return {family.name: family for family in found}


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text"])
def test_answers_are_counted_by_route_and_status(accept: str) -> None:
    http = Metrics()
    for status in (200, 200, 404):
        http.answered("GET", "/jobs/{job_id}", status, 0.01, timed=False)
    encode, _ = choose_encoder(accept)
    text = encode(Everything(http.registry)).decode()
    assert "# TYPE orpheus_http_requests" in text
    counted = [line for line in text.splitlines() if line.startswith("orpheus_http_requests")]
    assert counted == [
        f'orpheus_http_requests_total{{method="GET",route="/jobs/{{job_id}}",status="{status}"}} {count}'
        for status, count in ((200, 2.0), (404, 1.0))
    ]


def test_every_metric_is_scraped_and_has_samples() -> None:
    found = families()
    for shown in METRICS:
        family = found[shown.name.removesuffix("_total")]
        assert family.type == shown.kind
        assert family.documentation == shown.help
        assert family.samples, shown.name
        for sample in family.samples:
            assert set(shown.labels) <= set(sample.labels)


def test_the_text_is_parsed_by_both_parsers() -> None:
    text, content_type = scraped()
    assert content_type.startswith("text/plain; version=0.0.4")
    assert text.endswith("\n")
    openmetrics, content_type = scraped("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert openmetrics.count("# EOF") == 1
    assert {family.name for family in parse_openmetrics(openmetrics)} == set(families())


@pytest.mark.parametrize("name", sorted(families()))
def test_promlint(name: str) -> None:
    """Each rule that promtool checks, for each metric."""
    family = families()[name]
    assert family.documentation.endswith(".")
    assert re.fullmatch(r"orpheus_[a-z][a-z0-9_]*", name), "snake case, with our prefix"
    names = {sample.name for sample in family.samples}
    if family.type == "counter":
        assert names == {f"{name}_total"}, "a counter ends in _total"
    else:
        assert not name.endswith("_total"), "only counters end in _total"
    if family.type == "histogram":
        assert names == {f"{name}_{part}" for part in ("bucket", "count", "sum")}
        assert any(sample.labels.get("le") == "+Inf" for sample in family.samples)
    else:
        assert not name.endswith(("_count", "_sum", "_bucket")), "kept for histograms"
    assert not NOT_BASE.search(name.removeprefix("orpheus")), "base units, written out"
    words = name.split("_")
    assert not UNITS & set(words[:-1]), "the unit comes last"
    assert not {"counter", "gauge", "histogram", "summary", "map", "metric"} & set(words), (
        "the type is no part of a name"
    )
    for sample in family.samples:
        labels = set(sample.labels) - ({"le"} if family.type == "histogram" else set())
        assert not labels & RESERVED, "reserved, or added by Prometheus"
        assert all(re.fullmatch(r"[a-z][a-z_]*", label) for label in labels)
        assert not labels & {"job_id", "run_id", "tenant", "worker"}, "labels are bounded"


def test_histograms_count_up() -> None:
    for family in families().values():
        if family.type != "histogram":
            continue
        series: dict[Any, list[float]] = {}
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                labels = tuple(sorted((key, value) for key, value in sample.labels.items() if key != "le"))
                series.setdefault(labels, []).append(sample.value)
        for values in series.values():
            assert values == sorted(values)


def test_labels_are_bounded_whatever_tasks_are_called() -> None:
    histograms: dict[str, Histogram] = {}
    for number in range(LABELS_MAX + 50):
        Meter._of(histograms, f"task-{number}").add(1.0)
    assert len(histograms) == LABELS_MAX + 1
    assert sum(histograms["other"].counts) == 50


def test_the_page_lists_every_metric() -> None:
    """docs/metrics.md holds this table; write `table()` there when a metric changed."""
    assert table() in PAGE.read_text(), table()


def table() -> str:
    lines = ["| metric | kind | labels | meaning |", "| --- | --- | --- | --- |"]
    labels = {shown.name.removesuffix("_total"): shown.labels for shown in METRICS}
    for name, family in sorted(families().items()):
        own = labels.get(name) or sorted({key for sample in family.samples for key in sample.labels} - {"le"})
        full = f"{name}_total" if family.type == "counter" else name
        shown = ", ".join(f"`{label}`" for label in own)
        lines.append(f"| `{full}` | {family.type} | {shown} | {family.documentation} |")
    return "\n".join(lines) + "\n"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_accepts_it() -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=scraped()[0], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stdout + done.stderr

"""Estimates: what is certain, what is possible, and what nobody can know."""

from __future__ import annotations

from typing import Any

import pytest

from orpheus.core.estimate import Sample, estimate, least_price
from orpheus.core.graph import Graph
from orpheus.core.validate import parse_graph
from orpheus.engine.durations import Durations, size_bucket

PARAMS = {"type": "object", "properties": {"n": {}, "items": {"type": "array"}, "flag": {}, "file": {}}}
FILE = {"$file": {"name": "a", "size_bytes": 3_000_000}}


def graph(*nodes: dict[str, Any]) -> Graph:
    full = [
        {"kind": "task", **({"task": n["name"]} if n.get("kind", "task") in ("task", "map") else {}), **n}
        for n in nodes
    ]
    return parse_graph({"format": 1, "name": "g", "version": 1, "params": PARAMS, "nodes": full, "output": None})


class Known:
    """Every task takes `lengths[name]` seconds, twice that in bad cases."""

    def __init__(self, queue: int | None = None, **lengths: float) -> None:
        self.queue, self.lengths = queue, lengths
        self.asked: list[int] = []
        self.told: dict[str, float] = {}

    def durations(self, handler: str, input_bytes: int) -> Sample | None:
        self.asked.append(input_bytes)
        found = self.lengths.get(handler.partition("@")[0])
        return None if found is None else Sample(found, 2 * found, 7)

    def price(self, handler: str, input_bytes: int) -> float | None:
        return self.told.get(handler.partition("@")[0])

    def slots(self, queue: str) -> int | None:
        return self.queue

    def child(self, node: Any) -> Graph | None:
        return graph({"name": "inner", "price": 4}) if node.workflow == "inner" else None


def test_the_critical_path_not_the_sum() -> None:
    g = graph(
        {"name": "a"},
        {"name": "b", "after": ["a"]},
        {"name": "c", "after": ["a"]},
        {"name": "d", "args": {"x": [{"$ref": "b"}, {"$ref": "c"}]}},
    )
    found = estimate(g, {}, Known(a=1, b=10, c=2, d=3))
    assert (found.p50_s, found.p95_s) == (14, 28)
    assert not found.unknown


def test_prices_of_what_is_certain_and_of_what_may_be() -> None:
    g = graph(
        {"name": "a", "price": 1},
        {"name": "b", "price": 2, "when": {"$get": [{"$ref": "a"}, "ok"]}},
        {"name": "c", "price": 4, "args": {"x": {"$ref": "b"}}},
        {"name": "d", "price": 8, "args": {"x": {"$optional": {"$ref": "b"}}}},
        {"name": "e", "price": 16, "cache": True},
    )
    found = estimate(g, {}, Known())
    assert (found.least, found.most, found.expected) == (9, 31, 31)
    assert {each.node: each.runs for each in found.nodes} == {
        "a": "yes",
        "b": "maybe",
        "c": "maybe",
        "d": "yes",
        "e": "yes",
    }


@pytest.mark.parametrize(("flag", "runs", "least"), [(True, "yes", 3), (False, "no", 0)])
def test_a_condition_on_params_is_decided(flag: bool, runs: str, least: float) -> None:
    """And what needs the skipped one's value is skipped with it (R12)."""
    g = graph(
        {"name": "a", "price": 1, "when": {"$param": "flag"}},
        {"name": "b", "price": 2, "args": {"x": {"$ref": "a"}}},
    )
    found = estimate(g, {"flag": flag}, Known())
    assert [each.runs for each in found.nodes] == [runs, runs]
    assert (found.least, found.most) == (least, least)


def test_a_map_over_params_is_counted_and_runs_in_turns() -> None:
    node = {"name": "m", "kind": "map", "items": {"x": {"$param": "items"}}, "price": 0.5}
    items = {"items": list(range(10))}
    found = estimate(graph(node), items, Known(m=2))
    assert (found.least, found.most, found.p50_s) == (5, 5, 2)
    assert estimate(graph({**node, "max_concurrency": 4}), items, Known(m=2)).p50_s == 6
    assert estimate(graph(node), items, Known(queue=5, m=2)).p50_s == 4
    assert estimate(graph({**node, "stagger_s": 3}), items, Known(m=2)).p50_s == 29
    assert estimate(graph(node), {"items": []}, Known(m=2)).p50_s == 0


def test_items_that_a_task_makes_are_not_known() -> None:
    g = graph(
        {"name": "a"},
        {"name": "m", "kind": "map", "items": {"x": {"$ref": "a"}}, "price": 1},
        {"name": "again", "kind": "map", "items": {"x": {"$ref": "m"}}, "price": 1},
    )
    found = estimate(g, {}, Known(a=1, m=1, again=1))
    assert (found.least, found.most, found.p50_s) == (0, None, None)
    assert [each.count for each in found.nodes] == [1, None, None]
    assert ("m", "how many items it has is known when it begins") in found.unknown


def test_a_map_over_a_map_has_as_many_items() -> None:
    g = graph(
        {"name": "m", "kind": "map", "items": {"x": {"$param": "items"}}},
        {"name": "n", "kind": "map", "items": {"x": {"$ref": "m"}}, "price": 1},
    )
    assert estimate(g, {"items": [1, 2, 3]}, Known()).least == 3


def test_nothing_is_invented() -> None:
    """A task that never ran makes the whole unknown if it surely runs; one that may run is left out, and said."""
    g = graph({"name": "a"}, {"name": "b", "when": {"$ref": "a"}})
    found = estimate(g, {}, Known(b=5))
    assert (found.p50_s, found.p95_s) == (None, None)
    assert found.unknown == [("a", "a@1 was never recorded with an input of this size")]
    found = estimate(g, {}, Known(a=5))
    assert found.p50_s == 5
    assert found.unknown == [("b", "b@1 was never recorded with an input of this size")]


def test_waits_of_people_are_not_known_and_sleeps_are() -> None:
    sleep = {"name": "s", "kind": "sleep", "duration": {"$param": "n"}}
    assert estimate(graph(sleep), {"n": 60}, Known()).p50_s == 60
    found = estimate(graph({"name": "ok", "kind": "approval", "prompt": "go?"}), {}, Known())
    assert found.p50_s is None
    assert found.unknown == [("ok", "it waits for a person")]


def test_a_child_job_costs_what_it_costs() -> None:
    g = graph(
        {"name": "c", "kind": "child", "workflow": "inner"}, {"name": "d", "kind": "child", "workflow": "nowhere"}
    )
    found = estimate(g, {}, Known(inner=3))
    assert (found.least, found.most, found.p50_s) == (4, None, None)
    assert [(each.p50_s, each.task) for each in found.nodes] == [(3, "inner"), (None, "nowhere")]


def test_a_price_per_megabyte_of_a_known_and_an_unknown_file() -> None:
    g = graph(
        {"name": "a", "price": {"per_run": 1, "per_mb": 2}, "args": {"x": {"$param": "file"}}},
        {"name": "b", "price": {"per_mb": 2}, "args": {"x": {"$ref": "a"}}},
    )
    known = Known(a=1, b=1)
    found = estimate(g, {"file": FILE}, known)
    assert (found.least, found.most) == (7, None)
    assert known.asked == [3_000_000, 3_000_000]
    assert least_price(g, {"file": FILE}) == 7


def test_histograms_keep_tasks_versions_and_sizes_apart() -> None:
    durations = Durations()
    for length in range(1, 101):
        durations.note("work@1", 0, [length / 10])
    durations.note("work@2", 0, [100])
    durations.note("work@1", 50_000_000, [300])
    small = durations.sample("work@1", 0)
    assert small is not None
    assert small.count == 100
    assert small.p50_s == pytest.approx(5.0, rel=0.1)
    assert small.p95_s == pytest.approx(9.5, rel=0.1)
    large = durations.sample("work@1", 40_000_000)
    assert large is not None
    assert large.p50_s == pytest.approx(300, rel=0.05)
    assert durations.sample("work@1", 1_000) is None
    assert size_bucket(0) == 0
    assert size_bucket(1) == 1


def test_old_runs_fade() -> None:
    durations = Durations()
    for _ in range(3_000):
        durations.note("work@1", 0, [10])
    for _ in range(1_500):
        durations.note("work@1", 0, [1])
    found = durations.sample("work@1", 0)
    assert found is not None
    assert found.p50_s == pytest.approx(1, rel=0.05)
    assert found.count <= 1_001


def test_what_tasks_say_they_cost_is_expected_not_promised() -> None:
    """In place of their price; for each item of a map; unknown where the items are."""
    known = Known()
    known.told = {"a": 0.5, "m": 0.25}
    g = graph(
        {"name": "a", "price": 3},
        {"name": "m", "kind": "map", "items": {"x": {"$param": "items"}}},
        {"name": "c", "price": 2},
    )
    found = estimate(g, {"items": [1, 2, 3]}, known)
    assert (found.least, found.most, found.expected) == (2, None, 3.25)
    assert [each.expected for each in found.nodes] == [0.5, 0.75, 2]
    later = graph({"name": "b"}, {"name": "m", "kind": "map", "items": {"x": {"$ref": "b"}}})
    assert estimate(later, {}, known).expected is None

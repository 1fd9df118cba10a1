"""Graphs against a model: whatever is drawn, edges agree, order is kept, circles are found, and JSON round trips."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orpheus.core.errors import InvalidGraph
from orpheus.core.graph import Graph
from orpheus.core.validate import graph_schema, graph_to_json, parse_graph
from orpheus.core.validate_options import OPTIONS
from orpheus.core.values import references

names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,12}", fullmatch=True)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=4).filter(lambda key: not key.startswith("$")), inner, max_size=3)
    ),
    max_leaves=6,
)


def value_of(before: list[str]) -> st.SearchStrategy[Any]:
    """A value that refers only to `before`."""
    leaf = plain | st.just({"$param": "p"})
    if before:
        ref = st.sampled_from(before).map(lambda name: {"$ref": name})
        leaf |= ref | ref.map(lambda value: {"$get": [value, "field", 0]}) | ref.map(lambda value: {"$optional": value})
        leaf |= st.lists(ref, min_size=1, max_size=3).map(lambda refs: {"$first_of": refs})
    return leaf | st.lists(leaf, max_size=3) | st.dictionaries(st.sampled_from("abc"), leaf, max_size=2)


def condition_of(before: list[str]) -> st.SearchStrategy[Any]:
    value = value_of(before)
    compared = st.tuples(st.sampled_from(["$eq", "$lt", "$in"]), value, value).map(lambda t: {t[0]: [t[1], t[2]]})
    return (
        compared
        | st.lists(compared, min_size=1, max_size=2).map(lambda c: {"$all": c})
        | compared.map(lambda c: {"$not": c})
    )


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, Any]:
    """A sound workflow. Nodes are listed in any order, not only that of their dependencies."""
    listed = draw(st.lists(names, min_size=1, max_size=8, unique=True))
    nodes: list[dict[str, Any]] = []
    for place, name in enumerate(listed):
        before = listed[:place]
        node: dict[str, Any] = {"name": name}
        kind = draw(st.sampled_from(["task", "task", "map", "sleep", "approval", "wait_for", "child"]))
        node["kind"] = kind
        if kind in ("task", "map"):
            node |= {"task": "work", "queue": draw(st.sampled_from(["default", "gpu"]))}
            node["args"] = {"a": draw(value_of(before))}
            node["retry"] = {"max_retries": draw(st.integers(0, 5)), "jitter": draw(st.sampled_from([0, 0.5]))}
            node["timeouts"] = {"start_to_close_s": draw(st.none() | st.integers(1, 99))}
        if kind == "map":
            node["items"] = {"item": draw(st.just({"$param": "p"}) | st.lists(plain, max_size=3))}
            node["max_concurrency"] = draw(st.none() | st.integers(1, 9))
        if kind == "sleep":
            node["duration"] = draw(st.integers(0, 9) | st.just({"until": {"$param": "p"}}))
        if kind == "wait_for":
            node["signal"] = "go"
        if kind == "child":
            node["workflow"] = "other"
        if draw(st.booleans()):
            node["when"] = draw(condition_of(before))
        if before and draw(st.booleans()):
            node["after"] = draw(st.lists(st.sampled_from(before), max_size=3))
        nodes.append(node)
    shuffled = draw(st.permutations(nodes))
    return {
        "name": draw(names),
        "version": draw(st.integers(1, 9)),
        "params": {"type": "object", "properties": {"p": {}}},
        "nodes": shuffled,
        "output": draw(value_of(listed)),
    }


def model_of_edges(definition: dict[str, Any]) -> dict[str, set[str]]:
    """Who waits for whom, the slow and simple way."""
    edges: dict[str, set[str]] = {}
    for node in definition["nodes"]:
        read = [node.get(part) for part in ("args", "items", "when", "duration", "concurrency_key")]
        edges[node["name"]] = {name for operator, name, _ in references(read) if operator == "$ref"}
        edges[node["name"]] |= set(node.get("after", []))
    return edges


@given(definitions())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_edges_agree(definition: dict[str, Any]) -> None:
    """Predecessors are what the values read, dependents are the reverse, and the written order is kept."""
    graph = parse_graph(definition)
    assert list(graph.nodes) == [node["name"] for node in definition["nodes"]]
    assert {name: set(before) for name, before in graph.predecessors.items()} == model_of_edges(definition)
    order = {name: place for place, name in enumerate(graph.nodes)}
    for name, after in graph.dependents.items():
        assert list(after) == sorted(after, key=order.__getitem__)
        assert all(name in graph.predecessors[other] for other in after)
    pairs = sum(len(before) for before in graph.predecessors.values())
    assert pairs == sum(len(after) for after in graph.dependents.values())


@given(definitions())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_round_trip(definition: dict[str, Any]) -> None:
    """A checked graph, written and read again, is the same; so is its id, whatever the order of keys or the sources."""
    graph = parse_graph(definition)
    written = graph_to_json(graph)
    assert parse_graph(json.loads(json.dumps(written))) == graph
    jsonschema_rs.validator_for(graph_schema()).validate(written)
    turned = json.loads(json.dumps(definition, sort_keys=True))
    turned["description"] = "told anew"
    for node in turned["nodes"]:
        node["source"] = "elsewhere.py:1"
    assert parse_graph(turned).definition_id == graph.definition_id


@given(definitions(), st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_circles_are_found(definition: dict[str, Any], data: st.DataObject) -> None:
    """An edge against the order makes a circle, which the message names."""
    graph = parse_graph(definition)
    first = data.draw(st.sampled_from(list(graph.nodes)))
    reached = below(graph, first)
    last = data.draw(st.sampled_from(sorted(reached | {first})))
    node = next(node for node in definition["nodes"] if node["name"] == first)
    node["after"] = [*node.get("after", []), last]
    with pytest.raises(InvalidGraph) as caught:
        parse_graph(definition)
    assert "circle" in caught.value.message or "waits for itself" in caught.value.message


def below(graph: Graph, start: str) -> set[str]:
    found: set[str] = set()
    todo = [start]
    while todo:
        for name in graph.dependents[todo.pop()]:
            if name not in found:
                found.add(name)
                todo.append(name)
    return found


_WORDS = ["$ref", "$get", "$param", "$item", "$first_of", "$literal", "$file", "$eq", "$all", "$secret", "$defs"]
_WORDS += ["a", "type", "properties", "name", "items", "until", "limit"]

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from(["$ref", "task", "map", "a", "p", "", "object", "#/$defs/x"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(_WORDS) | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)
_TOP = [
    "format",
    "name",
    "version",
    "description",
    "params",
    "nodes",
    "output",
    "result",
    "requires_approval",
    "source",
]


@given(anything)
@settings(max_examples=200, deadline=None)
def test_nothing_but_our_errors_for_anything(sent: Any) -> None:
    """Whatever JSON is posted, the answer is a graph or an error of ours."""
    try_to_parse(sent)


@given(definitions(), st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_nothing_but_our_errors_for_broken_graphs(definition: dict[str, Any], data: st.DataObject) -> None:
    """A sound graph with a part replaced by anything gives a graph or an error of ours that says something."""
    for _ in range(data.draw(st.integers(1, 3))):
        if data.draw(st.booleans()):
            definition[data.draw(st.sampled_from(_TOP))] = data.draw(anything)
        elif isinstance(definition.get("nodes"), list) and definition["nodes"]:
            place = data.draw(st.integers(0, len(definition["nodes"]) - 1))
            node = definition["nodes"][place]
            if isinstance(node, dict):
                node[data.draw(st.sampled_from(sorted(OPTIONS)))] = data.draw(anything)
    try_to_parse(definition)


def try_to_parse(sent: Any) -> None:
    try:
        graph = parse_graph(sent)
    except InvalidGraph as error:
        assert error.message and error.code in ("invalid_graph", "unknown_reference")
        str(error).encode()
        json.dumps(error.details).encode()
    else:
        assert parse_graph(graph_to_json(graph)).definition_id == graph.definition_id

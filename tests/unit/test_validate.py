"""Every fault of a graph has a message that names workflow, node, line and remedy, and a JSON Pointer."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import pytest

from orpheus.core.errors import InvalidGraph, UnknownReference
from orpheus.core.validate import MAX_NODES, WAIT_S, parse_graph

PLAN = {
    "type": "object",
    "title": "Plan",
    "properties": {
        "segments": {"type": "array", "items": {"type": "object", "properties": {"start_s": {"type": "number"}}}}
    },
}
TALK: dict[str, Any] = {
    "format": 1,
    "name": "talk",
    "version": 3,
    "params": {
        "type": "object",
        "properties": {"source": {"type": "object", "x-orpheus": "file"}, "style": {"type": "string"}},
    },
    "nodes": [
        {
            "name": "plan",
            "task": "plan_cuts",
            "args": {"source": {"$param": "source"}},
            "type_schema": PLAN,
            "source": "flows.py:30",
        },
        {
            "name": "cut",
            "kind": "map",
            "task": "cut_one",
            "items": {"segment": {"$get": [{"$ref": "plan"}, "segments"]}},
            "args": {"from_s": {"$get": [{"$item": True}, "start_s"]}},
            "source": "flows.py:31",
        },
        {"name": "stitch", "task": "stitch", "args": {"parts": {"$ref": "cut"}}, "source": "flows.py:32"},
    ],
    "output": {"$ref": "stitch"},
}


def test_sound() -> None:
    """The whole of it: edges, needed paths (an item's, of a map), and files among the params."""
    graph = parse_graph(TALK)
    assert graph.predecessors == {"plan": (), "cut": ("plan",), "stitch": ("cut",)}
    assert graph.dependents == {"plan": ("cut",), "cut": ("stitch",), "stitch": ()}
    assert graph.needed_paths == {"plan": (("segments",),)}
    assert graph.has_file_params
    assert len(graph.definition_id) == 64


def node(name: str, **changes: Any) -> Callable[[dict[str, Any]], None]:
    def change(definition: dict[str, Any]) -> None:
        found = next(node for node in definition["nodes"] if node["name"] == name)
        found.update(changes)

    return change


def arg(value: Any) -> Callable[[dict[str, Any]], None]:
    return node("stitch", args={"parts": value})


def top(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda definition: definition.update(changes)


def add(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda definition: definition["nodes"].append(fields)


def get(name: str, *path: Any) -> dict[str, Any]:
    return {"$get": [{"$ref": name}, *path]}


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], None], str, str, str]] = {
    # name: (change, part of the message, part of the hint, pointer)
    "unknown field": (
        arg(get("plan", "segmnts")),
        'Plan has no field "segmnts"',
        '"segments"',
        "/nodes/2/args/parts/$get/0/$ref",
    ),
    "field of a list": (
        arg(get("plan", "segments", "start_s")),
        "is a list",
        "index",
        "/nodes/2/args/parts/$get/0/$ref",
    ),
    "field of a number": (
        arg(get("plan", "segments", 0, "start_s", "x")),
        "of type number",
        "whole",
        "/nodes/2/args/parts/$get/0/$ref",
    ),
    "field of an item": (
        node("cut", args={"a": {"$get": [{"$item": True}, "strt"]}}),
        'no field "strt"',
        "start_s",
        "/nodes/1/args/a/$get/0/$item",
    ),
    "unknown node": (arg({"$ref": "plann"}), 'no node "plann"', '"plan"', "/nodes/2/args/parts/$ref"),
    "unknown param": (arg({"$param": "sorce"}), 'no param "sorce"', '"source"', "/nodes/2/args/parts/$param"),
    "field of a file": (
        arg({"$get": [{"$param": "source"}, "sha"]}),
        'File has no field "sha"',
        "sha256",
        "/nodes/2/args/parts/$get/0/$param",
    ),
    "field of a text param": (
        arg({"$get": [{"$param": "style"}, "x"]}),
        "of type string",
        "whole",
        "/nodes/2/args/parts/$get/0/$param",
    ),
    "unknown after": (node("stitch", after=["plann"]), '"plann"', '"plan"', "/nodes/2/after/0"),
    "unknown in output": (top(output={"$ref": "x"}), 'no node "x"', "plan", "/output/$ref"),
    "circle": (node("plan", after=["stitch"]), "circle: ", "Remove", "/nodes/0"),
    "itself": (node("plan", after=["plan"]), "waits for itself", "Remove", "/nodes/0"),
    "item outside a map": (arg({"$item": True}), "$item", "map", "/nodes/2/args/parts/$item"),
    "item in items": (node("cut", items={"s": {"$item": True}}), "$item", "map", "/nodes/1/items/s/$item"),
    "map over a text": (node("cut", items={"s": {"$param": "style"}}), "not a list", "list", "/nodes/1/items/s/$param"),
    "map over a constant": (node("cut", items={"s": 3}), "maps over a list", "", "/nodes/1/items/s"),
    "map over two": (node("cut", items={"a": [], "b": []}), "one argument", "items", "/nodes/1/items"),
    "item also in args": (node("cut", args={"segment": 1}), "items and in args", "Leave", "/nodes/1/args/segment"),
    "map without a body": (node("cut", task=None), "task", "name", "/nodes/1/task"),
    "same name": (add(name="plan", task="x"), "taken", "unique", "/nodes/3/name"),
    "empty name": (add(name="", task="x"), "name is empty", "letters", "/nodes/3/name"),
    "name with a slash": (add(name="a/b", task="x"), '"a/b" is not a name', "letters", "/nodes/3/name"),
    "no name": (add(task="x"), "name is missing", "letters", "/nodes/3/name"),
    "no task": (add(name="x"), "task is missing", "needs it", "/nodes/3/task"),
    "unknown kind": (add(name="x", kind="aproval"), "kind is one of", '"approval"', "/nodes/3/kind"),
    "unknown option": (node("plan", qeue="gpu"), 'no option "qeue"', '"queue"', "/nodes/0/qeue"),
    "flat timeout": (node("plan", start_to_close_s=3), "stands in timeouts", "timeouts", "/nodes/0/start_to_close_s"),
    "unknown retry field": (
        node("plan", retry={"retries": 3}),
        'no field "retries"',
        "max_retries",
        "/nodes/0/retry/retries",
    ),
    "option of another kind": (node("plan", prompt="x"), "not an option", "approval", "/nodes/0/prompt"),
    "negative retries": (node("plan", retry={"max_retries": -1}), "from 0", "", "/nodes/0/retry/max_retries"),
    "bool for a number": (node("plan", priority=True), "whole number", "", "/nodes/0/priority"),
    "no such time": (node("plan", timeouts={"heartbeat_s": 0}), "above 0", "", "/nodes/0/timeouts/heartbeat_s"),
    "bad resources": (node("plan", resources={"gpu": 0}), "from 1", "", "/nodes/0/resources/gpu"),
    "bad rate": (node("plan", rate_limit={"limit": 3}), "rate_limit", "", "/nodes/0/rate_limit"),
    "sleep without time": (add(name="s", kind="sleep"), "duration is missing", "", "/nodes/3/duration"),
    "negative sleep": (add(name="s", kind="sleep", duration=-1), "from 0", "", "/nodes/3/duration"),
    "two operators": (arg({"$ref": "plan", "x": 1}), "beside other keys", "$literal", "/nodes/2/args/parts"),
    "unknown operator": (arg({"$reff": "plan"}), 'unknown reference "$reff"', "$ref", "/nodes/2/args/parts"),
    "condition as value": (arg({"$eq": [1, 1]}), "where a value is wanted", "when", "/nodes/2/args/parts"),
    "unknown condition": (node("plan", when={"$eqq": [1, 1]}), "unknown condition", "$eq", "/nodes/0/when/$eqq"),
    "half a comparison": (node("plan", when={"$eq": [1]}), "compares two", "", "/nodes/0/when/$eq"),
    "empty all": (node("plan", when={"$all": []}), "not empty", "", "/nodes/0/when/$all"),
    "file in the graph": (
        arg({"$file": {"key": "dev/other/secret"}}),
        "$file does not stand",
        "params",
        "/nodes/2/args/parts/$file",
    ),
    "file in a literal": (
        arg({"$literal": {"a": {"$file": {}}}}),
        "$file does not stand",
        "params",
        "/nodes/2/args/parts/$literal",
    ),
    "secret in the output": (top(output={"$secret": "KEY"}), "no worker", "argument", "/output/$secret"),
    "secret in a condition": (
        node("plan", when={"$eq": [{"$secret": "K"}, 1]}),
        "no worker",
        "argument",
        "/nodes/0/when/$eq/0/$secret",
    ),
    "field of a literal": (arg({"$get": [{"a": 1}, "a"]}), "reads from a reference", "", "/nodes/2/args/parts/$get/0"),
    "unknown top field": (top(tasks=[]), 'no field "tasks"', "", "/tasks"),
    "no nodes": (top(nodes=[]), "not empty", "at least one", "/nodes"),
    "unknown format": (top(format=2), "format 2", "1", "/format"),
    "bad params schema": (top(params={"type": "objct"}), "not a usable JSON Schema", "", "/params/type"),
    "params of another type": (top(params={"type": "array"}), "params is", "", "/params/type"),
    "remote schema": (node("plan", type_schema={"$ref": "http://x"}), "same document", "", "/nodes/0/type_schema/$ref"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault(name: str) -> None:
    """The message names the culprit, the hint helps, the pointer is exact."""
    change, message, hint, pointer = FAULTS[name]
    definition = copy.deepcopy(TALK)
    change(definition)
    with pytest.raises(InvalidGraph) as caught:
        parse_graph(definition)
    error = caught.value
    assert message in error.message, str(error)
    assert error.message.startswith('workflow "talk"'), str(error)
    assert hint in error.hint, str(error)
    assert error.details[0]["path"] == pointer
    if pointer.startswith(("/nodes/0", "/nodes/1", "/nodes/2")):
        assert "(flows.py:3" in error.message


def test_as_the_design_shows_it() -> None:
    """The whole text, code first."""
    definition = copy.deepcopy(TALK)
    arg(get("plan", "segmnts"))(definition)
    with pytest.raises(UnknownReference) as caught:
        parse_graph(definition)
    assert str(caught.value) == (
        'unknown_reference: workflow "talk", node "stitch" (flows.py:32): Plan has no field "segmnts". '
        'Did you mean "segments"?'
    )


def test_circle_is_named_in_order() -> None:
    """The circle is told in the direction in which values flow."""
    definition = {
        "name": "c",
        "nodes": [{"name": name, "task": "t", "after": [after]} for name, after in ("ac", "ba", "cb")],
    }
    with pytest.raises(InvalidGraph) as caught:
        parse_graph(definition)
    told = caught.value.message.partition("circle: ")[2].split(" → ")
    assert told[0] == told[-1] and len(told) == 4
    assert "abcabc".find("".join(told[:3])) >= 0


def test_known_tasks() -> None:
    """Where the tasks are known, another name is refused."""
    assert parse_graph(TALK, known_tasks={"plan_cuts@1", "cut_one@1", "stitch@1"})
    with pytest.raises(UnknownReference, match="plan_cuts@1"):
        parse_graph(TALK, known_tasks={"plan_cut@1", "cut_one@1", "stitch@1"})


def test_every_wait_has_a_timeout() -> None:
    """An approval or event without a time-out gets one (R22)."""
    definition = {"name": "w", "nodes": [{"name": "go", "kind": "wait_for", "signal": "go"}]}
    assert parse_graph(definition).nodes["go"].timeout_s == WAIT_S


def test_deep_and_strange_json() -> None:
    """What JSON cannot hold, or nests too deep, is refused before anything walks it."""
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    for value in (deep, float("nan"), 2**70, "\ud800", {1: 2}, object(), (1, 2)):
        definition = {"name": "x", "nodes": [{"name": "n", "task": "t", "args": {"a": value}}]}
        with pytest.raises(InvalidGraph) as caught:
            parse_graph(definition)
        assert caught.value.message


def test_limits() -> None:
    """Ten thousand nodes are checked in seconds, one more is refused."""
    nodes = [
        {"name": f"n{i}", "task": "t", "type_schema": PLAN, "args": {"a": get(f"n{i - 1}", "segments")} if i else {}}
        for i in range(MAX_NODES)
    ]
    began = time.process_time()
    graph = parse_graph({"name": "big", "nodes": nodes})
    assert time.process_time() - began < 10
    assert len(graph.nodes) == MAX_NODES
    with pytest.raises(InvalidGraph, match="more than 10000"):
        parse_graph({"name": "big", "nodes": [*nodes, {"name": "x", "task": "t"}]})


def test_hostile_schema_is_walked_in_bounds() -> None:
    """Alternatives that double at every step do not make the walk explode."""
    defs = {
        f"A{i}": {"anyOf": [{"properties": {"x": {"$ref": f"#/$defs/A{i + 1}"}, f"y{side}": {}}} for side in range(8)]}
        for i in range(40)
    }
    schema = {"$ref": "#/$defs/A0", "$defs": {**defs, "A40": {}}}
    nodes = [
        {"name": "a", "task": "t", "type_schema": schema},
        {"name": "b", "task": "t", "args": {"v": get("a", *["x"] * 39)}},
    ]
    began = time.process_time()
    parse_graph({"name": "h", "nodes": nodes})
    assert time.process_time() - began < 2

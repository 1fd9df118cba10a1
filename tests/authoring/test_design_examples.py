"""The examples of the design trace, are checked, and survive the way through JSON."""

from __future__ import annotations

import json
from types import ModuleType

import pytest

from orpheus.core.graph import NodeKind
from orpheus.core.validate import graph_to_json, parse_graph


@pytest.mark.parametrize("name", ["count", "media", "board", "talk", "release"])
def test_traces_and_round_trips(examples: ModuleType, name: str) -> None:
    """What is traced is plain JSON, and the checked graph written again is the same graph."""
    workflow = getattr(examples, name)
    sent = json.loads(json.dumps(workflow.to_json()))
    graph = parse_graph(sent)
    assert graph == workflow.graph
    assert parse_graph(graph_to_json(graph)) == graph


def test_branches(examples: ModuleType) -> None:
    """A condition and a join become `when` and `$first_of`; options of the task are resolved into the node."""
    graph = examples.media.graph
    assert graph.version == 3
    kind = {"$get": [{"$ref": "inspect_file"}, "kind"]}
    assert graph.nodes["label"].when == {"$eq": [kind, "image"]}
    node = graph.nodes["transcribe"]
    assert node.when == {"$all": [{"$eq": [kind, "video"]}, {"$get": [{"$ref": "inspect_file"}, "has_audio"]}]}
    assert (node.queue, node.version, node.resources) == ("gpu", 2, {"gpu": 1})
    assert (node.retry.max_s, node.retry.jitter, node.timeouts.start_to_close_s) == (60.0, 0.2, 600.0)
    assert graph.nodes["summarise"].args == {"found": {"$first_of": [{"$ref": "label"}, {"$ref": "transcribe"}]}}
    assert graph.predecessors["summarise"] == ("label", "transcribe")
    assert graph.needed_paths["inspect_file"] == (("kind",), ("has_audio",))
    assert graph.has_file_params


def test_map(examples: ModuleType) -> None:
    """`.map` makes a map node over the first argument, with its cap and stagger; a default is the schema's default."""
    graph = examples.board.graph
    node = graph.nodes["render"]
    assert node.kind is NodeKind.MAP
    assert node.items == {"scene": {"$param": "scenes"}}
    assert node.args == {"style": {"$param": "style"}}
    assert (node.max_concurrency, node.stagger_s) == (4, 1.0)
    assert graph.params_schema["properties"]["style"] == {"type": "string", "default": "calm"}
    assert graph.params_schema["required"] == ["scenes"]


def test_approval_keeps_the_type(examples: ModuleType) -> None:
    """An approval has the schema of what is approved, to check edits against (R14)."""
    node = examples.talk.graph.nodes["approval"]
    assert node.editable and node.timeout_s == 86_400
    assert node.args == {"value": {"$ref": "plan_cuts"}}
    assert node.type_schema["$ref"] == "#/$defs/Plan"


def test_child_and_undo(examples: ModuleType) -> None:
    """A child job is a node of its own; `undo` names the compensating task."""
    graph = examples.release.graph
    child = graph.nodes["talk"]
    assert child.kind is NodeKind.CHILD
    assert (child.workflow, child.workflow_version) == ("talk", 1)
    assert graph.nodes["publish"].undo == "unpublish"


def test_lines(examples: ModuleType) -> None:
    """Every node knows the line that made it."""
    for workflow in (examples.media, examples.board, examples.talk):
        for node in workflow.graph.nodes.values():
            assert node.source.startswith("design_examples.py:")

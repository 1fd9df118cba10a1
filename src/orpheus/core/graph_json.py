"""The JSON form of a graph: written (`graph_to_json`), named by its content (`definition_id`), described (`graph_schema`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from orpheus.core.graph import FORMAT, Graph, Node, NodeKind, OnFailure, Timeouts
from orpheus.core.price import Price
from orpheus.core.retry import RetryPolicy

_UNHASHED = ("source", "description")


def graph_to_json(graph: Graph) -> dict[str, Any]:
    """Write a graph in its JSON form; options at their defaults are left out. `parse_graph` reads it back equal."""
    written: dict[str, Any] = {"format": FORMAT, "name": graph.name, "version": graph.version}
    if graph.description:
        written["description"] = graph.description
    written["params"] = graph.params_schema
    written["nodes"] = [node_to_json(node) for node in graph.nodes.values()]
    written["output"] = graph.output
    if graph.result_schema is not None:
        written["result"] = graph.result_schema
    if graph.requires_approval:
        written["requires_approval"] = True
    if graph.source:
        written["source"] = graph.source
    return written


def node_to_json(node: Node) -> dict[str, Any]:
    """Write one node; what equals its default is left out."""
    written: dict[str, Any] = {"name": node.name, "kind": str(node.kind)}
    for option, default in _NODE_DEFAULTS.items():
        value = getattr(node, option)
        if value != default or type(value) is not type(default):
            written[option] = _plain(value)
    return written


def _defaults(kind: type[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for inner in fields(kind):
        if inner.default is not MISSING:
            found[inner.name] = inner.default
        elif inner.default_factory is not MISSING:
            found[inner.name] = inner.default_factory()
    return found


_NODE_DEFAULTS = {name: default for name, default in _defaults(Node).items() if name != "kind"}
_PART_DEFAULTS: dict[type[Any], dict[str, Any]] = {kind: _defaults(kind) for kind in (RetryPolicy, Timeouts, Price)}


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        defaults = _PART_DEFAULTS[type(value)]
        return {name: _plain(found) for name in defaults if (found := getattr(value, name)) != defaults[name]}
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, OnFailure):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(inner) if is_dataclass(inner) else inner for key, inner in value.items()}
    return value


def definition_id(graph: Graph) -> str:
    """Return the sha256 of a graph's content. Sources and descriptions are not content (R24)."""
    content = {key: value for key, value in graph_to_json(graph).items() if key not in _UNHASHED}
    content["nodes"] = [{key: value for key, value in node.items() if key != "source"} for node in content["nodes"]]
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def graph_schema() -> dict[str, Any]:
    """Return the JSON Schema of a workflow definition (`GET /workflows/schema`).

    It says what stands where. References that lead nowhere, circles and options that do not fit a node's kind are found
    by `parse_graph` only.
    """
    name = {"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"}
    whole = {"type": "integer", "minimum": 1}
    seconds = {"type": "number", "minimum": 0}
    limit = {"type": ["number", "null"], "exclusiveMinimum": 0}
    value = {"$ref": "#/$defs/value"}
    values = {"type": "object", "additionalProperties": value}
    node = {
        "name": name,
        "kind": {"enum": [str(kind) for kind in NodeKind], "default": "task"},
        "task": name,
        "version": whole,
        "workflow": name,
        "workflow_version": {"type": ["integer", "null"], "minimum": 1},
        "args": values,
        "items": {**values, "minProperties": 1, "maxProperties": 1},
        "when": {"$ref": "#/$defs/condition"},
        "after": {"type": "array", "items": name},
        "queue": name,
        "priority": {"type": ["integer", "null"], "minimum": 1, "maximum": 5},
        "retry": {"$ref": "#/$defs/retry"},
        "timeouts": _object({inner.name: limit for inner in fields(Timeouts)}),
        "resources": {"type": "object", "additionalProperties": whole},
        "concurrency_key": value,
        "concurrency_limit": whole,
        "rate_limit": {
            "anyOf": [{"type": "null"}, _object({"limit": limit, "period_s": limit}, ["limit", "period_s"])]
        },
        "on_failure": {"enum": [str(choice) for choice in OnFailure]},
        "undo": {"type": ["string", "null"]},
        "undo_version": whole,
        "undo_argument": {"type": ["string", "null"]},
        "undo_options": _object(
            {
                "queue": name,
                "priority": {"type": ["integer", "null"], "minimum": 1, "maximum": 5},
                "retry": {"$ref": "#/$defs/retry"},
                "timeouts": _object({inner.name: limit for inner in fields(Timeouts)}),
                "resources": {"type": "object", "additionalProperties": whole},
                "rate_limit": {
                    "anyOf": [{"type": "null"}, _object({"limit": limit, "period_s": limit}, ["limit", "period_s"])]
                },
            }
        ),
        "undo_unknown": {"type": "boolean"},
        "cache": {"type": "boolean"},
        "cache_extra": value,
        "max_concurrency": {"anyOf": [{"type": ["integer", "null"], "minimum": 1}, {"type": "object"}]},
        "stagger_s": {"anyOf": [seconds, {"type": "object"}]},
        "weight": seconds,
        "price": {"anyOf": [{"type": "null"}, seconds, _object({"per_run": seconds, "per_mb": seconds})]},
        "prompt": {"type": "string"},
        "editable": {"type": "boolean"},
        "on_reject": {"enum": [str(choice) for choice in OnFailure]},
        "timeout_s": limit,
        "duration": value,
        "signal": name,
        "type_schema": {"type": ["object", "boolean", "null"]},
        "extra": {"type": "object"},
        "source": {"type": "string"},
    }
    retry = {
        "max_retries": {"type": "integer", "minimum": 0},
        "initial_s": seconds,
        "factor": {"type": "number", "minimum": 1},
        "max_s": seconds,
        "jitter": {"type": "number", "minimum": 0, "maximum": 1},
        "final_errors": {"type": "array", "items": {"type": "string"}},
    }
    schema = _object(
        {
            "format": {"const": FORMAT},
            "name": name,
            "version": whole,
            "description": {"type": "string"},
            "params": {"type": "object", "description": "JSON Schema of the params, itself of type object."},
            "nodes": {"type": "array", "items": {"$ref": "#/$defs/node"}, "minItems": 1, "maxItems": 10_000},
            "output": value,
            "result": {"type": ["object", "boolean", "null"]},
            "requires_approval": {"type": "boolean"},
            "source": {"type": "string"},
        },
        ["name", "nodes"],
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Workflow",
        **schema,
        "$defs": {
            "node": _object(node, ["name"]),
            "retry": _object(retry),
            "value": {"description": 'JSON; an object with one "$" key is a reference: $param, $ref, $item, $get …'},
            "condition": {"description": "$eq, $ne, $lt, $le, $gt, $ge, $in, $all, $any, $not, $is_none, or a value."},
        },
    }


def _object(properties: Mapping[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    if required:
        schema["required"] = required
    return schema

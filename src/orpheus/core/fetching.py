"""How does a file that is named by its URL come into a job? By a node of its own, in front of all that read the param.

A param that holds `{"$url": "https://…"}` gives the job a derived definition: for each such param one more node, whose task
takes the param's value and returns it with files in the place of URLs, and whose result every node reads instead of the
param. So a fetch is a task like any other: a worker does it, it has retries and time limits, its file is an accepted
artifact, a retry keeps it and a rewind to it fetches again. The definition is fixed at submission, as ever (R11).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from orpheus.core.graph import Graph
from orpheus.core.graph_json import graph_to_json
from orpheus.core.validate import parse_graph
from orpheus.core.values import operator_of

URL = "$url"
"""Marks a file to fetch: `{"$url": "https://…"}`."""
TASK = "orpheus.fetch"
VERSION = 1
_NODE: Mapping[str, Any] = {
    "kind": "task",
    "task": TASK,
    "version": VERSION,
    "retry": {"max_retries": 4, "initial_s": 2.0, "factor": 3.0, "max_s": 60.0},
    "timeouts": {"start_to_close_s": 14_400.0},
}
_VALUES = ("args", "items", "when", "duration", "concurrency_key", "cache_extra")
"""Fields of a node that hold references."""


MOST_URL = 4096


def why_no_url(url: str) -> str | None:
    """Say what is wrong with a URL as it is written; None when it may be tried. Where it leads is checked when it is
    fetched: names change."""
    if len(url) > MOST_URL or not all(character.isprintable() and not character.isspace() for character in url):
        return "it is no URL: too long, or with spaces or control characters in it"
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        return f"it is no URL: {error}"
    if parts.scheme not in ("http", "https"):
        return f"only http and https URLs are fetched, not {parts.scheme[:20]!r}"
    if not host or port == 0:
        return "the URL names no host"
    if parts.username is not None or parts.password is not None:
        return "the URL holds a user name or password"
    return None


def holds_url(value: Any) -> bool:
    """Tell whether a file to fetch stands anywhere in it."""
    stack = [value]
    while stack:
        inner = stack.pop()
        if operator_of(inner) == URL:
            return True
        if isinstance(inner, dict):
            stack.extend(inner.values())
        elif isinstance(inner, list):
            stack.extend(inner)
    return False


def url_params(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the params in which there is a file to fetch."""
    return tuple(name for name, value in params.items() if holds_url(value))


def fetched_params(graph: Graph) -> frozenset[str]:
    """Return the params that this graph fetches files for."""
    return frozenset(node.args["value"]["$param"] for node in graph.nodes.values() if node.task == TASK)


def with_fetches(graph: Graph, names: Iterable[str]) -> tuple[dict[str, Any], Graph]:
    """Return the definition that fetches the files of these params, as JSON and checked.

    Its name and version stay those of the workflow; its id is its own.
    """
    definition = graph_to_json(graph)
    fetches: list[dict[str, Any]] = []
    places: dict[str, str] = {}
    for name in names:
        places[name] = _free_name(name, {*graph.nodes, *places.values()})
        fetches.append({"name": places[name], **_NODE, "args": {"value": {"$param": name}}, **_schema_of(graph, name)})
    nodes = [
        {key: _reading(value, places) if key in _VALUES else value for key, value in node.items()}
        for node in definition["nodes"]
    ]
    definition |= {"nodes": [*fetches, *nodes], "output": _reading(definition["output"], places)}
    return definition, parse_graph(definition)


def _free_name(param: str, taken: set[str]) -> str:
    name = "fetch." + re.sub(r"[^A-Za-z0-9_.-]", "_", param)[:100]
    while name in taken:
        name += "_"
    return name


def _schema_of(graph: Graph, param: str) -> dict[str, Any]:
    """The value stays of its param's type: what is sensitive in it stays hidden, and wrong fields are found."""
    schema = graph.params_schema.get("properties", {}).get(param)
    if not isinstance(schema, Mapping):
        return {}
    shared = {word: graph.params_schema[word] for word in ("$defs", "definitions") if word in graph.params_schema}
    return {"type_schema": {**schema, **shared}}


def _reading(value: Any, places: Mapping[str, str]) -> Any:
    """Have the node's result read where the param was."""
    operator = operator_of(value)
    if operator == "$param":
        return {"$ref": places[value["$param"]]} if value["$param"] in places else value
    if operator == "$literal":
        return value
    if isinstance(value, dict):
        return {key: _reading(inner, places) for key, inner in value.items()}
    if isinstance(value, list):
        return [_reading(inner, places) for inner in value]
    return value

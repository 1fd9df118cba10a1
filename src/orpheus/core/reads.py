"""Which params does a node read? Asked when a job is retried with other ones (R20)."""

from __future__ import annotations

from collections.abc import Iterator, Set

from orpheus.core.graph import Graph, Node
from orpheus.core.values import operator_of

_VALUES = ("args", "items", "when", "cache_extra", "concurrency_key", "max_concurrency", "stagger_s", "duration")


def readers(graph: Graph, params: Set[str]) -> list[str]:
    """Return the nodes that read one of these params, in node order."""
    return [name for name, node in graph.nodes.items() if any(found in params for found in _read(node))]


def _read(node: Node) -> Iterator[str]:
    stack = [getattr(node, name) for name in _VALUES]
    while stack:
        value = stack.pop()
        operator = operator_of(value)
        if operator == "$param":
            yield value["$param"]
        elif operator == "$literal":
            continue
        elif isinstance(value, dict):
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)

"""Which nodes go the usual way? Found once per graph, asked for every attempt (see `usual.py`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from orpheus.core.values import OPERATORS, PASSED_THROUGH, operator_of


class UsualNode(NamedTuple):
    """A task, or a map's body, with nothing about it that the usual way does not know."""

    node: Any
    args: tuple[tuple[str, str, Any], ...]
    """`(argument, kind, what)`: kind `param` and `ref` name where the value comes from, `as_is` holds it, `item` is a map's."""
    opens: bool
    """It becomes ready at once when its last predecessor settles with a value."""
    follows: tuple[UsualNode, ...] | None
    """What its end lets begin, each with this node alone before it; None where that is not usual."""
    completes: bool
    """It is the job's output, or the job has none: when it ends as the last, so does the job."""


def usual_nodes(
    nodes: Mapping[str, Any],
    predecessors: Mapping[str, tuple[str, ...]],
    dependents: Mapping[str, tuple[str, ...]],
    output: Any,
) -> dict[str, UsualNode]:
    """Return the usual nodes of a graph by name."""
    found: dict[str, UsualNode] = {}
    # Dependents first, as each names those that follow it; a graph has no cycles.
    waiting = {name: len(dependents[name]) for name in nodes}
    free = [name for name, count in waiting.items() if not count]
    while free:
        name = free.pop()
        made = _usual(nodes[name], predecessors[name], dependents[name], output, found)
        if made is not None:
            found[name] = made
        for before in predecessors[name]:
            waiting[before] -= 1
            if not waiting[before]:
                free.append(before)
    return found


def _usual(
    node: Any, before: tuple[str, ...], after: tuple[str, ...], output: Any, found: Mapping[str, UsualNode]
) -> UsualNode | None:
    if not node.task or node.kind not in ("task", "map") or node.price is not None or node.stagger_s != 0:
        return None
    args = _args(node)
    if args is None:
        return None
    followers = [found.get(name) for name in after]
    follows = [one for one in followers if one is not None and one.opens]
    return UsualNode(
        node,
        args,
        opens=node.kind == "task"
        and len(before) <= 1
        and node.when is None
        and node.concurrency_key is None
        and not node.cache,
        follows=tuple(follows) if len(follows) == len(after) and node.kind == "task" else None,
        completes=output is None or (operator_of(output) == "$ref" and output["$ref"] == node.name),
    )


def _args(node: Any) -> tuple[tuple[str, str, Any], ...] | None:
    args: list[tuple[str, str, Any]] = []
    for name, value in node.args.items():
        operator = operator_of(value)
        if operator in ("$param", "$ref"):
            args.append((name, operator[1:], value[operator]))
        elif _is_plain(value):
            args.append((name, "as_is", value))
        else:
            return None
    return (*args, *((name, "item", None) for name in node.items))


def _is_plain(value: Any) -> bool:
    """Tell whether nothing in it stands for something else."""
    if operator_of(value) in OPERATORS or operator_of(value) in PASSED_THROUGH:
        return False
    if isinstance(value, dict):
        return all(_is_plain(inner) for inner in value.values())
    if isinstance(value, list):
        return all(_is_plain(inner) for inner in value)
    return True


def begins_alike(roots: Iterable[str], usual: Mapping[str, UsualNode]) -> bool:
    """Tell whether the first rows of every job of a graph without children are the same but for names and instants."""
    for name in roots:
        root = usual.get(name)
        if root is None or not root.opens:
            return False
        limits = root.node.timeouts
        if limits.schedule_to_start_s is not None or limits.schedule_to_close_s is not None:
            return False
    return True

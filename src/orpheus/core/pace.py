"""How fast may a map's items go? Its cap and its stagger (R13).

Both are numbers of the definition, or values that are found when the map opens (a param, or a field of an earlier task's
result). What was found stays with the map's row, so that a later generation asks anew and nothing else does.
"""

from __future__ import annotations

from typing import Any

from orpheus.core.draft import Draft, JobScope
from orpheus.core.graph import Node
from orpheus.core.task import Task
from orpheus.core.values import BindingError, operator_of, resolve

_LONGEST_STAGGER_S = 86_400.0


def find_pace(draft: Draft, container: Task, node: Node) -> None:
    """Note the map's cap and stagger in its row, where they are not plain numbers.

    Raises:
        BindingError: what was found is no cap (a whole number from 1, or null) or no stagger (0 to 86,400 s).
    """
    found: dict[str, Any] = {}
    if operator_of(node.max_concurrency) is not None:
        cap = resolve(node.max_concurrency, JobScope(draft))
        if cap is not None and (type(cap) is not int or cap < 1):
            raise BindingError(f"max_concurrency is {cap!r}, not a whole number from 1")
        found["cap"] = cap
    if operator_of(node.stagger_s) is not None:
        stagger_s = resolve(node.stagger_s, JobScope(draft))
        if type(stagger_s) not in (int, float) or not 0 <= stagger_s <= _LONGEST_STAGGER_S:
            raise BindingError(f"stagger_s is {stagger_s!r}, not a number from 0 to {_LONGEST_STAGGER_S:g}")
        found["stagger_s"] = float(stagger_s)
    if found:
        container.extra = {**container.extra, **found}


def cap_of(container: Task, node: Node) -> int | None:
    """Return how many items may be released and not settled at a time; None is no cap."""
    cap: int | None = container.extra.get("cap", node.max_concurrency)
    return cap


def stagger_of(container: Task, node: Node) -> float:
    """Return the least seconds between the starts of two items."""
    stagger_s: float = container.extra.get("stagger_s", node.stagger_s)
    return stagger_s

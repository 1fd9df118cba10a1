"""Does a node run? Conditions as JSON, decided without opening a file.

    {"$eq": [value, value]}  also $ne $lt $le $gt $ge       {"$in": [value, list]}
    {"$all": [condition, …]}   {"$any": [condition, …]}   {"$not": condition}
    {"$is_none": value}        true for null, and for the value of a skipped node
    any other value            true when Python would call it true (null, false, 0, "", [], {} are not)

A value that is missing because its node was skipped makes the condition itself raise `Skipped`: a skipped data input skips
its consumer (R12).
"""

from __future__ import annotations

import operator as _op
from collections.abc import Callable
from typing import Any

from orpheus.core.values import BindingError, Scope, Skipped, operator_of, resolve

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": _op.eq,
    "$ne": _op.ne,
    "$lt": _op.lt,
    "$le": _op.le,
    "$gt": _op.gt,
    "$ge": _op.ge,
    "$in": lambda left, right: left in right,
}
OPERATORS = (*COMPARISONS, "$all", "$any", "$not", "$is_none")


def holds(condition: Any, scope: Scope) -> bool:
    """Tell whether the condition is true; None always is.

    Raises:
        Skipped: a value it needs was skipped.
        BindingError: a value does not exist, or two values cannot be compared.
    """
    if condition is None:
        return True
    name = operator_of(condition)
    if name == "$all":
        return all(holds(inner, scope) for inner in condition[name])
    if name == "$any":
        return any(holds(inner, scope) for inner in condition[name])
    if name == "$not":
        return not holds(condition[name], scope)
    if name == "$is_none":
        try:
            return resolve(condition[name], scope) is None
        except Skipped:
            return True
    if name in COMPARISONS:
        left, right = (resolve(side, scope) for side in condition[name])
        try:
            return COMPARISONS[name](left, right)
        except TypeError as error:
            raise BindingError(f"cannot compare {left!r} and {right!r}: {error}") from None
    return bool(resolve(condition, scope))

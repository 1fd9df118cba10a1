"""Words for conditions and joins: `all_of`, `any_of`, `not_`, `is_none`, `optional`, `first_of`, `secret`.

To type checkers they return what the value will be; while a workflow is traced they return conditions and references.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast, overload

from orpheus.authoring.errors import DefinitionError
from orpheus.authoring.refs import Condition, Ref, misuse, to_condition, to_graph

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")


def all_of(*conditions: object) -> bool:
    """True when every condition is (of none: true). For `when=`."""
    return cast(bool, Condition({"$all": _several("all_of", conditions)}))


def any_of(*conditions: object) -> bool:
    """True when at least one condition is. For `when=`."""
    return cast(bool, Condition({"$any": _several("any_of", conditions)}))


def not_(condition: object) -> bool:
    """True when the condition is not. For `when=`."""
    return cast(bool, Condition({"$not": to_condition(condition)}))


def is_none(value: object) -> bool:
    """True for null, and for the value of a task that was skipped. For `when=`."""
    return cast(bool, Condition({"$is_none": to_graph(value)}))


def optional(value: A) -> A | None:
    """Give None in place of a skipped task's value, instead of skipping whoever takes it (R12)."""
    if not isinstance(value, Ref):
        raise misuse("optional() of something that is not a reference", "Pass the result of a task.")
    return cast("A | None", Ref({"$optional": to_graph(value)}))


@overload
def first_of(first: A, /) -> A: ...
@overload
def first_of(first: A, second: B, /) -> A | B: ...
@overload
def first_of(first: A, second: B, third: C, /) -> A | B | C: ...
@overload
def first_of(first: A, second: B, third: C, fourth: D, /) -> A | B | C | D: ...
@overload
def first_of(*choices: A) -> A: ...
def first_of(*choices: Any) -> Any:
    """Give the first value whose task was not skipped (R12). The way to join branches."""
    if not choices:
        raise DefinitionError("first_of() of nothing", hint="Pass the results to choose from.")
    return Ref({"$first_of": [to_graph(choice) for choice in choices]})


def secret(name: str) -> str:
    """Pass a secret to a task: resolved on the worker from its environment, stored nowhere."""
    return cast(str, Ref({"$secret": name}))


def _several(what: str, conditions: tuple[object, ...]) -> list[Any]:
    if not conditions:
        raise DefinitionError(f"{what}() of nothing", hint="Pass at least one condition.")
    return [to_condition(condition) for condition in conditions]

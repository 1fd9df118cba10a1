"""Where does a value come from? References in the graph's JSON, and how they are resolved.

A value is plain JSON in which an object with exactly one key beginning with `$` stands for something else:

    {"$param": "source"}                        a param of the job
    {"$ref": "transcribe"}                      the result of a node
    {"$item": true}                             (maps) the item itself
    {"$get": [value, "segments", 0, "text"]}    a field or index of another value
    {"$optional": value}                        null when the value is missing because a node was skipped (R12)
    {"$first_of": [value, …]}                   the first that is not skipped (R12)
    {"$secret": "NAME"}                         resolved on the worker, stored nowhere; passes through here
    {"$literal": {…}}                           an object whose own key begins with `$`

Results that travel by reference are `{"$spill": {"key": …, "path": […], …}}`; they too pass through, and a worker
resolves them. `{"$file": {…}}` is a `File`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

Path = tuple[str | int, ...]

OPERATORS = ("$param", "$ref", "$item", "$get", "$optional", "$first_of", "$literal")
PASSED_THROUGH = ("$secret", "$spill", "$file")


class Skipped(Exception):
    """The value does not exist because the node that makes it was skipped."""

    def __init__(self, node: str) -> None:
        super().__init__(node)
        self.node = node


class BindingError(Exception):
    """The value does not exist although its node completed: a permanent `binding_failed` (R12)."""


class Scope(Protocol):
    """What references are resolved against."""

    def param(self, name: str) -> Any: ...

    def node(self, name: str) -> Any:
        """Return the node's result; raise `Skipped` when it has none."""

    def item(self) -> Any: ...


def operator_of(value: Any) -> str | None:
    """Return the `$` key of a reference object, or None for anything else."""
    if isinstance(value, dict) and len(value) == 1:
        key = next(iter(value))
        if isinstance(key, str) and key.startswith("$"):
            return key
    return None


def resolve(value: Any, scope: Scope) -> Any:
    """Replace every reference in `value`.

    Raises:
        Skipped: a node it needs was skipped, outside `$optional` and `$first_of`.
        BindingError: a field or index that a result or param does not have.
    """
    operator = operator_of(value)
    if operator is None:
        if isinstance(value, dict):
            return {key: resolve(inner, scope) for key, inner in value.items()}
        if isinstance(value, list):
            return [resolve(inner, scope) for inner in value]
        return value
    handler = _RESOLVERS.get(operator)
    return value if handler is None else handler(value[operator], scope)


def _get(body: list[Any], scope: Scope) -> Any:
    base, *path = body
    return follow(resolve(base, scope), tuple(path), origin=base)


def _optional(body: Any, scope: Scope) -> Any:
    try:
        return resolve(body, scope)
    except Skipped:
        return None


def _first_of(body: list[Any], scope: Scope) -> Any:
    last: Skipped | None = None
    for choice in body:
        try:
            return resolve(choice, scope)
        except Skipped as skipped:
            last = skipped
    raise last or Skipped("")


_RESOLVERS: dict[str, Callable[[Any, Scope], Any]] = {
    "$param": lambda body, scope: scope.param(body),
    "$ref": lambda body, scope: scope.node(body),
    "$item": lambda _body, scope: scope.item(),
    "$get": _get,
    "$optional": _optional,
    "$first_of": _first_of,
    "$literal": lambda body, _scope: body,
}


def missing(value: Any, has_value: Callable[[str], bool]) -> str | None:
    """Name a node whose lack of a value leaves `value` without one, or None: the question of R12, asked without loading
    any result.

    Args:
        value: a value or condition.
        has_value: tells whether a (settled) node has a value; a skipped one has not.
    """
    operator = operator_of(value)
    if operator == "$ref":
        return None if has_value(value["$ref"]) else value["$ref"]
    if operator in ("$optional", "$is_none", "$literal"):
        return None
    if operator == "$first_of":
        gaps = [missing(choice, has_value) for choice in value["$first_of"]]
        return gaps[-1] if gaps and None not in gaps else None
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in inner:
        gap = missing(part, has_value)
        if gap is not None:
            return gap
    return None


def item_result(completed: bool, result: Any, failure: dict[str, Any] | None) -> Any:
    """Return what stands at an item's place in its map's result (R13): its result, a typed failure, or null."""
    if completed:
        return result
    return None if failure is None else {"$failure": failure}


def spread(value: Any) -> list[Any]:
    """Return the items of a list to be mapped over; those of a spilled one stay references into it.

    Raises:
        BindingError: it is not a list.
    """
    if isinstance(value, list):
        return value
    if operator_of(value) == "$spill":
        spill = value["$spill"]
        path = list(spill.get("path", ()))
        for known, length in spill.get("lengths", ()):
            if list(known) == path:
                return [{"$spill": {**spill, "path": [*path, index]}} for index in range(length)]
    raise BindingError(f"can only map over a list, not {type(value).__name__}")


def follow(value: Any, path: Path, *, origin: Any = None) -> Any:
    """Walk `path` into `value`.

    A spilled value is followed through the fields that were reported inline with it, else the path is kept for the
    worker to walk. A `File` gives its own fields (`name`, `size_bytes`, `content_type`, `sha256`).

    Raises:
        BindingError: there is no such field or index.
    """
    for position, step in enumerate(path):
        operator = operator_of(value)
        if operator == "$spill":
            return _follow_spill(value["$spill"], path[position:])
        if operator == "$file":
            value = value["$file"]
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            where = "/".join(map(str, path[: position + 1]))
            raise BindingError(f"{_describe(origin)} has no {where!r}") from None
    return value


def _follow_spill(spill: dict[str, Any], path: Path) -> Any:
    inline = spill.get("inline") or []
    whole = (*spill.get("path", ()), *path)
    for known, value in inline:
        if tuple(known) == whole:
            return value
    return {"$spill": {key: inner for key, inner in spill.items() if key != "path"} | {"path": list(whole)}}


def _describe(origin: Any) -> str:
    operator = operator_of(origin)
    if operator == "$ref":
        return f"the result of {origin['$ref']!r}"
    if operator == "$param":
        return f"param {origin['$param']!r}"
    return "the value"


def references(value: Any) -> Iterator[tuple[str, str, Path]]:
    """Yield every `(operator, name, path)` of `$ref`, `$param` and `$item` in a value or condition, in order of appearance."""
    operator = operator_of(value)
    if operator in ("$ref", "$param"):
        yield operator, value[operator], ()
    elif operator == "$item":
        yield operator, "", ()
    elif operator == "$get" and isinstance(value["$get"], list) and value["$get"]:
        base, *path = value["$get"]
        inner = operator_of(base)
        if inner in ("$ref", "$param", "$item"):
            yield inner, base[inner] if inner != "$item" else "", tuple(path)
        else:
            yield from references(base)
    elif operator == "$literal":
        return
    elif isinstance(value, dict):
        for inner_value in value.values():
            yield from references(inner_value)
    elif isinstance(value, list):
        for inner_value in value:
            yield from references(inner_value)

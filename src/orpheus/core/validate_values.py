"""Do the references of a value or condition lead somewhere? (values.py and conditions.py say what they mean.)

One walk finds every reference, checks it against what is known of params and results, and notes which node waits for
which and what it reads of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orpheus.core import conditions
from orpheus.core.errors import UnknownReference
from orpheus.core.place import Place
from orpheus.core.schema import Missing, SchemaWalk
from orpheus.core.suggest import did_you_mean, quoted
from orpheus.core.values import OPERATORS, PASSED_THROUGH, Path, operator_of

_SECRET = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
_ALL = (*OPERATORS, *PASSED_THROUGH)


@dataclass(slots=True)
class Known:
    """What the graph's values may refer to."""

    params: SchemaWalk
    declared_params: tuple[str, ...] | None
    """None: the schema leaves the names open."""
    results: Mapping[str, SchemaWalk | None]
    """Every node, with the walk of its value's schema where it is known."""


@dataclass(slots=True)
class Reading:
    """What one node (or the output) reads."""

    place: Place
    known: Known
    items: Any = None
    """Maps: the value mapped over, which `$item` is an element of."""
    is_map: bool = False
    paths: dict[tuple[str, Path], None] = field(default_factory=dict)
    """`(node, path into its result)`, in order of appearance, each once."""

    def value(self, value: Any, *at: str | int, secrets: bool = True, item: bool = False) -> None:
        """Check a value.

        Args:
            at: where it stands in the node, for the JSON Pointer.
            secrets: whether `$secret` makes sense here (a worker resolves it).
            item: whether `$item` makes sense here.
        """
        _Walk(self, secrets=secrets, item=item and self.is_map).walk(value, (), at)

    def mapped(self, items: Any, *at: str | int) -> None:
        """Check, as far as it is known, that a map maps over a list, and remember what `$item` is."""
        self.items = items
        if operator_of(items) is not None:
            _Walk(self, secrets=False, item=False, record=False).walk(items, (0,), at)

    def condition(self, condition: Any, *at: str | int) -> None:
        """Check a condition."""
        _check_condition(self, condition, at)


@dataclass(slots=True)
class _Walk:
    reading: Reading
    secrets: bool
    item: bool
    record: bool = True
    anchor: tuple[str | int, ...] | None = None
    """Where faults are shown, when the value walked stands somewhere else."""

    def walk(self, value: Any, path: Path, at: tuple[str | int, ...]) -> None:
        """Check `value`, of which `path` is read."""
        place = self.reading.place
        operator = operator_of(value)
        if operator is not None:
            handler = _HANDLERS.get(operator)
            if handler is None:
                raise _unknown_operator(place, operator, at)
            handler(self, value[operator], path, (*at, operator) if self.anchor is None else self.anchor)
        elif isinstance(value, dict):
            for key, inner in value.items():
                if key.startswith("$"):
                    raise place.error(
                        f"{quoted(key)} stands beside other keys",
                        hint='A reference is an object with that one key; wrap an object that only looks like one in {"$literal": …}.',
                        at=at,
                    )
                self.walk(inner, (), (*at, key))
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                self.walk(inner, (), (*at, index))

    def ref(self, name: Any, path: Path, at: tuple[str | int, ...]) -> None:
        place, results = self.reading.place, self.reading.known.results
        if not isinstance(name, str) or name not in results:
            raise place.error(
                f"there is no node {quoted(name)}",
                hint=did_you_mean(str(name), results),
                kind=UnknownReference,
                at=at,
            )
        if self.record:
            self.reading.paths[(name, path)] = None
        walk = results[name]
        if walk is not None and path:
            self._follow(walk, path, f"the result of {quoted(name)}", at)

    def param(self, name: Any, path: Path, at: tuple[str | int, ...]) -> None:
        known = self.reading.known
        if not isinstance(name, str) or (known.declared_params is not None and name not in known.declared_params):
            raise self.reading.place.error(
                f"there is no param {quoted(name)}",
                hint=did_you_mean(str(name), known.declared_params or (), otherwise="Declare it in params.properties."),
                kind=UnknownReference,
                at=at,
            )
        if path:
            self._follow(known.params, (name, *path), f"param {quoted(name)}", at, skip=1)

    def element(self, body: Any, path: Path, at: tuple[str | int, ...]) -> None:
        if not self.item:
            raise self.reading.place.error(
                "$item stands outside a map",
                hint="Only the args and the concurrency_key of a map node have an item.",
                at=at,
            )
        if body is not True:
            raise self.reading.place.error('an item is written {"$item": true}', at=at)
        if operator_of(self.reading.items) is not None:
            inner = _Walk(self.reading, secrets=False, item=False, record=False, anchor=at)
            inner.walk(self.reading.items, (0, *path), at)

    def get(self, body: Any, path: Path, at: tuple[str | int, ...]) -> None:
        place = self.reading.place
        if not isinstance(body, list) or len(body) < 2:
            raise place.error('a field is written {"$get": [value, "field", …]}', at=at)
        base, *steps = body
        for index, step in enumerate(steps, start=1):
            if type(step) not in (str, int):
                raise place.error("a step of $get is a field's name or an index", at=(*at, index))
        if operator_of(base) not in ("$ref", "$param", "$item", "$get", "$optional", "$first_of"):
            raise place.error("$get reads from a reference", hint="Write the field's value itself.", at=(*at, 0))
        self.walk(base, (*steps, *path), (*at, 0))

    def optional(self, body: Any, path: Path, at: tuple[str | int, ...]) -> None:
        self.walk(body, path, at)

    def first_of(self, body: Any, path: Path, at: tuple[str | int, ...]) -> None:
        if not isinstance(body, list) or not body:
            raise self.reading.place.error("$first_of is a list of values, not empty", at=at)
        for index, choice in enumerate(body):
            self.walk(choice, path, (*at, index))

    def literal(self, body: Any, _path: Path, at: tuple[str | int, ...]) -> None:
        stack = [body]
        while stack:
            inner = stack.pop()
            if isinstance(inner, dict):
                if operator_of(inner) in PASSED_THROUGH:
                    raise _reserved(self.reading.place, str(operator_of(inner)), at)
                stack.extend(inner.values())
            elif isinstance(inner, list):
                stack.extend(inner)

    def secret(self, body: Any, path: Path, at: tuple[str | int, ...]) -> None:
        place = self.reading.place
        if not self.secrets:
            raise place.error(
                "a secret stands where no worker resolves it", hint="Pass it to a task's argument.", at=at
            )
        if not isinstance(body, str) or not _SECRET.fullmatch(body):
            raise place.error('a secret is written {"$secret": "NAME"}', at=at)
        if path:
            raise place.error("a secret has no fields", at=at)

    def reserved(self, _body: Any, _path: Path, at: tuple[str | int, ...]) -> None:
        raise _reserved(self.reading.place, str(at[-1]), at)

    def _follow(self, walk: SchemaWalk, path: Path, origin: str, at: tuple[str | int, ...], *, skip: int = 0) -> None:
        answer = walk.at(path)
        if not isinstance(answer, Missing):
            return
        owner = answer.owner or (origin if answer.step == path[skip] else f"a field of {origin}")
        place = self.reading.place
        if answer.reason == "list":
            raise place.error(
                f"{owner} is a list and has no field {quoted(answer.step)}",
                hint="Read an element by its index, or map a task over the list.",
                kind=UnknownReference,
                at=at,
            )
        if answer.reason == "scalar":
            described = f"of type {answer.kind} and has no field {quoted(answer.step)}"
            raise place.error(
                f"{owner} is {'not a list' if isinstance(answer.step, int) else described}",
                hint="A list is needed here." if isinstance(answer.step, int) else "Pass the value whole.",
                kind=UnknownReference,
                at=at,
            )
        raise place.error(
            f"{owner} has no field {quoted(answer.step)}",
            hint=did_you_mean(str(answer.step), answer.known),
            kind=UnknownReference,
            at=at,
        )


def _unknown_operator(place: Place, operator: str, at: tuple[str | int, ...]) -> Exception:
    if operator in conditions.OPERATORS:
        return place.error(
            f"the condition {operator} stands where a value is wanted", hint="Conditions stand in when.", at=at
        )
    return place.error(
        f"unknown reference {quoted(operator)}",
        hint=did_you_mean(operator, _ALL, otherwise='Wrap an object of your own in {"$literal": …}.'),
        at=at,
    )


def _reserved(place: Place, operator: str, at: tuple[str | int, ...]) -> Exception:
    return place.error(
        f"{operator} does not stand in a graph",
        hint="Files come in as params, or are made by tasks."
        if operator != "$secret"
        else "Write the secret outside $literal.",
        at=at,
    )


_HANDLERS: dict[str, Callable[[_Walk, Any, Path, tuple[str | int, ...]], None]] = {
    "$ref": _Walk.ref,
    "$param": _Walk.param,
    "$item": _Walk.element,
    "$get": _Walk.get,
    "$optional": _Walk.optional,
    "$first_of": _Walk.first_of,
    "$literal": _Walk.literal,
    "$secret": _Walk.secret,
    # A key of the object store is handed out by the server alone: a graph could name another tenant's file.
    "$file": _Walk.reserved,
    "$spill": _Walk.reserved,
}


def _check_condition(reading: Reading, condition: Any, at: tuple[str | int, ...]) -> None:
    if condition is None:
        return
    name = operator_of(condition)
    body = condition[name] if name is not None else None
    here = (*at, name) if name is not None else at
    if name in ("$all", "$any"):
        if not isinstance(body, list) or not body:
            raise reading.place.error(f"{name} is a list of conditions, not empty", at=here)
        for index, inner in enumerate(body):
            _check_condition(reading, inner, (*here, index))
    elif name == "$not":
        _check_condition(reading, body, here)
    elif name == "$is_none":
        reading.value(body, *here, secrets=False)
    elif name in conditions.COMPARISONS:
        if not isinstance(body, list) or len(body) != 2:
            raise reading.place.error(f"{name} compares two values: [left, right]", at=here)
        for index, side in enumerate(body):
            reading.value(side, *here, index, secrets=False)
    elif name is not None and name not in _ALL:
        raise reading.place.error(
            f"unknown condition {quoted(name)}", hint=did_you_mean(name, (*conditions.OPERATORS, *_ALL)), at=here
        )
    else:
        reading.value(condition, *at, secrets=False)

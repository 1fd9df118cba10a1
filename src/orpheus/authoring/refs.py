"""What stands for a value that does not exist yet? References and conditions, while a workflow function is traced.

To a type checker a reference is the value itself; when the function runs it is a `Ref`, of which one can take fields
(`plan.segments`, `meta["kind"]`, `scenes[0]`) and which one can compare. Anything that would need the value now raises
`TraceError` with the line and what to write instead. Because the attributes of a `Ref` are the fields of its value, what it
knows itself is kept in one slot and read by the functions of this module.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NoReturn

import msgspec

from orpheus.authoring.codec import to_wire
from orpheus.authoring.errors import TraceError
from orpheus.authoring.source import author_line

_DO_IT_IN_A_TASK = "Do it in a task: its arguments are values."


def misuse(what: str, hint: str) -> TraceError:
    """Make the error for a reference that was used as a value."""
    line = author_line()
    return TraceError(f"{line + ': ' if line else ''}{what}", hint=hint, details=[{"source": line}])


class Ref:
    """The value of a param or node, or a part of it, by name. See the module's docstring for what it can do."""

    __slots__ = ("_orpheus_value",)
    _orpheus_value: Any

    def __init__(self, value: Any) -> None:
        object.__setattr__(self, "_orpheus_value", value)

    def __getattr__(self, name: str) -> Ref:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return _step(self, name)

    def __getitem__(self, key: Any) -> Ref:
        if isinstance(key, Ref):
            raise misuse("an index is itself a reference", _DO_IT_IN_A_TASK)
        if isinstance(key, slice):
            raise misuse("a reference was sliced", "Map over the whole list, or cut it in a task.")
        if type(key) not in (str, int):
            raise misuse(f"{key!r} is not a field or index", "Use a name or a whole number.")
        return _step(self, key)

    def __repr__(self) -> str:
        return f"<reference {describe(self)}>"

    # Comparisons make conditions

    def __eq__(self, other: object) -> Any:
        return _compare("$eq", self, other)

    def __ne__(self, other: object) -> Any:
        return _compare("$ne", self, other)

    def __lt__(self, other: object) -> Any:
        return _compare("$lt", self, other)

    def __le__(self, other: object) -> Any:
        return _compare("$le", self, other)

    def __gt__(self, other: object) -> Any:
        return _compare("$gt", self, other)

    def __ge__(self, other: object) -> Any:
        return _compare("$ge", self, other)

    # Everything else needs the value

    def __bool__(self) -> NoReturn:
        raise _truth(describe(self))

    def __hash__(self) -> int:
        raise misuse(f"{describe(self)} was hashed (a set member or dict key)", "Use a list, or pass it to a task.")

    def __iter__(self) -> NoReturn:
        raise misuse(f"{describe(self)} was iterated over", "Use task.map(items), or take elements by index: items[0].")

    def __len__(self) -> NoReturn:
        raise misuse(f"len() of {describe(self)}", "Compare it with [] in a condition, or count in a task.")

    def __contains__(self, _item: object) -> NoReturn:
        raise misuse(f"`in` on {describe(self)}", "Write when=any_of(x == a, x == b), or look in a task.")

    def __format__(self, _spec: str) -> NoReturn:
        raise misuse(
            f"{describe(self)} was formatted (an f-string or str.format)", "Pass it to a task and format there."
        )

    def __str__(self) -> NoReturn:
        raise misuse(f"str() of {describe(self)}", "Pass it to a task and format there.")

    def __call__(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise misuse(f"{describe(self)} was called as a method", _DO_IT_IN_A_TASK)

    def __await__(self) -> NoReturn:
        raise misuse(
            f"{describe(self)} was awaited", "Leave `await` out: in a workflow a call already gives the result."
        )

    def __setattr__(self, name: str, _value: object) -> NoReturn:
        raise misuse(f"{describe(self)}.{name} was assigned to", _DO_IT_IN_A_TASK)

    def __setitem__(self, key: object, _value: object) -> NoReturn:
        raise misuse(f"an element of {describe(self)} was assigned to", _DO_IT_IN_A_TASK)

    def __enter__(self) -> NoReturn:
        raise misuse(f"`with` on {describe(self)}", _DO_IT_IN_A_TASK)

    def __exit__(self, *_: object) -> None: ...


def _refuse(operator: str) -> Any:
    def refuse(self: Any, *_: object) -> NoReturn:
        raise misuse(
            f"`{operator}` on {describe(self)}", f"References are not numbers or texts yet. {_DO_IT_IN_A_TASK}"
        )

    return refuse


_ARITHMETIC = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "truediv": "/",
    "floordiv": "//",
    "mod": "%",
    "pow": "**",
    "matmul": "@",
    "lshift": "<<",
    "rshift": ">>",
}
for _name, _symbol in _ARITHMETIC.items():
    setattr(Ref, f"__{_name}__", _refuse(_symbol))
    setattr(Ref, f"__r{_name}__", _refuse(_symbol))
for _name, _symbol in {"neg": "-", "pos": "+", "abs": "abs()", "round": "round()"}.items():
    setattr(Ref, f"__{_name}__", _refuse(_symbol))
for _name in ("int", "float", "complex", "index", "bytes", "reversed"):
    setattr(Ref, f"__{_name}__", _refuse(f"{_name}()"))


class Condition:
    """A comparison of references, for `when=`; true or false is known only when the job runs."""

    __slots__ = ("_orpheus_condition",)
    _orpheus_condition: Any

    def __init__(self, condition: Any) -> None:
        self._orpheus_condition = condition

    def __bool__(self) -> NoReturn:
        raise _truth("a condition")

    def __hash__(self) -> int:
        raise misuse("a condition was hashed", "Pass it to when=.")

    def __eq__(self, other: object) -> Any:
        raise misuse("a condition was compared", "Combine conditions with all_of, any_of and not_.")

    def __repr__(self) -> str:
        return f"<condition {self._orpheus_condition}>"


def _no_bitwise(self: Any, _other: object) -> NoReturn:
    raise misuse("`&` or `|` on references", "Write all_of(a, b) or any_of(a, b).")


def _no_invert(self: Any) -> NoReturn:
    raise misuse("`~` on a reference", "Write not_(a).")


for _name in ("and", "or", "xor", "rand", "ror", "rxor"):
    setattr(Ref, f"__{_name}__", _no_bitwise)
    setattr(Condition, f"__{_name}__", _no_bitwise)
for _name in ("invert",):
    setattr(Ref, f"__{_name}__", _no_invert)
    setattr(Condition, f"__{_name}__", _no_invert)


def _truth(what: str) -> TraceError:
    return misuse(
        f"{what} was used as true or false (if, while, and, or, not, in, a chained comparison)",
        "Its value is known only when the job runs: write when=… on the task, with all_of, any_of and not_.",
    )


def _step(ref: Ref, step: str | int) -> Ref:
    value = value_of(ref)
    if "$get" in value:
        return Ref({"$get": [*value["$get"], step]})
    return Ref({"$get": [value, step]})


def _compare(operator: str, left: Any, right: Any) -> Condition:
    return Condition({operator: [to_graph(left), to_graph(right)]})


def value_of(ref: Ref) -> Any:
    """Return the JSON form of a reference."""
    return object.__getattribute__(ref, "_orpheus_value")


def describe(ref: Ref) -> str:
    """Name a reference for a message, as the author wrote it: `meta.kind`."""
    value = value_of(ref)
    if "$get" in value:
        base, *path = value["$get"]
        steps = "".join(f".{step}" if isinstance(step, str) else f"[{step}]" for step in path)
        return describe(Ref(base)) + steps
    ((operator, body),) = value.items()
    return str(body) if operator in ("$param", "$ref") else operator.lstrip("$")


def to_graph(value: Any) -> Any:
    """Turn what an author passed into a graph's value: references wherever they stand in it, everything else as JSON.

    Raises:
        TraceError: it cannot travel as JSON, or a reference stands in an object with a `$` key.
    """
    if isinstance(value, Ref):
        return value_of(value)
    if isinstance(value, Condition):
        raise misuse("a condition was passed as a value", "Conditions stand in when=; compute a bool in a task.")
    if isinstance(value, dict):
        return _object({_key(key): inner for key, inner in value.items()})
    if isinstance(value, list | tuple):
        return [to_graph(inner) for inner in value]
    if isinstance(value, msgspec.Struct) and not getattr(type(value).__struct_config__, "tag", None):
        renamed = zip(type(value).__struct_encode_fields__, type(value).__struct_fields__, strict=True)
        return _object({wire: getattr(value, name) for wire, name in renamed})
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _object({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    try:
        return _literal(to_wire(value))
    except (TypeError, ValueError) as error:
        raise misuse(
            f"{value!r:.80} cannot be passed to a task: {error}", "Pass JSON, a dataclass or a File."
        ) from None


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    wired = to_wire({key: None})
    return str(next(iter(wired)))


def _object(value: dict[str, Any]) -> Any:
    written = {key: to_graph(inner) for key, inner in value.items()}
    if any(key.startswith("$") for key in written):
        if _holds_reference(value):
            raise misuse("a reference stands in an object with a key that begins with $", "Rename the key.")
        return _literal(to_wire(value))
    return written


def _literal(value: Any) -> Any:
    """Wrap objects of the author's own that look like references. A `File` belongs to a job, not to a workflow."""
    if isinstance(value, dict):
        if any(key.startswith("$") for key in value):
            if "$file" in value:
                raise misuse("a File stands in the graph", "Make it a param of the workflow, or let a task save it.")
            return {"$literal": value}
        return {key: _literal(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_literal(inner) for inner in value]
    return value


def _holds_reference(value: Any) -> bool:
    if isinstance(value, Ref | Condition):
        return True
    if isinstance(value, dict):
        return any(_holds_reference(inner) for inner in value.values())
    if isinstance(value, list | tuple):
        return any(_holds_reference(inner) for inner in value)
    return False


def to_condition(value: Any) -> Any:
    """Turn what was passed to `when=` into the graph's form: a condition, a reference (true when its value is), a bool."""
    if isinstance(value, Condition):
        return value._orpheus_condition
    return to_graph(value)

"""Which of them is it? Annotations that msgspec does not take as they are: `Labels | Transcript`, `list[File | str]`.

msgspec wants to tell the members of a union apart by the JSON alone. Authors join branches with `first_of` and take either
result, so here each member is tried: first those whose fields cover the value's keys, then the others, in the order
written. An annotation is walked only as deep as such a union lies; everything below goes to msgspec.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import types
import typing
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, Union

import msgspec

Convert = Callable[[Any, Any], Any]
PlainSchema = Callable[[Any, dict[str, Any]], dict[str, Any]]

_LISTS = (list, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)
_DICTS = (dict, collections.abc.Mapping)
_MISSING = object()


def is_plain(annotation: Any) -> bool:
    """Tell whether msgspec takes the annotation as it is."""
    try:
        return _is_plain(annotation)
    except TypeError:  # an annotation that cannot be hashed, such as Annotated[int, {}]
        return _is_plain.__wrapped__(annotation)


@lru_cache(maxsize=4096)
def _is_plain(annotation: Any) -> bool:
    try:
        msgspec.json.Decoder(annotation, dec_hook=lambda _kind, value: value)
    except TypeError:
        return False
    return True


def decode(value: Any, annotation: Any, convert: Convert) -> Any:
    """Turn JSON into a value of an annotation that is not plain.

    Raises:
        ValueError: it does not fit.
        TypeError: the annotation cannot be taken apart either.
    """
    if is_plain(annotation):
        return convert(value, annotation)
    kind, parts = _apart(annotation)
    if kind == "union":
        return _decode_union(value, parts, convert)
    if kind == "list":
        _expect(isinstance(value, list), value, "array")
        return [_within(index, inner, parts[0], convert) for index, inner in enumerate(value)]
    if kind == "tuple":
        _expect(isinstance(value, list) and len(value) == len(parts), value, f"array of length {len(parts)}")
        return tuple(
            _within(index, inner, part, convert) for index, (inner, part) in enumerate(zip(value, parts, strict=True))
        )
    if kind == "dict":
        _expect(isinstance(value, dict), value, "object")
        keys, values = parts
        return {convert(key, keys): _within(key, inner, values, convert) for key, inner in value.items()}
    return _decode_fields(value, annotation, convert)


def _decode_union(value: Any, members: tuple[Any, ...], convert: Convert) -> Any:
    faults: list[str] = []
    for member in sorted(members, key=lambda member: _distance(value, member)):
        try:
            return decode(value, member, convert)
        except ValueError as fault:
            faults.append(f"as {_shown(member)}: {fault}")
    raise ValueError("it fits none of the types: " + "; ".join(faults))


def _distance(value: Any, member: Any) -> int:
    """0 when the member's fields cover all of the object's keys, 2 when they don't, 1 for anything else. Sorting by it is
    stable, so the written order decides between equals."""
    if not isinstance(value, dict):
        return 1
    fields = _field_names(member)
    if fields is None:
        return 1
    return 0 if fields.issuperset(value) else 2


def _field_names(member: Any) -> set[str] | None:
    kind = typing.get_origin(member) or member
    if dataclasses.is_dataclass(kind):
        return {field.name for field in dataclasses.fields(kind)}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return set(kind.__struct_encode_fields__)
    if typing.is_typeddict(kind):
        return set(kind.__annotations__)
    fields = getattr(kind, "model_fields", None)
    return set(fields) if isinstance(fields, dict) else None


def _decode_fields(value: Any, annotation: Any, convert: Convert) -> Any:
    """Decode a dataclass, struct or TypedDict field by field, because one of its fields is not plain."""
    _expect(isinstance(value, dict), value, "object")
    decoded: dict[str, Any] = {}
    for wire, (name, hint, default) in _fields(annotation).items():
        if wire in value:
            decoded[name] = _within(wire, value[wire], hint, convert)
        elif default is _MISSING:
            raise ValueError(f"Object missing required field `{wire}`")
    return annotation(**decoded)


def _fields(annotation: Any) -> dict[str, tuple[str, Any, Any]]:
    """Return, by the name on the wire, each field's own name, annotation and whether it may be left out."""
    hints = typing.get_type_hints(annotation, include_extras=True)
    if dataclasses.is_dataclass(annotation):
        return {
            field.name: (field.name, hints[field.name], _default_of(field))
            for field in dataclasses.fields(annotation)
            if field.init
        }
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return {
            field.encode_name: (field.name, hints[field.name], _MISSING if field.required else None)
            for field in msgspec.structs.fields(annotation)
        }
    if typing.is_typeddict(annotation):
        required: frozenset[str] = getattr(annotation, "__required_keys__", frozenset())
        return {name: (name, hint, _MISSING if name in required else None) for name, hint in hints.items()}
    raise TypeError(f"{_shown(annotation)} cannot travel as JSON")


def _default_of(field: dataclasses.Field[Any]) -> Any:
    has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
    return None if has_default else _MISSING


def schema(annotation: Any, defs: dict[str, Any], plain: PlainSchema) -> dict[str, Any]:
    """Return the JSON Schema of an annotation that is not plain; named types go to `defs`.

    Raises:
        TypeError: values of this type cannot travel.
    """
    if is_plain(annotation):
        return plain(annotation, defs)
    if typing.get_origin(annotation) is Annotated:
        inner, *marks = typing.get_args(annotation)
        extras = [mark.extra_json_schema for mark in marks if isinstance(mark, msgspec.Meta) and mark.extra_json_schema]
        found = schema(inner, defs, plain)
        return {key: value for part in (found, *extras) for key, value in part.items()}
    kind, parts = _apart(annotation)
    if kind == "union":
        return {"anyOf": [schema(part, defs, plain) for part in parts]}
    if kind == "list":
        return {"type": "array", "items": schema(parts[0], defs, plain)}
    if kind == "tuple":
        size = {"minItems": len(parts), "maxItems": len(parts)}
        return {"type": "array", "prefixItems": [schema(part, defs, plain) for part in parts], **size}
    if kind == "dict":
        return {"type": "object", "additionalProperties": schema(parts[1], defs, plain)}
    name = annotation.__name__
    if name not in defs:
        defs[name] = {}  # a type that holds itself finds its name taken
        fields = _fields(annotation)
        properties = {wire: schema(hint, defs, plain) for wire, (_, hint, _default) in fields.items()}
        required = [wire for wire, (_, _hint, default) in fields.items() if default is _MISSING]
        defs[name] = {"title": name, "type": "object", "properties": properties}
        if required:
            defs[name]["required"] = required
    return {"$ref": f"#/$defs/{name}"}


def _apart(annotation: Any) -> tuple[str, tuple[Any, ...]]:
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _apart(parts[0])
    if origin is Union or origin is types.UnionType:
        return "union", parts
    if origin in _LISTS or (origin is tuple and len(parts) == 2 and parts[1] is Ellipsis):
        return "list", parts[:1]
    if origin is tuple:
        return "tuple", parts
    if origin in _DICTS:
        return "dict", parts
    return "fields", ()


def _within(step: Any, value: Any, annotation: Any, convert: Convert) -> Any:
    try:
        return decode(value, annotation, convert)
    except ValueError as fault:
        raise ValueError(f"{fault} (in {step!r})") from fault


def _expect(fits: bool, value: Any, wanted: str) -> None:
    if not fits:
        raise ValueError(f"Expected `{wanted}`, got `{type(value).__name__}`")


def _shown(annotation: Any) -> str:
    return getattr(annotation, "__name__", None) or str(annotation)

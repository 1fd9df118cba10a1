"""How do values travel? Python values to JSON and back, and the JSON Schemas of annotations.

JSON, dataclasses, TypedDicts, enums, datetimes, msgspec structs, pydantic models (where pydantic is installed), `File` and
`Failure`. Decoding goes by annotation. msgspec does the work; what it does not take (a union of two dataclasses, or of a
`File` and something else) is taken apart in `unions.py` and handed to it in pieces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

import msgspec

from orpheus.authoring import unions
from orpheus.authoring.failure import Failure, failure_schema
from orpheus.authoring.file import File, file_schema

T = TypeVar("T")

Sensitive = Annotated[T, msgspec.Meta(extra_json_schema={"x-orpheus": "sensitive"})]
"""`token: Sensitive[str]`: an ordinary value to the code, redacted wherever it would be shown.

Type checkers see plain `T`; the mark travels in the schema (`"x-orpheus": "sensitive"`)."""


class Unsupported(TypeError):
    """A type that cannot travel as JSON."""


def to_wire(value: Any) -> Any:
    """Turn a value into plain JSON: dicts, lists, texts, numbers. NaN becomes null, as JSON has none.

    Raises:
        TypeError: it holds something that JSON, dataclasses, enums, datetimes, msgspec or pydantic do not have.
    """
    # Through text, because `to_builtins` leaves tuples as they are.
    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=_encode))


def from_wire(value: Any, annotation: Any = Any) -> Any:
    """Turn plain JSON into a value of the annotated type.

    Raises:
        ValueError: it does not fit; the message has the path (msgspec's `$.field` notation).
    """
    if annotation is Any or annotation is object:
        return from_wire_untyped(value)
    if unions.is_plain(annotation):
        return _convert(value, annotation)
    return unions.decode(value, annotation, _convert)


def from_wire_untyped(value: Any) -> Any:
    """Turn plain JSON into a value where nothing is annotated: only files and failures are recognised."""
    if isinstance(value, dict):
        if len(value) == 1 and "$file" in value:
            return File.from_wire(value)
        if len(value) == 1 and "$failure" in value:
            return Failure.from_wire(value)
        return {key: from_wire_untyped(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [from_wire_untyped(inner) for inner in value]
    return value


def _convert(value: Any, annotation: Any) -> Any:
    return msgspec.convert(value, annotation, str_keys=True, dec_hook=_decode)


def _encode(value: Any) -> Any:
    if isinstance(value, File | Failure):
        return value.to_wire()
    if _is_pydantic(type(value)):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__qualname__} cannot travel as JSON")


def _decode(kind: type[Any], value: Any) -> Any:
    if kind is object:  # what strict checkers have people write for "any JSON"
        return from_wire_untyped(value)
    if kind is File or kind is Failure:
        return value if isinstance(value, kind) else kind.from_wire(value)
    if _is_pydantic(kind):
        return kind.model_validate(value)
    raise NotImplementedError(f"a {kind.__qualname__} cannot be made from JSON")


def _is_pydantic(kind: Any) -> bool:
    """Tell whether it is a pydantic model, without importing pydantic: it may not be installed."""
    return isinstance(kind, type) and hasattr(kind, "model_validate") and hasattr(kind, "__pydantic_core_schema__")


def _schema_hook(kind: type[Any]) -> dict[str, Any]:
    if kind is object:
        return {"title": "JSON"}  # anything; msgspec takes an empty schema for a refusal
    if kind is File:
        return file_schema()
    if kind is Failure:
        return failure_schema()
    if _is_pydantic(kind):
        schema: dict[str, Any] = kind.model_json_schema()
        return schema
    raise Unsupported(f"{kind.__qualname__} cannot travel as JSON")


def schema_of(annotation: Any) -> dict[str, Any] | None:
    """Return the JSON Schema of an annotation, self-contained; None where nothing is said (`Any`).

    Raises:
        TypeError: values of this type cannot travel.
    """
    if annotation is Any or annotation is object:
        return None
    if annotation is None or annotation is type(None):
        return {"type": "null"}
    ((schema,), defs) = _schemas([annotation])
    return {**schema, "$defs": defs} if defs else schema


def object_schema(
    annotations: Mapping[str, Any],
    *,
    required: Sequence[str],
    defaults: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the JSON Schema of a function's arguments, as one object that takes no others.

    Raises:
        TypeError: an annotation or a default cannot travel.
    """
    schemas, defs = _schemas(list(annotations.values()))
    properties: dict[str, Any] = {}
    for name, schema in zip(annotations, schemas, strict=True):
        properties[name] = dict(schema)
        if name in defaults:
            properties[name]["default"] = to_wire(defaults[name])
    found: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        found["required"] = list(required)
    if defs:
        found["$defs"] = defs
    return found


def _schemas(annotations: list[Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the schemas, and the definitions they share. Plain ones in one go, so that msgspec keeps names apart."""
    plain = [annotation for annotation in annotations if unions.is_plain(annotation)]
    defs: dict[str, Any] = {}
    ready = iter(_plain_schemas(plain, defs))
    return [
        next(ready) if unions.is_plain(annotation) else unions.schema(annotation, defs, _one_schema)
        for annotation in annotations
    ], defs


def _one_schema(annotation: Any, defs: dict[str, Any]) -> dict[str, Any]:
    (found,) = _plain_schemas([annotation], defs)
    return found


def _plain_schemas(annotations: list[Any], defs: dict[str, Any]) -> list[dict[str, Any]]:
    found, components = msgspec.json.schema_components(
        annotations, schema_hook=_schema_hook, ref_template="#/$defs/{name}"
    )
    for name, component in components.items():
        hoisted = _hoist(component, defs)
        if defs.setdefault(name, hoisted) != hoisted:
            raise Unsupported(f"two different types are both named {name}; rename one of them")
    return [_hoist(schema, defs) for schema in found]


def _hoist(schema: Any, defs: dict[str, Any]) -> Any:
    """Move `$defs` of embedded schemas (pydantic's) to the document's own, where their references look for them."""
    if isinstance(schema, dict):
        if isinstance(schema.get("$defs"), dict):
            for name, inner in schema["$defs"].items():
                defs.setdefault(name, _hoist(inner, defs))
        return {key: _hoist(inner, defs) for key, inner in schema.items() if key != "$defs"}
    if isinstance(schema, list):
        return [_hoist(inner, defs) for inner in schema]
    return schema

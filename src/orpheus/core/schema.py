"""Which fields does a value have? Walking JSON Schemas without judging values.

The core checks references against the schemas of params and results (an unknown field is found when a workflow is
published, not when a job fails), so it needs to know only what lies where. Checking values against a schema is done where
values come in.

A walk keeps every schema that may describe the value (through `$ref`, `anyOf`, `oneOf`, `allOf`), and where a schema says
nothing it stops asking: a reference is refused only when every alternative rules it out.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

FILE_MARK = "x-orpheus"
FILE_FIELDS = ("name", "key", "size_bytes", "sha256", "content_type")
TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
DIALECTS = ("https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft-07/schema#")

_MOST_ALTERNATIVES = 64
_SUBSCHEMAS = ("additionalProperties", "propertyNames", "contains", "not", "if", "then", "else", "items")
_SUBSCHEMA_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SUBSCHEMA_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_TEXTS = ("title", "description", "pattern", "format", "$comment")
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


class SchemaFault(ValueError):
    """What is wrong with a schema, and where in it (`path`)."""

    def __init__(self, message: str, path: tuple[str | int, ...]) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True, slots=True)
class Missing:
    """A step that no alternative allows."""

    owner: str
    """What has no such field, e.g. `Plan`; empty where the schema has no title."""
    step: str | int
    known: tuple[str, ...]
    """Fields there are, for the nearest match."""
    reason: str
    """`field` (no such field), `list` (a list takes a number), `scalar` (has no fields at all)."""
    kind: str = ""
    """For `scalar`: the value's type."""


class SchemaWalk:
    """Walks one schema document; answers are remembered, since many references take the same path."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._answers: dict[tuple[str | int, ...], list[Any] | Missing | None] = {}

    def at(self, path: tuple[str | int, ...]) -> list[Any] | Missing | None:
        """Return the schemas that may describe the value at `path`, None where nothing is known, or what is missing."""
        known = self._answers.get(path)
        if known is not None or path in self._answers:
            return known
        answer: list[Any] | Missing | None
        if not path:
            answer = self._alternatives([self._root])
        else:
            before = self.at(path[:-1])
            answer = before if not isinstance(before, list) else self._step(before, path[-1])
        self._answers[path] = answer
        return answer

    def _step(self, schemas: list[Any], step: str | int) -> list[Any] | Missing | None:
        found: list[Any] = []
        missing: Missing | None = None
        for schema in schemas:
            inner = _inside(schema, step)
            if inner is None:
                return None
            if isinstance(inner, Missing):
                missing = _better(missing, inner)
            else:
                found.extend(inner)
        if found:
            return self._alternatives(found)
        return missing

    def _alternatives(self, schemas: Iterable[Any]) -> list[Any] | None:
        """Follow `$ref` and the combining words; None when the value may be anything."""
        found: list[Any] = []
        seen: set[int | str] = set()
        kept: list[Any] = []  # An id is only worth something while its object lives.
        todo = list(schemas)[::-1]
        while todo:
            schema = todo.pop()
            if id(schema) in seen:
                continue
            seen.add(id(schema))
            kept.append(schema)
            if len(kept) > _MOST_ALTERNATIVES or not isinstance(schema, dict):
                return None
            target = schema.get("$ref")
            if isinstance(target, str):
                if target not in seen:
                    seen.add(target)
                    todo.append(_titled(resolve_pointer(self._root, target), target))
                continue
            branches = [branch for word in ("anyOf", "oneOf", "allOf") for branch in _list(schema.get(word))]
            if branches:
                todo.extend(reversed(branches))
                if "properties" not in schema and "type" not in schema:
                    continue
            found.append(schema)
        return found or None


def _titled(schema: Any, target: str) -> Any:
    """Name a schema after its `$defs` entry when it has no title, so messages can say `Plan`."""
    if isinstance(schema, dict) and "title" not in schema and "/$defs/" in target and "$ref" not in schema:
        return {"title": target.rsplit("/", 1)[-1], **schema}
    return schema


def _better(first: Missing | None, second: Missing) -> Missing:
    """Prefer the alternative that has fields: its message helps more than that of `null`."""
    if first is None or (second.known and not first.known) or (first.kind == "null" and second.kind != "null"):
        return second
    return first


def _inside(schema: dict[str, Any], step: str | int) -> list[Any] | Missing | None:
    """Return what lies one step inside: schemas, None for anything, or what is missing."""
    title = schema.get("title")
    owner = title if isinstance(title, str) else ""
    if schema.get(FILE_MARK) == "file":
        if isinstance(step, int):
            return Missing(owner or "File", step, (), "scalar", "object")
        return [{}] if step in FILE_FIELDS else Missing(owner or "File", step, FILE_FIELDS, "field")
    kinds = _kinds(schema)
    if isinstance(step, str):
        if "object" in kinds:
            return _field(schema, step, owner)
        if "array" in kinds:
            return Missing(owner, step, (), "list")
    elif "array" in kinds:
        return _element(schema, step)
    if not kinds:
        return None
    return Missing(owner, step, (), "scalar", kinds[0])


def _kinds(schema: dict[str, Any]) -> tuple[str, ...]:
    kind = schema.get("type")
    if isinstance(kind, str):
        return (kind,)
    if isinstance(kind, list) and kind:
        return tuple(name for name in kind if isinstance(name, str))
    if "properties" in schema or "required" in schema:
        return ("object",)
    if "items" in schema or "prefixItems" in schema:
        return ("array",)
    if isinstance(schema.get("enum"), list):
        return tuple(_kind_of(value) for value in schema["enum"])
    if "const" in schema:
        return (_kind_of(schema["const"]),)
    return ()


def _kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    names = ((dict, "object"), (list, "array"), (str, "string"), (int, "integer"), (float, "number"))
    return next((name for kind, name in names if isinstance(value, kind)), "null")


def _field(schema: dict[str, Any], step: str, owner: str) -> list[Any] | Missing | None:
    properties = schema.get("properties")
    if isinstance(properties, dict) and step in properties:
        return [properties[step]]
    other = schema.get("additionalProperties")
    if "patternProperties" in schema or other is True or (properties is None and other is None):
        return None
    if isinstance(other, dict):
        return [other]
    return Missing(owner, step, tuple(properties or ()), "field")


def _element(schema: dict[str, Any], step: int) -> list[Any] | None:
    prefix = _list(schema.get("prefixItems"))
    if 0 <= step < len(prefix):
        return [prefix[step]]
    items = schema.get("items")
    return [items] if isinstance(items, dict) else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def resolve_pointer(root: Any, target: str) -> Any:
    """Return what `#/…` points to in `root`; None when it points nowhere."""
    if not target.startswith("#"):
        return None
    value = root
    for raw in target[1:].split("/")[1:]:
        step = raw.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and len(step) < 8 and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def subschemas(schema: Any) -> Iterator[tuple[dict[str, Any], tuple[str | int, ...]]]:
    """Yield every schema object within `schema`, itself first, with its path. The depth is bounded by `check_plain`."""
    stack: list[tuple[Any, tuple[str | int, ...]]] = [(schema, ())]
    while stack:
        current, path = stack.pop()
        if not isinstance(current, dict):
            continue
        yield current, path
        stack.extend((current[word], (*path, word)) for word in _SUBSCHEMAS if word in current)
        for word in _SUBSCHEMA_LISTS:
            stack.extend((inner, (*path, word, index)) for index, inner in enumerate(_list(current.get(word))))
        for word in _SUBSCHEMA_MAPS:
            inner_map = current.get(word)
            if isinstance(inner_map, dict):
                stack.extend((inner, (*path, word, name)) for name, inner in inner_map.items())


def holds_files(schema: Any) -> bool:
    """Tell whether a value of this schema may hold a `File`."""
    return any(inner.get(FILE_MARK) == "file" for inner, _ in subschemas(schema))


def defaults_of(schema: Any) -> dict[str, Any]:
    """Return the defaults that the schema of an object gives to fields left out."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict):
        return {}
    return {name: one["default"] for name, one in properties.items() if isinstance(one, dict) and "default" in one}


def with_defaults(schema: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return `params` with the defaults that the schema of an object gives to the fields left out. Does not check them."""
    return filled_in(params, defaults_of(schema))


def filled_in(params: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return `params` with a default for each field left out that has one."""
    filled = dict(params)
    for name, default in defaults.items():
        if name not in filled:
            filled[name] = copy.deepcopy(default)
    return filled


def check_schema(schema: Any) -> None:
    """Refuse what is not a JSON Schema we can walk and compile: wrong shapes of the common words, references that leave
    the document.

    Raises:
        SchemaFault: says what and where.
    """
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        raise SchemaFault("a JSON Schema is an object", ())
    for inner, path in subschemas(schema):
        _check_one(inner, path, schema)


def _check_one(schema: dict[str, Any], path: tuple[str | int, ...], root: Any) -> None:
    kind = schema.get("type")
    names = kind if isinstance(kind, list) else [kind]
    if "type" in schema and (not names or any(name not in TYPES for name in names if isinstance(name, str))):
        raise SchemaFault(f"type is one of {', '.join(TYPES)}", (*path, "type"))
    if "type" in schema and any(not isinstance(name, str) for name in names):
        raise SchemaFault("type is a text or a list of texts", (*path, "type"))
    for word in _SUBSCHEMAS:
        if word in schema and not isinstance(schema[word], dict | bool):
            raise SchemaFault(f"{word} is a JSON Schema", (*path, word))
    for word in _SUBSCHEMA_LISTS:
        if word in schema and (
            not _list(schema[word]) or not all(isinstance(inner, dict | bool) for inner in schema[word])
        ):
            raise SchemaFault(f"{word} is a list of JSON Schemas, not empty", (*path, word))
    for word in _SUBSCHEMA_MAPS:
        if word in schema and (
            not isinstance(schema[word], dict)
            or not all(isinstance(inner, dict | bool) for inner in schema[word].values())
        ):
            raise SchemaFault(f"{word} is an object of JSON Schemas", (*path, word))
    for word in _COUNTS:
        if word in schema and (type(schema[word]) is not int or schema[word] < 0):
            raise SchemaFault(f"{word} is a whole number from 0", (*path, word))
    for word in _NUMBERS:
        if word in schema and type(schema[word]) not in (int, float):
            raise SchemaFault(f"{word} is a number", (*path, word))
    for word in _TEXTS:
        if word in schema and not isinstance(schema[word], str):
            raise SchemaFault(f"{word} is a text", (*path, word))
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise SchemaFault("required is a list of names", (*path, "required"))
    if len(set(required)) != len(required):
        raise SchemaFault("required names a field twice", (*path, "required"))
    if "enum" in schema and not _list(schema["enum"]):
        raise SchemaFault("enum is a list, not empty", (*path, "enum"))
    _check_references(schema, path, root)


def _check_references(schema: dict[str, Any], path: tuple[str | int, ...], root: Any) -> None:
    """References stay inside the document: nothing is ever fetched because a schema says so."""
    if "$ref" in schema:
        target = schema["$ref"]
        if not isinstance(target, str) or (target != "#" and not target.startswith("#/")):
            raise SchemaFault("a $ref points into the same document: #/$defs/Name", (*path, "$ref"))
        if not isinstance(resolve_pointer(root, target), dict | bool):
            raise SchemaFault(f"$ref {target!r:.80} points nowhere", (*path, "$ref"))
    for word in ("$dynamicRef", "$recursiveRef", "$id", "$anchor", "$dynamicAnchor", "$vocabulary"):
        if word in schema:
            raise SchemaFault(f"{word} is not supported", (*path, word))
    if "$schema" in schema and schema["$schema"] not in DIALECTS:
        raise SchemaFault(f"$schema is {DIALECTS[0]!r}, or left out", (*path, "$schema"))

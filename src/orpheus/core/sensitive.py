"""What must not be shown? Values whose schema says `"x-orpheus": "sensitive"` are replaced before anybody sees them.

Code gets such values as they are; this is only for showing. When several schemas may describe a value, one that is marked
is enough: rather a word too few than a key too many.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from orpheus.core.schema import FILE_MARK, resolve_pointer, subschemas

HIDDEN = "***"
_WORDS = ("anyOf", "oneOf", "allOf")


def holds_sensitive(schema: Any) -> bool:
    """Tell whether a value of this schema may hold something that is not to be shown."""
    return any(inner.get(FILE_MARK) == "sensitive" for inner, _ in subschemas(schema))


def redacted(schema: Any, value: Any) -> Any:
    """Return the value with `***` for whatever is sensitive in it. Null stays null, as it gives nothing away."""
    return _hide(schema, [schema], value)


class StillHidden(ValueError):
    """`***` stands for a sensitive value, and there is none to put in its place. `path` leads to it."""

    def __init__(self, path: tuple[str | int, ...]) -> None:
        super().__init__(f"{HIDDEN} is shown in place of a sensitive value, and is none")
        self.path = path


def restored(schema: Any, value: Any, kept: Any = None) -> Any:
    """Return what a client sends back after it was shown `redacted` values, with what was hidden put in again.

    Args:
        kept: the whole value as it is stored; None where there is none, so that nothing can be put in.

    Raises:
        StillHidden: exactly `***` stands at a sensitive place, and `kept` has no value there.
    """
    return _restore(schema, [schema], value, kept, ())


def _restore(root: Any, schemas: Iterable[Any], value: Any, kept: Any, path: tuple[str | int, ...]) -> Any:
    found = _flat(root, schemas)
    if _marked(found):
        if value != HIDDEN:
            return value
        if kept is None:
            raise StillHidden(path)
        return kept
    if isinstance(value, Mapping):
        others = kept if isinstance(kept, Mapping) else {}
        return {
            key: _restore(root, _of_field(found, key), inner, others.get(key), (*path, key))
            for key, inner in value.items()
        }
    if isinstance(value, list):
        # By place: an item that was shown hidden has nothing else to be known by.
        elements = kept if isinstance(kept, list) else []
        return [
            _restore(root, _of_element(found, at), inner, elements[at] if at < len(elements) else None, (*path, at))
            for at, inner in enumerate(value)
        ]
    return value


def sensitive_texts(schema: Any, value: Any) -> Iterator[str]:
    """Yield the texts and numbers, as text, within what is sensitive in a value."""
    yield from _tell(schema, [schema], value)


def _hide(root: Any, schemas: Iterable[Any], value: Any) -> Any:
    if value is None:
        return None
    found = _flat(root, schemas)
    if _marked(found):
        return HIDDEN
    if isinstance(value, Mapping):
        return {key: _hide(root, _of_field(found, key), inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_hide(root, _of_element(found, index), inner) for index, inner in enumerate(value)]
    return value


def _tell(root: Any, schemas: Iterable[Any], value: Any) -> Iterator[str]:
    found = _flat(root, schemas)
    if _marked(found):
        yield from _texts(value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _tell(root, _of_field(found, key), inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _tell(root, _of_element(found, index), inner)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        yield from (line for line in value.splitlines() if line != value)  # a key of several lines is logged by line
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)


def _marked(schemas: list[dict[str, Any]]) -> bool:
    return any(schema.get(FILE_MARK) == "sensitive" for schema in schemas)


def _flat(root: Any, schemas: Iterable[Any]) -> list[dict[str, Any]]:
    """Follow `$ref` and the combining words; keep every schema met, since a mark may stand beside either."""
    found: list[dict[str, Any]] = []
    seen: set[int] = set()
    todo = list(schemas)[::-1]
    while todo:
        schema = todo.pop()
        if not isinstance(schema, dict) or id(schema) in seen:
            continue
        seen.add(id(schema))
        found.append(schema)
        if isinstance(schema.get("$ref"), str):
            todo.append(resolve_pointer(root, schema["$ref"]))
        for word in _WORDS:
            if isinstance(schema.get(word), list):
                todo.extend(schema[word])
    return found


def _of_field(schemas: list[dict[str, Any]], name: str) -> list[Any]:
    inner: list[Any] = []
    for schema in schemas:
        properties = schema.get("properties")
        if isinstance(properties, dict) and name in properties:
            inner.append(properties[name])
        else:
            inner.append(schema.get("additionalProperties"))
        patterns = schema.get("patternProperties")
        if isinstance(patterns, dict):
            inner.extend(patterns.values())  # without asking which one it is: each may be meant
    return inner


def _of_element(schemas: list[dict[str, Any]], index: int) -> list[Any]:
    inner: list[Any] = []
    for schema in schemas:
        prefix = schema.get("prefixItems")
        if isinstance(prefix, list) and index < len(prefix):
            inner.append(prefix[index])
        else:
            inner.append(schema.get("items"))
    return inner

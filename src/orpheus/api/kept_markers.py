"""What was shown may be sent back: a `$file` that stands in the value that is edited is taken as it is, any other is refused."""

from __future__ import annotations

from typing import Any

from orpheus.core.errors import InvalidParams
from orpheus.core.fetching import URL
from orpheus.core.values import PASSED_THROUGH, operator_of

_KEPT = "\x00kept:"
"""Begins the text that stands for a kept marker while the rest is looked at; JSON from outside may hold no such text."""
_MARKERS = (*PASSED_THROUGH, URL)


def markers_of(value: Any) -> list[Any]:
    """Return the markers in a value that was shown."""
    found: list[Any] = []
    stack = [value]
    while stack:
        inner = stack.pop()
        if operator_of(inner) in _MARKERS:
            found.append(inner)
        elif isinstance(inner, dict):
            stack.extend(inner.values())
        elif isinstance(inner, list):
            stack.extend(inner)
    return found


def set_aside(value: Any, markers: list[Any]) -> Any:
    """Put a text in the place of every marker that was shown; others stay, and are refused by whoever looks next."""
    if operator_of(value) in _MARKERS and value in markers:
        return f"{_KEPT}{markers.index(value)}"
    if isinstance(value, str) and value.startswith(_KEPT):
        raise InvalidParams("a text must not begin with NUL")
    if isinstance(value, dict):
        return {key: set_aside(inner, markers) for key, inner in value.items()}
    if isinstance(value, list):
        return [set_aside(inner, markers) for inner in value]
    return value


def put_back(value: Any, markers: list[Any]) -> Any:
    """Put the markers back."""
    if isinstance(value, str) and value.startswith(_KEPT):
        return markers[int(value.removeprefix(_KEPT))]
    if isinstance(value, dict):
        return {key: put_back(inner, markers) for key, inner in value.items()}
    if isinstance(value, list):
        return [put_back(inner, markers) for inner in value]
    return value

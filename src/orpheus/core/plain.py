"""Is this plain JSON, and of a bearable depth? Asked of everything a client sends before anything walks it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 64
"""Levels of nesting. Keeps every recursive walk far from Python's own limit."""

MAX_VALUES = 2_000_000
MAX_INTEGER = 2**63 - 1
MIN_INTEGER = -MAX_INTEGER

_Trail = tuple[Any, Any]


class NotPlain(ValueError):
    """The value is not JSON that can be stored and walked; `pointer` tells where."""

    def __init__(self, message: str, pointer: str) -> None:
        super().__init__(message)
        self.pointer = pointer


def pointer(*steps: str | int) -> str:
    """Return the JSON Pointer of a path (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def is_flat(value: Mapping[str, Any]) -> bool:
    """Tell at a glance that an object holds scalars only, each as plain as `check_plain` wants it. Texts are not looked into: that
    they are valid is found out by whoever encodes them."""
    for name, inner in value.items():
        kind = type(inner)
        if kind is int or kind is float:
            if not MIN_INTEGER <= inner <= MAX_INTEGER:  # nor does a NaN lie between
                return False
        elif kind is not str and inner is not None and kind is not bool:
            return False
        if type(name) is not str:
            return False
    return True


def check_plain(value: Any, *, max_depth: int = MAX_DEPTH) -> None:
    """Refuse what JSON cannot hold: other types, keys that are not text, NaN, huge integers, broken text, deep nesting.

    Raises:
        NotPlain: says what and where.
    """
    stack: list[tuple[Any, int, _Trail | None]] = [(value, 0, None)]
    count = 0
    while stack:
        inner, depth, trail = stack.pop()
        count += 1
        if count > MAX_VALUES:
            raise NotPlain(f"more than {MAX_VALUES} values", "")
        kind = type(inner)
        if kind is str:
            _check_text(inner, trail)
        elif kind is dict or kind is list:
            if depth >= max_depth:
                raise NotPlain(f"nested deeper than {max_depth} levels", _pointer_of(trail))
            if kind is dict:
                for key, child in inner.items():
                    if type(key) is not str:
                        raise NotPlain(f"a key is not text: {key!r:.80}", _pointer_of(trail))
                    _check_text(key, trail)
                    stack.append((child, depth + 1, (trail, key)))
            else:
                stack.extend((child, depth + 1, (trail, index)) for index, child in enumerate(inner))
        elif inner is None or kind is bool:
            continue
        elif kind is int:
            if not MIN_INTEGER <= inner <= MAX_INTEGER:
                raise NotPlain("an integer beyond 64 bits", _pointer_of(trail))
        elif kind is float:
            if not math.isfinite(inner):
                raise NotPlain("a number that is not finite", _pointer_of(trail))
        else:
            raise NotPlain(f"a value of type {kind.__name__}, which JSON does not have", _pointer_of(trail))


def _check_text(text: str, trail: _Trail | None) -> None:
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NotPlain("text that is not valid Unicode (a lone surrogate)", _pointer_of(trail)) from None


def _pointer_of(trail: _Trail | None) -> str:
    steps: list[str | int] = []
    while trail is not None:
        trail, step = trail
        steps.append(step)
    try:
        found = pointer(*reversed(steps))
        found.encode()
    except UnicodeEncodeError:
        return ""
    return found

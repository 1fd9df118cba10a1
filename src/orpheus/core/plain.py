"""Is this plain JSON, and of a bearable depth? Asked of everything a client sends before anything walks it."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import msgspec

MAX_DEPTH = 64
"""Levels of nesting. Keeps every recursive walk far from Python's own limit."""

MAX_VALUES = 2_000_000
MAX_INTEGER = 2**63 - 1
MIN_INTEGER = -MAX_INTEGER

_encode = msgspec.json.Encoder().encode

_Trail = tuple[Any, Any]


class NotPlain(ValueError):
    """The value is not JSON that can be stored and walked; `pointer` tells where."""

    def __init__(self, message: str, pointer: str) -> None:
        super().__init__(message)
        self.pointer = pointer


def pointer(*steps: str | int) -> str:
    """Return the JSON Pointer of a path (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def at_a_glance(value: dict[str, Any] | list[Any], max_depth: int = MAX_DEPTH) -> bool | None:
    """Answer as `check_plain` does, without noting the way to each value; None where it takes a closer look to tell, and wherever
    something is wrong. That texts are valid and values not too many is left to whoever encodes it."""
    marked = False
    values: Collection[Any] = value
    if type(value) is dict:
        for key in value:
            if type(key) is not str:
                return None
        if len(value) == 1:
            marked = key.startswith("$")
        values = value.values()
    for one in values:
        kind = type(one)
        if kind is int or kind is float:
            if not MIN_INTEGER <= one <= MAX_INTEGER:  # nor does a NaN lie between
                return None
        elif kind is dict or kind is list:
            inner = at_a_glance(one, max_depth - 1) if max_depth > 1 else None
            if inner is None:
                return None
            marked = marked or inner
        elif kind is not str and one is not None and kind is not bool:
            return None
    return marked


def _is_sound(value: Any) -> bool:
    """Tell what `at_a_glance` leaves open."""
    try:
        return len(_encode(value)) < MAX_VALUES  # no value takes less than a byte
    except UnicodeEncodeError:
        return False


def check_plain(value: Any, *, max_depth: int = MAX_DEPTH) -> bool:
    """Refuse what JSON cannot hold: other types, keys that are not text, NaN, huge integers, broken text, deep nesting.

    Returns:
        Whether there may be something in it that stands for something else: an object with one key that begins with `$`
        (core/values.py). Where there is none, nobody has to look for any.

    Raises:
        NotPlain: says what and where.
    """
    if type(value) is dict or type(value) is list:
        glance = at_a_glance(value, max_depth)
        if glance is not None and _is_sound(value):
            return glance
    return look_closely(value, max_depth)


def look_closely(value: Any, max_depth: int = MAX_DEPTH) -> bool:
    """Do as `check_plain`, the long way."""
    stack: list[tuple[Any, int, _Trail | None]] = [(value, 0, None)]
    count = 0
    marked = False
    while stack:
        inner, depth, trail = stack.pop()
        count += 1
        if count > MAX_VALUES:
            raise NotPlain(f"more than {MAX_VALUES} values", "")
        kind = type(inner)
        if kind is str:
            if not inner.isascii():
                _check_text(inner, trail)
        elif kind is dict or kind is list:
            if depth >= max_depth:
                raise NotPlain(f"nested deeper than {max_depth} levels", _pointer_of(trail))
            if kind is dict:
                for key, child in inner.items():
                    if type(key) is not str:
                        raise NotPlain(f"a key is not text: {key!r:.80}", _pointer_of(trail))
                    if not key.isascii():
                        _check_text(key, trail)
                    stack.append((child, depth + 1, (trail, key)))
                if len(inner) == 1 and key.startswith("$"):
                    marked = True
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
    return marked


def _check_text(text: str, trail: _Trail | None) -> None:
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

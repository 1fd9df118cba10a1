"""Did you mean …? The nearest match to a name that does not exist, for messages that help."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST = 128
_MOST = 2000
"""Names compared at most: difflib costs about 20 µs each, and a message is worth some 50 ms."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that looks most like `name`, or None when none does."""
    if not name or len(name) > _LONGEST:
        return None
    candidates = [candidate for candidate in known if len(candidate) <= _LONGEST]
    if len(candidates) > _MOST:
        close = [candidate for candidate in candidates if abs(len(candidate) - len(name)) <= 2]
        candidates = close[:_MOST]
    lowered = {candidate.lower(): candidate for candidate in reversed(candidates)}
    matches = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    return lowered[matches[0]] if matches else None


def did_you_mean(name: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """Return `Did you mean "x"?`, or `otherwise`, or the list of what there is when it is short."""
    names = list(known)
    match = nearest(name, names)
    if match is not None:
        return f'Did you mean "{match}"?'
    if otherwise:
        return otherwise
    if names and len(names) <= 8:
        return "There is " + ", ".join(f'"{known_name}"' for known_name in names) + "."
    return ""


def quoted(text: object) -> str:
    """Quote what a client sent for a message, shortened, on one line."""
    shown = text if isinstance(text, str) else repr(text)
    if len(shown) > 80:
        shown = shown[:77] + "…"
    printable = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in shown)
    return f'"{printable}"' if isinstance(text, str) else printable

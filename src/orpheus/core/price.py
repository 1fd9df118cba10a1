"""What does a run cost? A price per run, and one per megabyte of the files it is given.

Prices have no currency: whoever declares them (`price=`) and whoever sets a `budget` mean the same one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orpheus.core.values import operator_of

MB = 1_000_000
_DIGITS = 9
"""Sums are rounded to so many decimals: ten times 0.1 is 1."""


@dataclass(frozen=True, slots=True)
class Price:
    """Of one completed attempt."""

    per_run: float = 0.0
    per_mb: float = 0.0
    """For each 1,000,000 bytes of the files among its arguments."""

    def of(self, args: Any) -> float:
        """Return what a run with these (resolved) arguments costs."""
        return total(self.per_run, self.per_mb * file_bytes(args) / MB if self.per_mb else 0.0)


def total(*amounts: float) -> float:
    return round(sum(amounts), _DIGITS)


def file_bytes(value: Any) -> int:
    """Return the size of all files in a value together."""
    found = 0
    stack = [value]
    while stack:
        inner = stack.pop()
        if operator_of(inner) == "$file":
            size = inner["$file"].get("size_bytes")
            found += size if isinstance(size, int) else 0
        elif isinstance(inner, dict):
            stack.extend(inner.values())
        elif isinstance(inner, list):
            stack.extend(inner)
    return found

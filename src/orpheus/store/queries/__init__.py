"""SQL lives in `*.sql` beside this file, one file per question; a statement is found by its name.

A statement begins with `-- name: ready_window` and runs to the next such line; comments in between are for readers only.
Names are unique across all files, so that a search for one finds it. Loaded once, when first asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files

_COMMENT = re.compile(r"^--.*$", re.MULTILINE)
_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


class _Statements(dict[str, str]):
    """All statements by name; read from the files when one is first asked for."""

    def __missing__(self, name: str) -> str:
        self.update(_read())  # by two threads at once, maybe
        if name not in self:
            raise KeyError(name)
        return self[name]


def _read() -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in sorted(files(__package__).iterdir(), key=lambda one: one.name):
        if not entry.name.endswith(".sql"):
            continue
        _prose, *parts = _NAME.split(entry.read_text(encoding="utf-8"))
        for name, body in zip(parts[::2], parts[1::2], strict=True):
            assert name not in found, f"{entry.name}: query {name!r} is named twice"
            found[name] = _COMMENT.sub("", body).strip().removesuffix(";")
    return found


_statements = _Statements()

query: Callable[[str], str] = _statements.__getitem__
"""Returns the statement of that name. Raises KeyError when no file has it. No function of ours: it is asked a dozen times in each
transaction, however small."""


@cache
def is_question(statement: str) -> bool:
    """Tell whether a statement only reads."""
    return statement.startswith(("SELECT", "WITH"))


def with_events(statement: str) -> str:
    """Return a statement that may ask a table `events`, with each event in a row of its own."""
    return f"WITH events AS ({query('single_events')}) {statement}"


def names() -> tuple[str, ...]:
    """Return the names of all statements, for tests that look at each."""
    query("meta")  # loads them
    return tuple(_statements)

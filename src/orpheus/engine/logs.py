"""What of a run's log is kept, and when was each line written?

Lines are kept per attempt up to a bound, then one marker says that the rest was cut. The counts live in memory with the
run; a restart of the server begins them anew, so an attempt that spans it may keep up to twice as much.

A line carries its distance from the attempt's beginning by the worker's own clock. The instant is ours: never before the
attempt began, never after now (promise 7).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orpheus.engine.leases import Run

MOST_LINE = 16_384
"""Characters kept of one line."""
MOST_FIELDS = 32


@dataclass(frozen=True, slots=True)
class LogBook:
    """What was kept of one run."""

    lines: int = 0
    size_bytes: int = 0
    cut: bool = False


class LogBooks:
    """Counts per current run."""

    def __init__(self, *, max_bytes: int, max_lines: int) -> None:
        self._max_bytes = max_bytes
        self._max_lines = max_lines
        self._books: dict[str, LogBook] = {}

    def admit(
        self, run: Run, lines: Sequence[Mapping[str, Any]], *, now: float
    ) -> tuple[list[dict[str, Any]], LogBook]:
        """Return the lines to store, and the counts once they are."""
        book = self._books.get(run.run_id, LogBook())
        kept: list[dict[str, Any]] = []
        for line in lines:
            if book.cut:
                break
            made = _stamped(run, line, now)
            size = len(made["message"].encode())
            if book.lines >= self._max_lines or book.size_bytes + size > self._max_bytes:
                marker = f"log cut here: of an attempt {self._max_lines} lines and {self._max_bytes} bytes are kept"
                kept.append({**made, "level": "warning", "stream": "log", "message": marker, "fields": {}})
                book = LogBook(book.lines, book.size_bytes, cut=True)
            else:
                kept.append(made)
                book = LogBook(book.lines + 1, book.size_bytes + size)
        return kept, book

    def keep(self, run_id: str, book: LogBook) -> None:
        """The lines are stored."""
        self._books[run_id] = book

    def forget(self, run_ids: Iterable[str]) -> None:
        if self._books:
            for run_id in run_ids:
                self._books.pop(run_id, None)


def _stamped(run: Run, line: Mapping[str, Any], now: float) -> dict[str, Any]:
    began = run.task.started_at if run.task.started_at is not None else now
    return {
        "at": min(now, max(began, began + _length(line.get("at_offset_s")))),
        "level": str(line.get("level", "info"))[:16],
        "stream": str(line.get("stream", "log"))[:16],
        "message": _text(line.get("message", "")),
        "fields": _fields(line.get("fields")),
    }


def _length(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0


def _text(value: Any) -> str:
    text = str(value)
    if len(text) > MOST_LINE:
        text = text[:MOST_LINE] + " … (cut)"
    return text.encode(errors="replace").decode()


def _fields(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {}
    return {str(name)[:64]: inner for name, inner in list(value.items())[:MOST_FIELDS]}

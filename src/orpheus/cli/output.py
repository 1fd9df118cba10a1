"""How do commands speak? Results on stdout, everything else on stderr; with `--json` stdout holds JSON and nothing else."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else there.")]


def print_json(value: Any, *, line: bool = False) -> None:
    """Print a value; `line` keeps it on one line, for streams of values."""
    import msgspec  # noqa: PLC0415 (kept out of `--help`)

    raw = msgspec.json.encode(value)
    text = (raw if line else msgspec.json.format(raw, indent=2)).decode()
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say(text: str = "") -> None:
    """Print a result for people."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Tell something beside the result."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def error_console() -> Console:
    """Return where progress is drawn: stderr, in colour only when a person watches."""
    from rich.console import Console  # noqa: PLC0415

    return Console(stderr=True, highlight=False)


def watched() -> bool:
    """Tell whether a person watches stderr, so that bars and colours make sense."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")


def show_error(
    code: str, message: str, hint: str = "", *, as_json: bool = False, more: Mapping[str, Any] | None = None
) -> None:
    """Show an error the same way everywhere: code, message, hint."""
    given = dict(more or {})
    retryable = bool(given.pop("retryable", False))
    extra = {key: value for key, value in given.items() if value}
    if as_json:
        print_json({"error": {"code": code, "message": message, "hint": hint, "retryable": retryable, **extra}})
    red, dim, off = ("\x1b[31;1m", "\x1b[2m", "\x1b[0m") if sys.stderr.isatty() else ("", "", "")
    note(f"{red}{code}{off}: {message}")
    for detail in extra.get("details") or ():
        path = detail.get("path", "")
        told = detail.get("message", "")
        if told and told not in message:
            note(f"  {path}: {told}" if path else f"  {told}")
    if hint:
        note(f"{dim}hint: {hint}{off}")
    if extra.get("correlation_id") and code in ("internal_error", "unexpected_reply"):
        note(f"{dim}correlation id: {extra['correlation_id']}{off}")


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table: drawn for a terminal, tab-separated lines for a pipe."""
    if not sys.stdout.isatty():
        for row in rows:
            say("\t".join(_cell(value) for value in row))
        return
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    drawn = Table(*head, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        drawn.add_row(*(Text(_cell(value), style=_STYLES.get(_cell(value), "")) for value in row))
    Console(highlight=False).print(drawn)


_STYLES = {"completed": "green", "failed": "red", "cancelled": "yellow", "running": "cyan", "skipped": "dim"}


def _cell(value: Any) -> str:
    return "" if value is None else str(value).replace("\t", " ").replace("\n", " ")


def size(count: int) -> str:
    """Return a size for people: `1.4 MB`."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"

"""Nothing is left undescribed: every page is in the index, every command and route stands on some page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer.main

from orpheus.api.app import endpoints
from orpheus.cli.main import app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
INDEX = DOCS / "README.md"
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
EVERYTHING = "\n".join(page.read_text() for page in sorted(DOCS.rglob("*.md")))


def test_every_page_is_found_by_some_word() -> None:
    linked = set(LINK.findall(INDEX.read_text()))
    pages = {page.name for page in DOCS.glob("*.md")} - {INDEX.name}
    assert not pages - linked, "pages that nobody finds; add their words to docs/README.md"


def test_a_word_leads_to_one_page() -> None:
    """The words before the first comma of a row are its name: it stands once."""
    rows = [line.split("|")[1:-1] for line in INDEX.read_text().splitlines() if line.startswith("| ") and "](" in line]
    names = [row[0].split(",")[0].strip() for row in rows]
    assert len(names) == len(set(names))
    for row in rows:
        assert len(LINK.findall(row[2])) == 1, row


def commands(group: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return every command as the words that call it."""
    found = []
    for name, command in group.commands.items():
        if not command.hidden:
            here = (*path, name)
            found += commands(command, here) if hasattr(command, "commands") else [here]
    return found


def test_every_command_is_described() -> None:
    """Written out somewhere, or listed with its group's words on a page."""
    undescribed = []
    for path in commands(typer.main.get_command(app)):
        written = "orpheus " + " ".join(path)
        listed = re.search(rf"orpheus {path[0]}[^|]*\|[^\n]*`{re.escape(path[-1])}`", EVERYTHING)
        if written not in EVERYTHING and not (len(path) > 1 and listed):
            undescribed.append(written)
    assert not undescribed


def test_every_route_is_described() -> None:
    """Its path stands somewhere, with whatever names for its parts; a step of a job's may stand alone (`/retry`)."""
    parts_of_pages = ("/docs/assets/{name}", "/favicon.ico", "/static/{name}", "/static/{version}/{name}")
    undescribed = []
    for path in sorted({endpoint.path for endpoint in endpoints()} - set(parts_of_pages)):
        written = re.sub(r"\\{[^}/]*\\}", r"[^/\\s`]+", re.escape(path))
        last = path.rstrip("/").rsplit("/", 1)[-1]
        if not re.search(written, EVERYTHING) and f"`/{last}" not in EVERYTHING:
            undescribed.append(path)
    assert not undescribed

"""`orpheus version`"""

from __future__ import annotations

import platform
import sqlite3
from importlib.metadata import version as version_of

import typer

from orpheus.cli.output import JsonFlag, print_json, say

app = typer.Typer(add_completion=False)


@app.command()
def version(json: JsonFlag = False) -> None:
    """Print the version of Orpheus, and what it runs on."""
    found = {
        "orpheus": version_of("orpheus-jobs"),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }
    if json:
        print_json(found)
    else:
        say(f"orpheus {found['orpheus']} (Python {found['python']}, SQLite {found['sqlite']})")

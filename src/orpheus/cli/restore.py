"""`orpheus restore`"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from orpheus.cli.output import JsonFlag, note, print_json, say
from orpheus.settings import load

app = typer.Typer(add_completion=False)


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(help="What `orpheus backup` made.", metavar="SOURCE")],
    *,
    data: Annotated[
        Path | None, typer.Option(help="A directory that does not exist or is empty.", metavar="DIR")
    ] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Read every file and compare its checksum.")] = False,
    json: JsonFlag = False,
) -> None:
    """Make a data directory of a backup, after checking it. Then start a server on it."""
    from orpheus.store.backup import restore as restored  # noqa: PLC0415 (not on Windows)

    folder = load({"data": data}).settings.data
    copied = restored(source.expanduser(), folder, epoch=secrets.token_hex(8), deep=deep)
    if json:
        print_json({"data": str(folder), "objects": copied.objects, "size_bytes": copied.size_bytes})
    else:
        say(f"restored to {folder}: {copied.objects} files, {copied.size_bytes} bytes")
        note("attempts that were running are given a lease's length, then tried again")

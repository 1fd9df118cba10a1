"""`orpheus backup`"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from orpheus.cli.connect import ServerFlag, connect, live_server
from orpheus.cli.errors import CommandError
from orpheus.cli.output import JsonFlag, print_json, say
from orpheus.settings import load

app = typer.Typer(add_completion=False)


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="A folder that does not exist or is empty.", metavar="TARGET")],
    *,
    data: Annotated[Path | None, typer.Option(help="Data directory, where no server runs.", metavar="DIR")] = None,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Copy database and files to TARGET, also while everything runs.

    Where a server works in the data directory (or --server names one), that server makes the copy, on its own machine.
    """
    settings = load({"url": server, "data": data}).settings
    folder = target.expanduser().absolute()
    if settings.url or live_server(settings.data) is not None:
        with connect(server) as client:
            done = client.backup(str(folder))
        shown = {"target": done.target, "objects": done.objects, "size_bytes": done.size_bytes}
    else:
        shown = _offline(settings.data, folder)
    if json:
        print_json(shown)
    else:
        say(f"backed up to {shown['target']}: {shown['objects']} files, {shown['size_bytes']} bytes")


def _offline(data: Path, target: Path) -> dict[str, object]:
    from orpheus.store.backup import DATABASE, back_up  # noqa: PLC0415 (not on Windows)
    from orpheus.store.lock import DataLock  # noqa: PLC0415

    if not (data / DATABASE).is_file():
        raise CommandError("file_error", f"there is no database in {data}", hint="Name the data directory with --data.")
    with DataLock.acquire(data):
        copied = back_up(data, target, now=time.time())
    return {"target": str(target), "objects": copied.objects, "size_bytes": copied.size_bytes}

"""`orpheus worker`"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from orpheus.cli.connect import ServerFlag, server_url
from orpheus.cli.exits import ExitCode
from orpheus.cli.shipped import SHIPPED
from orpheus.settings import FOR_TASKS, Settings, load
from orpheus.worker.main import EXIT_NOT_LOADED, EXIT_REFUSED, start
from orpheus.worker.options import WorkerOptions

app = typer.Typer(add_completion=False)

_EXITS = {EXIT_REFUSED: ExitCode.REFUSED, EXIT_NOT_LOADED: ExitCode.USAGE}


@app.command()
def worker(
    *,
    server: ServerFlag = None,
    queues: Annotated[str | None, typer.Option(help="Queues to serve, separated by commas. (default: all)")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Tasks that run at a time.")] = None,
    resource: Annotated[
        list[str] | None,
        typer.Option(help="What this worker lends, e.g. gpu=1; may be repeated.", metavar="NAME=COUNT"),
    ] = None,
    imports: Annotated[
        list[str] | None, typer.Option("--import", help="Module or file with workflows; may be repeated.", metavar="M")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="API key of the role worker; better in ORPHEUS_API_KEY or a file.")
    ] = None,
    name: Annotated[str, typer.Option(help="A name for people. (default: host-pid)")] = "",
    shipped: Annotated[
        bool, typer.Option("--shipped/--no-shipped", help="Also offer the workflows that come with Orpheus.")
    ] = True,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error. (default: info)")] = None,
    log_json: Annotated[bool | None, typer.Option("--log-json", help="Log lines as JSON.")] = None,
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
) -> None:
    """Start a worker: it loads modules, publishes their workflows, and runs tasks until Ctrl-C.

    The first Ctrl-C lets running tasks finish, the second ends them.
    """
    settings = load(
        {
            "url": server,
            "api_key": key,
            "queues": queues,
            "concurrency": concurrency,
            "resources": ",".join(resource) if resource else None,
            "import": imports or None,
            "log_level": log_level,
            "log_json": log_json,
        }
    ).settings
    tell_tasks(settings)
    sys.path.insert(0, str(Path.cwd()))  # `--import flows` means ./flows.py, as `python -m` would have it
    status = start(options_of(settings, name=name, shipped=shipped, supervised=supervised))
    raise typer.Exit(_EXITS.get(status, status))


def options_of(settings: Settings, *, name: str, shipped: bool, supervised: bool) -> WorkerOptions:
    """Return a worker's options as the settings have them."""
    options = WorkerOptions(
        server=server_url(settings),
        name=name,
        queues=tuple(settings.queues),
        resources=settings.resources,
        imports=(*(SHIPPED if shipped else ()), *settings.imports),
        drain_s=settings.stop_grace_s,
        api_key=settings.api_key,
        supervised=supervised,
        log_json=settings.log_json,
        log_level=settings.log_level,
    )
    return options if settings.concurrency is None else replace(options, concurrency=settings.concurrency)


def tell_tasks(settings: Settings) -> None:
    """Settings that tasks read: they may stand in orpheus.toml, tasks look at the environment."""
    for name in FOR_TASKS:
        value = getattr(settings, name)
        if value is not None:
            os.environ[f"ORPHEUS_{name.upper()}"] = str(value)
    os.environ["ORPHEUS_FETCH_MAX_BYTES"] = str(settings.fetch_max_bytes)
    os.environ["ORPHEUS_FETCH_TIMEOUT_S"] = str(settings.fetch_timeout_s)
    os.environ["ORPHEUS_FETCH_ALLOW_PRIVATE"] = "true" if settings.fetch_allow_private else "false"

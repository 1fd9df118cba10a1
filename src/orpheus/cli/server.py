"""`orpheus server`"""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Annotated

import typer

from orpheus.cli import logs
from orpheus.cli.compose import composed, event_loop_factory, serve
from orpheus.cli.sockets import check_exposure, listening_socket, port_error, url_of
from orpheus.engine.collector import collect_rarely
from orpheus.settings import Settings, load
from orpheus.store.library import count_no_memory

app = typer.Typer(add_completion=False)


@app.command()
def server(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on. (default: 127.0.0.1)")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one. (default: 8700)")] = None,
    data: Annotated[Path | None, typer.Option(help="Data directory. (default: ./orpheus-data)")] = None,
    insecure: Annotated[
        bool | None, typer.Option("--insecure", help="Listen beyond this machine without API keys.")
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error. (default: info)")] = None,
    log_json: Annotated[bool | None, typer.Option("--log-json", help="Log lines as JSON.")] = None,
    expect_workers: Annotated[int, typer.Option(hidden=True)] = 0,
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
    fd: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Start a server alone; workers are started with `orpheus worker --server URL`. Ctrl-C stops it."""
    count_no_memory()
    settings = load(
        {"host": host, "port": port, "data": data, "insecure": insecure, "log_level": log_level, "log_json": log_json}
    ).settings
    check_exposure(settings)
    logs.configure(settings.log_level, as_json=settings.log_json)
    bound = socket.socket(fileno=fd) if fd is not None else _listen(settings)
    with bound, composed(settings, expect_workers=expect_workers) as served:
        collect_rarely()
        with asyncio.Runner(loop_factory=event_loop_factory()) as runner:
            runner.run(serve(served, bound, url_of(bound), supervised=supervised))


def _listen(settings: Settings) -> socket.socket:
    try:
        return listening_socket(settings.host, settings.port)
    except OSError as error:
        raise port_error(settings.host, settings.port, error) from None

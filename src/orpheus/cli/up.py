"""`orpheus up`"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from orpheus.cli.cluster import Plan, failed_child, plan, wait_ready
from orpheus.cli.connect import live_server
from orpheus.cli.errors import CommandError
from orpheus.cli.exits import ExitCode
from orpheus.cli.output import JsonFlag, note, print_json, say
from orpheus.cli.sockets import check_exposure
from orpheus.cli.supervise import Sink, Supervisor
from orpheus.settings import load

app = typer.Typer(add_completion=False)

T = TypeVar("T")

_COLOURS = ("36", "32", "35", "33", "34", "31")


@app.command()
def up(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on. (default: 127.0.0.1)")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one. (default: 8700)")] = None,
    data: Annotated[Path | None, typer.Option(help="Data directory. (default: ./orpheus-data)")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes. (default: 1)")] = None,
    imports: Annotated[
        list[str] | None, typer.Option("--import", help="Module or file with workflows; may be repeated.", metavar="M")
    ] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Tasks one worker runs at a time.")] = None,
    resource: Annotated[
        list[str] | None,
        typer.Option(help="What each worker lends, e.g. gpu=1; may be repeated.", metavar="NAME=COUNT"),
    ] = None,
    insecure: Annotated[
        bool | None, typer.Option("--insecure", help="Listen beyond this machine without API keys.")
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error. (default: info)")] = None,
    log_json: Annotated[bool | None, typer.Option("--log-json", help="Log lines as JSON, without prefixes.")] = None,
    json: JsonFlag = False,
) -> None:
    """Start a server and its workers, and keep them running until Ctrl-C.

    What runs is stopped in order: workers finish what they hold, then the server. A second Ctrl-C ends everything at once.
    """
    settings = load(
        {
            "host": host,
            "port": port,
            "data": data,
            "workers": workers,
            "import": imports or None,
            "concurrency": concurrency,
            "resources": ",".join(resource) if resource else None,
            "insecure": insecure,
            "log_level": log_level,
            "log_json": log_json,
        }
    ).settings
    check_exposure(settings)
    live = live_server(settings.data)
    if live is not None:
        raise CommandError(
            "data_in_use",
            f"process {live.pid} works in {settings.data} already, at {live.url}",
            hint="Use it, stop it, or name another directory with --data.",
            exit_code=ExitCode.IN_USE,
        )
    planned = plan(settings, port=settings.port, workers=settings.workers)
    raise typer.Exit(asyncio.run(_supervise(planned, json=json)))


async def _supervise(planned: Plan, *, json: bool) -> int:
    supervisor = Supervisor(_raw if planned.settings.log_json else _prefixed(planned))
    stop = asyncio.Event()
    with _signals(stop, supervisor):
        try:
            await supervisor.start(planned.server())
            for number in range(1, planned.workers + 1):
                await supervisor.start(planned.worker(number))
            await _until(stop, _announce(planned, supervisor, json=json))
            if not stop.is_set():
                failed = await _until(stop, supervisor.failed())
                if failed is not None:
                    raise failed_child(failed)
        finally:
            if supervisor.children:
                await supervisor.stop()
            planned.bound.close()
    return ExitCode.OK


async def _announce(planned: Plan, supervisor: Supervisor, *, json: bool) -> None:
    await wait_ready(supervisor, planned.url, api_key=planned.settings.api_key)
    if json:
        print_json(
            {
                "event": "ready",
                "url": planned.url,
                "data": str(planned.settings.data.absolute()),
                "workers": planned.workers,
                "pid": os.getpid(),
            },
            line=True,
        )
    else:
        say(f"Orpheus is ready: {planned.url}  (data in {planned.settings.data}, Ctrl-C stops)")


async def _until(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Wait for the work or for the order to stop, whichever comes first; return the work's result or None."""
    task = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for one in (task, stopping):
            one.cancel()
        await asyncio.gather(task, stopping, return_exceptions=True)


@contextlib.contextmanager
def _signals(stop: asyncio.Event, supervisor: Supervisor) -> Iterator[None]:
    """The first SIGINT or SIGTERM stops in order, the second at once."""
    loop = asyncio.get_running_loop()

    def order() -> None:
        if stop.is_set():
            note("stopping at once")
            supervisor.kill()
            return
        note("stopping: workers finish what they hold; once more to stop at once")
        stop.set()

    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, order)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _raw(_name: str, line: str) -> None:
    sys.stderr.write(line + "\n")


def _prefixed(planned: Plan) -> Sink:
    """Return a sink that says before each line whose it is."""
    width = max(len("server"), len(f"worker-{planned.workers}") if planned.workers > 1 else len("worker"))
    colours = itertools.cycle(_COLOURS)
    known: dict[str, str] = {}
    coloured = sys.stderr.isatty()

    def sink(name: str, line: str) -> None:
        colour = known.setdefault(name, next(colours)) if name not in known else known[name]
        prefix = f"{name:<{width}} │ "
        sys.stderr.write((f"\x1b[{colour}m{prefix}\x1b[0m" if coloured else prefix) + line + "\n")

    return sink

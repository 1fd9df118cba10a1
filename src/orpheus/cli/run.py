"""`orpheus run`"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from orpheus.cli.files import file_param, file_param_of
from orpheus.cli.one_shot import Backstage, opened
from orpheus.cli.output import JsonFlag, note, print_json, say, size, table
from orpheus.cli.params import ParamFlag, parse_params
from orpheus.cli.progress import follow_progress
from orpheus.cli.results import Fetched, fetch_results
from orpheus.cli.show import outcome, print_result
from orpheus.cli.targets import Target, parse_target
from orpheus.client import Client, ClientError, WaitTimeout
from orpheus.protocol.jobs import JobInfo
from orpheus.settings import load

app = typer.Typer(add_completion=False)


@app.command()
def run(
    *,
    target: Annotated[
        str, typer.Argument(help="A file, flows.py:talk, or a workflow's name.", metavar="FILE-or-WORKFLOW")
    ],
    param: ParamFlag = None,
    workflow: Annotated[
        str | None, typer.Option("-w", "--workflow", help="What to do with the file. (default: media)")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Data directory. (default: ./orpheus-data)")] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for the results. (default: a new one in ./orpheus-out)")
    ] = None,
    imports: Annotated[
        list[str] | None, typer.Option("--import", help="Module or file with workflows; may be repeated.", metavar="M")
    ] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Tasks that run at a time.")] = None,
    inline: Annotated[
        bool, typer.Option("--inline", help="Run in this very process, without a server: breakpoints work.")
    ] = False,
    approve: Annotated[
        list[str] | None,
        typer.Option(
            "--approve",
            help="--inline: approve by prompt or node, with a value if it was edited.",
            metavar="NAME[=JSON]",
        ),
    ] = None,
    approve_all: Annotated[bool, typer.Option("--approve-all", help="--inline: approve whatever asks.")] = False,
    reject: Annotated[
        list[str] | None, typer.Option("--reject", help="--inline: reject by prompt or node.", metavar="NAME")
    ] = None,
    signals: Annotated[
        list[str] | None, typer.Option("--signal", help="--inline: send a signal.", metavar="NAME[=JSON]")
    ] = None,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show what server and worker log.")] = False,
    json: JsonFlag = False,
) -> None:
    """Send a file or a job through a workflow, watch it, and fetch the results.

    orpheus run holiday.jpg

    orpheus run flows.py:talk -p source=@talk.mp4 -p language=en --out talk

    Uses the server of the data directory when one is running, and starts its own for the while when not.
    Ctrl-C cancels the job.
    """
    chosen = parse_target(target, workflow)
    params = parse_params(param)
    if inline:
        from orpheus.cli.inline import Given, run_inline  # noqa: PLC0415 (loads what workers load)

        given = Given(approve or [], reject or [], signals or [], everything=approve_all)
        raise typer.Exit(run_inline(chosen, params, imports or [], out, given, as_json=json))
    settings = load({"data": data, "import": imports or None, "concurrency": concurrency}).settings
    with opened(settings, chosen.imports, verbose=verbose) as backstage:
        client = backstage.client
        if chosen.file is not None:
            params = {_file_param(client, chosen): chosen.file, **params}
        job = _run(backstage, chosen.workflow, params, quiet=json)
        fetched = fetch_results(client, job, out, chosen.label)
    _report(job, fetched, json=json)
    raise typer.Exit(outcome(job))


def _file_param(client: Client, chosen: Target) -> str:
    if chosen.loaded is not None:
        return file_param_of(chosen.loaded.to_json().get("params") or {}, chosen.workflow)
    return file_param(client, chosen.workflow)


def _run(backstage: Backstage, workflow: str, params: dict[str, Any], *, quiet: bool) -> JobInfo:
    client = backstage.client
    job: JobInfo | None = None
    try:
        job = client.submit(workflow, params)
        if not quiet:
            note(f"{job.job_id} {workflow}")
        with _terminable():
            return follow_progress(client, job.job_id, quiet=quiet, check=backstage.check)
    except KeyboardInterrupt:
        if job is not None:
            _cancel(client, job.job_id)
        raise


def _cancel(client: Client, job_id: str) -> None:
    """Cancel, and wait for the work to have stopped, so that what we started may be stopped too."""
    note("cancelling; once more to leave at once")
    try:
        client.cancel(job_id, reason="interrupted by Ctrl-C")
        client.wait(job_id, timeout_s=20.0)
        note(f"{job_id} cancelled")
    except (WaitTimeout, ClientError) as error:
        note(f"{job_id}: {error}")


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM counts as Ctrl-C."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _report(job: JobInfo, fetched: Fetched, *, json: bool) -> None:
    if json:
        print_json({"job": job, "out": str(fetched.folder) if fetched.folder else None, "files": fetched.names})
        return
    print_result(job)
    if fetched.artifacts:
        table(
            ("artifact", "size", "type"),
            [(one.name, size(one.size_bytes), one.content_type) for one in fetched.artifacts],
        )
    if fetched.folder is not None:
        say(f"results are in {fetched.folder}")

"""`orpheus submit`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from orpheus.cli.connect import ServerFlag, connect
from orpheus.cli.exits import ExitCode
from orpheus.cli.files import file_param
from orpheus.cli.output import JsonFlag, note, print_json, say
from orpheus.cli.params import ParamFlag, parse_labels, parse_params
from orpheus.cli.progress import follow_progress
from orpheus.cli.show import outcome, print_result

app = typer.Typer(add_completion=False)


@app.command()
def submit(
    *,
    target: Annotated[
        str,
        typer.Argument(help="A workflow's name (talk, talk@3), a file, or the URL of one.", metavar="WORKFLOW-or-FILE"),
    ],
    param: ParamFlag = None,
    workflow: Annotated[
        str | None, typer.Option("-w", "--workflow", help="Workflow for a file. (default: media)")
    ] = None,
    priority: Annotated[int | None, typer.Option(min=1, max=5, help="1 is the highest, 5 the lowest.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Whose job it is.")] = None,
    delay_s: Annotated[float | None, typer.Option(min=0, help="Begin so many seconds from now.")] = None,
    run_at: Annotated[str | None, typer.Option(help="Begin at this time (RFC 3339).")] = None,
    depends_on: Annotated[
        list[str] | None, typer.Option(help="Begin after this job has completed; may be repeated.", metavar="JOB")
    ] = None,
    requires_approval: Annotated[
        bool | None,
        typer.Option(
            "--requires-approval/--no-approval", help="Wait until a person approves. (default: what the workflow says)"
        ),
    ] = None,
    budget: Annotated[float | None, typer.Option(min=0, help="What its tasks' prices may come to.")] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="The same key again gives the same job.")] = None,
    timeout_s: Annotated[float | None, typer.Option(min=0, help="The job fails when it takes longer.")] = None,
    label: Annotated[
        list[str] | None, typer.Option("-l", "--label", help="A label; may be repeated.", metavar="NAME=VALUE")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end; the exit status tells how it went.")] = False,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Submit a job and print its id.

    orpheus submit wordcount -p text="to be or not to be"

    orpheus submit holiday.jpg --wait
    """
    options: dict[str, Any] = {
        "priority": priority,
        "tenant": tenant,
        "delay_s": delay_s,
        "run_at": run_at,
        "depends_on": depends_on or [],
        "requires_approval": requires_approval,
        "budget": budget,
        "idempotency_key": idempotency_key,
        "timeout_s": timeout_s,
        "labels": parse_labels(label),
    }
    params = parse_params(param)
    with connect(server) as client:
        name = target
        path = Path(target).expanduser()
        if target.startswith(("http://", "https://")):
            name = workflow or "media"
            params = {file_param(client, name): {"url": target}, **params}
        elif path.is_file() and not target.startswith("@"):
            name = workflow or "media"
            params = {file_param(client, name): path, **params}
        job = client.submit(name, params, **options)
        if wait:
            note(f"{job.job_id} submitted")
            job = follow_progress(client, job.job_id, quiet=json)
    if json:
        print_json(job)
    elif wait:
        print_result(job)
    else:
        say(job.job_id)
        note(f"follow it with: orpheus jobs events {job.job_id} --follow")
    if wait:
        raise typer.Exit(outcome(job))
    raise typer.Exit(ExitCode.OK)

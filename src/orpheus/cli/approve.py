"""`orpheus approve`"""

from __future__ import annotations

from typing import Annotated

import typer

from orpheus.cli.connect import ServerFlag, connect
from orpheus.cli.errors import CommandError
from orpheus.cli.json_value import AS_JSON, read_json
from orpheus.cli.output import JsonFlag
from orpheus.cli.show import print_order

app = typer.Typer(add_completion=False)

JobArgument = Annotated[str, typer.Argument(help="The job's id.", metavar="JOB")]
TaskFlag = Annotated[str | None, typer.Option("--task", help="An approval node of the job. (default: the job itself)")]


@app.command()
def approve(
    *,
    job_id: JobArgument,
    task: TaskFlag = None,
    params: Annotated[str | None, typer.Option(help=f"Other params for the job: {AS_JSON}", metavar="JSON")] = None,
    value: Annotated[
        str | None, typer.Option(help=f"Another value for the node, where it may be edited: {AS_JSON}", metavar="JSON")
    ] = None,
    budget: Annotated[float | None, typer.Option(min=0, help="A new budget for the job.")] = None,
    comment: Annotated[str, typer.Option(help="Kept with the decision.")] = "",
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Let a job that needs approval begin, or let what one of its nodes asks about through.

    orpheus approve JOB --params '{"language": "en"}'

    orpheus approve JOB --task review --comment "shorter, please" --value @plan.json
    """
    if task is None and value is not None:
        raise CommandError("invalid_request", "--value belongs to a node", hint="Name it with --task.")
    if task is not None and (params is not None or budget is not None):
        raise CommandError(
            "invalid_request", "--params and --budget belong to the job itself", hint="Say --value for a node."
        )
    edited = None if params is None else read_json(params, "--params")
    if edited is not None and not isinstance(edited, dict):
        raise CommandError("invalid_params", "--params is a JSON object")
    with connect(server) as client:
        if task is None:
            job = client.approve(job_id, params=edited, comment=comment, budget=budget)
        elif value is None:
            job = client.approve_task(job_id, task, comment=comment)
        else:
            job = client.approve_task(job_id, task, value=read_json(value, "--value"), comment=comment)
    print_order(job, f"{task} approved" if task else "approved", json=json)

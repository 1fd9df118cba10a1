"""`orpheus reject`"""

from __future__ import annotations

from typing import Annotated

import typer

from orpheus.cli.approve import JobArgument, TaskFlag
from orpheus.cli.connect import ServerFlag, connect
from orpheus.cli.output import JsonFlag
from orpheus.cli.show import print_order

app = typer.Typer(add_completion=False)


@app.command()
def reject(
    job_id: JobArgument,
    task: TaskFlag = None,
    reason: Annotated[str, typer.Option("--reason", "--comment", help="Why; shown with the job.")] = "",
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Refuse a job that needs approval, or what one of its nodes asks about.

    orpheus reject JOB --task review --reason "the intro is missing"
    """
    with connect(server) as client:
        job = client.reject(job_id, reason) if task is None else client.reject_task(job_id, task, reason=reason)
    print_order(job, f"{task} rejected" if task else "rejected", json=json)

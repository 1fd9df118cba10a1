"""`orpheus duplicates`"""

from __future__ import annotations

from typing import Annotated

import typer

from orpheus.cli.connect import ServerFlag, connect
from orpheus.cli.output import JsonFlag, note, print_json, table

app = typer.Typer(add_completion=False)


@app.command()
def duplicates(
    job: Annotated[str, typer.Argument(help="Id of the job whose pictures are looked for.", metavar="JOB")],
    *,
    distance: Annotated[
        int, typer.Option(min=0, max=11, help="Different bits at most; 0 finds equal hashes only.")
    ] = 6,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=500, help="So many at most.")] = 50,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Find other jobs with a picture that looks like one of this job's, the nearest first."""
    with connect(server) as client:
        found = client.duplicates(job, distance=distance, limit=limit)
    if json:
        print_json({"items": found})
    elif not found:
        note("no other job has a picture like it")
    else:
        table(
            ("distance", "job", "workflow", "created", "artifact", "looks like"),
            [(one.distance, one.job_id, one.workflow, one.created_at, one.artifact, one.of) for one in found],
        )

"""`orpheus approvals`"""

from __future__ import annotations

from typing import Annotated

import typer

from orpheus.cli.connect import ServerFlag, connect
from orpheus.cli.output import JsonFlag, note, print_json, table
from orpheus.cli.show import age

app = typer.Typer(add_completion=False)


@app.command()
def approvals(
    *,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant.")] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="How many at most.")] = 20,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """List what waits for a person's decision, the longest waiting first."""
    with connect(server) as client:
        found = list(client.approvals(tenant=tenant, limit=limit))
    if json:
        print_json({"items": found})
        return
    if not found:
        note("nothing waits for a decision")
        return
    rows = []
    for one in found:
        asked = one.task.approval.prompt if one.task and one.task.approval else "may it begin?"
        rows.append((one.job.job_id, one.task.name if one.task else "-", one.job.workflow, age(one.since), asked))
    table(("job", "task", "workflow", "waits", "asks"), rows)
    note("decide: orpheus approve JOB, orpheus reject JOB; with --task NAME where a task is named")

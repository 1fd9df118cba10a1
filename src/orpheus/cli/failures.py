"""`orpheus failures`"""

from __future__ import annotations

from typing import Annotated

import typer

from orpheus.cli.connect import ServerFlag, connect
from orpheus.cli.output import JsonFlag, note, print_json, table

app = typer.Typer(add_completion=False)


@app.command()
def failures(
    *,
    workflow: Annotated[str | None, typer.Option("-w", "--workflow", help="Only this workflow.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant.")] = None,
    code: Annotated[str | None, typer.Option(help="Only this error code.")] = None,
    after: Annotated[str | None, typer.Option(help="Failed then or later.", metavar="TIME")] = None,
    before: Annotated[str | None, typer.Option(help="Failed before.", metavar="TIME")] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="So many groups at most.")] = 20,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Group the failed jobs by what went wrong, the most frequent first."""
    with connect(server) as client:
        found = client.failures(workflow=workflow, tenant=tenant, code=code, after=after, before=before, limit=limit)
    if json:
        print_json({"items": found})
    elif not found:
        note("no job is failed")
    else:
        table(
            ("failure", "jobs", "workflow", "task", "code", "last", "message"),
            [
                (one.failure, one.jobs, one.workflow, one.task or "-", one.code, one.last_at, one.message)
                for one in found
            ],
        )
        note("retry a group: orpheus bulk retry --failure FAILURE · its jobs: orpheus jobs list --failure FAILURE")

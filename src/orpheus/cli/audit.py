"""`orpheus audit`"""

from __future__ import annotations

from typing import Annotated

import typer

from orpheus.cli.connect import ServerFlag, connect
from orpheus.cli.output import JsonFlag, note, print_json, table

app = typer.Typer(add_completion=False)


@app.command()
def audit(
    *,
    actor: Annotated[str | None, typer.Option(help="Only what this key (by name) did; `local` without keys.")] = None,
    kind: Annotated[
        str | None, typer.Option("--type", help="Only this type, e.g. job.approved or key.created.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Only what was done to this tenant's things.")] = None,
    after: Annotated[str | None, typer.Option(help="Only from this time on (RFC 3339).")] = None,
    before: Annotated[str | None, typer.Option(help="Only before this time (RFC 3339).")] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="How many at most.")] = 50,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Show who did what when, the newest first; with --json one object a line."""
    with connect(server) as client:
        found = list(client.audit(actor=actor, type=kind, tenant=tenant, after=after, before=before, limit=limit))
    if json:
        for entry in found:
            print_json(entry, line=True)
        return
    if not found:
        note("nothing")
        return
    table(
        ("at", "actor", "what", "to", "tenant", "details"),
        [(one.at, one.actor, one.type, one.subject, one.tenant or "*", _details(one.data)) for one in found],
    )
    if len(found) == limit:
        note(f"the newest {limit}; more with --limit")


def _details(data: dict[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in data.items() if value not in (None, "", [], {}))

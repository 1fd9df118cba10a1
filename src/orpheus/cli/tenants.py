"""`orpheus tenants …`"""

from __future__ import annotations

from typing import Annotated

import typer

from orpheus.cli.connect import ServerFlag, connect
from orpheus.cli.output import JsonFlag, note, print_json, table
from orpheus.cli.queues import NONE, whole_or_none
from orpheus.client.limits import KEEP
from orpheus.protocol.limits import TenantInfo

app = typer.Typer(add_completion=False, no_args_is_help=True, help="List tenants, set their weights and quotas.")

_HELP = f"{NONE} takes it away."


@app.command("list")
def list_tenants(server: ServerFlag = None, json: JsonFlag = False) -> None:
    """List the tenants that have jobs or settings."""
    with connect(server) as client:
        found = list(client.tenants())
    if json:
        print_json({"items": found})
    elif not found:
        note("no tenants: they appear with their first job, or when one is set")
    else:
        _table(found)


@app.command("set")
def set_tenant(
    name: Annotated[str, typer.Argument(help="The tenant's name.", metavar="TENANT")],
    *,
    weight: Annotated[float | None, typer.Option(help="Its share beside others; 1 is the usual.", min=0.001)] = None,
    max_running: Annotated[
        str | None, typer.Option(help=f"Most of its tasks that run at a time; {_HELP}", metavar="N")
    ] = None,
    max_open_jobs: Annotated[
        str | None, typer.Option(help=f"Most of its jobs that have not ended; {_HELP}", metavar="N")
    ] = None,
    max_priority: Annotated[
        str | None, typer.Option(help=f"The highest priority its tasks get, 1 to 5; {_HELP}", metavar="N")
    ] = None,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Set a tenant's weight and quotas; they hold at once, and stop nothing that runs."""
    limits = {"max_running": max_running, "max_open_jobs": max_open_jobs, "max_priority": max_priority}
    changes = {
        field: KEEP if text is None else whole_or_none(f"--{field.replace('_', '-')}", text)
        for field, text in limits.items()
    }
    with connect(server) as client:
        changed = client.set_tenant(name, weight=KEEP if weight is None else weight, **changes)
    if json:
        print_json(changed)
    else:
        _table([changed])


def _table(found: list[TenantInfo]) -> None:
    rows = [
        (one.name, f"{one.weight:g}", _of(one.running, one.max_running), _of(one.open_jobs, one.max_open_jobs), cap)
        for one in found
        for cap in ("" if one.max_priority is None else str(one.max_priority),)
    ]
    table(("tenant", "weight", "running", "open jobs", "highest priority"), rows)


def _of(count: int, most: int | None) -> str:
    return str(count) if most is None else f"{count} of {most}"

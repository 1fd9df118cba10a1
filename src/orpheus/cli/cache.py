"""`orpheus cache …`"""

from __future__ import annotations

from typing import Annotated

import typer

from orpheus.cli.ages import parse_age
from orpheus.cli.connect import ServerFlag, connect
from orpheus.cli.output import JsonFlag, note, print_json, say, table

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Show and clear the result cache.")


@app.command("list")
def list_cache(server: ServerFlag = None, json: JsonFlag = False) -> None:
    """Show what the cache holds, by task and tenant."""
    with connect(server) as client:
        found = client.cache()
    if json:
        print_json({"items": found})
    elif not found:
        note("the cache is empty; tasks with cache=True fill it")
    else:
        table(
            ("task", "tenant", "results", "uses", "bytes", "last used"),
            [(one.task, one.tenant, one.results, one.uses, one.size_bytes, one.used_at) for one in found],
        )


@app.command()
def clear(
    *,
    task: Annotated[str | None, typer.Option(help="Only this task: name, or name@version.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant.")] = None,
    older_than: Annotated[str, typer.Option(help="Only what was not used for so long.", metavar="AGE")] = "0s",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Forget nothing, say what would go.")] = False,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Forget cached results, so that equal tasks run again."""
    with connect(server) as client:
        pruned = client.clear_cache(
            task=task, tenant=tenant, older_than_s=parse_age(older_than, "--older-than"), dry_run=dry_run
        )
    if json:
        print_json(pruned)
    else:
        say(f"{pruned.cached_results} cached results {'would be forgotten' if dry_run else 'forgotten'}")

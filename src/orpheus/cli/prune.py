"""`orpheus prune`"""

from __future__ import annotations

from typing import Annotated

import typer

from orpheus.cli.ages import parse_age
from orpheus.cli.connect import ServerFlag, connect
from orpheus.cli.errors import CommandError
from orpheus.cli.output import JsonFlag, note, print_json, say

app = typer.Typer(add_completion=False)


@app.command()
def prune(
    *,
    older_than: Annotated[
        str | None, typer.Option(help="Jobs that ended so long ago: 30d, 12h, 0s.", metavar="AGE")
    ] = None,
    state: Annotated[
        list[str] | None, typer.Option(help="Only completed, failed or cancelled ones; may be repeated.")
    ] = None,
    workflow: Annotated[str | None, typer.Option("-w", "--workflow", help="Only this workflow.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant.")] = None,
    cache_older_than: Annotated[
        str | None, typer.Option(help="Cached results that were not used for so long.", metavar="AGE")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing, say what would go.")] = False,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Remove ended jobs with everything they left, and cached results that nobody uses."""
    if older_than is None and cache_older_than is None:
        raise CommandError("invalid_request", "say how old: --older-than or --cache-older-than", hint="e.g. 30d")
    with connect(server) as client:
        pruned = client.prune(
            older_than_s=parse_age(older_than, "--older-than"),
            state=state or None,
            workflow=workflow,
            tenant=tenant,
            cache_older_than_s=parse_age(cache_older_than, "--cache-older-than"),
            dry_run=dry_run,
        )
    if json:
        print_json(pruned)
        return
    would = "would be removed" if dry_run else "removed"
    if older_than is not None:
        say(f"{pruned.jobs} jobs {would}")
        for name, count in pruned.by_state.items():
            note(f"{name}: {count}")
    if cache_older_than is not None:
        say(f"{pruned.cached_results} cached results {would}")

"""`orpheus bulk ACTION`"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from orpheus.cli.connect import ServerFlag, connect
from orpheus.cli.exits import ExitCode
from orpheus.cli.output import JsonFlag, note, print_json, say
from orpheus.cli.params import parse_labels

app = typer.Typer(add_completion=False)


class Action(StrEnum):
    """What can be done to many jobs."""

    CANCEL = "cancel"
    RETRY = "retry"
    APPROVE = "approve"
    REJECT = "reject"
    PAUSE = "pause"
    RESUME = "resume"


_QUIET = ("done", "unchanged", "skipped")


@app.command()
def bulk(
    action: Annotated[Action, typer.Argument(help="What to do to each of them.")],
    *,
    state: Annotated[
        list[str] | None, typer.Option(help="Only this state; may be repeated. (default: those the action is for)")
    ] = None,
    workflow: Annotated[str | None, typer.Option("-w", "--workflow", help="Only this workflow.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant.")] = None,
    label: Annotated[list[str] | None, typer.Option("-l", "--label", metavar="NAME=VALUE")] = None,
    q: Annotated[str | None, typer.Option("-q", help="Text in id, workflow, labels or params.")] = None,
    created_after: Annotated[str | None, typer.Option(help="Created then or later.", metavar="TIME")] = None,
    created_before: Annotated[str | None, typer.Option(help="Created before.", metavar="TIME")] = None,
    failure: Annotated[str | None, typer.Option(help="Only this group of `orpheus failures`.")] = None,
    reason: Annotated[str, typer.Option(help="Why; shown with each job.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing, say what would come of it.")] = False,
    limit: Annotated[
        int | None, typer.Option("-n", "--limit", min=1, help="Look at so many at most. (default: all)")
    ] = None,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Cancel, retry, approve, reject, pause or resume every job that the options meet; at least one has to be given."""
    with connect(server) as client:
        answer = client.bulk(
            action.value,
            state=state or None,
            workflow=workflow,
            tenant=tenant,
            label=parse_labels(label),
            q=q,
            created_after=created_after,
            created_before=created_before,
            failure=failure,
            reason=reason,
            dry_run=dry_run,
            limit=limit,
        )
    refused = {code: count for code, count in answer.outcomes.items() if code not in _QUIET}
    if json:
        print_json(answer)
    else:
        done = answer.outcomes.get("done", 0)
        say(f"{action.value}: {done} of {answer.matched} jobs{' would be done (dry run)' if dry_run else ' done'}")
        for outcome in ("unchanged", "skipped"):
            if answer.outcomes.get(outcome):
                meaning = "so already" if outcome == "unchanged" else f"not for {action.value}"
                note(f"{answer.outcomes[outcome]} {outcome} ({meaning})")
        if dry_run and answer.sample:
            note("e.g. " + ", ".join(answer.sample[:5]))
        for error in answer.errors:
            note(f"{error.job_id}: {error.message} ({error.code})")
    if refused:
        raise typer.Exit(ExitCode.REFUSED)

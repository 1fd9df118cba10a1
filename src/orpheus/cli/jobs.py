"""`orpheus jobs …`"""

from __future__ import annotations

from typing import Annotated

import typer

from orpheus.cli.approve import approve
from orpheus.cli.connect import ServerFlag, connect
from orpheus.cli.output import JsonFlag, note, print_json, table
from orpheus.cli.params import ParamFlag, parse_labels, parse_params
from orpheus.cli.progress import follow_progress
from orpheus.cli.reject import reject
from orpheus.cli.show import age, outcome, print_event, print_job, print_log, print_order, print_result, state_of
from orpheus.cli.tree import tree
from orpheus.client import Client
from orpheus.protocol.jobs import JobInfo

app = typer.Typer(add_completion=False, no_args_is_help=True, help="List, show, follow, cancel and retry jobs.")

JobArgument = Annotated[str, typer.Argument(help="The job's id.", metavar="JOB")]
FollowFlag = Annotated[bool, typer.Option("-f", "--follow", help="Go on until the job has ended.")]


@app.command("list")
def list_jobs(
    *,
    state: Annotated[list[str] | None, typer.Option(help="Only this state; may be repeated.")] = None,
    workflow: Annotated[str | None, typer.Option("-w", "--workflow", help="Only this workflow.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant.")] = None,
    label: Annotated[list[str] | None, typer.Option("-l", "--label", metavar="NAME=VALUE")] = None,
    q: Annotated[str | None, typer.Option("-q", help="Text in id, workflow, labels or params.")] = None,
    failure: Annotated[str | None, typer.Option(help="Only this group of `orpheus failures`.")] = None,
    parent: Annotated[
        str | None, typer.Option(metavar="JOB", help='Only child jobs of this one; "none": only jobs without a parent.')
    ] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="How many at most.")] = 20,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """List jobs, the newest first."""
    with connect(server) as client:
        found = list(
            client.list(
                state=state or None,
                workflow=workflow,
                tenant=tenant,
                label=parse_labels(label),
                q=q,
                parent=parent,
                failure=failure,
                limit=limit,
            )
        )
    if json:
        print_json({"items": found})
        return
    if not found:
        note("no jobs")
        return
    rows = [
        (one.job_id, one.workflow, state_of(one), f"{one.progress_percentage:.0f} %", age(one.created_at) + " ago")
        for one in found
    ]
    table(("job", "workflow", "state", "progress", "created"), rows)
    if len(found) == limit:
        note(f"the newest {limit}; more with --limit")


@app.command()
def show(job_id: JobArgument, follow: FollowFlag = False, server: ServerFlag = None, json: JsonFlag = False) -> None:
    """Show a job; with --follow its progress until it has ended, and then the exit status tells how."""
    with connect(server) as client:
        job = follow_progress(client, job_id, quiet=json) if follow else client.get(job_id)
        children = [] if json else list(client.list(parent=job_id, limit=20))
    _print(job, json=json)
    if children:
        rows = [(one.job_id, one.workflow, one.state, f"{one.progress_percentage:.0f} %") for one in children]
        table(("child job", "workflow", "state", "progress"), rows)
    if follow:
        raise typer.Exit(outcome(job))


app.command()(tree)


@app.command()
def tasks(
    job_id: JobArgument,
    node: Annotated[str | None, typer.Option(help="Only this node.")] = None,
    state: Annotated[list[str] | None, typer.Option(help="Only this state; may be repeated.")] = None,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """List a job's tasks."""
    with connect(server) as client:
        found = list(client.tasks(job_id, node=node, state=state or None))
    if json:
        print_json({"items": found})
        return
    table(
        ("task", "index", "state", "attempt", "queue", "worker", "error"),
        [
            (
                t.name,
                t.index,
                t.state,
                f"{t.attempt}/{t.max_retries + 1}",
                t.queue,
                t.worker,
                t.error and t.error.message,
            )
            for t in found
        ],
    )


@app.command()
def events(
    job_id: JobArgument,
    follow: FollowFlag = False,
    after: Annotated[int, typer.Option(min=0, help="Only events after this number.")] = 0,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Print a job's events; with --json one object a line."""
    with connect(server) as client:
        for event in client.events(job_id, follow=follow, after=after):
            if json:
                print_json(event, line=True)
            else:
                print_event(event)
        _exit_as_ended(client, job_id, follow=follow)


@app.command()
def logs(
    job_id: JobArgument,
    *,
    follow: FollowFlag = False,
    task: Annotated[str | None, typer.Option(help="Only lines of this task.")] = None,
    index: Annotated[int | None, typer.Option(min=0, help="Only lines of this item of a map.")] = None,
    attempt: Annotated[int | None, typer.Option(min=1, help="Only lines of this attempt.")] = None,
    level: Annotated[str | None, typer.Option(help="This level and above: debug, info, warning, error.")] = None,
    q: Annotated[str | None, typer.Option("-q", help="Only lines that hold this text.")] = None,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Print what a job's tasks logged and printed; with --json one object a line."""
    with connect(server) as client:
        for line in client.logs(job_id, follow=follow, task=task, index=index, attempt=attempt, level=level, q=q):
            if json:
                print_json(line, line=True)
            else:
                print_log(line)
        _exit_as_ended(client, job_id, follow=follow)


@app.command()
def cancel(
    job_id: JobArgument,
    reason: Annotated[str, typer.Option(help="Why; shown with the job.")] = "",
    follow: FollowFlag = False,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Cancel a job: idle work ends at once, running work is told to stop."""
    with connect(server) as client:
        job = client.cancel(job_id, reason=reason)
        if follow:
            job = follow_progress(client, job_id, quiet=json)
    print_order(job, "asked to stop" if job.state not in ("cancelled", "failed", "completed") else job.state, json=json)


@app.command()
def retry(
    job_id: JobArgument,
    *,
    from_task: Annotated[str | None, typer.Option(help="Redo this task and all that depend on it.")] = None,
    param: ParamFlag = None,
    budget: Annotated[float | None, typer.Option(min=0, help="A new budget.")] = None,
    follow: FollowFlag = False,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Run the failed tasks of a job again, what reads a changed param (-p), or a named task, and what depends on them."""
    with connect(server) as client:
        job = client.retry(job_id, from_task=from_task, params=parse_params(param) or None, budget=budget)
        if follow:
            job = follow_progress(client, job_id, quiet=json)
            _print(job, json=json)
            raise typer.Exit(outcome(job))
    print_order(job, f"generation {job.generation}", json=json)


app.command()(approve)
app.command()(reject)


@app.command()
def pause(job_id: JobArgument, server: ServerFlag = None, json: JsonFlag = False) -> None:
    """Start none of the job's tasks; what runs goes on."""
    with connect(server) as client:
        print_order(client.pause(job_id), "paused", json=json)


@app.command()
def resume(job_id: JobArgument, server: ServerFlag = None, json: JsonFlag = False) -> None:
    """Undo pause."""
    with connect(server) as client:
        print_order(client.resume(job_id), "resumed", json=json)


@app.command("set")
def change(
    job_id: JobArgument,
    *,
    label: Annotated[list[str] | None, typer.Option("-l", "--label", metavar="NAME=VALUE")] = None,
    unlabel: Annotated[list[str] | None, typer.Option(help="Take this label away.", metavar="NAME")] = None,
    priority: Annotated[int | None, typer.Option(min=1, max=5, help="1 is the highest.")] = None,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Change a job's labels, or the priority of what still waits."""
    labels: dict[str, str | None] = {**(parse_labels(label) or {}), **dict.fromkeys(unlabel or ())}
    with connect(server) as client:
        job = client.update(job_id, labels=labels, priority=priority)
    print_order(job, f"priority {job.priority}, labels {job.labels}", json=json)


def _print(job: JobInfo, *, json: bool) -> None:
    if json:
        print_json(job)
    else:
        print_job(job)


def _exit_as_ended(client: Client, job_id: str, *, follow: bool) -> None:
    """After following to the end, the exit status tells how the job ended."""
    if not follow:
        return
    job = client.get(job_id)
    if job.error is not None:
        print_result(job)
    raise typer.Exit(outcome(job))

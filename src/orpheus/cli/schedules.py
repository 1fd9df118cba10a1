"""`orpheus schedules …`"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from orpheus.cli.connect import ServerFlag, connect
from orpheus.cli.errors import CommandError
from orpheus.cli.files import file_param
from orpheus.cli.output import JsonFlag, note, print_json, say, table
from orpheus.cli.params import ParamFlag, parse_labels, parse_params
from orpheus.cli.show import span
from orpheus.protocol.schedules import FiringInfo, ScheduleInfo

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Jobs by the clock: create, show, pause, run, delete."
)

NameArgument = Annotated[str, typer.Argument(help="The schedule's name.", metavar="NAME")]
TenantFlag = Annotated[str | None, typer.Option("--tenant", help="Whose schedule it is.")]


class Missed(StrEnum):
    """`--missed`"""

    SKIP = "skip"
    RUN_ONCE = "run_once"
    RUN_ALL = "run_all"


class Overlap(StrEnum):
    """`--overlap`"""

    SKIP = "skip"
    QUEUE = "queue"
    CANCEL_OLDER = "cancel_older"
    ALLOW = "allow"


@app.command("list")
def list_schedules(tenant: TenantFlag = None, server: ServerFlag = None, json: JsonFlag = False) -> None:
    """List schedules and when each runs next."""
    with connect(server) as client:
        found = list(client.schedules(tenant=tenant))
    if json:
        print_json({"items": found})
        return
    if not found:
        note("no schedules")
        return
    table(
        ("schedule", "when", "workflow", "next run"),
        [(one.name, _when(one), _workflow(one), _next(one)) for one in found],
    )


@app.command()
def create(
    *,
    name: NameArgument,
    target: Annotated[str, typer.Argument(help="A workflow's name, or a file for one.", metavar="WORKFLOW-or-FILE")],
    cron: Annotated[str | None, typer.Option(help='Five fields, or @daily and the like: "0 3 * * 1-5".')] = None,
    every_s: Annotated[float | None, typer.Option(min=1, help="So many seconds apart, instead of --cron.")] = None,
    timezone: Annotated[str | None, typer.Option(help="In which --cron is read. (default: UTC)")] = None,
    missed: Annotated[
        Missed | None, typer.Option(help="Runs whose time passed while the server was away. (default: run_once)")
    ] = None,
    max_missed: Annotated[int | None, typer.Option(min=1, help="Most of them with run_all.")] = None,
    overlap: Annotated[
        Overlap | None, typer.Option(help="While an earlier job of the schedule is open. (default: skip)")
    ] = None,
    jitter_s: Annotated[float | None, typer.Option(min=0, help="Begin up to so much later.")] = None,
    start_at: Annotated[str | None, typer.Option(help="Not before this time (RFC 3339).")] = None,
    end_at: Annotated[str | None, typer.Option(help="Not after this time (RFC 3339).")] = None,
    paused: Annotated[bool, typer.Option("--paused", help="Wait for `resume`.")] = False,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    param: ParamFlag = None,
    workflow: Annotated[
        str | None, typer.Option("-w", "--workflow", help="Workflow for a file. (default: media)")
    ] = None,
    priority: Annotated[int | None, typer.Option(min=1, max=5, help="1 is the highest, 5 the lowest.")] = None,
    requires_approval: Annotated[
        bool | None,
        typer.Option(
            "--requires-approval/--no-approval",
            help="Each job waits until a person approves. (default: what the workflow says)",
        ),
    ] = None,
    timeout_s: Annotated[float | None, typer.Option(min=0, help="Each job fails when it takes longer.")] = None,
    label: Annotated[
        list[str] | None, typer.Option("-l", "--label", help="A label; may be repeated.", metavar="NAME=VALUE")
    ] = None,
    tenant: TenantFlag = None,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Create a schedule.

    orpheus schedules create nightly wordcount -p text="good night" --cron "0 3 * * *" --timezone Europe/Berlin
    """
    if (cron is None) == (every_s is None):
        raise CommandError("invalid_params", "say when: --cron or --every-s", hint='For example --cron "0 3 * * *".')
    params = parse_params(param)
    job: dict[str, Any] = {
        "priority": priority,
        "requires_approval": requires_approval,
        "timeout_s": timeout_s,
        "labels": parse_labels(label),
        "tenant": tenant,
    }
    times = {
        "cron": cron,
        "every_s": every_s,
        "timezone": timezone,
        "missed": missed,
        "max_missed": max_missed,
        "overlap": overlap,
        "jitter_s": jitter_s,
        "start_at": start_at,
        "end_at": end_at,
        "paused": paused or None,
        "description": description,
    }
    given: Any = {key: value for key, value in times.items() if value is not None}
    with connect(server) as client:
        path = Path(target).expanduser()
        if path.is_file():
            target = workflow or "media"
            params = {file_param(client, target): path, **params}
        made = client.create_schedule(name, {"workflow": target, "params": params, **job}, **given)
    _print(made, json=json)


@app.command()
def show(
    name: NameArgument,
    upcoming: Annotated[int, typer.Option("-n", "--next", min=0, help="How many of the next runs.")] = 5,
    tenant: TenantFlag = None,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Show a schedule, its next runs, and what became of the latest."""
    with connect(server) as client:
        found = client.schedule(name, tenant=tenant, upcoming=upcoming)
    _print(found, json=json)


@app.command()
def pause(name: NameArgument, tenant: TenantFlag = None, server: ServerFlag = None, json: JsonFlag = False) -> None:
    """Let a schedule make no more jobs; those it made go on."""
    with connect(server) as client:
        _print(client.pause_schedule(name, tenant=tenant), json=json)


@app.command()
def resume(name: NameArgument, tenant: TenantFlag = None, server: ServerFlag = None, json: JsonFlag = False) -> None:
    """Let a schedule go on from now."""
    with connect(server) as client:
        _print(client.resume_schedule(name, tenant=tenant), json=json)


@app.command()
def run(name: NameArgument, tenant: TenantFlag = None, server: ServerFlag = None, json: JsonFlag = False) -> None:
    """Fire a schedule now, paused or not, and print the job's id."""
    with connect(server) as client:
        firing = client.run_schedule(name, tenant=tenant)
    if json:
        print_json(firing)
    elif firing.job_id is not None:
        say(firing.job_id)
    else:
        note(f"{firing.outcome}: {firing.reason}")


@app.command()
def delete(name: NameArgument, tenant: TenantFlag = None, server: ServerFlag = None) -> None:
    """Delete a schedule; the jobs it made stay."""
    with connect(server) as client:
        client.delete_schedule(name, tenant=tenant)


def _print(one: ScheduleInfo, *, json: bool) -> None:
    if json:
        print_json(one)
        return
    rows = [
        ("schedule", one.name + (" (paused)" if one.paused else "")),
        ("for", one.description),
        ("when", _when(one)),
        ("workflow", _workflow(one)),
        ("missed", one.missed + (f", at most {one.max_missed}" if one.missed == "run_all" else "")),
        ("overlap", one.overlap),
        ("begins", one.start_at),
        ("ends", one.end_at),
        ("tenant", one.tenant),
        ("created", f"{one.created_at} by {one.created_by}"),
        ("changed", f"{one.updated_at} by {one.updated_by}" if one.updated_at != one.created_at else ""),
        ("next runs", "\n             ".join(one.next_runs)),
    ]
    for name, value in rows:
        if value:
            say(f"{name:<12} {value}")
    if isinstance(one.firings, list) and one.firings:
        table(("run", "trigger", "outcome", "job or reason"), [_firing(firing) for firing in one.firings])


def _firing(firing: FiringInfo) -> tuple[str, ...]:
    return firing.scheduled_for, firing.trigger, firing.outcome, firing.job_id or firing.reason


def _when(one: ScheduleInfo) -> str:
    if one.cron is None:
        return f"every {span(one.every_s or 0.0)}"
    return f"{one.cron} ({one.timezone})"


def _workflow(one: ScheduleInfo) -> str:
    named = one.job.get("workflow")
    return named if isinstance(named, str) else str((named or {}).get("name", "inline"))


def _next(one: ScheduleInfo) -> str:
    if one.next_run_at is None:
        return "paused" if one.paused else "ended"
    left = (datetime.fromisoformat(one.next_run_at) - datetime.now(UTC)).total_seconds()
    return f"{one.next_run_at} (in {span(max(0.0, left))})"

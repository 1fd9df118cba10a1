"""How are jobs, events and log lines shown to people?"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec

from orpheus.cli.exits import ExitCode
from orpheus.cli.output import note, print_json, say, show_error, size, table
from orpheus.protocol.jobs import EventInfo, JobInfo, LogInfo, WaitingFor

ENDED = ("completed", "failed", "cancelled")


def state_of(job: JobInfo) -> str:
    """Return a job's state, and for one that waits for its time until when."""
    waits = any(one.reason == "time" for one in job.waiting_for)
    return f"{job.state} until {job.run_at}" if job.state == "pending" and waits else job.state


def outcome(job: JobInfo) -> ExitCode:
    """Return the exit status that tells how a job ended."""
    return ExitCode.OK if job.state == "completed" else ExitCode.FAILED


def print_job(job: JobInfo) -> None:
    """Print everything about one job."""
    rows: list[tuple[str, Any]] = [
        ("job", job.job_id),
        ("workflow", f"{job.workflow}@{job.workflow_version}"),
        ("state", job.state + (" (paused)" if job.paused else "")),
        ("progress", f"{job.progress_percentage:.0f} %" + (f", {job.current_stage}" if job.current_stage else "")),
        ("tenant", job.tenant),
        ("priority", job.priority),
        ("created", job.created_at),
        ("schedule", f"{job.schedule}, for {job.scheduled_for}" if job.schedule else None),
        ("begins", job.run_at if job.state == "pending" else None),
        ("started", job.started_at),
        ("finished", job.finished_at),
        ("took", duration(job)),
        ("tasks", ", ".join(f"{count} {state}" for state, count in job.tasks.items() if count)),
        ("labels", ", ".join(f"{name}={value}" for name, value in job.labels.items())),
        ("waiting for", waiting(job.waiting_for)),
        ("parent", None if job.parent is None else f"{job.parent.job}, task {job.parent.task}"),
        ("cost", job.cost or None),
        ("budget", job.budget),
        ("generation", job.generation if job.generation > 1 else None),
        ("correlation", job.correlation_id),
    ]
    for name, value in rows:
        if value not in (None, ""):
            say(f"{name:<12} {value}")
    print_result(job, state=False)


def print_result(job: JobInfo, *, state: bool = True) -> None:
    """Print what came of a job: result, artifacts, error."""
    if state:
        took = duration(job)
        note(f"{job.job_id} {job.state}" + (f" in {took}" if took else ""))
    if job.error is not None:
        where = f"task {job.error.task}: " if job.error.task else ""
        if job.error.code == "task_failed" and job.error.type:
            where += f"{job.error.type}: "  # what a KeyError says, for one, is no more than the key
        show_error(job.error.code, where + job.error.message, job.error.hint)
    if job.result is not None and job.result is not msgspec.UNSET:
        say(json.dumps(readable(job.result), indent=2, ensure_ascii=False))
    if isinstance(job.artifacts, list) and job.artifacts and not state:
        table(
            ("artifact", "size", "type"), [(one.name, size(one.size_bytes), one.content_type) for one in job.artifacts]
        )


def readable(value: Any) -> Any:
    """Return a result for people: a file is its name, a large one where it can be fetched."""
    if isinstance(value, dict):
        if value.keys() == {"$file"}:
            return value["$file"].get("name")
        if value.keys() == {"$large"}:
            return f"({size(int(value['$large'].get('size_bytes', 0)))}, at {value['$large'].get('href')})"
        return {key: readable(inner) for key, inner in value.items()}
    return [readable(inner) for inner in value] if isinstance(value, list) else value


def print_order(job: JobInfo, done: str, *, json: bool) -> None:
    """Say in a line what an order came to, or print the job."""
    if json:
        print_json(job)
    else:
        say(f"{job.job_id} {done}")


def print_event(event: EventInfo) -> None:
    task = "" if event.task is None else event.task + ("" if event.index is None else f"[{event.index}]")
    data = "" if not event.data else " " + json.dumps(event.data, ensure_ascii=False)
    say(f"{clock(event.at)} {event.seq:>5}  {event.type:<20} {task}{data}")


def print_log(line: LogInfo) -> None:
    task = line.task + ("" if line.index is None else f"[{line.index}]")
    mark = "" if line.level == "info" else f"{line.level.upper()} "
    fields = "".join(f" {name}={value}" for name, value in line.fields.items())
    say(f"{clock(line.at)} {task:<16} {mark}{line.message}{fields}")


def waiting(reasons: list[WaitingFor]) -> str:
    """Return why something does not move, in words."""
    return "; ".join(f"{one.reason}: {one.detail}" if one.detail else one.reason for one in reasons)


def instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def clock(text: str) -> str:
    """Return the time of day in the reader's own zone, with milliseconds."""
    return datetime.fromisoformat(text).astimezone().strftime("%H:%M:%S.%f")[:-3]


def age(text: str) -> str:
    """Return how long ago an instant was."""
    return span(max(0.0, (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()))


def duration(job: JobInfo) -> str:
    begun, ended = instant(job.started_at), instant(job.finished_at)
    return span((ended - begun).total_seconds()) if begun and ended else ""


def span(seconds: float) -> str:
    """Return a length of time for people: `0.41 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 2880 else f"{minutes // 1440} days"

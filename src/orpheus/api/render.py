"""How do rows look on the wire? Job → `JobInfo` and so on; the only place that knows both.

Rows of lists and records come from the engine as mappings with the store's column names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import msgspec

from orpheus.core.decision import Event
from orpheus.core.errors import TaskError
from orpheus.core.graph import Graph, NodeKind
from orpheus.core.job import TERMINAL, Job, JobState
from orpheus.core.task import NODE, Task
from orpheus.core.values import operator_of
from orpheus.engine.base import LiveMessage, PublishedEvent, Waiting
from orpheus.protocol import jobs as wire
from orpheus.protocol.waits import ApprovalInfo


def instant(at: float | None) -> str | None:
    """Return RFC 3339 UTC with milliseconds."""
    return None if at is None else _instant(at)


@lru_cache(256)  # what happened in one transaction happened at one instant
def _instant(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def error_info(error: TaskError | None) -> wire.ErrorInfo | None:
    if error is None:
        return None
    return wire.ErrorInfo(
        code=error.code,
        message=error.message,
        hint=error.hint,
        retryable=error.retryable,
        task=error.task,
        type=error.type,
        details=error.details,
    )


def waiting(reasons: Iterable[Waiting]) -> list[wire.WaitingFor]:
    return [wire.WaitingFor(reason=each.reason, detail=each.detail, since=instant(each.since)) for each in reasons]


def waiting_by_row(job: Job) -> list[Waiting]:
    """Tell what a new job waits for as far as its own row says it: a list and a submission do not ask more."""
    reasons = []
    if job.state not in TERMINAL:
        if job.paused:
            reasons.append(Waiting("pause", "the job is paused"))
        if job.state == JobState.PENDING:
            if job.requires_approval and job.approved_at is None:
                reasons.append(Waiting("approval", "somebody has to approve the job", job.created_at))
            if job.unmet_jobs:
                others = "another job has" if job.unmet_jobs == 1 else f"{job.unmet_jobs} other jobs have"
                reasons.append(Waiting("job", f"{others} to end first", job.created_at))
            if job.wake_at is not None:  # a pending job is only woken for its time
                reasons.append(Waiting("time", f"until {_instant(job.wake_at)}", job.created_at))
    return reasons


def job_info(
    job: Job,
    *,
    params: Any = msgspec.UNSET,
    result: Any = msgspec.UNSET,
    artifacts: list[wire.ArtifactInfo] | msgspec.UnsetType = msgspec.UNSET,
    waiting_for: Iterable[Waiting] = (),
) -> wire.JobInfo:
    """Show a job. What is left out is not on the wire."""
    counts = {state: count for state, count in job.counts.items() if count}
    counts["total"] = sum(counts.values())
    extra = job.extra
    return wire.JobInfo(
        job_id=job.job_id,
        workflow=job.workflow,
        workflow_version=job.workflow_version,
        tenant=job.tenant,
        state=job.state,
        paused=job.paused,
        priority=job.priority,
        labels=dict(job.labels),
        params=params,
        result=result,
        error=None if job.error is None else error_info(job.error),
        progress_percentage=job.progress_percentage,
        current_stage=job.current_stage,
        waiting_for=waiting(waiting_for),
        tasks=counts,
        artifacts=artifacts,
        generation=job.generation,
        correlation_id=job.correlation_id,
        idempotency_key=job.idempotency_key,
        created_at=_instant(job.created_at),
        started_at=instant(job.started_at),
        finished_at=instant(job.finished_at),
        updated_at=_instant(job.updated_at or job.created_at),
        run_at=instant(job.run_at),
        schedule=extra.get("schedule") if extra else None,
        scheduled_for=instant(extra.get("scheduled_for")) if extra else None,
        requires_approval=job.requires_approval,
        cancel_requested_at=instant(job.cancel_requested_at),
        estimate=extra.get("estimate") if extra else None,
        budget=extra.get("budget") if extra else None,
        cost=extra.get("cost", 0.0) if extra else 0.0,
        parent=parent_info(job) if extra else None,
    )


def job_beside(model: wire.JobInfo, job: Job, params: Any) -> wire.JobInfo:
    """Show a new job by another of its request that it is like (`Submitted.like`)."""
    info: wire.JobInfo = model.__copy__()  # type: ignore[attr-defined]  # copy.copy() takes twice as long to get here
    info.job_id = job.job_id
    info.labels = dict(job.labels)
    info.params = params
    info.correlation_id = job.correlation_id
    info.idempotency_key = job.idempotency_key
    return info


def parent_info(job: Job) -> wire.ParentInfo | None:
    parent = job.extra.get("parent")
    if parent is None:
        return None
    index = parent["index"]
    return wire.ParentInfo(job=parent["job"], task=parent["task"], index=None if index == NODE else index)


def shown_result(job: Job, result: Any, *, large_bytes: int) -> Any:
    """Return the result, or a pointer to it where it is large or lies in the object store."""
    if job.state != JobState.COMPLETED or result is None:
        return None
    href = f"/jobs/{job.job_id}/result"
    shown, size = without_spills(result, href)
    if size is None and isinstance(shown, dict | list | str):
        size = len(msgspec.json.encode(shown))
        if size > large_bytes:
            return {"$large": {"size_bytes": size, "href": href}}
    return shown


def without_spills(value: Any, href: str | None) -> tuple[Any, int | None]:
    """Replace references to the object store by pointers; return also the size of the last one met, None without
    any."""
    operator = operator_of(value)
    if operator == "$spill":
        size = value["$spill"].get("size_bytes")
        pointer: dict[str, Any] = {"size_bytes": size}
        if href is not None:
            pointer["href"] = href
        return {"$large": pointer}, size or 0
    found: int | None = None
    if isinstance(value, dict):
        shown: dict[str, Any] = {}
        for key, inner in value.items():
            shown[key], size = without_spills(inner, href)
            found = size if size is not None else found
        return shown, found
    if isinstance(value, list):
        pairs = [without_spills(inner, href) for inner in value]
        return [pair[0] for pair in pairs], next((pair[1] for pair in pairs if pair[1] is not None), None)
    return value, None


def artifact_info(job_id: str, row: Mapping[str, Any]) -> wire.ArtifactInfo:
    index = row.get("index")
    return wire.ArtifactInfo(
        name=row["name"],
        task=task_of(row),
        index=None if index is None or index == NODE else index,
        run_id=row["run_id"],
        sha256=row["sha256"],
        size_bytes=row["size_bytes"],
        content_type=row["content_type"],
        metadata=row.get("metadata") or {},
        path=f"/jobs/{job_id}/artifacts/{quote(row['name'])}",
    )


def task_of(row: Mapping[str, Any]) -> str:
    """Return the node's name of a row, which the store calls `node`."""
    return str(row["task"] if "task" in row else row["node"])


def task_info(
    task: Task,
    graph: Graph | None,
    *,
    result: Any = None,
    waiting_for: Iterable[Waiting] = (),
    attempts: Iterable[Mapping[str, Any]] | None = None,
    names: Mapping[str, str],
    asked: Any = None,
    large_bytes: int,
) -> wire.TaskInfo:
    """Show a task.

    Args:
        asked: what an approval asks about.
        names: workers' names by session; a session without one is shown by its id.
    """
    node = graph.all_nodes.get(task.node) if graph is not None else None
    shown, size = without_spills(result, None)
    if size is None and isinstance(shown, dict | list | str):
        size = len(msgspec.json.encode(shown))
        if size > large_bytes:
            shown = {"$large": {"size_bytes": size}}
    is_map = node is not None and node.kind == "map" and task.index == NODE
    return wire.TaskInfo(
        name=task.node,
        index=None if task.index == NODE else task.index,
        state=task.state.value,
        generation=task.generation,
        attempt=task.attempt,
        max_retries=node.retry.max_retries if node is not None else 0,
        queue=task.queue,
        version=node.version if node is not None else 1,
        handler=task.handler,
        progress=round(task.progress, 4),
        stage=task.stage,
        waiting_for=waiting(waiting_for),
        result=shown,
        error=error_info(task.error),
        cached=task.cached,
        run_id=task.run_id,
        worker=_name(task.worker, names),
        ready_at=instant(task.ready_at),
        started_at=instant(task.started_at),
        finished_at=instant(task.finished_at),
        child_job=task.extra.get("child_job"),
        approval=approval_info(task, graph, asked, large_bytes=large_bytes),
        compensated=bool(task.extra.get("compensated")),
        attempts=msgspec.UNSET if attempts is None else [_attempt_info(row, names) for row in attempts],
        items={
            "total": task.items_total,
            "released": task.items_released,
            "settled": task.items_settled,
            "failed": task.items_failed,
            "skipped": task.items_skipped,
        }
        if is_map
        else msgspec.UNSET,
    )


def held_task(task: Task) -> wire.HeldTask:
    """Show the row of a run that a worker has in hand."""
    assert task.run_id is not None, "what is in hand has a run"
    return wire.HeldTask(
        job_id=task.job_id,
        task=task.node,
        index=None if task.index == NODE else task.index,
        attempt=task.attempt,
        run_id=task.run_id,
        handler=task.handler,
        started_at=instant(task.started_at),
    )


def approval_info(task: Task, graph: Graph | None, value: Any, *, large_bytes: int) -> ApprovalInfo | msgspec.UnsetType:
    """Show what an approval node asks and what was decided; nothing for any other node.

    Args:
        value: what it asks about; None while it has not begun.
    """
    node = graph.nodes.get(task.node) if graph is not None else None
    if node is None or node.kind is not NodeKind.APPROVAL:
        return msgspec.UNSET
    shown, size = without_spills(value, None)
    if size is None and isinstance(shown, dict | list | str):
        size = len(msgspec.json.encode(shown))
        if size > large_bytes:
            shown = {"$large": {"size_bytes": size}}
    decision = task.extra.get("decision", {})
    return ApprovalInfo(
        prompt=node.prompt,
        value=shown,
        editable=node.editable,
        schema=node.type_schema,
        since=instant(task.started_at),
        until=instant(task.wake_at),
        decision=decision.get("what"),
        edited=bool(decision.get("edited")),
        by=decision.get("by"),
        at=instant(decision.get("at")),
        comment=decision.get("comment", ""),
    )


def _name(session_id: str | None, names: Mapping[str, str]) -> str | None:
    return None if session_id is None else names.get(session_id, session_id)


def _attempt_info(row: Mapping[str, Any], names: Mapping[str, str]) -> wire.AttemptInfo:
    error = row.get("error")
    if isinstance(error, Mapping):
        known = {
            name: error[name] for name in ("code", "message", "hint", "retryable", "task", "type") if name in error
        }
        error = TaskError(**known)
    return wire.AttemptInfo(
        attempt=row["attempt"],
        run_id=row["run_id"],
        worker=_name(row.get("worker"), names),
        started_at=instant(row.get("started_at")) or "",
        finished_at=instant(row.get("finished_at")),
        outcome=row.get("outcome"),
        error=error_info(error),
    )


def event_info(event: Event, job_id: str, correlation_id: str, cursor: str | None = None) -> wire.EventInfo:
    return wire.EventInfo(
        seq=event.seq,
        type=event.type,
        at=_instant(event.at),
        job_id=job_id,
        actor=event.actor,
        correlation_id=correlation_id,
        task=event.task,
        index=None if event.index == NODE else event.index,
        run_id=event.run_id,
        data=event.data,
        cursor=msgspec.UNSET if cursor is None else cursor,
    )


def published_event(published: PublishedEvent) -> wire.EventInfo:
    return event_info(published.event, published.job_id, published.correlation_id, published.cursor)


def live_message(message: LiveMessage) -> dict[str, Any]:
    """Show progress or log lines: unnumbered, so without `seq` and `cursor` (R2)."""
    return {
        "type": message.kind,
        "job_id": message.job_id,
        "task": message.task,
        "index": None if message.index == NODE else message.index,
        "run_id": message.run_id,
        "at": _instant(message.at),
        "data": dict(message.data),
    }


def log_info(row: Mapping[str, Any]) -> wire.LogInfo:
    index = row.get("index")
    at = row["at"]
    return wire.LogInfo(
        at=at if isinstance(at, str) else _instant(at),
        task=task_of(row),
        index=None if index is None or index == NODE else index,
        attempt=row["attempt"],
        run_id=row["run_id"],
        level=row["level"],
        stream=row["stream"],
        message=row["message"],
        fields=row.get("fields") or {},
    )


def file_info(row: Mapping[str, Any]) -> wire.FileInfo:
    return wire.FileInfo(
        file_id=row["file_id"],
        name=row["name"],
        size_bytes=row["size_bytes"],
        sha256=row["sha256"],
        content_type=row["content_type"],
        created_at=_instant(row["created_at"]),
    )


def file_value(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `File` that stands in params for an object (core/values.py)."""
    return {"$file": {name: row[name] for name in ("name", "key", "size_bytes", "sha256", "content_type")}}

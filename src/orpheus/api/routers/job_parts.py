"""What belongs to a job: its tasks, events, logs, graph, manifest and result."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any, Literal

import msgspec

from orpheus.api import render
from orpheus.api.calls import Answer, Call, Streamed, json_answer
from orpheus.api.query import Cursor, Limit, Place, whole_number
from orpheus.api.results import load_result, whole_result
from orpheus.api.route import Media, Routes, Sendable
from orpheus.api.routers._find import find_job
from orpheus.artifacts.errors import MissingObject
from orpheus.artifacts.manifest import build_manifest
from orpheus.core.errors import InvalidRequest, UnknownJob
from orpheus.core.graph import Graph, NodeKind
from orpheus.core.job import TERMINAL, Job
from orpheus.core.log_lines import LogFilter
from orpheus.core.task import SETTLED, Task, TaskState
from orpheus.protocol.jobs import EventPage, LogPage, Manifest, TaskPage

__all__ = ["routes"]

routes = Routes("jobs")

TaskStateName = Literal[
    "blocked", "ready", "running", "retrying", "waiting", "completed", "failed", "cancelled", "skipped"
]

_FOLLOWED = (
    Media("application/x-ndjson", "With `follow`: one JSON object per line."),
    Media("text/event-stream", "With `follow` and `Accept: text/event-stream`."),
)


class TasksQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    node: str | None = None
    state: list[TaskStateName] = []
    attempts: bool = False
    """List the attempts of each task too."""
    limit: Limit = 100
    cursor: Cursor | None = None


@routes.get(
    "/jobs/{job_id}/tasks", role="read", query=TasksQuery, answers={200: TaskPage}, errors=(UnknownJob, InvalidRequest)
)
async def list_tasks(call: Call) -> Answer:
    """List a job's tasks of the current generation, in the graph's order; a map's items follow it."""
    query: TasksQuery = call.query
    reads = call.services.engine.reads
    job = await find_job(call)
    graph = await reads.graph(job.definition_id)
    redaction = await call.services.catalog.redaction(job.definition_id)
    tasks, cursor = await reads.tasks(
        job.job_id, node=query.node, states=tuple(query.state), limit=query.limit, cursor=query.cursor
    )
    attempts = {task.key: await reads.attempts(task) for task in tasks} if query.attempts else {}
    sessions = {task.worker for task in tasks} | {row["worker"] for each in attempts.values() for row in each}
    names = await reads.worker_names({session for session in sessions if session is not None})
    items = [
        render.task_info(
            task,
            graph,
            result=redaction.task_result(task, await reads.task_result(task))
            if task.state == TaskState.COMPLETED
            else None,
            waiting_for=() if task.state in SETTLED else await reads.waiting_for_task(job, task),
            attempts=attempts.get(task.key),
            names=names,
            asked=redaction.task_result(task, await reads.task_item(task)) if _asks(graph, task) else None,
            large_bytes=call.services.options.large_result_bytes,
        )
        for task in tasks
    ]
    return json_answer(TaskPage(items=items, next_cursor=cursor))


def _asks(graph: Graph | None, task: Task) -> bool:
    """Tell whether the task is an approval that has begun."""
    node = graph.nodes.get(task.node) if graph is not None else None
    return node is not None and node.kind is NodeKind.APPROVAL and task.started_at is not None


class FollowQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    follow: bool = False
    """Stay and send what comes, until the job has ended."""
    limit: Limit = 200
    cursor: Place | None = None


Level = Literal["debug", "info", "warning", "error", "critical"]


class LogsQuery(FollowQuery, kw_only=True, forbid_unknown_fields=True):
    node: str | None = None
    """Only lines of this node."""
    index: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Only lines of this item of a map."""
    attempt: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Only lines of this attempt."""
    level: Level | None = None
    """This level and those above it."""
    q: Annotated[str, msgspec.Meta(min_length=1, max_length=500)] | None = None
    """Only lines that hold this text; case does not matter."""


@routes.get(
    "/jobs/{job_id}/events",
    role="read",
    query=FollowQuery,
    answers={200: (EventPage, *_FOLLOWED)},
    errors=(UnknownJob, InvalidRequest),
    timed=False,
)
async def list_events(call: Call) -> Sendable:
    """List a job's events from the first; `cursor` is the number of the last one seen."""
    query: FollowQuery = call.query
    job = await find_job(call)
    reads = call.services.engine.reads

    async def page(after: int) -> list[tuple[int, Any]]:
        events = await reads.events(job.job_id, after=after, limit=query.limit)
        return [(event.seq, render.event_info(event, job.job_id, job.correlation_id)) for event in events]

    after = whole_number(query.cursor)
    if query.follow:
        return _follow(call, job, page, after)
    items = await page(after)
    more = str(items[-1][0]) if len(items) == query.limit else None
    return json_answer(EventPage(items=[item for _, item in items], next_cursor=more))


@routes.get(
    "/jobs/{job_id}/logs",
    role="read",
    query=LogsQuery,
    answers={200: (LogPage, *_FOLLOWED)},
    errors=(UnknownJob, InvalidRequest),
    timed=False,
)
async def list_logs(call: Call) -> Sendable:
    """List the log lines of a job's attempts, oldest first."""
    query: LogsQuery = call.query
    filters = LogFilter(node=query.node, index=query.index, attempt=query.attempt, level=query.level, q=query.q)
    job = await find_job(call)
    reads = call.services.engine.reads

    async def page(after: int) -> list[tuple[int, Any]]:
        rows = await reads.logs(job.job_id, after=after, limit=query.limit, filters=filters)
        return [(number, render.log_info(row)) for number, row in rows]

    after = whole_number(query.cursor)
    if query.follow:
        return _follow(call, job, page, after)
    items = await page(after)
    more = str(items[-1][0]) if len(items) == query.limit else None
    return json_answer(LogPage(items=[item for _, item in items], next_cursor=more))


Page = Callable[[int], Awaitable[list[tuple[int, Any]]]]


def _follow(call: Call, job: Job, page: Page, after: int) -> Streamed:
    events = b"text/event-stream" in call.headers.get(b"accept", b"")
    return Streamed(
        _followed(call, job, page, after, events=events),
        content_type=b"text/event-stream" if events else b"application/x-ndjson",
        headers=[(b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")],
    )


async def _followed(call: Call, job: Job, page: Page, after: int, *, events: bool) -> AsyncIterator[bytes]:
    """Yield what there is, then what comes. Rows are read again at every sign of life, so nothing is lost or
    doubled."""
    services = call.services
    woken = asyncio.Event()
    watchers = [
        asyncio.create_task(_wake(services.engine.subscribe(after=None), woken, job.job_id)),
        asyncio.create_task(_wake(services.engine.subscribe_live(job_id=job.job_id), woken, job.job_id)),
    ]
    try:
        while True:
            woken.clear()
            current = await services.engine.reads.job(job.job_id)
            ended = current is None or current.state in TERMINAL or services.stopping.is_set()
            while items := await page(after):
                after = items[-1][0]
                for number, item in items:
                    line = msgspec.json.encode(item)
                    yield b"id: %d\ndata: %b\n\n" % (number, line) if events else line + b"\n"
            if ended:
                if events:
                    yield b"event: end\ndata: {}\n\n"
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await woken.wait()
    finally:
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)


async def _wake(stream: AsyncIterator[Any], woken: asyncio.Event, job_id: str) -> None:
    async for item in stream:
        if item is not None and item.job_id == job_id:
            woken.set()


@routes.get(
    "/jobs/{job_id}/graph",
    role="read",
    answers={200: Media("application/json", schema={"type": "object"})},
    errors=(UnknownJob,),
)
async def show_graph(call: Call) -> Answer:
    """Show the definition the job keeps to its end, as it was published."""
    job = await find_job(call)
    return json_answer(await call.services.engine.reads.definition(job.definition_id) or {})


@routes.get("/jobs/{job_id}/manifest", role="read", answers={200: Manifest}, errors=(UnknownJob,))
async def show_manifest(call: Call) -> Answer:
    """Show what the job left behind so far: exact at any time, a projection of rows."""
    job = await find_job(call)
    reads = call.services.engine.reads
    params, _ = await reads.job_payload(job.job_id)
    rows = await reads.artifacts(job.job_id)
    return json_answer(build_manifest(job, params, rows, env=call.services.options.env))


@routes.get(
    "/jobs/{job_id}/result",
    role="read",
    answers={200: Media("application/json", "The result, however large.", {})},
    errors=(UnknownJob, MissingObject),
)
async def show_result(call: Call) -> Sendable:
    """Show the whole result; null while there is none."""
    job = await find_job(call)
    _, result = await call.services.engine.reads.job_payload(job.job_id)
    redaction = await call.services.catalog.redaction(job.definition_id)
    if redaction.result_schema is not None:
        return json_answer(redaction.result(await whole_result(call.services.objects, result)))
    return await load_result(call.services.objects, result)

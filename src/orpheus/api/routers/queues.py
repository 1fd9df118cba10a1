"""Queues and workers: what waits where, and who works."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from orpheus.api import render
from orpheus.api.calls import Answer, Call, json_answer
from orpheus.api.errors import MalformedBody, UnsupportedBody
from orpheus.api.route import Routes
from orpheus.core.errors import InvalidRequest
from orpheus.core.task import Task
from orpheus.protocol.jobs import WorkerInfo, WorkerPage
from orpheus.protocol.limits import PatchQueue, QueueInfo, QueuePage

routes = Routes("queues", "Where ready tasks wait for workers, and the workers.")


def _queue(row: Mapping[str, Any]) -> QueueInfo:
    return QueueInfo(
        name=row["name"],
        paused=bool(row.get("paused")),
        ready=int(row.get("ready") or 0),
        running=int(row.get("running") or 0),
        concurrency=row.get("concurrency"),
        rate_limit=row.get("rate_limit"),
        oldest_wait_s=None if row.get("oldest_wait_s") is None else round(row["oldest_wait_s"], 3),
    )


@routes.get("/queues", role="read", answers={200: QueuePage})
async def list_queues(call: Call) -> Answer:
    """List the queues that have tasks or settings."""
    return json_answer(QueuePage(items=[_queue(row) for row in await call.services.engine.reads.queues()]))


@routes.patch(
    "/queues/{name}",
    role="operate",
    shared=True,
    body=PatchQueue,
    answers={200: QueueInfo},
    errors=(MalformedBody, InvalidRequest, UnsupportedBody),
    path_patterns={"name": "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"},
)
async def change_queue(call: Call) -> Answer:
    """Pause or resume a queue, change its limits. A pause stops claims only (R26)."""
    name = call.path["name"]
    changes = msgspec.to_builtins(call.body)
    return json_answer(_queue(await call.services.engine.update_queue(name, changes, actor=call.identity.actor)))


@routes.get("/workers", role="read", answers={200: WorkerPage})
async def list_workers(call: Call) -> Answer:
    """List the worker processes, those that said goodbye lately too."""
    rows = await call.services.engine.reads.workers()
    return json_answer(WorkerPage(items=[_worker(row, call.identity.tenant) for row in rows]))


def _worker(row: Mapping[str, Any], tenant: str | None) -> WorkerInfo:
    tasks: list[Task] = row["tasks"]
    return WorkerInfo(
        session_id=row["session_id"],
        worker=row["worker"],
        host=str(row.get("host") or ""),
        pid=int(row.get("pid") or 0),
        queues=list(row.get("queues") or ()),
        slots=int(row.get("slots") or 0),
        resources=dict(row.get("resources") or {}),
        handlers=list(row.get("handlers") or ()),
        running=len(tasks),
        tasks=[render.held_task(task) for task in tasks if tenant in (None, task.tenant)],
        memory_bytes=int(row.get("memory_bytes") or 0),
        supervised=bool(row.get("supervised")),
        alive=bool(row.get("alive", row.get("ended_at") is None)),
        started_at=_shown(row.get("started_at")),
        last_seen_at=_shown(row.get("last_seen_at")),
    )


def _shown(at: Any) -> str | None:
    return render.instant(at) if isinstance(at, int | float) else at

"""The inbox: everything that waits for a person's decision, in one list (R14, R15)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from orpheus.api import render
from orpheus.api.calls import Answer, Call, json_answer
from orpheus.api.query import Cursor, Limit
from orpheus.api.route import Routes
from orpheus.core.errors import InvalidRequest
from orpheus.core.job import Job
from orpheus.core.task import Task
from orpheus.protocol.inbox import ApprovalPage, WaitingApproval
from orpheus.protocol.jobs import TENANT, TaskInfo

routes = Routes("waits")


class ApprovalsQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    tenant: Annotated[str, msgspec.Meta(pattern=TENANT)] | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


@routes.get("/approvals", role="read", query=ApprovalsQuery, answers={200: ApprovalPage}, errors=(InvalidRequest,))
async def list_approvals(call: Call) -> Answer:
    """List what waits for a person's decision, the longest waiting first.

    Jobs that were submitted with `requires_approval`, and approval nodes of jobs that run.
    """
    query: ApprovalsQuery = call.query
    bound = call.identity.tenant
    if bound is not None and query.tenant not in (None, bound):
        return json_answer(ApprovalPage(items=[]))  # to this key there are no others
    found, cursor = await call.services.engine.reads.inbox(
        tenant=bound or query.tenant, limit=query.limit, cursor=query.cursor
    )
    return json_answer(ApprovalPage(items=[await _entry(call, job, task) for job, task in found], next_cursor=cursor))


async def _entry(call: Call, job: Job, task: Task | None) -> WaitingApproval:
    asked_at = job.created_at if task is None or task.started_at is None else task.started_at
    return WaitingApproval(
        job=render.job_info(job, waiting_for=render.waiting_by_row(job)),
        task=None if task is None else await _node(call, job, task),
        since=render.instant(asked_at) or "",
    )


async def _node(call: Call, job: Job, task: Task) -> TaskInfo:
    reads = call.services.engine.reads
    redaction = await call.services.catalog.redaction(job.definition_id)
    return render.task_info(
        task,
        await reads.graph(job.definition_id),
        waiting_for=await reads.waiting_for_task(job, task),
        names={},
        asked=redaction.task_result(task, await reads.task_item(task)),
        large_bytes=call.services.options.large_result_bytes,
    )

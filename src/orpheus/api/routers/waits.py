"""What a job waits for from outside: decisions on its approval nodes, signals, callbacks (R14, R22)."""

from __future__ import annotations

from typing import Any

import msgspec

from orpheus.api import render
from orpheus.api.calls import Answer, Call, json_answer
from orpheus.api.errors import MalformedBody
from orpheus.api.file_params import refuse_reserved
from orpheus.api.outside_values import resolve_value
from orpheus.api.route import Routes
from orpheus.api.routers._find import find_job
from orpheus.api.routers.jobs import whole_job
from orpheus.core.errors import (
    InvalidParams,
    InvalidRequest,
    InvalidTransition,
    StaleRun,
    TaskError,
    UnknownCallback,
    UnknownJob,
    UnknownSignal,
    UnknownTask,
)
from orpheus.core.facts import Fact, SignalReceived, TaskApproved, TaskRejected
from orpheus.core.graph import Graph
from orpheus.core.job import Job
from orpheus.core.suggest import did_you_mean
from orpheus.core.task import NODE
from orpheus.protocol.jobs import JobInfo
from orpheus.protocol.waits import ApproveTaskBody, Callback, CallbackBody, CallbackInfo, RejectTaskBody, SignalBody

routes = Routes("waits", "Approvals, signals and callbacks: what a running job waits for from outside.")

_ERRORS = (UnknownJob, InvalidTransition, MalformedBody, InvalidRequest, InvalidParams)


async def _tell(call: Call, fact: Fact) -> Answer:
    job = await call.services.engine.tell(call.path["job_id"], fact, tenant=call.identity.tenant)
    return json_answer(await whole_job(call, job))


async def _find_node(call: Call) -> tuple[Job, Graph]:
    """Return the job and its graph, which has the node that the path names.

    Raises:
        UnknownTask: it has not.
    """
    job = await find_job(call)
    graph = await call.services.engine.reads.graph(job.definition_id)
    name = call.path["task"]
    if graph is None or name not in graph.nodes:
        hint = did_you_mean(name, graph.nodes) if graph is not None else ""
        raise UnknownTask(f"job {job.job_id} has no task {name[:80]!r}", hint=hint)
    return job, graph


@routes.post(
    "/jobs/{job_id}/tasks/{task}/approve",
    role="operate",
    body=ApproveTaskBody,
    body_optional=True,
    answers={200: JobInfo},
    errors=(*_ERRORS, UnknownTask),
)
async def approve_task(call: Call) -> Answer:
    """Approve what an approval node asks about (R14).

    `value` replaces what was shown, where the node is editable, after it was checked against the node's type.
    """
    body: ApproveTaskBody = call.body or ApproveTaskBody()
    job, graph = await _find_node(call)
    name = call.path["task"]
    if body.value is msgspec.UNSET:
        return await _tell(call, TaskApproved(node=name, comment=body.comment, actor=call.identity.actor))
    reads = call.services.engine.reads
    tasks, _more = await reads.tasks(job.job_id, node=name, states=(), limit=1, cursor=None)
    asked = await reads.task_item(tasks[0]) if tasks and tasks[0].index == NODE else None
    schema = graph.nodes[name].type_schema
    value = await resolve_value(call, body.value, schema, job.tenant, field="value", kept=asked)
    fact = TaskApproved(node=name, value=value, edited=True, comment=body.comment, actor=call.identity.actor)
    return await _tell(call, fact)


@routes.post(
    "/jobs/{job_id}/tasks/{task}/reject",
    role="operate",
    body=RejectTaskBody,
    body_optional=True,
    answers={200: JobInfo},
    errors=(*_ERRORS, UnknownTask),
)
async def reject_task(call: Call) -> Answer:
    """Reject what an approval node asks about: it fails with `rejected`, unless its `on_reject` says otherwise (R14)."""
    body: RejectTaskBody = call.body or RejectTaskBody()
    await _find_node(call)
    reason = body.reason or body.comment
    return await _tell(call, TaskRejected(node=call.path["task"], reason=reason, actor=call.identity.actor))


@routes.post(
    "/jobs/{job_id}/signals/{name}",
    role="submit",
    body=SignalBody,
    body_optional=True,
    answers={200: JobInfo},
    errors=(*_ERRORS, UnknownSignal),
)
async def send_signal(call: Call) -> Answer:
    """Tell a job that something has happened (R22).

    Kept until a node waits for it, so it may come early. The same `signal_id` again is the same signal.
    """
    body: SignalBody = call.body or SignalBody()
    job = await find_job(call)
    graph = await call.services.engine.reads.graph(job.definition_id)
    name = call.path["name"]
    nodes = graph.signals.get(name, ()) if graph is not None else ()
    schema: Any = graph.nodes[nodes[0]].type_schema if graph is not None and nodes else None
    payload = await resolve_value(call, body.payload, schema, job.tenant, field="payload")
    return await _tell(
        call, SignalReceived(name=name, payload=payload, signal_id=body.signal_id, actor=call.identity.actor)
    )


@routes.post(
    "/callbacks/{token}",
    role="token",
    body=Callback,
    answers={200: CallbackInfo},
    errors=(UnknownCallback, StaleRun, MalformedBody, InvalidRequest, InvalidParams),
)
async def call_back(call: Call) -> Answer:
    """Bring the result of a task that has handed its work over (R22).

    The token is the proof, no key is asked for. The first callback of a run counts; each later one gets its answer.
    """
    body: CallbackBody = call.body
    has_result = body.result is not msgspec.UNSET
    if has_result == (body.error is not msgspec.UNSET):
        raise InvalidRequest('a callback has either a "result" or an "error"', details=[{"path": ""}])
    error = None
    if body.error is not msgspec.UNSET:
        error = TaskError(code="task_failed", message=body.error.message, retryable=not body.error.final)
    else:
        _check_result(body.result)
    taken = await call.services.engine.call_back(
        call.path["token"], result=body.result if has_result else None, error=error
    )
    return json_answer(
        CallbackInfo(
            job_id=taken.job_id,
            task=taken.task,
            index=None if taken.index == NODE else taken.index,
            run_id=taken.run_id,
            received_at=render.instant(taken.received_at) or "",
        )
    )


def _check_result(result: Any) -> None:
    try:
        refuse_reserved({"result": result})
    except InvalidParams as refused:
        details = [{**detail, "path": detail["path"].removeprefix("/params")} for detail in refused.details]
        message = refused.message.removeprefix("/params")
        raise InvalidParams(message, hint="a callback brings plain JSON", details=details) from None

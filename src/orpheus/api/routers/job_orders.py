"""Orders to a job: cancel, approve, reject, pause, resume, retry. Whether it may is for the core to say."""

from __future__ import annotations

from orpheus.api.calls import Answer, Call, json_answer
from orpheus.api.errors import MalformedBody
from orpheus.api.file_params import resolve_params_of
from orpheus.api.route import Routes
from orpheus.api.routers._find import find_job
from orpheus.api.routers.jobs import whole_job
from orpheus.core.errors import (
    BudgetExceeded,
    InvalidParams,
    InvalidRequest,
    InvalidTransition,
    UnknownJob,
    UnknownTask,
)
from orpheus.core.facts import (
    CancelRequested,
    Fact,
    JobApproved,
    JobRejected,
    PauseRequested,
    ResumeRequested,
    RetryRequested,
)
from orpheus.core.job import TERMINAL
from orpheus.protocol.jobs import ApproveBody, CancelBody, JobInfo, RejectBody, RetryBody

routes = Routes("orders", "What people and programs tell a job to do. An order already in effect answers 200.")

_ERRORS = (UnknownJob, InvalidTransition, MalformedBody, InvalidRequest)


async def _tell(call: Call, fact: Fact, *, accepted_while_open: bool = False) -> Answer:
    job = await call.services.engine.tell(call.path["job_id"], fact, tenant=call.identity.tenant)
    status = 202 if accepted_while_open and job.state not in TERMINAL else 200
    return json_answer(await whole_job(call, job), status=status)


@routes.post(
    "/jobs/{job_id}/cancel",
    role="operate",
    body=CancelBody,
    body_optional=True,
    answers={200: JobInfo, 202: JobInfo},
    errors=_ERRORS,
)
async def cancel(call: Call) -> Answer:
    """Cancel a job.

    200 when it has ended, 202 while running work is still being stopped (R18).
    """
    body: CancelBody = call.body or CancelBody()
    return await _tell(call, CancelRequested(reason=body.reason, actor=call.identity.actor), accepted_while_open=True)


@routes.delete(
    "/jobs/{job_id}", role="operate", answers={200: JobInfo, 202: JobInfo}, errors=(UnknownJob, InvalidTransition)
)
async def delete(call: Call) -> Answer:
    """Cancel a job, as `POST /jobs/{job_id}/cancel` without a reason."""
    return await _tell(call, CancelRequested(actor=call.identity.actor), accepted_while_open=True)


@routes.post(
    "/jobs/{job_id}/approve",
    role="operate",
    body=ApproveBody,
    body_optional=True,
    answers={200: JobInfo},
    errors=(*_ERRORS, InvalidParams, BudgetExceeded),
)
async def approve(call: Call) -> Answer:
    """Approve a job that waits for it; `params` replaces its params after the checks of a submission (R15)."""
    body: ApproveBody = call.body or ApproveBody()
    params = None
    if body.params is not None:
        params = await resolve_params_of(call, await find_job(call), body.params)
    return await _tell(
        call, JobApproved(params=params, comment=body.comment, budget=body.budget, actor=call.identity.actor)
    )


@routes.post("/jobs/{job_id}/reject", role="operate", body=RejectBody, answers={200: JobInfo}, errors=_ERRORS)
async def reject(call: Call) -> Answer:
    """Reject a job that waits for approval: it ends `cancelled`."""
    body: RejectBody = call.body
    return await _tell(call, JobRejected(reason=body.reason, actor=call.identity.actor))


@routes.post("/jobs/{job_id}/pause", role="operate", answers={200: JobInfo}, errors=(UnknownJob, InvalidTransition))
async def pause(call: Call) -> Answer:
    """Pause a job: nothing of it is claimed any more; running attempts finish (R26)."""
    return await _tell(call, PauseRequested(actor=call.identity.actor))


@routes.post("/jobs/{job_id}/resume", role="operate", answers={200: JobInfo}, errors=(UnknownJob, InvalidTransition))
async def resume(call: Call) -> Answer:
    """Resume a paused job."""
    return await _tell(call, ResumeRequested(actor=call.identity.actor))


@routes.post(
    "/jobs/{job_id}/retry",
    role="operate",
    body=RetryBody,
    body_optional=True,
    answers={200: JobInfo},
    errors=(*_ERRORS, UnknownTask, InvalidParams, BudgetExceeded),
)
async def retry(call: Call) -> Answer:
    """Try what failed again, change params, or rewind to a task: a new generation begins (R20)."""
    body: RetryBody = call.body or RetryBody()
    params = None
    if body.params is not None:
        params = await resolve_params_of(call, await find_job(call), body.params)
    return await _tell(
        call,
        RetryRequested(from_task=body.from_task, params=params, budget=body.budget, actor=call.identity.actor),
    )

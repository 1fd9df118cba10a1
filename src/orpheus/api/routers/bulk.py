"""Orders to many jobs, and what may be changed about one after its creation."""

from __future__ import annotations

import msgspec

from orpheus.api.calls import Answer, Call, json_answer
from orpheus.api.errors import Forbidden, MalformedBody, UnsupportedBody
from orpheus.api.query import instant
from orpheus.api.route import Routes
from orpheus.api.routers.jobs import whole_job
from orpheus.api.submissions import capped
from orpheus.core.errors import InvalidRequest, InvalidTransition, UnknownJob
from orpheus.core.facts import JobUpdated
from orpheus.engine.base import BulkOrder, JobFilter
from orpheus.protocol.jobs import JobInfo
from orpheus.protocol.limits import BulkAnswer, BulkBody, BulkError, BulkFilter, PatchJob

routes = Routes("orders")


@routes.patch(
    "/jobs/{job_id}",
    role="operate",
    body=PatchJob,
    answers={200: JobInfo},
    errors=(UnknownJob, InvalidTransition, InvalidRequest, MalformedBody, UnsupportedBody),
)
async def change_job(call: Call) -> Answer:
    """Change a job's labels or priority.

    Labels at any time; the priority until the job has ended. What is so already changes nothing.
    """
    body: PatchJob = call.body
    priority = None if body.priority is None else capped(call, body.priority)
    fact = JobUpdated(labels=body.labels, priority=priority, actor=call.identity.actor)
    job = await call.services.engine.tell(call.path["job_id"], fact, tenant=call.identity.tenant)
    return json_answer(await whole_job(call, job))


@routes.post(
    "/jobs/bulk",
    role="operate",
    body=BulkBody,
    answers={200: BulkAnswer},
    errors=(InvalidRequest, MalformedBody, UnsupportedBody, Forbidden),
    timed=False,
)
async def bulk(call: Call) -> Answer:
    """Cancel, retry, approve, reject, pause or resume every job that a filter meets.

    With `dry_run` nothing is changed. Repeating it is safe: what is in effect already is `unchanged`.
    """
    body: BulkBody = call.body
    if body.filter == BulkFilter():
        raise InvalidRequest(
            "filter: an empty one would mean every job",
            hint="name at least one of state, workflow, tenant, label, q, created_after, created_before",
            details=[{"path": "/filter", "message": "empty", "in": "body"}],
        )
    order = BulkOrder(
        action=body.action,
        filters=_filters(body.filter, call),
        reason=body.reason,
        dry_run=body.dry_run,
        limit=body.limit,
        cursor=body.cursor,
        actor=call.identity.actor,
    )
    result = await call.services.engine.bulk(order)
    answer = BulkAnswer(
        action=body.action,
        dry_run=body.dry_run,
        matched=result.matched,
        outcomes=dict(result.outcomes),
        sample=list(result.sample),
        errors=[BulkError(job_id=job_id, code=code, message=message) for job_id, code, message in result.errors],
        next_cursor=result.next_cursor,
    )
    return json_answer(answer)


def _filters(asked: BulkFilter, call: Call) -> JobFilter:
    said = {name: value for name, value in msgspec.structs.asdict(asked).items() if value is not msgspec.UNSET}
    bound = call.identity.tenant
    if bound is not None and said.get("tenant", bound) != bound:
        # Taking the key's own tenant in its place would give the order to jobs that nobody meant.
        raise Forbidden(
            f"filter: the key {call.identity.name!r} is for the tenant {bound}", hint="leave the tenant out"
        )
    states = said.get("state", ())
    return JobFilter(
        states=(states,) if isinstance(states, str) else tuple(states),
        workflow=said.get("workflow"),
        tenant=bound or said.get("tenant"),
        labels=tuple(said.get("label", {}).items()),
        q=said.get("q"),
        created_after=instant(said.get("created_after"), "created_after", where="body"),
        created_before=instant(said.get("created_before"), "created_before", where="body"),
        failure=said.get("failure"),
    )

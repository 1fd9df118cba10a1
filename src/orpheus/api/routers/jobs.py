"""Jobs: create, list, look at."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from orpheus.api import body as bodies
from orpheus.api import multipart, render
from orpheus.api.calls import Answer, Call, Headers, json_answer
from orpheus.api.ending import ends_with_key
from orpheus.api.errors import Forbidden, MalformedBody, TooLarge, Unauthorized, UnsupportedBody
from orpheus.api.query import Cursor, Instant, Limit, instant
from orpheus.api.route import Media, Routes
from orpheus.api.routers._find import find_job, visible
from orpheus.api.submissions import from_multipart, placed, to_submission, to_submissions
from orpheus.core.errors import (
    BudgetExceeded,
    DefinitionConflict,
    IdempotencyConflict,
    InvalidGraph,
    InvalidParams,
    InvalidRequest,
    OrpheusError,
    QuotaExceeded,
    UnknownJob,
    UnknownWorkflow,
)
from orpheus.core.job import TERMINAL, Job
from orpheus.engine.base import Ended, JobFilter, Submission, Submitted
from orpheus.protocol.jobs import (
    KEY,
    LABEL,
    TENANT,
    AskStates,
    JobId,
    JobInfo,
    JobList,
    JobPage,
    JobStates,
    SubmitBatch,
    SubmitJob,
)

__all__ = ["routes"]

routes = Routes("jobs", "One run of a workflow: params in, artifacts and a result out.")

_SUBMIT_ERRORS = (
    MalformedBody,
    UnknownWorkflow,
    InvalidParams,
    InvalidGraph,
    InvalidRequest,
    IdempotencyConflict,
    QuotaExceeded,
    BudgetExceeded,
    DefinitionConflict,
    TooLarge,
    UnsupportedBody,
    Forbidden,
    UnknownJob,
)
_MULTIPART = Media(
    "multipart/form-data",
    "The fields of the JSON body (`params`, `labels` and `depends_on` as JSON text), then `file`. `workflow` is `media` "
    "when left out. A file part may also be named after the file param it is for.",
    {
        "type": "object",
        "properties": {
            "workflow": {"type": "string", "default": "media"},
            "params": {"type": "object", "description": "As JSON text."},
            "labels": {
                "type": "object",
                "additionalProperties": False,
                "patternProperties": {LABEL: {"type": "string"}},
            },
            "tenant": {"type": "string", "pattern": TENANT},
            "priority": {"type": "integer", "minimum": 1, "maximum": 5},
            "idempotency_key": {"type": "string", "pattern": KEY},
            "file": {"type": "string", "format": "binary"},
        },
        "required": ["file"],
        "additionalProperties": False,
    },
)


class SubmitQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    wait_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Wait up to so many seconds for the job's end."""


_KEY_HEADER = {"Idempotency-Key": ("The same key and body again give the same job (R21).", KEY)}


@routes.post(
    "/jobs",
    role="submit",
    query=SubmitQuery,
    body=SubmitJob,
    raw_body=(_MULTIPART,),
    answers={201: JobInfo, 200: JobInfo},
    errors=_SUBMIT_ERRORS,
    request_headers=_KEY_HEADER,
    answer_headers={"Location": "Where the job is."},
    examples={"count": {"workflow": "wordcount", "params": {"text": "one two two"}}},
)
async def submit(call: Call) -> Answer:
    """Create a job.

    Answers 201 after the commit that records it, or 200 when the idempotency key was used for the same body before. With
    `wait_s` the answer comes when the job has ended or the time is over, whichever is first; look at `state`.
    """
    services = call.services
    query: SubmitQuery = call.query
    wait_s = min(query.wait_s, services.options.max_wait_s)
    if call.body is None:
        parts = multipart.Parts(call.headers[b"content-type"], bodies.chunks(call))
        uploads: list[str] = []
        records: list[dict[str, Any]] = []
        try:
            submission = await from_multipart(call, parts, uploads, records)
            submitted, end = await _submit(call, submission, wait_s)
        except BaseException:
            await _discard(call, uploads)
            raise
        if submitted.created:
            for record in records:  # not before: what is refused leaves no row either
                await services.engine.add_file(record)
        else:
            await _discard(call, uploads)
    else:
        submission = await to_submission(call, call.body)
        submitted, end = await _submit(call, submission, wait_s)
    shown = None if end is None else await _until_end(call, submitted.job.job_id, end, wait_s)
    if shown is None:
        body = await _new_job(call, submission, submitted)
    else:
        body = await whole_job(call, shown.job, shown.parts)
    location = f"{call.root_path}/jobs/{submitted.job.job_id}".encode("ascii", "replace")
    return json_answer(body, status=201 if submitted.created else 200, headers=[(b"location", location)])


async def _submit(call: Call, submission: Submission, wait_s: float) -> tuple[Submitted, asyncio.Future[Ended] | None]:
    engine = call.services.engine
    if wait_s > 0 and not call.services.stopping.is_set():
        return await engine.submit_watched(submission)
    [submitted] = await engine.submit([submission])
    return submitted, None


async def _until_end(call: Call, job_id: str, end: asyncio.Future[Ended], wait_s: float) -> Ended | None:
    """Return the job at its end, or as it stands when the time is over; None when the server goes down or the caller's key
    comes to its end."""
    call.waits = True
    timer = asyncio.get_running_loop().call_later(wait_s, end.cancel)
    try:
        with ends_with_key(call):
            return await call.services.unless_stopping(end)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        assert task is not None, "requests are served by tasks"
        if task.cancelling():
            raise
        job = await call.services.engine.reads.job(job_id)  # it was the timer
        return None if job is None else Ended(job)
    except Unauthorized:
        return None  # the key was good when the job was created, and what has become of the job is not told any more
    finally:
        timer.cancel()
        end.cancel()


async def _discard(call: Call, keys: list[str]) -> None:
    for key in keys:
        await call.services.objects.delete(key)


async def _new_job(call: Call, submission: Submission, submitted: Submitted) -> JobInfo:
    job = submitted.job
    redaction = await call.services.catalog.redaction(job.definition_id)
    return render.job_info(
        job,
        params=redaction.params(submission.params),
        result=None,
        artifacts=[],
        waiting_for=render.waiting_by_row(job),
    )


async def _new_jobs(call: Call, submissions: Sequence[Submission], answered: Sequence[Submitted]) -> list[JobInfo]:
    """Show the jobs of a batch; most like another of it."""
    jobs: list[JobInfo] = []
    shown: dict[str, JobInfo] = {}
    like: Job | None = None
    for submission, submitted in zip(submissions, answered, strict=True):
        if submitted.like is None:
            info = await _new_job(call, submission, submitted)
            shown[info.job_id] = info
        else:
            if submitted.like is not like:
                like = submitted.like
                model, redaction = shown[like.job_id], await call.services.catalog.redaction(like.definition_id)
            info = render.job_beside(model, submitted.job, redaction.params(submission.params))
        jobs.append(info)
    return jobs


@routes.post(
    "/jobs/batch", role="submit", body=SubmitBatch, answers={201: JobList, 200: JobList}, errors=_SUBMIT_ERRORS
)
async def submit_batch(call: Call) -> Answer:
    """Create many jobs, all or none.

    An error names the job by its place: `/jobs/17/params/n`.
    """
    services = call.services
    batch: SubmitBatch = call.body
    if len(batch.jobs) > services.options.max_batch_jobs:
        raise TooLarge(f"a batch holds at most {services.options.max_batch_jobs} jobs", hint="send several batches")
    submissions = await to_submissions(call, batch.jobs)
    try:
        answered = await services.engine.submit(submissions)
    except OrpheusError as error:
        if len(submissions) == 1:  # of more, the engine says which
            raise placed(error, 0) from None
        raise
    jobs = await _new_jobs(call, submissions, answered)
    created = any(submitted.created for submitted in answered)
    return json_answer(JobList(items=jobs), status=201 if created else 200)


@routes.post(
    "/jobs/states",
    role="read",
    body=AskStates,
    answers={200: JobStates},
    errors=(MalformedBody, InvalidRequest, UnsupportedBody, TooLarge),
)
async def show_states(call: Call) -> Answer:
    """Show the states of up to 1,000 jobs by id; those that do not exist are left out."""
    asked: AskStates = call.body
    states = await call.services.engine.reads.states(asked.job_ids, tenant=call.identity.tenant)
    return json_answer(JobStates(states=states))


State = Literal["pending", "queued", "running", "completed", "failed", "cancelled"]


class JobsQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which jobs; what is repeated is taken together: any of the states, all of the labels."""

    state: list[State] = []
    workflow: str | None = None
    tenant: str | None = None
    label: list[Annotated[str, msgspec.Meta(pattern="^[^:]+:", description="`key:value`.")]] = []
    """`key:value`."""
    q: str | None = None
    """Text in the id, the workflow, the labels or the params."""
    created_after: Instant | None = None
    created_before: Instant | None = None
    parent: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    """A job: its child jobs. `none`: those that no job has opened."""
    depends_on: JobId | None = None
    """A job: those that were submitted to wait for it."""
    needed_by: JobId | None = None
    """A job: those that it was submitted to wait for."""
    failure: (
        Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$", description="A group as GET /failures names it.")] | None
    ) = None
    """A group of `GET /failures`."""
    limit: Limit = 50
    cursor: Cursor | None = None
    skip: Annotated[
        int,
        msgspec.Meta(
            ge=0,
            le=1_000_000,
            description="Leave out so many after the cursor. With one filter at most: a state or several, a tenant, a workflow, "
            "a label, a time.",
        ),
    ] = 0


@routes.get("/jobs", role="read", query=JobsQuery, answers={200: JobPage}, errors=(InvalidRequest,))
async def list_jobs(call: Call) -> Answer:
    """List jobs, newest first.

    Where little fits, a page is short, or empty, and still has a `next_cursor`: follow it to the end.
    """
    query: JobsQuery = call.query
    bound = call.identity.tenant
    if bound is not None and query.tenant not in (None, bound):
        return json_answer(JobPage(items=[], next_cursor=None))  # to this key there are no others
    filters = JobFilter(
        states=tuple(query.state) or (("failed",) if query.failure else ()),
        workflow=query.workflow,
        tenant=call.identity.tenant or query.tenant,
        labels=tuple(_label(label) for label in query.label),
        q=query.q or None,
        created_after=instant(query.created_after, "created_after"),
        created_before=instant(query.created_before, "created_before"),
        parent=query.parent,
        depends_on=query.depends_on,
        needed_by=query.needed_by,
        failure=query.failure,
    )
    jobs, cursor = await call.services.engine.reads.jobs(
        filters, limit=query.limit, cursor=query.cursor, skip=query.skip
    )
    items = [render.job_info(job, waiting_for=render.waiting_by_row(job)) for job in jobs]
    return json_answer(JobPage(items=items, next_cursor=cursor))


def _label(text: str) -> tuple[str, str]:
    key, colon, value = text.partition(":")
    if not colon or not key:
        raise InvalidRequest(
            f"query: label {text[:80]!r} is not key:value",
            details=[{"path": "/label", "message": "not key:value", "in": "query"}],
        )
    return key, value


class JobQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    wait_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Wait up to so many seconds for the job's end."""


@routes.get(
    "/jobs/{job_id}",
    role="read",
    query=JobQuery,
    answers={200: JobInfo, 304: None},
    errors=(UnknownJob, InvalidRequest),
    request_headers={"If-None-Match": "An ETag; 304 when the job still looks the same."},
    answer_headers={"ETag": "Changes when anything shown changes."},
    timed=False,
)
async def show_job(call: Call) -> Answer:
    """Show a job.

    With `wait_s` the answer comes when the job has ended or the time is over, whichever is first; look at `state`.
    """
    query: JobQuery = call.query
    services = call.services
    if query.wait_s > 0 and not services.stopping.is_set():
        job = await _wait(call, min(query.wait_s, services.options.max_wait_s))
    else:
        job = await find_job(call)
    body = msgspec.json.encode(await whole_job(call, job))
    etag = b'"' + hashlib.blake2b(body, digest_size=16).hexdigest().encode() + b'"'
    headers: Headers = [(b"etag", etag), (b"cache-control", b"no-cache")]
    asked = call.headers.get(b"if-none-match", b"")
    if asked and etag in (tag.strip().removeprefix(b"W/") for tag in asked.split(b",")):
        return Answer(b"", 304, None, headers)
    return Answer(body, headers=headers)


async def _wait(call: Call, wait_s: float) -> Job:
    services = call.services
    job_id = call.path["job_id"]
    waiting = services.engine.wait_job(job_id, wait_s=wait_s, tenant=call.identity.tenant)
    ended = await services.unless_stopping(waiting)
    return visible(call, ended, job_id) if ended is not None else await find_job(call)


async def whole_job(call: Call, job: Job, parts: tuple[Any, Any] | None = None) -> JobInfo:
    """Show everything about a job.

    Args:
        parts: its params and result where they are known; then it has no artifacts.
    """
    reads = call.services.engine.reads
    rows: Sequence[Mapping[str, Any]] = ()
    if parts is None:
        params, result, rows = await reads.job_parts(job.job_id, artifacts=job.has_files)
    else:
        params, result = parts
    reasons = [] if job.state in TERMINAL else await reads.waiting_for_job(job)
    redaction = await call.services.catalog.redaction(job.definition_id)
    return render.job_info(
        job,
        params=redaction.params(params),
        result=render.shown_result(job, redaction.result(result), large_bytes=call.services.options.large_result_bytes),
        artifacts=[render.artifact_info(job.job_id, row) for row in rows],
        waiting_for=reasons,
    )

"""The operations on jobs, each once (effects.py). They hold every decision that both clients share."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any, TypedDict

import msgspec

from orpheus.client.effects import Operation, Together
from orpheus.client.errors import InvalidInput, JobFailed, WaitTimeout
from orpheus.client.params import is_plain, to_params, workflow_body
from orpheus.client.requests import LONG_POLL_S, Request, decoder, encode, get, job_path, post
from orpheus.client.retrying import Patience, send
from orpheus.protocol.estimates import EstimateInfo
from orpheus.protocol.jobs import (
    ApproveBody,
    CancelBody,
    DependsOn,
    JobInfo,
    RejectBody,
    RetryBody,
    SubmitBatch,
    SubmitJob,
)

ENDED = frozenset({"completed", "failed", "cancelled"})
BATCH = 500
"""Jobs in one `POST /jobs/batch`: large enough that one commit carries many, small enough for a request of some 100 KB."""
BATCH_BYTES = 4 * 1024 * 1024
"""A batch that would be larger is sent in parts: servers bound the body of a request."""
BATCHES_IN_FLIGHT = 4

_JOB = decoder(JobInfo)
_ESTIMATE = decoder(EstimateInfo)
_JSON = decoder(object)


class _Batch(msgspec.Struct):
    items: list[JobInfo]


_BATCH = decoder(_Batch)


class JobOptions(TypedDict, total=False):
    """What may be said about a job besides workflow and params (design.md section 5)."""

    tenant: str | None
    priority: int | None
    run_at: datetime | str | None
    delay_s: float | None
    depends_on: Sequence[str | DependsOn | Mapping[str, str]]
    requires_approval: bool | None
    budget: float | None
    idempotency_key: str | None
    timeout_s: float | None
    labels: Mapping[str, str]
    webhook_url: str | None


class NewJob(JobOptions, total=False):
    """One job for `submit_many`: options, workflow and params in one mapping."""

    workflow: Any
    params: Mapping[str, Any] | None


_NAMED_BY_MOST = frozenset({"workflow", "params"})


def plain_body(job: SubmitJob | NewJob | Mapping[str, Any], key: str) -> SubmitJob | None:
    """Make the body of a job in which nothing is to be turned into anything, as nearly all of many are; None: see `build`."""
    if type(job) is not dict or not _NAMED_BY_MOST.issuperset(job):
        return None
    workflow: Any = job.get("workflow")
    params: Any = job.get("params") or {}
    if type(workflow) is not str or not is_plain(params):
        return None
    return SubmitJob(workflow=workflow, params=params, idempotency_key=key)


def build(job: SubmitJob | NewJob | Mapping[str, Any], key: str, patience: Patience) -> Operation[SubmitJob]:
    """Make the body of one job; `key` is its idempotency key unless it has one (R21)."""
    given: dict[str, Any] = msgspec.structs.asdict(job) if isinstance(job, SubmitJob) else dict(job)
    if "workflow" not in given:
        raise InvalidInput("a job needs a `workflow`")
    given["workflow"] = workflow_body(given["workflow"])
    given["params"] = yield from to_params(dict(given.get("params") or {}), patience, tenant=given.get("tenant"))
    given["idempotency_key"] = given.get("idempotency_key") or key
    given["depends_on"] = [_dependency(one) for one in given.get("depends_on") or ()]
    given["labels"] = dict(given.get("labels") or {})
    if isinstance(given.get("run_at"), datetime):
        given["run_at"] = rfc3339(given["run_at"], "run_at")
    try:
        return SubmitJob(**given)
    except TypeError as error:
        raise InvalidInput(f"a job has no such option: {error}") from None


def _dependency(one: str | DependsOn | Mapping[str, str]) -> str | DependsOn:
    if isinstance(one, str | DependsOn):
        return one
    try:
        return msgspec.convert(dict(one), DependsOn)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise InvalidInput(
            f"depends_on: {one!r} is neither a job's id nor a mapping with `job` and `on`: {error}"
        ) from None


def rfc3339(when: datetime, name: str) -> str:
    """Write an instant.

    Raises:
        InvalidInput: it has no time zone.
    """
    if when.tzinfo is None:
        raise InvalidInput(f"{name} has no time zone: say datetime.now(timezone.utc), or .astimezone() for local time")
    return when.astimezone(UTC).isoformat()


def new_key() -> str:
    """Return a key that nobody else makes. It begins with the time: jobs that come one after the other are neighbours in the server's
    index, where random keys change a page of the file each, and in a long history read it first."""
    return f"auto-{time.time_ns() // 1_000_000:012x}{token_hex(10)}"


def submit(job: NewJob | SubmitJob | Mapping[str, Any], patience: Patience) -> Operation[JobInfo]:
    """Upload its files, then create the job. Safe to repeat: it carries a key."""
    body = yield from _body(job, patience)
    return _JOB((yield from send(post("/jobs", body), patience)))


def _body(job: NewJob | SubmitJob | Mapping[str, Any], patience: Patience) -> Operation[SubmitJob]:
    key = new_key()
    return plain_body(job, key) or (yield from build(job, key, patience))


def submit_many(
    jobs: Iterable[SubmitJob | NewJob | Mapping[str, Any]],
    patience: Patience,
    *,
    batch: int = BATCH,
    in_flight: int = BATCHES_IN_FLIGHT,
) -> Operation[list[JobInfo]]:
    """Create jobs in batches, several on their way at a time; the result keeps the order.

    Each request is atomic, the whole is not: when a batch is refused, earlier ones stand. Every job has a key of its own,
    so a batch whose answer was lost is sent again without doubling anything.
    """
    # One random part and a counter: cheap, and neighbours in the server's index in the order in which they come.
    prefix = new_key()
    numbered = enumerate(jobs)

    def batches() -> Iterable[Operation[list[JobInfo]]]:
        while chunk := list(itertools.islice(numbered, batch)):
            yield _submit_batch(chunk, prefix, patience)

    done: list[list[JobInfo]] = yield Together(batches(), in_flight)
    return list(itertools.chain.from_iterable(done))


def _submit_batch(
    chunk: list[tuple[int, SubmitJob | NewJob | Mapping[str, Any]]], prefix: str, patience: Patience
) -> Operation[list[JobInfo]]:
    bodies = []
    for number, job in chunk:
        key = f"{prefix}-{number:08x}"
        bodies.append(plain_body(job, key) or (yield from build(job, key, patience)))
    return (yield from _send_batch(bodies, patience))


def _send_batch(bodies: list[SubmitJob], patience: Patience) -> Operation[list[JobInfo]]:
    request = post("/jobs/batch", SubmitBatch(jobs=bodies))
    if isinstance(request.body, bytes) and len(request.body) > BATCH_BYTES and len(bodies) > 1:
        half = len(bodies) // 2
        first = yield from _send_batch(bodies[:half], patience)
        return first + (yield from _send_batch(bodies[half:], patience))
    return _BATCH((yield from send(request, patience))).items


def fetch(job_id: str, patience: Patience) -> Operation[JobInfo]:
    return _JOB((yield from send(get(job_path(job_id)), patience)))


def wait(job_id: str, timeout_s: float | None, patience: Patience) -> Operation[JobInfo]:
    """Long-poll until the job has ended.

    Raises:
        WaitTimeout: it had not after `timeout_s`.
    """
    return (yield from _wait(job_id, timeout_s, _deadline(timeout_s), patience))


def _wait(job_id: str, timeout_s: float | None, deadline: float | None, patience: Patience) -> Operation[JobInfo]:
    while True:
        left = _left(deadline)
        query = {"wait_s": round(left, 3)} if left > 0 else {}
        job = _JOB((yield from send(get(job_path(job_id), query, extra_wait_s=left), patience)))
        if job.state in ENDED:
            return job
        if deadline is not None and time.monotonic() >= deadline:
            raise WaitTimeout(f"job {job_id} is still {job.state} after {timeout_s:g} s", job_id=job_id)


def _deadline(timeout_s: float | None) -> float | None:
    return None if timeout_s is None else time.monotonic() + timeout_s


def _left(deadline: float | None) -> float:
    """Return how long the next request may wait at the server."""
    return LONG_POLL_S if deadline is None else min(LONG_POLL_S, max(0.0, deadline - time.monotonic()))


def run(job: NewJob | SubmitJob | Mapping[str, Any], wait_s: float | None, patience: Patience) -> Operation[Any]:
    """Create a job, wait for its end and return its result, by one request where the job is short. Safe to repeat: the key
    makes the second try wait for the job of the first.

    Raises:
        JobFailed: it ended as failed or cancelled.
        WaitTimeout: it did not end within `wait_s` of its creation; it goes on.
    """
    body = yield from _body(job, patience)
    deadline = _deadline(wait_s)
    done = _JOB((yield from send(post("/jobs", body, wait_s=_left(deadline)), patience)))
    if done.state not in ENDED:
        done = yield from _wait(done.job_id, wait_s, deadline, patience)
    return (yield from _result_of(done, patience))


def result(job_id: str, timeout_s: float | None, patience: Patience) -> Operation[Any]:
    """Wait, and return the job's result, however large.

    Raises:
        JobFailed: it ended as failed or cancelled.
        WaitTimeout: it did not end in time.
    """
    return (yield from _result_of((yield from wait(job_id, timeout_s, patience)), patience))


def _result_of(job: JobInfo, patience: Patience) -> Operation[Any]:
    if job.state != "completed":
        raise JobFailed(job)
    if isinstance(job.result, dict) and job.result.keys() == {"$large"}:
        return _JSON((yield from send(get(job_path(job.job_id, "result")), patience)))
    return job.result


def order(request: Request, patience: Patience) -> Operation[JobInfo]:
    """Bring an order to a job and return the job as it then stands."""
    return _JOB((yield from send(request, patience)))


def cancel_request(job_id: str, reason: str) -> Request:
    return post(job_path(job_id, "cancel"), CancelBody(reason=reason))


def estimate(job: NewJob | SubmitJob | Mapping[str, Any], patience: Patience) -> Operation[EstimateInfo]:
    """Ask what a job would cost and how long it would take; its files are uploaded, nothing else is made."""
    body = yield from build(job, new_key(), patience)
    body.idempotency_key = None
    return _ESTIMATE((yield from send(post("/estimate", body), patience)))


def retry_request(job_id: str, from_task: str | None, params: Any = None, budget: float | None = None) -> Request:
    """Twice would begin two generations when the first has already failed again, so it is not repeated."""
    body = RetryBody(from_task=from_task, params=params, budget=budget)
    return post(job_path(job_id, "retry"), body, repeatable=False)


def approve_request(job_id: str, params: Any, comment: str, budget: float | None = None) -> Request:
    return post(job_path(job_id, "approve"), ApproveBody(params=params, comment=comment, budget=budget))


def reject_request(job_id: str, reason: str) -> Request:
    return post(job_path(job_id, "reject"), RejectBody(reason=reason))


def simple_request(job_id: str, verb: str) -> Request:
    """pause, resume."""
    return Request("POST", job_path(job_id, verb), headers={"content-type": "application/json"}, body=encode({}))


def retry(
    job_id: str, from_task: str | None, params: Mapping[str, Any] | None, budget: float | None, patience: Patience
) -> Operation[JobInfo]:
    """Begin a new generation, perhaps with other params (R20)."""
    wire = None if params is None else (yield from to_params(dict(params), patience))
    return (yield from order(retry_request(job_id, from_task, wire, budget), patience))


def approve(
    job_id: str, params: Mapping[str, Any] | None, comment: str, budget: float | None, patience: Patience
) -> Operation[JobInfo]:
    """Approve a pending job, perhaps with edited params (R15)."""
    wire = None if params is None else (yield from to_params(dict(params), patience))
    return (yield from order(approve_request(job_id, wire, comment, budget), patience))


def filters(
    *,
    state: str | Sequence[str] | None,
    workflow: str | None,
    tenant: str | None,
    label: Mapping[str, str] | None,
    q: str | None,
    created: tuple[str | None, str | None],
    parent: str | None = None,
    failure: str | None = None,
) -> dict[str, Any]:
    """Return the query of `GET /jobs`; `created` is the span (after, before)."""
    return {
        "state": state if state is None or isinstance(state, str) else list(state),
        "workflow": workflow,
        "tenant": tenant,
        "label": [f"{name}:{value}" for name, value in (label or {}).items()],
        "q": q,
        "created_after": created[0],
        "created_before": created[1],
        "parent": parent,
        "failure": failure,
    }

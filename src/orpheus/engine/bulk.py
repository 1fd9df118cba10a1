"""One order to many jobs: walk the list that the filter means, and tell job by job (R18, R20, R26).

The list is walked from the newest job back, a page at a time, in a reader's thread; of each page a handful of orders is
queued at a time, each an operation of its own. So claims and reports that come meanwhile wait for a few orders at most,
and a job that refuses holds up nobody. What was told before a crash stays told; the same order again goes on with the rest.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orpheus.core import facts as f
from orpheus.core.errors import InvalidRequest, OrpheusError
from orpheus.core.job import TERMINAL, Job, JobState
from orpheus.core.suggest import did_you_mean, quoted
from orpheus.engine.base import BulkOrder, BulkResult, JobFilter, Reads
from orpheus.engine.work import Operation, Work

if TYPE_CHECKING:
    from collections.abc import Awaitable

PAGE = 100
AT_A_TIME = 20
"""Orders in the queue at a time: some 10 ms of the writer's time that others may have to wait."""
SAMPLE = 20
MOST = 10_000
"""Most jobs of one request."""
PAGES = 200
"""Pages read for one request, some of which may be short: a filter that meets little takes some seconds, then the caller asks on."""

_OPEN = (JobState.PENDING.value, JobState.QUEUED.value, JobState.RUNNING.value)
DONE, UNCHANGED, SKIPPED = "done", "unchanged", "skipped"


class TellMany(Operation):
    """One of the orders; the result says whether it changed anything."""

    name = "bulk"

    def __init__(self, job_id: str, fact: f.Fact) -> None:
        self._job_id = job_id
        self._fact = fact

    def run(self, work: Work) -> bool:
        return bool(work.tell(self._job_id, self._fact).events)


def _cancel(job: Job) -> str:
    if job.cancel_requested_at is not None:
        return UNCHANGED
    return SKIPPED if job.state in TERMINAL else DONE


def _retry(job: Job) -> str:
    return DONE if job.state in (JobState.FAILED, JobState.CANCELLED) else SKIPPED


def _decide(job: Job) -> str:
    waits = job.state is JobState.PENDING and job.requires_approval and job.closing is None
    return DONE if waits and job.approved_at is None else SKIPPED


def _pause(job: Job) -> str:
    if job.state in TERMINAL or job.closing is not None:
        return SKIPPED
    return UNCHANGED if job.paused else DONE


def _resume(job: Job) -> str:
    if job.state in TERMINAL:
        return SKIPPED
    return DONE if job.paused else UNCHANGED


ACTIONS: Mapping[str, tuple[Callable[[BulkOrder], f.Fact], Callable[[Job], str], tuple[str, ...]]] = {
    "cancel": (lambda order: f.CancelRequested(reason=order.reason, actor=order.actor), _cancel, _OPEN),
    "retry": (lambda order: f.RetryRequested(actor=order.actor), _retry, (JobState.FAILED.value,)),
    "approve": (
        lambda order: f.JobApproved(comment=order.reason, actor=order.actor),
        _decide,
        (JobState.PENDING.value,),
    ),
    "reject": (
        lambda order: f.JobRejected(reason=order.reason, actor=order.actor),
        _decide,
        (JobState.PENDING.value,),
    ),
    "pause": (lambda order: f.PauseRequested(actor=order.actor), _pause, _OPEN),
    "resume": (lambda order: f.ResumeRequested(actor=order.actor), _resume, _OPEN),
}
"""By action: the fact, what would come of it by the job's row, and the states it is for when none is named."""


def check(order: BulkOrder) -> None:
    """Refuse an order that is not one, or that would mean every job there is by mistake.

    Raises:
        InvalidRequest: with the field.
    """
    if order.action not in ACTIONS:
        raise InvalidRequest(
            f"{quoted(order.action)} cannot be done to many jobs",
            hint=did_you_mean(order.action, tuple(ACTIONS)),
            details=[{"path": "/action", "message": "unknown action"}],
        )
    if order.filters == JobFilter():
        raise InvalidRequest(
            "filter: an empty one would mean every job",
            hint="Name at least one of state, workflow, tenant, label, q, created_after, created_before.",
            details=[{"path": "/filter", "message": "empty"}],
        )
    if not 1 <= order.limit <= MOST:
        raise InvalidRequest(f"limit is 1 to {MOST}", details=[{"path": "/limit", "message": f"1 to {MOST}"}])


async def carry_out(order: BulkOrder, reads: Reads, do: Callable[[Operation], Awaitable[Any]]) -> BulkResult:
    """Do it, or only count."""
    check(order)
    make, predict, states = ACTIONS[order.action]
    filters = order.filters if order.filters.states else replace(order.filters, states=states)
    outcomes: Counter[str] = Counter()
    sample: list[str] = []
    errors: list[tuple[str, str, str]] = []
    matched, cursor = 0, order.cursor

    async def tell(job: Job) -> str:
        try:
            return DONE if await do(TellMany(job.job_id, make(order))) else UNCHANGED
        except OrpheusError as error:
            if error.status >= 500:
                raise
            if len(errors) < SAMPLE:
                errors.append((job.job_id, error.code, error.message))
            return error.code

    for _ in range(PAGES):
        jobs, cursor = await reads.jobs(filters, limit=min(PAGE, order.limit - matched), cursor=cursor)
        matched += len(jobs)
        told = [job for job in jobs if predict(job) == DONE]
        outcomes.update(outcome for job in jobs if (outcome := predict(job)) != DONE)
        for start in range(0, len(told), AT_A_TIME):
            some = told[start : start + AT_A_TIME]
            came = [DONE] * len(some) if order.dry_run else await asyncio.gather(*map(tell, some))
            outcomes.update(came)
            done = (job.job_id for job, outcome in zip(some, came, strict=True) if outcome == DONE)
            sample += list(done)[: SAMPLE - len(sample)]
        if cursor is None or matched >= order.limit:
            break
    return BulkResult(
        matched=matched, outcomes=dict(outcomes), sample=tuple(sample), errors=tuple(errors), next_cursor=cursor
    )

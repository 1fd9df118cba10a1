"""Queues, tenants, and orders to many jobs, as users see them (formats.md)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from orpheus.protocol.jobs import YEARS_S, Instant, LabelKey, LabelValue, Priority, Reason, Tenant


class RateLimit(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """At most `limit` starts in any `period_s` seconds."""

    limit: Annotated[int, msgspec.Meta(ge=1, lt=1_000_000_000)]
    period_s: Annotated[float, msgspec.Meta(gt=0, le=YEARS_S)]


class QueueInfo(msgspec.Struct, kw_only=True):
    name: str
    paused: bool
    ready: int
    """Its depth: tasks that wait for a worker."""
    running: int
    concurrency: int | None
    """Most tasks that run at a time; null is no limit."""
    rate_limit: Any
    """`{"limit": n, "period_s": s}`, or null."""
    oldest_wait_s: float | None = None
    """How long the task that stands first has been ready; null when none is."""


class QueuePage(msgspec.Struct, kw_only=True):
    items: list[QueueInfo]
    next_cursor: str | None = None


class PatchQueue(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Body of `PATCH /queues/{name}`: what is left out stays; null takes a limit away."""

    paused: bool | msgspec.UnsetType = msgspec.UNSET
    concurrency: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | msgspec.UnsetType | None = msgspec.UNSET
    rate_limit: RateLimit | msgspec.UnsetType | None = msgspec.UNSET


class TenantInfo(msgspec.Struct, kw_only=True):
    name: str
    weight: float
    """Its share of claims beside other tenants that have something ready: 2 is twice as many as 1."""
    max_running: int | None
    """Most of its tasks that run at a time; null is no limit."""
    max_open_jobs: int | None
    """Most of its jobs that have not ended; null is no limit."""
    max_priority: int | None
    """The highest priority (1 is the highest) that its tasks get; null is no cap."""
    open_jobs: int
    running: int
    """Tasks that run now."""
    jobs: dict[str, int]
    """Counts by state."""


class TenantPage(msgspec.Struct, kw_only=True):
    items: list[TenantInfo]
    next_cursor: str | None = None


Quantity = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]


class PatchTenant(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Body of `PATCH /tenants/{name}`: what is left out stays; null takes a setting away."""

    weight: Annotated[float, msgspec.Meta(ge=0.001, le=1000)] | msgspec.UnsetType | None = msgspec.UNSET
    max_running: Quantity | msgspec.UnsetType | None = msgspec.UNSET
    max_open_jobs: Quantity | msgspec.UnsetType | None = msgspec.UNSET
    max_priority: Priority | msgspec.UnsetType | None = msgspec.UNSET


class PatchJob(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Body of `PATCH /jobs/{job_id}`: what is left out stays."""

    labels: Annotated[dict[LabelKey, LabelValue | None], msgspec.Meta(max_length=64)] = {}
    """Labels to set; null takes one away, those that are not named stay."""
    priority: Priority | None = None
    """Reorders what waits for a worker; what runs goes on. Not for a job that has ended."""


JobState = Literal["pending", "queued", "running", "completed", "failed", "cancelled"]
Action = Literal["cancel", "retry", "approve", "reject", "pause", "resume"]


class BulkFilter(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which jobs: the words of `GET /jobs`; at least one of them, and none that says nothing: a null sent by mistake must not
    mean every job."""

    state: Annotated[list[JobState], msgspec.Meta(min_length=1)] | JobState | msgspec.UnsetType = msgspec.UNSET
    """Any of them. Left out: those that the action is for."""
    workflow: Annotated[str, msgspec.Meta(min_length=1)] | msgspec.UnsetType = msgspec.UNSET
    tenant: Tenant | msgspec.UnsetType = msgspec.UNSET
    label: Annotated[dict[LabelKey, LabelValue], msgspec.Meta(min_length=1, max_length=64)] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    """All of them."""
    q: Annotated[str, msgspec.Meta(min_length=1)] | msgspec.UnsetType = msgspec.UNSET
    """Text in the id, the workflow, the labels or the params."""
    created_after: Instant | msgspec.UnsetType = msgspec.UNSET
    created_before: Instant | msgspec.UnsetType = msgspec.UNSET
    failure: (
        Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$", description="A group as GET /failures names it.")]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    """A group of `GET /failures`."""


class BulkBody(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Body of `POST /jobs/bulk`."""

    action: Action
    filter: Annotated[BulkFilter, msgspec.Meta(extra_json_schema={"minProperties": 1})]
    dry_run: bool = False
    """Change nothing, and say what would come of it."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1000
    """Most jobs looked at in this request, the newest first; `next_cursor` goes on from there."""
    cursor: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    reason: Reason = ""
    """Of a cancel or a rejection, comment of an approval; stands in each job's events."""


class BulkError(msgspec.Struct, kw_only=True):
    job_id: str
    code: str
    message: str


class BulkAnswer(msgspec.Struct, kw_only=True):
    """What came of an order to many jobs."""

    action: str
    dry_run: bool
    matched: int
    """Jobs that the filter meets, of those looked at."""
    outcomes: dict[str, int]
    """`done`, `unchanged` (it was so already), `skipped` (the action is not for such a job), and refusals by code."""
    sample: list[str]
    """The first 20 jobs it was, or would be, done to."""
    errors: list[BulkError]
    """The first 20 refusals."""
    next_cursor: str | None
    """There may be more: send the same again with it as `cursor`. Null at the end."""

"""Jobs, tasks, events and files as users see them (formats.md). Instants are RFC 3339 UTC with milliseconds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from orpheus.protocol.waits import ApprovalInfo

YEARS_S = 315_360_000
"""Ten years: the longest delay or limit that is taken."""

TENANT = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
KEY = "^[!-~]([ -~]{0,253}[!-~])?$"
LABEL = "^[A-Za-z0-9_][A-Za-z0-9_./-]{0,62}$"
Tenant = Annotated[str, msgspec.Meta(pattern=TENANT, description="Letters, digits and . _ - (not first); at most 63.")]
WorkflowName = Annotated[
    str, msgspec.Meta(min_length=1, max_length=300, description="`name` (the newest version) or `name@version`.")
]
WorkflowGraph = Annotated[
    dict[str, Any],
    msgspec.Meta(description="A whole workflow definition; its JSON Schema is at GET /workflows/schema."),
]
Priority = Annotated[int, msgspec.Meta(ge=1, le=5, description="1 is the highest, 5 the lowest.")]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=YEARS_S)]
IdempotencyKey = Annotated[str, msgspec.Meta(pattern=KEY, description="Printable ASCII, at most 255 characters.")]
Instant = Annotated[
    str,
    msgspec.Meta(max_length=64, description="RFC 3339 with a time zone.", extra_json_schema={"format": "date-time"}),
]
LabelKey = Annotated[
    str, msgspec.Meta(pattern=LABEL, description="Names of labels: letters, digits and _ . / -; at most 63.")
]
LabelValue = Annotated[
    str, msgspec.Meta(max_length=255, description="Values of labels are text, at most 255 characters.")
]
JobId = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Budget = Annotated[float, msgspec.Meta(ge=0, le=1e12, description="In the currency of the tasks' prices.")]
Url = Annotated[
    str,
    msgspec.Meta(
        max_length=2000, pattern="^https?://[!-~]+$", description="A whole http or https URL, at most 2000 characters."
    ),
]
Reason = Annotated[str, msgspec.Meta(max_length=4000)]


class DependsOn(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    job: JobId
    on: Literal["success", "end"] = "success"


class SubmitJob(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """Body of `POST /jobs`."""

    workflow: WorkflowName | WorkflowGraph
    """A published workflow's name (`talk`, or `talk@3` for a version), or a whole graph inline."""
    params: dict[str, Any] = {}
    """A file is `{"file_id": …}` (POST /files), `{"url": …}` or `{"artifact": {"job": …, "name": …}}`."""
    tenant: Tenant | None = None
    priority: Priority | None = None
    run_at: Instant | None = None
    """Not before this time. Not together with `delay_s`."""
    delay_s: Seconds | None = None
    depends_on: Annotated[list[JobId | DependsOn], msgspec.Meta(max_length=1000)] = []
    requires_approval: bool | None = None
    """Wait until a person approves. Left out, the workflow says: `@workflow(requires_approval=True)`."""
    idempotency_key: IdempotencyKey | None = None
    """The same key and body again give the same job (R21); also as the header `Idempotency-Key`."""
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=YEARS_S)] | None = None
    """From the moment the job leaves `pending` (R5)."""
    labels: Annotated[dict[LabelKey, LabelValue], msgspec.Meta(max_length=64)] = {}
    webhook_url: Url | None = None
    budget: Budget | None = None
    """What its tasks' prices may come to: refused when they surely come to more, failed before they do."""


class SubmitBatch(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /jobs/batch`: all of them or none."""

    jobs: Annotated[list[SubmitJob], msgspec.Meta(min_length=1)]


class AskStates(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /jobs/states`."""

    job_ids: Annotated[
        list[Annotated[str, msgspec.Meta(min_length=1, max_length=64)]], msgspec.Meta(min_length=1, max_length=1000)
    ]


class JobStates(msgspec.Struct, kw_only=True):
    """State by job id; jobs that do not exist are left out."""

    states: dict[str, str]


class WaitingFor(msgspec.Struct, kw_only=True):
    """Why a job or task does not move (promise 6)."""

    reason: str
    """approval, time, job, task, cap, stagger, slot, key, rate, resource, pause, worker, backoff, event, callback,
    child."""
    detail: str = ""
    since: str | None = None


class ErrorInfo(msgspec.Struct, kw_only=True):
    code: str
    message: str
    hint: str = ""
    retryable: bool = False
    task: str | None = None
    type: str | None = None
    details: dict[str, Any] = {}


class ArtifactInfo(msgspec.Struct, kw_only=True):
    name: str
    task: str
    index: int | None
    run_id: str
    sha256: str
    size_bytes: int
    content_type: str
    metadata: dict[str, Any]
    path: str
    """Where it is served: `/jobs/{job_id}/artifacts/{name}`."""


class ParentInfo(msgspec.Struct, kw_only=True):
    """What opened a child job."""

    job: str
    task: str
    index: int | None
    """The item's, when a map opened it."""


class JobInfo(msgspec.Struct, kw_only=True, gc=False):
    """A job. Lists leave out `params`, `result` and `artifacts`: they can be large."""

    job_id: str
    workflow: str
    workflow_version: int
    tenant: str
    state: str
    paused: bool
    priority: int
    labels: dict[str, str]
    params: Any = msgspec.UNSET
    result: Any = msgspec.UNSET
    """`{"$large": {"size_bytes", "href"}}` when it is large: fetch `href`."""
    error: ErrorInfo | None
    progress_percentage: float
    current_stage: str | None
    waiting_for: list[WaitingFor]
    tasks: dict[str, int]
    """Counts by state, and `total`."""
    artifacts: list[ArtifactInfo] | msgspec.UnsetType = msgspec.UNSET
    generation: int
    correlation_id: str
    idempotency_key: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    updated_at: str
    run_at: str | None
    schedule: str | None = None
    """The schedule that made it (R27), and the time of the run it stands for."""
    scheduled_for: str | None = None
    requires_approval: bool
    cancel_requested_at: str | None
    estimate: Any
    """Price and duration as they were expected at the submission, where somebody has to approve; see `POST /estimate`."""
    budget: float | None = None
    cost: float = 0.0
    """What its attempts have cost: by the prices of their tasks, or by their own word; those of cached tasks nothing."""
    parent: ParentInfo | None = None
    """Set for a child job."""


class AttemptInfo(msgspec.Struct, kw_only=True):
    attempt: int
    run_id: str
    worker: str | None
    """Its name; its session, once the name is forgotten."""
    started_at: str
    finished_at: str | None
    outcome: str | None
    """completed, failed, lost, timed_out, cancelled, returned; None while it runs."""
    error: ErrorInfo | None


class TaskInfo(msgspec.Struct, kw_only=True):
    name: str
    index: int | None
    state: str
    generation: int
    attempt: int
    max_retries: int
    queue: str
    version: int
    handler: str
    progress: float
    stage: str | None
    waiting_for: list[WaitingFor]
    result: Any
    error: ErrorInfo | None
    cached: bool
    run_id: str | None
    worker: str | None
    """Its name; its session, once the name is forgotten."""
    ready_at: str | None
    started_at: str | None
    finished_at: str | None
    child_job: str | None = None
    """The job that the node, or this item of a map, has opened."""
    approval: ApprovalInfo | msgspec.UnsetType = msgspec.UNSET
    """Approval nodes: what is asked, and what was decided."""
    compensated: bool = False
    """Its undo has completed (R19)."""
    attempts: list[AttemptInfo] | msgspec.UnsetType = msgspec.UNSET
    items: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
    """Maps: total, settled, failed, skipped."""


class EventInfo(msgspec.Struct, kw_only=True):
    seq: int
    type: str
    at: str
    job_id: str
    actor: str
    correlation_id: str
    task: str | None = None
    index: int | None = None
    run_id: str | None = None
    data: dict[str, Any] = {}
    cursor: str | msgspec.UnsetType = msgspec.UNSET


class LogInfo(msgspec.Struct, kw_only=True):
    at: str
    task: str
    index: int | None
    attempt: int
    run_id: str
    level: str
    stream: str
    message: str
    fields: dict[str, Any]


class FileInfo(msgspec.Struct, kw_only=True):
    file_id: str
    name: str
    size_bytes: int
    sha256: str
    content_type: str
    created_at: str


class CancelBody(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    reason: Reason = ""


class RetryBody(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    from_task: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    """Rewind to this node: it and all that depend on it run again (R20). Without it, what failed is tried again."""
    params: dict[str, Any] | None = None
    """Other values for these params; the rest stays. What reads them, and all that depends on it, runs again or is cached."""
    budget: Budget | None = None
    """Replaces the job's."""


class ApproveBody(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    params: dict[str, Any] | None = None
    comment: Reason = ""
    budget: Budget | None = None
    """Replaces the job's."""


class RejectBody(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    reason: Reason


class JobPage(msgspec.Struct, kw_only=True):
    """One page of jobs, newest first."""

    items: list[JobInfo]
    next_cursor: str | None = None
    """For the next page; null on the last. A page may be short, or empty, and still have one."""


class JobList(msgspec.Struct, kw_only=True):
    """What a batch created, in the order of the request."""

    items: list[JobInfo]


class TaskPage(msgspec.Struct, kw_only=True):
    items: list[TaskInfo]
    next_cursor: str | None = None


class EventPage(msgspec.Struct, kw_only=True):
    items: list[EventInfo]
    next_cursor: str | None = None


class LogPage(msgspec.Struct, kw_only=True):
    items: list[LogInfo]
    next_cursor: str | None = None


class ArtifactPage(msgspec.Struct, kw_only=True):
    items: list[ArtifactInfo]
    next_cursor: str | None = None


class WorkflowInfo(msgspec.Struct, kw_only=True):
    """A published workflow, its newest version."""

    name: str
    version: int
    versions: list[int]
    """Newest first."""
    definition_id: str
    description: str
    published_at: str | None
    params: Any
    """JSON Schema of the params; `"x-orpheus": "file"` marks a file."""
    result: Any
    """JSON Schema of the result, where known."""
    graph: Any = msgspec.UNSET
    """The whole definition; not in lists."""


class WorkflowPage(msgspec.Struct, kw_only=True):
    items: list[WorkflowInfo]
    next_cursor: str | None = None


class Stats(msgspec.Struct, kw_only=True):
    """Counts by state, cheap whatever the backlog."""

    jobs: dict[str, int]
    tasks: dict[str, int]


class HeldTask(msgspec.Struct, kw_only=True):
    """An attempt that a worker has in hand."""

    job_id: str
    task: str
    index: int | None
    attempt: int
    run_id: str
    handler: str
    started_at: str | None


class WorkerInfo(msgspec.Struct, kw_only=True):
    session_id: str
    worker: str
    host: str
    pid: int
    queues: list[str]
    """Empty is all."""
    slots: int
    resources: dict[str, int]
    handlers: list[str]
    running: int
    tasks: list[HeldTask]
    """What it has in hand; with the key of one tenant, only that tenant's."""
    memory_bytes: int
    supervised: bool
    alive: bool
    started_at: str | None
    last_seen_at: str | None


class WorkerPage(msgspec.Struct, kw_only=True):
    items: list[WorkerInfo]
    next_cursor: str | None = None


class ManifestArtifact(msgspec.Struct, kw_only=True):
    name: str
    path: str
    """Key in the object store."""
    task: str
    index: int | None
    run_id: str
    sha256: str
    size_bytes: int
    content_type: str
    metadata: dict[str, Any]


class Manifest(msgspec.Struct, kw_only=True):
    """What a job left behind (design.md section 6)."""

    format: int
    job_id: str
    tenant: str
    env: str
    workflow: str
    version: int
    state: str
    generation: int
    correlation_id: str
    created_at: str
    started_at: str | None
    finished_at: str | None
    source: Any
    """The (first) file that went in."""
    sources: list[dict[str, Any]]
    artifacts: list[ManifestArtifact]


class Page(msgspec.Struct, kw_only=True):
    """Every list."""

    items: list[Any]
    next_cursor: str | None = None

"""Jobs, tasks, events and files as users see them (formats.md). Instants are RFC 3339 UTC with milliseconds."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class DependsOn(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    job: str
    on: Literal["success", "end"] = "success"


class SubmitJob(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Body of `POST /jobs`."""

    workflow: str | dict[str, Any]
    """A published workflow's name (`talk`, or `talk@3` for a version), or a whole graph inline."""
    params: dict[str, Any] = {}
    tenant: str | None = None
    priority: int | None = None
    run_at: str | None = None
    delay_s: float | None = None
    depends_on: list[str | DependsOn] = []
    requires_approval: bool | None = None
    idempotency_key: str | None = None
    timeout_s: float | None = None
    labels: dict[str, str] = {}
    webhook_url: str | None = None


class SubmitBatch(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    jobs: list[SubmitJob]


class WaitingFor(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Why a job or task does not move (promise 6)."""

    reason: str
    """approval, time, job, task, cap, stagger, slot, key, rate, resource, pause, worker, backoff, event, callback, child."""
    detail: str = ""
    since: str | None = None


class ErrorInfo(msgspec.Struct, kw_only=True, omit_defaults=True):
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


class JobInfo(msgspec.Struct, kw_only=True):
    """A job, whole."""

    job_id: str
    workflow: str
    workflow_version: int
    tenant: str
    state: str
    paused: bool
    priority: int
    labels: dict[str, str]
    params: Any
    result: Any
    error: ErrorInfo | None
    progress_percentage: float
    current_stage: str | None
    waiting_for: list[WaitingFor]
    tasks: dict[str, int]
    """Counts by state, and `total`."""
    artifacts: list[ArtifactInfo]
    generation: int
    correlation_id: str
    idempotency_key: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    updated_at: str
    run_at: str | None
    requires_approval: bool
    cancel_requested_at: str | None
    estimate: Any


class AttemptInfo(msgspec.Struct, kw_only=True):
    attempt: int
    run_id: str
    worker: str | None
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
    ready_at: str | None
    started_at: str | None
    finished_at: str | None
    attempts: list[AttemptInfo] | msgspec.UnsetType = msgspec.UNSET
    items: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
    """Maps: total, settled, failed, skipped."""


class EventInfo(msgspec.Struct, kw_only=True, omit_defaults=True):
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
    reason: str = ""


class RetryBody(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    from_task: str | None = None


class ApproveBody(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    params: dict[str, Any] | None = None
    comment: str = ""


class RejectBody(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    reason: str


class Page(msgspec.Struct, kw_only=True):
    """Every list."""

    items: list[Any]
    next_cursor: str | None = None

"""The worker protocol, version 1: plain HTTP and JSON, so that a worker can be written in any language
(docs/worker-protocol.md).

    POST /worker/hello      Hello      → Welcome        once per start, and again when told `unknown_session`
    POST /worker/poll       Poll       → PollReply      waits up to 20 s while there is nothing to say; may bring reports
    POST /worker/report     Report     → ReportReply    never waits
    POST /worker/heartbeat  Heartbeat  → HeartbeatReply never waits
    POST /worker/bye        Bye        → {}             the drain is over
    PUT  /worker/runs/{run_id}/files/{name}             uploads a file of a run (Authorization: Bearer + X-Run-Token)
    GET  /worker/objects/{key}                          downloads an object (X-Run-Token of a run)

Instants never travel to a worker, only lengths of time: leases do not depend on its clock (promise 7).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

Whole = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""A number that every language's JSON keeps exactly."""
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
SessionId = Annotated[str, msgspec.Meta(min_length=16, max_length=200)]


class TaskSpec(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A task a worker offers. The same name and version with another `content` is a `definition_conflict` (R24)."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    version: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] = 1
    content: str = ""
    """Hash of signature and options."""
    made_with: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    """What this worker makes it with beside its arguments (a model, its weights, a service): part of the cache key (R23)."""
    params: dict[str, Any] = {}
    """JSON Schema of its arguments."""
    result: Any = None
    description: str = ""
    queue: str = "default"
    source: str = ""


class Hello(msgspec.Struct, kw_only=True, omit_defaults=True):
    protocol: int
    session_id: SessionId
    """Chosen by the worker, new at each start; at least 16 random characters."""
    worker: str
    """A name for people; need not be unique."""
    host: str = ""
    pid: Whole = 0
    queues: list[str] = []
    """Queues it serves; empty is all."""
    slots: Count = 1
    resources: dict[str, Whole] = {}
    tasks: list[TaskSpec] = []
    workflows: list[dict[str, Any]] = []
    """Graphs in their JSON form (core/graph.py)."""
    held: list[str] = []
    """Runs it still holds from before, when it says hello again."""
    supervised: bool = False
    """Started by `orpheus up` or `orpheus run`; /readyz waits for these."""


class Welcome(msgspec.Struct, kw_only=True, omit_defaults=True):
    protocol: int
    server: str
    """The server's version."""
    env: str
    lease_s: float
    poll_wait_s: float
    grace_s: float
    objects_root: str = ""
    """Folder of the object store on the server's machine."""
    objects_probe: str = ""
    """A key under it; a worker that reads `objects_probe_text` there shares the folder and need not upload or
    download."""
    objects_probe_text: str = ""
    inline_bytes: int = 65536
    """Results up to this size travel inline, larger ones are written as `.runs/{run_id}/result.json`."""
    unknown: list[str] = []
    """Of `held`, the runs that are no longer current: abandon them."""
    poll_reports: bool = False
    """A poll may carry `reports`."""


class Assignment(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One attempt to make."""

    run_id: str
    run_token: str
    """For files of the run. The token to give to another system that will bring the result is derived from it:
    `{run_id}.` and the hex of HMAC-SHA256 with `run_token` as the key and `callback` as the message."""
    job_id: str
    task: str
    """Name of the node."""
    index: int | None
    handler: str
    """Name of the task to run, e.g. `transcribe`."""
    version: int
    attempt: int
    max_retries: int
    tenant: str
    correlation_id: str
    traceparent: str | None = None
    args: dict[str, Any] = {}
    """May hold `$file`, `$spill` and `$secret` markers (docs/worker-protocol.md)."""
    start_to_close_s: float | None = None
    heartbeat_s: float | None = None
    last_heartbeat: Any = None
    resources: dict[str, int] = {}
    needed_paths: list[list[str | int]] = []
    """Paths into the result to report inline when the result is spilled."""
    object_prefix: str = ""
    """`{env}/{tenant}/{job_id}`, for information; a run writes only under `.runs/{run_id}/`."""


class CancelNotice(msgspec.Struct, kw_only=True, omit_defaults=True):
    run_id: str
    reason: str = ""
    grace_s: float = 10.0


class Poll(msgspec.Struct, kw_only=True, omit_defaults=True):
    session_id: str
    seq: Whole
    """Counts up by one with each new poll. The same number again gets the same answer (R8)."""
    held: list[str] = []
    """Every run received and not yet acknowledged by `report`. One that was granted and is missing here goes back
    (R8)."""
    free: Count = 0
    """How many tasks it can take now; 0 waits for cancellations only."""
    resources_free: dict[str, Whole] = {}
    wait_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] | None = None
    """Less than the server's `poll_wait_s`, if wanted."""
    reports: list[ReportItem] = []
    """What `report` would say, carried along where Welcome says `poll_reports`. Such a poll is answered a moment after
    their commit at the latest."""


class PollReply(msgspec.Struct, kw_only=True, omit_defaults=True):
    seq: int
    tasks: list[Assignment] = []
    cancel: list[CancelNotice] = []
    unknown: list[str] = []
    """Of `held`, runs that are no longer current: stop and forget them, their report would be `stale_run`."""
    superseded: bool = False
    """A newer poll of the same session took over; this answer is to be ignored, but for `reported`."""
    reported: list[ReportResult] = []
    """Answers to this very request's `reports`, item by item."""


class ReportedArtifact(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A file of the run: it lies at `.runs/{run_id}/{name}`, written and fsynced (or uploaded) before the report."""

    name: str
    sha256: str
    size_bytes: int
    content_type: str = "application/octet-stream"
    metadata: dict[str, Any] = {}


class ReportedError(msgspec.Struct, kw_only=True, omit_defaults=True):
    code: str = "task_failed"
    message: str = ""
    hint: str = ""
    type: str = ""
    """Class name of the exception."""
    traceback: str = ""
    final: bool = False
    """Not to be retried (`Permanent`)."""
    retry_after_s: float | None = None


class LogLine(msgspec.Struct, kw_only=True, omit_defaults=True):
    at_offset_s: float = 0.0
    """Seconds since the attempt began, by the worker's monotonic clock."""
    level: str = "info"
    message: str = ""
    stream: Literal["log", "stdout", "stderr"] = "log"
    fields: dict[str, Any] = {}


class ReportItem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One thing to say about a run."""

    run_id: str
    kind: Literal["completed", "failed", "cancelled", "waiting", "progress", "heartbeat", "log"]
    result: Any = None
    """completed: JSON, or `{"$spill": {"key": ".runs/{run_id}/result.json", "size_bytes": n, "path": [], "inline":
    [[path, value], …], "lengths": [[path, n], …]}}`."""
    artifacts: list[ReportedArtifact] = []
    error: ReportedError | None = None
    price: Annotated[float, msgspec.Meta(ge=0, le=1e12)] | None = None
    """completed, failed, waiting: what the attempt really cost, in place of its task's price."""
    timeout_s: float | None = None
    """waiting: how long to wait for the callback that brings the result."""
    fraction: float | None = None
    stage: str | None = None
    heartbeat: Any = None
    lines: list[LogLine] = []


class Report(msgspec.Struct, kw_only=True, omit_defaults=True):
    session_id: str
    items: list[ReportItem] = []


class ReportResult(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Answer to the item at the same place: `ok`, or the error (`stale_run` …)."""

    ok: bool
    code: str = ""
    message: str = ""


class ReportReply(msgspec.Struct, kw_only=True, omit_defaults=True):
    items: list[ReportResult] = []


class Heartbeat(msgspec.Struct, kw_only=True, omit_defaults=True):
    session_id: str
    held: list[str] = []
    memory_bytes: Whole = 0


class HeartbeatReply(msgspec.Struct, kw_only=True, omit_defaults=True):
    cancel: list[CancelNotice] = []
    unknown: list[str] = []


class Bye(msgspec.Struct, kw_only=True, omit_defaults=True):
    session_id: str

"""The contract every engine keeps: what can be asked of it, named after what happens to a job.

The API knows this file and nothing else of the engine. Two engines keep it: the embedded one (SQLite, `embedded.py`) and,
later, Temporal's. Both let the same core decide. Every method that changes something returns after the commit that
records it, and raises an `OrpheusError` that changed nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from orpheus.core.access import ApiKey
from orpheus.core.decision import Event
from orpheus.core.errors import OrpheusError, TaskError
from orpheus.core.estimate import Estimate
from orpheus.core.facts import ArtifactRef, Fact
from orpheus.core.graph import Graph
from orpheus.core.job import Job
from orpheus.core.log_lines import EVERY_LINE, LogFilter
from orpheus.core.schedule import Firing, Schedule
from orpheus.core.task import Task
from orpheus.engine.audit import AuditEntry, AuditFilter
from orpheus.engine.keyring import Keyring
from orpheus.engine.keys import NewKey
from orpheus.engine.upkeep_contract import UpkeepOrders
from orpheus.engine.wanted import Wanted
from orpheus.engine.webhook_contract import WebhookDesk


class Submission(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One job to create. The API has parsed it; the engine checks it against the definition and what is stored."""

    workflow: str | Mapping[str, Any]
    """`name`, `name@version`, or a graph in JSON."""
    params: Mapping[str, Any] = msgspec.field(default_factory=dict)
    tenant: str = "default"
    priority: int = 3
    run_at: float | None = None
    delay_s: float | None = None
    depends_on: tuple[tuple[str, str], ...] = ()
    """`(job_id, "success" | "end")`."""
    requires_approval: bool | None = None
    """None leaves it to the workflow."""
    idempotency_key: str | None = None
    fingerprint: str | None = None
    """Canonical hash of the body and of the uploaded file (R21); needed with a key."""
    timeout_s: float | None = None
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    webhook_url: str | None = None
    budget: float | None = None
    """What its tasks' prices may come to; the job fails before it passes this."""
    correlation_id: str = ""
    traceparent: str | None = None
    actor: str = "api"
    schedule: str | None = None
    """The schedule that made it (R27), and the slot it stands for."""
    scheduled_for: float | None = None


class Submitted(msgspec.Struct, frozen=True, gc=False):
    job: Job
    created: bool
    """False when the idempotency key had been used for the same body before."""
    like: Job | None = None
    """Another new job of the same request, from which this one differs in nothing but its ids, params, labels and key."""


class Ended(msgspec.Struct, frozen=True):
    """A job at its end."""

    job: Job
    parts: tuple[Any, Any] | None = None
    """Its params and result, where they are known without a look at its row; then it has no artifacts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerHello:
    session_id: str
    worker: str
    host: str = ""
    pid: int = 0
    queues: tuple[str, ...] = ()
    slots: int = 1
    resources: Mapping[str, int] = field(default_factory=dict)
    handlers: tuple[str, ...] = ()
    """`name@version` of every task it offers."""
    task_specs: tuple[Mapping[str, Any], ...] = ()
    workflows: tuple[Mapping[str, Any], ...] = ()
    held: tuple[str, ...] = ()
    supervised: bool = False


class Grant(msgspec.Struct, frozen=True):
    """A claimed task on its way to a worker."""

    run_id: str
    run_token: str
    task: Task
    job: Job
    args: Mapping[str, Any]
    max_retries: int
    start_to_close_s: float | None
    heartbeat_s: float | None
    resources: Mapping[str, int]
    needed_paths: tuple[tuple[str | int, ...], ...]


class CancelOrder(msgspec.Struct, frozen=True):
    run_id: str
    reason: str
    grace_s: float


class PollAnswer(msgspec.Struct, frozen=True):
    seq: int
    grants: tuple[Grant, ...] = ()
    cancel: tuple[CancelOrder, ...] = ()
    unknown: tuple[str, ...] = ()
    superseded: bool = False
    reported: tuple[OrpheusError | None, ...] = ()
    """What became of each report that this very request brought: None, or why it was refused."""


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """One item of a worker's report, parsed. `kind` as in protocol/worker.py."""

    run_id: str
    kind: str
    result: Any = None
    artifacts: tuple[ArtifactRef, ...] = ()
    error: TaskError | None = None
    final: bool = False
    retry_after_s: float | None = None
    price: float | None = None
    fraction: float | None = None
    stage: str | None = None
    heartbeat: Any = None
    lines: tuple[Mapping[str, Any], ...] = ()
    timeout_s: float | None = None
    """waiting: how long to wait for the callback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackTaken:
    """Answer to a callback; that of the run's first one, however often it is repeated (R22)."""

    job_id: str
    task: str
    index: int
    run_id: str
    received_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    states: tuple[str, ...] = ()
    workflow: str | None = None
    tenant: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    q: str | None = None
    """Substring of id, workflow, labels or params' text."""
    created_after: float | None = None
    created_before: float | None = None
    parent: str | None = None
    """A job: its child jobs. `none`: those that no job has opened."""
    depends_on: str | None = None
    """A job: those that were submitted to wait for it (R16)."""
    needed_by: str | None = None
    """A job: those that it was submitted to wait for."""
    failure: str | None = None
    """A group of failed jobs (`UpkeepOrders.failures`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkOrder:
    """One order to many jobs."""

    action: str
    """cancel, retry, approve, reject, pause or resume."""
    filters: JobFilter
    reason: str = ""
    """For cancel and reject; for approve it is the comment."""
    dry_run: bool = False
    limit: int = 1000
    """Most jobs looked at; the rest with the next cursor."""
    cursor: str | None = None
    actor: str = "api"


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkResult:
    """What came of it. `outcomes` counts `done`, `unchanged` (it was so already), `skipped` (the action is not for such a
    job), and refusals by their code; of a dry run what would come."""

    matched: int
    outcomes: Mapping[str, int]
    sample: tuple[str, ...]
    """The first jobs it is done to."""
    errors: tuple[tuple[str, str, str], ...]
    """`(job_id, code, message)` of the first refusals."""
    next_cursor: str | None


class PublishedEvent(msgspec.Struct, frozen=True):
    """An event on a stream: with its job's identity and its place there."""

    event: Event
    job_id: str
    tenant: str
    correlation_id: str
    epoch: str
    place: int

    @property
    def cursor(self) -> str:
        """The opaque cursor (R2); a text is made of it only for those who are told of the event."""
        return f"{self.epoch}.{self.place}"


@dataclass(frozen=True, slots=True)
class LiveMessage:
    """Progress or log lines of a run, for pages that watch: neither numbered nor stored in the stream, and dropped for a
    reader that is behind (R2)."""

    kind: str
    """`progress` or `log`."""
    job_id: str
    tenant: str
    task: str
    index: int | None
    run_id: str
    at: float
    data: Mapping[str, Any]
    """progress: `fraction`, `stage`, `progress_percentage`; log: `lines`."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why something does not move (promise 6)."""

    reason: str
    detail: str = ""
    since: float | None = None


class Reads(Protocol):
    """What the API shows. Runs beside the writer and never blocks it. Unknown things are None; `tenant` None sees all."""

    async def job(self, job_id: str) -> Job | None: ...
    async def job_payload(self, job_id: str) -> tuple[Any, Any]:
        """Return `(params, result)`, references in the result resolved as far as they are inline."""

    async def job_parts(self, job_id: str, *, artifacts: bool) -> tuple[Any, Any, list[Mapping[str, Any]]]:
        """Return `(params, result, artifacts)` in one read; `artifacts` says whether to look for any."""

    async def jobs(
        self, filters: JobFilter, *, limit: int, cursor: str | None, skip: int = 0
    ) -> tuple[list[Job], str | None]:
        """Return a page, newest first, and the cursor of the next one; `skip` leaves out so many after the cursor.

        Raises:
            InvalidRequest: the cursor is not one of this list, or there are more filters than skipping goes with.
        """
        ...

    async def states(self, job_ids: Sequence[str], *, tenant: str | None) -> dict[str, str]:
        """Return the states of the jobs among these that exist (and are the tenant's)."""

    async def tasks(
        self, job_id: str, *, node: str | None, states: Sequence[str], limit: int, cursor: str | None
    ) -> tuple[list[Task], str | None]: ...
    async def task_result(self, task: Task) -> Any: ...
    async def task_item(self, task: Task) -> Any:
        """Return what a map's item was given, or what an approval asks about."""

    async def attempts(self, task: Task) -> list[Mapping[str, Any]]: ...
    async def events(self, job_id: str, *, after: int, limit: int) -> list[Event]: ...
    async def logs(
        self, job_id: str, *, after: int, limit: int, filters: LogFilter = EVERY_LINE
    ) -> list[tuple[int, Mapping[str, Any]]]: ...
    async def artifacts(self, job_id: str) -> list[Mapping[str, Any]]: ...
    async def duplicates(self, job_id: str, *, distance: int, limit: int) -> list[Mapping[str, Any]]:
        """Return artifacts of the tenant's other jobs that look like one of this job's (`store/likenesses.py`)."""

    async def graph(self, definition_id: str) -> Graph | None: ...
    async def definition(self, definition_id: str) -> Mapping[str, Any] | None:
        """Return the graph's JSON as it was published."""

    async def workflows(self) -> list[Mapping[str, Any]]: ...
    async def inbox(
        self, *, tenant: str | None, limit: int, cursor: str | None
    ) -> tuple[list[tuple[Job, Task | None]], str | None]:
        """Return a page of what waits for a person's decision, the longest waiting first: jobs that nobody has approved
        (None beside them), and approval nodes."""

    async def waiting_for_job(self, job: Job) -> list[Waiting]: ...
    async def waiting_for_task(self, job: Job, task: Task) -> list[Waiting]: ...
    async def queues(self) -> list[Mapping[str, Any]]: ...
    async def tenants(self) -> list[Mapping[str, Any]]: ...
    async def workers(self) -> list[Mapping[str, Any]]:
        """Return the worker sessions; `tasks` of each holds the rows of what it has in hand."""

    async def worker_names(self, session_ids: Collection[str]) -> Mapping[str, str]:
        """Return what the workers of these sessions are called; those forgotten long ago are left out."""

    async def schedule(self, tenant: str, name: str) -> Schedule | None: ...
    async def schedules(self, *, tenant: str | None, after: tuple[str, str], limit: int) -> list[Schedule]:
        """Return a page in the order of (tenant, name), from behind `after` on."""

    async def firings(self, schedule_id: str, *, before: int | None, limit: int) -> list[tuple[int, Firing]]:
        """Return what became of a schedule's slots, the newest first, each with its number in the list."""

    def next_runs(self, schedule: Schedule, count: int) -> list[float]:
        """Return the schedule's next slots; none while it is paused."""

    async def audit(
        self, filters: AuditFilter, *, limit: int, cursor: str | None
    ) -> tuple[list[AuditEntry], str | None]:
        """Return who ordered what, newest first; a page may be short, or empty, and still have a cursor."""

    async def file(self, file_id: str) -> Mapping[str, Any] | None: ...
    async def jobs_of_tenant(self, tenant: str) -> Mapping[str, int]:
        """Count a tenant's jobs by state."""

    async def stats(self) -> Mapping[str, Any]:
        """Return counts and timings for /metrics; cheap whatever the backlog."""


class ScheduleOrders(Protocol):
    """What people do to schedules (R27)."""

    async def create(self, name: str, job: Submission, spec: Mapping[str, Any], *, actor: str) -> tuple[Schedule, bool]:
        """Make a schedule of this job's tenant. `spec` holds the fields of a `Schedule` that say when. The same again is
        the same one (False); another content under the name is `schedule_conflict`."""

    async def change(
        self, tenant: str, name: str, changes: Mapping[str, Any], *, job: Submission | None = None, actor: str
    ) -> Schedule:
        """Change some fields, and the job when one is given. New times count from now on; so does a schedule that was
        paused and goes on."""

    async def delete(self, tenant: str, name: str, *, actor: str) -> None:
        """Delete a schedule; the jobs it made stay."""

    async def run_now(self, tenant: str, name: str, *, actor: str) -> Firing:
        """Fire a schedule now, paused or not, under its overlap rule; its slots stay as they are."""


class Engine(Protocol):
    """What can be asked of an engine."""

    @property
    def reads(self) -> Reads: ...
    @property
    def upkeep(self) -> UpkeepOrders: ...
    @property
    def schedules(self) -> ScheduleOrders: ...

    @property
    def webhooks(self) -> WebhookDesk: ...

    async def start(self) -> None: ...
    async def stop(self) -> None:
        """Answer what waits, commit what is queued, close the store. Safe to call twice."""

    async def publish(self, definition: Mapping[str, Any], *, actor: str) -> Graph:
        """Store a workflow definition; the same again changes nothing, another content is `definition_conflict`."""

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        """Create all of the jobs or none (R21)."""

    async def submit_watched(self, submission: Submission) -> tuple[Submitted, asyncio.Future[Ended]]:
        """Create a job; give also what is done at the commit that ends it (of a known key: the job there is), with its row
        as it then stands. Whoever waits no longer cancels it; so does the engine when it stops."""

    async def estimate(self, submission: Submission) -> Estimate:
        """Say what a job would cost and how long it would take; nothing is created."""

    async def tell(self, job_id: str, fact: Fact, *, tenant: str | None = None) -> Job:
        """Bring a person's or program's order to a job: approve, reject (it or a node of it), signal, cancel, pause, resume,
        retry. A job of another tenant is unknown. An order already in effect changes nothing and succeeds."""

    async def call_back(self, token: str, *, result: Any = None, error: TaskError | None = None) -> CallbackTaken:
        """Bring the result or the error of a run from another system. Raises `UnknownCallback` for a token that was never
        given out, and `StaleRun` when its run is over (R22)."""

    async def bulk(self, order: BulkOrder) -> BulkResult:
        """Bring an order to every job that a filter meets, in small bounded batches, so that nobody else waits for it. Jobs
        created after it began are not met. May be repeated: what is in effect already is `unchanged`."""

    async def update_queue(self, name: str, changes: Mapping[str, Any], *, actor: str) -> Mapping[str, Any]:
        """Change some of a queue's settings: `paused` (bool), `concurrency` (int or null), `rate_limit` (`{"limit",
        "period_s"}` or null). Returns the queue as `Reads.queues` shows it. A pause stops claims only (R26)."""

    async def update_tenant(self, name: str, changes: Mapping[str, Any], *, actor: str) -> Mapping[str, Any]:
        """Change some of a tenant's settings: `weight`, `max_running`, `max_open_jobs`, `max_priority`; null takes one
        away. Returns the tenant as `Reads.tenants` shows it."""

    @property
    def keyring(self) -> Keyring:
        """The API keys, in memory: asked at every request."""

    async def create_key(self, wanted: NewKey, *, actor: str, correlation_id: str = "") -> tuple[ApiKey, str]:
        """Store a new API key; return it and its text, which is kept nowhere."""

    async def revoke_key(self, key_id: str, *, tenant: str | None, actor: str, correlation_id: str = "") -> ApiKey:
        """Take a key away, at once. `tenant` None may take any."""

    async def add_file(self, record: Mapping[str, Any]) -> None:
        """Record an uploaded file that already lies in the object store."""

    async def hello(self, hello: WorkerHello) -> tuple[str, ...]:
        """Register a session and its definitions; return the runs of `held` that are no longer current."""

    def poll(
        self,
        session_id: str,
        seq: int,
        *,
        held: Sequence[str],
        free: int,
        resources_free: Mapping[str, int],
        wait_s: float,
        reports: Sequence[RunReport] = (),
    ) -> asyncio.Future[PollAnswer]:
        """Ask for tasks (R8), after carrying out `reports`. Cancelled when nobody is there any more to be answered: nothing
        is granted to it then."""

    async def report(self, session_id: str, reports: Sequence[RunReport]) -> list[OrpheusError | None]: ...
    async def heartbeat(
        self, session_id: str, held: Sequence[str], memory_bytes: int
    ) -> tuple[tuple[CancelOrder, ...], tuple[str, ...]]: ...
    async def bye(self, session_id: str) -> None: ...
    async def run_of_token(self, run_id: str, token: str) -> Task | None:
        """Return the current run that the token was made for, for uploads and downloads of remote workers."""

    def subscribe(self, *, after: str | None) -> AsyncIterator[PublishedEvent | None]:
        """Yield every event committed after the cursor (None: from now on), in commit order, each once. Raises
        `CursorReset` when the cursor is pruned or foreign, and `SlowReader` when the reader cannot keep up. None is a
        tick for idle times."""

    def subscribe_pages(self, *, after: str | None) -> AsyncIterator[Sequence[PublishedEvent]]:
        """Yield the same in pages, as much as has come since the last one; an empty page is a tick. For those who tell
        many events at once."""

    def subscribe_wanted(
        self, wanted: Wanted, *, after: str | None
    ) -> AsyncIterator[tuple[str, Sequence[PublishedEvent]]]:
        """Yield the same of the wanted events only, each page with the cursor up to which nothing is missing."""

    def subscribe_live(self, *, job_id: str | None = None) -> AsyncIterator[LiveMessage]:
        """Yield progress and log messages from now on, of one job or of all; lossy for a reader that is behind."""

    def cursor(self) -> str:
        """Return the cursor of the newest committed event: where `subscribe(after=None)` begins, and what ticks carry."""

    async def wait_job(self, job_id: str, *, wait_s: float, tenant: str | None = None) -> Job | None:
        """Return the job when it has ended or the time is over; None at once when there is none, or it is not this
        tenant's."""

    def server_epoch(self) -> str: ...


class UnknownSession(OrpheusError):
    """The server does not know this worker session (it restarted, or the session was silent for long): say hello again,
    with the runs still held."""

    code = "unknown_session"
    status = 409
    retryable = True


class EngineStopping(OrpheusError):
    """The server is going down, or could not carry out the operation just now; nothing was changed. Try again."""

    code = "unavailable"
    status = 503
    retryable = True


class InternalError(OrpheusError):
    """A fault of ours met while carrying out the operation; nothing was changed."""

    code = "internal_error"
    status = 500
    retryable = True


class SlowReader(OrpheusError):
    """The subscriber fell too far behind and is disconnected; its last cursor goes on where it stopped (R2)."""

    code = "slow_reader"
    status = 503
    retryable = True


class CursorReset(OrpheusError):
    """The stream cursor is pruned or of another store: fetch anew, then subscribe from now (R2)."""

    code = "reset"
    status = 409

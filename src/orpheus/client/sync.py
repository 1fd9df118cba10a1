"""The blocking client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeAlias, TypeVar, Unpack

from orpheus.client import access, completions, downloads, duplicates, jobs, limits, params, schedules, system, upkeep
from orpheus.client._drive_sync import SyncDriver
from orpheus.client.address import DEFAULT_TIMEOUT_S, Address
from orpheus.client.effects import Operation
from orpheus.client.errors import ConnectionLost, OrpheusHTTPError
from orpheus.client.follow import Follower, follow_events, follow_logs
from orpheus.client.jobs import JobOptions, NewJob
from orpheus.client.paging import Pager
from orpheus.client.requests import job_path
from orpheus.client.retrying import Patience
from orpheus.client.schedules import ScheduleOptions
from orpheus.client.waits import WaitOrders
from orpheus.client.webhooks import Webhooks
from orpheus.protocol.access import AuditInfo, CreatedKey, CreateKey, KeyInfo, RoleName, SessionInfo
from orpheus.protocol.duplicates import Duplicate
from orpheus.protocol.estimates import EstimateInfo
from orpheus.protocol.jobs import (
    ArtifactInfo,
    EventInfo,
    FileInfo,
    JobInfo,
    LogInfo,
    Manifest,
    SubmitJob,
    TaskInfo,
    WorkerInfo,
    WorkflowInfo,
)
from orpheus.protocol.limits import BulkAnswer, QueueInfo, TenantInfo
from orpheus.protocol.schedules import FiringInfo, ScheduleInfo
from orpheus.protocol.upkeep import BackupAnswer, CachedResults, FailureGroup, PruneAnswer

T = TypeVar("T")

Jobs: TypeAlias = list[JobInfo]
"""Spelled out here because the clients have a method called `list`."""


class Client(WaitOrders):
    """Speak to an Orpheus server; every call blocks until it is answered. May be shared by threads.

        with Client() as orpheus:
            job = orpheus.submit("media", {"source": Path("talk.mp4")})
            done = orpheus.wait(job.job_id)

    Requests that may be repeated without harm are, with growing pauses, while the server is away or asks for it; a
    submit carries an idempotency key of its own and so may be. `AsyncClient` has the same methods.

    Args:
        url: the server; by default ORPHEUS_URL, else `http://127.0.0.1:8700`.
        api_key: by default ORPHEUS_API_KEY or the content of the file ORPHEUS_API_KEY_FILE.
        timeout_s: how long one answer may take, not counting what the server waits on purpose.
        patience: how long and how often to try again.
        correlation_id: sent with every request, and then found on its jobs, events and log lines.
        connections: kept open at most.

    Raises:
        InvalidInput: the address is not one. Methods raise `ConnectionLost` when the server stays away, and
            `OrpheusHTTPError` (or its subclass) when it refuses.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        patience: Patience | None = None,
        correlation_id: str | None = None,
        connections: int = 16,
    ) -> None:
        address = Address.of(url, api_key, correlation_id)
        self.url = address.url
        self._patience = patience or Patience()
        self._driver = SyncDriver(address, timeout_s, connections)
        self._run = self._driver.run
        self.webhooks = Webhooks(self._run, self._pages, self._patience)

    def close(self) -> None:
        """Close the connections."""
        self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Submitting

    def submit(self, workflow: Any, params: Mapping[str, Any] | None = None, **options: Unpack[JobOptions]) -> JobInfo:
        """Create a job and return it as it stands.

        Args:
            workflow: a published name (`talk`, `talk@3`), a `@workflow`, or a graph's JSON.
            params: values by name. A `Path` or a file opened in binary is uploaded first and stands for itself; dataclasses,
                enums, datetimes and models are encoded.
            options: `tenant`, `priority` (1 to 5), `run_at`, `delay_s`, `depends_on`, `requires_approval`,
                `budget`, `idempotency_key`, `timeout_s`, `labels`, `webhook_url`.

        Raises:
            NotFound: `unknown_workflow`.
            Invalid: the params do not fit; `details` point at them.
        """
        return self._run(jobs.submit({"workflow": workflow, "params": params or {}, **options}, self._patience))

    def run(
        self,
        workflow: Any,
        params: Mapping[str, Any] | None = None,
        *,
        wait_s: float | None = None,
        **options: Unpack[JobOptions],
    ) -> Any:
        """Create a job, wait for its end and return its result; for a short job, that is one request.

        Args:
            wait_s: how long to wait after its creation; None for as long as it takes. (`timeout_s` among the options is the
                job's own limit.)

        Raises:
            JobFailed: it ended as failed or cancelled.
            WaitTimeout: it did not end in time; it goes on, and `job_id` of the error says which it is.
            NotFound, Invalid: as `submit` does.
        """
        return self._run(jobs.run({"workflow": workflow, "params": params or {}, **options}, wait_s, self._patience))

    def estimate(
        self, workflow: Any, params: Mapping[str, Any] | None = None, **options: Unpack[JobOptions]
    ) -> EstimateInfo:
        """Return what a job would cost and how long it would take, by what is recorded; nothing is created. Arguments are
        those of `submit`; what is not known is None, and `unknown` says why."""
        return self._run(jobs.estimate({"workflow": workflow, "params": params or {}, **options}, self._patience))

    def submit_many(
        self, new_jobs: Iterable[NewJob | SubmitJob | Mapping[str, Any]], *, batch: int = jobs.BATCH, in_flight: int = 4
    ) -> Jobs:
        """Create many jobs, in batches of `batch` with up to `in_flight` of them on their way.

        Each is a mapping with `workflow`, `params` and the options of `submit`. A batch is atomic, the whole is not.
        """
        return self._run(jobs.submit_many(new_jobs, self._patience, batch=batch, in_flight=in_flight))

    def upload(self, file: Path | BinaryIO, *, name: str | None = None, tenant: str | None = None) -> FileInfo:
        """Send a file; its `{"file_id": …}` may then be a param of any number of jobs."""
        return self._run(params.upload_file(file, self._patience, name=name, tenant=tenant))

    # Looking

    def get(self, job_id: str) -> JobInfo:
        """Return the job as it stands."""
        return self._run(jobs.fetch(job_id, self._patience))

    def wait(self, job_id: str, *, timeout_s: float | None = None) -> JobInfo:
        """Return the job once it has ended, in whatever state.

        Raises:
            WaitTimeout: it had not within `timeout_s`.
        """
        return self._run(jobs.wait(job_id, timeout_s, self._patience))

    def wait_many(self, job_ids: Iterable[str], *, timeout_s: float | None = None) -> Jobs:
        """Return the jobs, in the order given, once all have ended. One stream serves any number of them."""
        return self._run(completions.wait_jobs(job_ids, timeout_s, self._patience))

    def wait_states(self, job_ids: Iterable[str], *, timeout_s: float | None = None) -> dict[str, str]:
        """Return only the final states by id, once all have ended: cheaper than `wait_many`."""
        return self._run(completions.wait_states(job_ids, timeout_s, self._patience))

    def result(self, job_id: str, *, timeout_s: float | None = None) -> Any:
        """Wait, and return the job's result.

        Raises:
            JobFailed: it ended as failed or cancelled.
        """
        return self._run(jobs.result(job_id, timeout_s, self._patience))

    def list(
        self,
        *,
        state: str | Sequence[str] | None = None,
        workflow: str | None = None,
        tenant: str | None = None,
        label: Mapping[str, str] | None = None,
        q: str | None = None,
        created_after: str | None = None,
        created_before: str | None = None,
        parent: str | None = None,
        failure: str | None = None,
        limit: int | None = None,
    ) -> Iterator[JobInfo]:
        """Iterate over jobs, the newest first, fetching pages as needed.

        Args:
            parent: a job, for its child jobs; `"none"` for those that no job has opened.
            failure: a group of `failures`.
        """
        query = jobs.filters(
            state=state,
            workflow=workflow,
            tenant=tenant,
            label=label,
            q=q,
            created=(created_after, created_before),
            parent=parent,
            failure=failure,
        )
        return self._pages(Pager(JobInfo, "/jobs", query, self._patience, limit=limit))

    def tasks(
        self, job_id: str, *, node: str | None = None, state: str | Sequence[str] | None = None, attempts: bool = False
    ) -> Iterator[TaskInfo]:
        """Iterate over a job's tasks, map items included; `attempts` adds the history of each."""
        query = {"node": node, "state": state, "attempts": True if attempts else None}
        return self._pages(Pager(TaskInfo, job_path(job_id, "tasks"), query, self._patience))

    def events(self, job_id: str, *, follow: bool = False, after: int = 0) -> Iterator[EventInfo]:
        """Iterate over a job's events, each once and in order; with `follow` up to the one that ends the job."""
        if follow:
            return self._follow(lambda: follow_events(job_id, after, self._patience))
        return self._pages(
            Pager(EventInfo, job_path(job_id, "events"), {}, self._patience, after=str(after) if after else None)
        )

    def logs(
        self,
        job_id: str,
        *,
        follow: bool = False,
        task: str | None = None,
        index: int | None = None,
        attempt: int | None = None,
        level: str | None = None,
        q: str | None = None,
    ) -> Iterator[LogInfo]:
        """Iterate over a job's log lines; with `follow` until it has ended. `level` is the least that is wanted, `q` a text
        in the line."""
        query = {"node": task, "index": index, "attempt": attempt, "level": level, "q": q}
        if follow:
            return self._follow(lambda: follow_logs(job_id, query, self._patience))
        return self._pages(Pager(LogInfo, job_path(job_id, "logs"), query, self._patience))

    # Orders

    def cancel(self, job_id: str, *, reason: str = "") -> JobInfo:
        """Ask for the job's end. Idle work ends at once, running work is told (R18)."""
        return self._run(jobs.order(jobs.cancel_request(job_id, reason), self._patience))

    def retry(
        self,
        job_id: str,
        *,
        from_task: str | None = None,
        params: Mapping[str, Any] | None = None,
        budget: float | None = None,
    ) -> JobInfo:
        """Begin a new generation: the failed tasks, what reads one of `params`, the named one, and all that depend on them (R20)."""
        return self._run(jobs.retry(job_id, from_task, params, budget, self._patience))

    def approve(
        self, job_id: str, *, params: Mapping[str, Any] | None = None, comment: str = "", budget: float | None = None
    ) -> JobInfo:
        """Let a job that needs approval begin, perhaps with other params (R15)."""
        return self._run(jobs.approve(job_id, params, comment, budget, self._patience))

    def reject(self, job_id: str, reason: str) -> JobInfo:
        """Refuse a job that needs approval; it ends as cancelled."""
        return self._run(jobs.order(jobs.reject_request(job_id, reason), self._patience))

    def pause(self, job_id: str) -> JobInfo:
        """Stop claims of the job's tasks; what runs goes on (R26)."""
        return self._run(jobs.order(jobs.simple_request(job_id, "pause"), self._patience))

    def resume(self, job_id: str) -> JobInfo:
        """Undo `pause`."""
        return self._run(jobs.order(jobs.simple_request(job_id, "resume"), self._patience))

    def update(
        self, job_id: str, *, labels: Mapping[str, str | None] | None = None, priority: int | None = None
    ) -> JobInfo:
        """Change a job's labels (None takes one away, others stay) and the priority of what still waits."""
        return self._run(limits.update(job_id, labels, priority, self._patience))

    def bulk(
        self,
        action: str,
        *,
        state: str | Sequence[str] | None = None,
        workflow: str | None = None,
        tenant: str | None = None,
        label: Mapping[str, str] | None = None,
        q: str | None = None,
        created_after: str | None = None,
        created_before: str | None = None,
        failure: str | None = None,
        reason: str = "",
        dry_run: bool = False,
        limit: int | None = None,
    ) -> BulkAnswer:
        """Cancel, retry, approve, reject, pause or resume every job that the words of `list` meet; at least one is needed.

        Args:
            reason: of a cancel or rejection, comment of an approval.
            dry_run: change nothing, and say what would come of it.
            limit: most jobs looked at, the newest first; None is all of them.
        """
        filters = limits.bulk_filter(
            state=state,
            workflow=workflow,
            tenant=tenant,
            label=label,
            q=q,
            created_after=created_after,
            created_before=created_before,
            failure=failure,
        )
        return self._run(
            limits.bulk(action, filters, dry_run=dry_run, limit=limit, reason=reason, patience=self._patience)
        )

    # Results

    def artifacts(self, job_id: str) -> Sequence[ArtifactInfo]:
        """Return what the job's accepted attempts published."""
        return self._run(downloads.artifacts(job_id, self._patience))

    def duplicates(self, job_id: str, *, distance: int = 6, limit: int = 50) -> Sequence[Duplicate]:
        """Return pictures of other jobs that look like one of this job's, the nearest first.

        Args:
            distance: different bits of the two hashes at most, 0 to 11.
        """
        return self._run(duplicates.duplicates(job_id, distance, limit, self._patience))

    def manifest(self, job_id: str) -> Manifest:
        """Return the job's manifest (design.md section 6)."""
        return self._run(system.manifest(job_id, self._patience))

    def download(self, job_id: str, name: str, to: Path | str) -> Path:
        """Fetch an artifact to the file `to`, or under its own name into the folder `to`; return where it is.

        A broken download goes on where it stopped. The content is checked against the manifest's sha256 before the file
        appears under its name.
        """
        return self._run(downloads.download(job_id, name, Path(to), self._patience))

    # Schedules

    def create_schedule(
        self, name: str, job: SubmitJob | NewJob | Mapping[str, Any], **options: Unpack[ScheduleOptions]
    ) -> ScheduleInfo:
        """Make a schedule: `job` (workflow, params, options of `submit`) is submitted whenever it fires (R27).

        Args:
            options: `cron` or `every_s`, `timezone`, `missed`, `max_missed`, `grace_s`, `overlap`, `jitter_s`, `start_at`,
                `end_at`, `paused`, `description`.

        Raises:
            Conflict: `schedule_conflict`: the name is in use, with another content.
        """
        return self._run(schedules.create(name, job, options, self._patience))

    def schedules(self, *, tenant: str | None = None, limit: int | None = None) -> Iterator[ScheduleInfo]:
        """Iterate over the schedules by name."""
        return self._pages(Pager(ScheduleInfo, "/schedules", {"tenant": tenant}, self._patience, limit=limit))

    def schedule(self, name: str, *, tenant: str | None = None, upcoming: int | None = None) -> ScheduleInfo:
        """Return a schedule, its next runs (`upcoming` of them) and what became of the latest."""
        return self._run(schedules.fetch(name, tenant, upcoming, self._patience))

    def firings(self, name: str, *, tenant: str | None = None, limit: int | None = None) -> Iterator[FiringInfo]:
        """Iterate over what became of a schedule's runs, the newest first."""
        path = schedules.schedule_path(name, "firings")
        return self._pages(Pager(FiringInfo, path, {"tenant": tenant}, self._patience, limit=limit))

    def change_schedule(
        self,
        name: str,
        job: SubmitJob | NewJob | Mapping[str, Any] | None = None,
        *,
        tenant: str | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> ScheduleInfo:
        """Change what is given; the rest stays. New times count from now on."""
        return self._run(schedules.change(name, job, options, tenant, self._patience))

    def pause_schedule(self, name: str, *, tenant: str | None = None) -> ScheduleInfo:
        """Let a schedule make no more jobs."""
        return self._run(schedules.set_paused(name, True, tenant, self._patience))

    def resume_schedule(self, name: str, *, tenant: str | None = None) -> ScheduleInfo:
        """Let it go on from now."""
        return self._run(schedules.set_paused(name, False, tenant, self._patience))

    def run_schedule(self, name: str, *, tenant: str | None = None) -> FiringInfo:
        """Fire a schedule now, paused or not; the answer names the job, or why there is none."""
        return self._run(schedules.run_now(name, tenant, self._patience))

    def delete_schedule(self, name: str, *, tenant: str | None = None) -> None:
        """Delete a schedule; the jobs it made stay."""
        self._run(schedules.delete(name, tenant, self._patience))

    # Everything else

    def workflows(self) -> Iterator[WorkflowInfo]:
        """Iterate over the published workflows."""
        return self._pages(Pager(WorkflowInfo, "/workflows", {}, self._patience, whole=True))

    def workflow(self, name: str, *, version: int | None = None) -> WorkflowInfo:
        """Return one workflow: schema, graph, versions."""
        return self._run(system.workflow(name, version, self._patience))

    def publish(self, workflow: Any) -> WorkflowInfo:
        """Store a workflow's definition, so that jobs may name it."""
        return self._run(system.publish(workflow, self._patience))

    def queues(self) -> Iterator[QueueInfo]:
        """Iterate over the queues: depth, limits, paused."""
        return self._pages(Pager(QueueInfo, "/queues", {}, self._patience, whole=True))

    def set_queue(
        self, name: str, *, paused: Any = limits.KEEP, concurrency: Any = limits.KEEP, rate_limit: Any = limits.KEEP
    ) -> QueueInfo:
        """Pause or resume a queue, change its limits; what is not said stays, None takes a limit away.

        Args:
            concurrency: most tasks that run at a time.
            rate_limit: `(limit, period_s)`: at most so many starts in any so many seconds.
        """
        changes = {"paused": paused, "concurrency": concurrency, "rate_limit": limits.rate_limit(rate_limit)}
        return self._run(limits.set_queue(name, changes, self._patience))

    def tenants(self) -> Iterator[TenantInfo]:
        """Iterate over the tenants: weight, quotas, jobs."""
        return self._pages(Pager(TenantInfo, "/tenants", {}, self._patience, whole=True))

    def set_tenant(
        self,
        name: str,
        *,
        weight: Any = limits.KEEP,
        max_running: Any = limits.KEEP,
        max_open_jobs: Any = limits.KEEP,
        max_priority: Any = limits.KEEP,
    ) -> TenantInfo:
        """Change a tenant's weight or quotas; what is not said stays, None takes one away."""
        changes = {
            "weight": weight,
            "max_running": max_running,
            "max_open_jobs": max_open_jobs,
            "max_priority": max_priority,
        }
        return self._run(limits.set_tenant(name, changes, self._patience))

    def workers(self) -> Iterator[WorkerInfo]:
        """Iterate over the workers that are connected."""
        return self._pages(Pager(WorkerInfo, "/workers", {}, self._patience, whole=True))

    # What is kept, and what went wrong

    def failures(
        self,
        *,
        workflow: str | None = None,
        tenant: str | None = None,
        code: str | None = None,
        after: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> Sequence[FailureGroup]:
        """Return the jobs that are failed now, grouped by what went wrong, the largest groups first."""
        query = {"workflow": workflow, "tenant": tenant, "code": code, "after": after, "before": before, "limit": limit}
        return self._run(upkeep.failures(query, self._patience))

    def prune(
        self,
        *,
        older_than_s: float | None = None,
        state: str | Sequence[str] | None = None,
        workflow: str | None = None,
        tenant: str | None = None,
        cache_older_than_s: float | None = None,
        dry_run: bool = False,
    ) -> PruneAnswer:
        """Remove jobs that ended so long ago with everything they left, and cached results not used for so long."""
        body = {
            "older_than_s": older_than_s,
            "state": upkeep.states(state),
            "workflow": workflow,
            "tenant": tenant,
            "cache_older_than_s": cache_older_than_s,
            "dry_run": dry_run,
        }
        return self._run(upkeep.prune(body, self._patience))

    def cache(self) -> Sequence[CachedResults]:
        """Return what the result cache holds, by task and tenant."""
        return self._run(upkeep.cache(self._patience))

    def clear_cache(
        self,
        *,
        task: str | None = None,
        tenant: str | None = None,
        older_than_s: float | None = None,
        dry_run: bool = False,
    ) -> PruneAnswer:
        """Forget cached results, so that equal tasks run again."""
        body = {"task": task, "tenant": tenant, "older_than_s": older_than_s, "dry_run": dry_run}
        return self._run(upkeep.clear_cache(body, self._patience))

    def backup(self, target: str) -> BackupAnswer:
        """Have the server copy database and files to a new folder of its machine; returns when the copy is on disk."""
        return self._run(upkeep.backup(target, self._patience))

    # Keys and the trail

    def create_key(
        self,
        role: RoleName,
        *,
        tenant: str | None = None,
        name: str | None = None,
        expires_at: str | None = None,
        priority_cap: int | None = None,
    ) -> CreatedKey:
        """Make an API key; `key` of the answer is shown this once. Without `tenant` it is for all of them."""
        body = CreateKey(role=role, tenant=tenant, name=name, expires_at=expires_at, priority_cap=priority_cap)
        return self._run(access.create_key(body, self._patience))

    def api_keys(self) -> Iterator[KeyInfo]:
        """Iterate over the API keys, revoked ones too."""
        return self._pages(access.keys(self._patience))

    def revoke_key(self, key_id: str) -> KeyInfo:
        """Take a key away, at once."""
        return self._run(access.revoke_key(key_id, self._patience))

    def whoami(self) -> SessionInfo:
        """Return who the server takes this client for."""
        return self._run(access.session(self._patience))

    def audit(
        self,
        *,
        actor: str | None = None,
        type: str | None = None,  # noqa: A002 (the word of the API)
        tenant: str | None = None,
        after: str | None = None,
        before: str | None = None,
        limit: int | None = None,
    ) -> Iterator[AuditInfo]:
        """Iterate over what people and programs did, the newest first."""
        query = {"actor": actor, "type": type, "tenant": tenant, "after": after, "before": before}
        return self._pages(Pager(AuditInfo, "/audit", query, self._patience, limit=limit))

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Ask once, without retries, whether the server takes work."""
        return self._run(system.ready())

    def perform(self, operation: Operation[T]) -> T:
        """Carry out an operation of this package's sans-IO modules."""
        return self._run(operation)

    def _pages(self, pager: Pager[T]) -> Iterator[T]:
        while not pager.finished:
            yield from self._run(pager.next_page())

    def _follow(self, begin: Callable[[], Follower[T]]) -> Iterator[T]:
        follower = begin()
        while not follower.is_finished():
            try:
                with self._driver.stream(follower.request(), follower.idle_s) as chunks:
                    for chunk in chunks:
                        yield from follower.feed(chunk)
                        if follower.is_finished():
                            return
                pause = follower.broken()
            except (ConnectionLost, OrpheusHTTPError) as broken:
                pause = follower.broken(broken)
            time.sleep(pause)

"""The client for event loops. What each method does is told in `sync.py`; both run the same operations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeAlias, TypeVar, Unpack

from orpheus.client import access, completions, downloads, duplicates, jobs, limits, params, schedules, system, upkeep
from orpheus.client._drive_async import AsyncDriver
from orpheus.client.address import DEFAULT_TIMEOUT_S, Address
from orpheus.client.effects import Operation
from orpheus.client.errors import ConnectionLost, OrpheusHTTPError
from orpheus.client.follow import Follower, follow_events, follow_logs
from orpheus.client.jobs import JobOptions, NewJob
from orpheus.client.paging import Pager
from orpheus.client.requests import job_path
from orpheus.client.retrying import Patience
from orpheus.client.schedules import ScheduleOptions
from orpheus.client.waits import AsyncWaitOrders
from orpheus.client.webhooks import AsyncWebhooks
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


class AsyncClient(AsyncWaitOrders):
    """Speak to an Orpheus server from asyncio code: `Client` with `await` and `async for`.

        async with AsyncClient() as orpheus:
            job = await orpheus.submit("wordcount", {"text": "to be or not to be"})
            print(await orpheus.result(job.job_id))

    Belongs to the event loop it is first used on. Arguments and errors are those of `Client`.
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
        self._driver = AsyncDriver(address, timeout_s, connections)
        self._run = self._driver.run
        self.webhooks = AsyncWebhooks(self._run, self._pages, self._patience)

    async def close(self) -> None:
        """Close the connections."""
        await self._driver.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # Submitting

    async def submit(
        self, workflow: Any, params: Mapping[str, Any] | None = None, **options: Unpack[JobOptions]
    ) -> JobInfo:
        """Create a job and return it as it stands."""
        return await self._run(jobs.submit({"workflow": workflow, "params": params or {}, **options}, self._patience))

    async def run(
        self,
        workflow: Any,
        params: Mapping[str, Any] | None = None,
        *,
        wait_s: float | None = None,
        **options: Unpack[JobOptions],
    ) -> Any:
        """Create a job, wait for its end and return its result; for a short job, that is one request."""
        return await self._run(
            jobs.run({"workflow": workflow, "params": params or {}, **options}, wait_s, self._patience)
        )

    async def estimate(
        self, workflow: Any, params: Mapping[str, Any] | None = None, **options: Unpack[JobOptions]
    ) -> EstimateInfo:
        """Return what a job would cost and how long it would take, by what is recorded; nothing is created. Arguments are
        those of `submit`; what is not known is None, and `unknown` says why."""
        return await self._run(jobs.estimate({"workflow": workflow, "params": params or {}, **options}, self._patience))

    async def submit_many(
        self, new_jobs: Iterable[NewJob | SubmitJob | Mapping[str, Any]], *, batch: int = jobs.BATCH, in_flight: int = 4
    ) -> Jobs:
        """Create many jobs, in batches of `batch` with up to `in_flight` of them on their way."""
        return await self._run(jobs.submit_many(new_jobs, self._patience, batch=batch, in_flight=in_flight))

    async def upload(self, file: Path | BinaryIO, *, name: str | None = None, tenant: str | None = None) -> FileInfo:
        """Send a file; its `{"file_id": …}` may then be a param of any number of jobs."""
        return await self._run(params.upload_file(file, self._patience, name=name, tenant=tenant))

    # Looking

    async def get(self, job_id: str) -> JobInfo:
        """Return the job as it stands."""
        return await self._run(jobs.fetch(job_id, self._patience))

    async def wait(self, job_id: str, *, timeout_s: float | None = None) -> JobInfo:
        """Return the job once it has ended, in whatever state."""
        return await self._run(jobs.wait(job_id, timeout_s, self._patience))

    async def wait_many(self, job_ids: Iterable[str], *, timeout_s: float | None = None) -> Jobs:
        """Return the jobs, in the order given, once all have ended. One stream serves any number of them."""
        return await self._run(completions.wait_jobs(job_ids, timeout_s, self._patience))

    async def wait_states(self, job_ids: Iterable[str], *, timeout_s: float | None = None) -> dict[str, str]:
        """Return only the final states by id, once all have ended: cheaper than `wait_many`."""
        return await self._run(completions.wait_states(job_ids, timeout_s, self._patience))

    async def result(self, job_id: str, *, timeout_s: float | None = None) -> Any:
        """Wait, and return the job's result."""
        return await self._run(jobs.result(job_id, timeout_s, self._patience))

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
    ) -> AsyncIterator[JobInfo]:
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
    ) -> AsyncIterator[TaskInfo]:
        """Iterate over a job's tasks, map items included; `attempts` adds the history of each."""
        query = {"node": node, "state": state, "attempts": True if attempts else None}
        return self._pages(Pager(TaskInfo, job_path(job_id, "tasks"), query, self._patience))

    def events(self, job_id: str, *, follow: bool = False, after: int = 0) -> AsyncIterator[EventInfo]:
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
    ) -> AsyncIterator[LogInfo]:
        """Iterate over a job's log lines; with `follow` until it has ended. `level` is the least that is wanted, `q` a text
        in the line."""
        query = {"node": task, "index": index, "attempt": attempt, "level": level, "q": q}
        if follow:
            return self._follow(lambda: follow_logs(job_id, query, self._patience))
        return self._pages(Pager(LogInfo, job_path(job_id, "logs"), query, self._patience))

    # Orders

    async def cancel(self, job_id: str, *, reason: str = "") -> JobInfo:
        """Ask for the job's end. Idle work ends at once, running work is told (R18)."""
        return await self._run(jobs.order(jobs.cancel_request(job_id, reason), self._patience))

    async def retry(
        self,
        job_id: str,
        *,
        from_task: str | None = None,
        params: Mapping[str, Any] | None = None,
        budget: float | None = None,
    ) -> JobInfo:
        """Begin a new generation: the failed tasks, what reads one of `params`, the named one, and all that depend on them (R20)."""
        return await self._run(jobs.retry(job_id, from_task, params, budget, self._patience))

    async def approve(
        self, job_id: str, *, params: Mapping[str, Any] | None = None, comment: str = "", budget: float | None = None
    ) -> JobInfo:
        """Let a job that needs approval begin, perhaps with other params (R15)."""
        return await self._run(jobs.approve(job_id, params, comment, budget, self._patience))

    async def reject(self, job_id: str, reason: str) -> JobInfo:
        """Refuse a job that needs approval; it ends as cancelled."""
        return await self._run(jobs.order(jobs.reject_request(job_id, reason), self._patience))

    async def pause(self, job_id: str) -> JobInfo:
        """Stop claims of the job's tasks; what runs goes on (R26)."""
        return await self._run(jobs.order(jobs.simple_request(job_id, "pause"), self._patience))

    async def resume(self, job_id: str) -> JobInfo:
        """Undo `pause`."""
        return await self._run(jobs.order(jobs.simple_request(job_id, "resume"), self._patience))

    async def update(
        self, job_id: str, *, labels: Mapping[str, str | None] | None = None, priority: int | None = None
    ) -> JobInfo:
        """Change a job's labels (None takes one away, others stay) and the priority of what still waits."""
        return await self._run(limits.update(job_id, labels, priority, self._patience))

    async def bulk(
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
        return await self._run(
            limits.bulk(action, filters, dry_run=dry_run, limit=limit, reason=reason, patience=self._patience)
        )

    # Results

    async def artifacts(self, job_id: str) -> Sequence[ArtifactInfo]:
        """Return what the job's accepted attempts published."""
        return await self._run(downloads.artifacts(job_id, self._patience))

    async def duplicates(self, job_id: str, *, distance: int = 6, limit: int = 50) -> Sequence[Duplicate]:
        """Return pictures of other jobs that look like one of this job's, the nearest first.

        Args:
            distance: different bits of the two hashes at most, 0 to 11.
        """
        return await self._run(duplicates.duplicates(job_id, distance, limit, self._patience))

    async def manifest(self, job_id: str) -> Manifest:
        """Return the job's manifest (design.md section 6)."""
        return await self._run(system.manifest(job_id, self._patience))

    async def download(self, job_id: str, name: str, to: Path | str) -> Path:
        """Fetch an artifact to the file `to`, or under its own name into the folder `to`; return where it is."""
        return await self._run(downloads.download(job_id, name, Path(to), self._patience))

    # Schedules

    async def create_schedule(
        self, name: str, job: SubmitJob | NewJob | Mapping[str, Any], **options: Unpack[ScheduleOptions]
    ) -> ScheduleInfo:
        """Make a schedule: `job` (workflow, params, options of `submit`) is submitted whenever it fires (R27)."""
        return await self._run(schedules.create(name, job, options, self._patience))

    def schedules(self, *, tenant: str | None = None, limit: int | None = None) -> AsyncIterator[ScheduleInfo]:
        """Iterate over the schedules by name."""
        return self._pages(Pager(ScheduleInfo, "/schedules", {"tenant": tenant}, self._patience, limit=limit))

    async def schedule(self, name: str, *, tenant: str | None = None, upcoming: int | None = None) -> ScheduleInfo:
        """Return a schedule, its next runs (`upcoming` of them) and what became of the latest."""
        return await self._run(schedules.fetch(name, tenant, upcoming, self._patience))

    def firings(self, name: str, *, tenant: str | None = None, limit: int | None = None) -> AsyncIterator[FiringInfo]:
        """Iterate over what became of a schedule's runs, the newest first."""
        path = schedules.schedule_path(name, "firings")
        return self._pages(Pager(FiringInfo, path, {"tenant": tenant}, self._patience, limit=limit))

    async def change_schedule(
        self,
        name: str,
        job: SubmitJob | NewJob | Mapping[str, Any] | None = None,
        *,
        tenant: str | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> ScheduleInfo:
        """Change what is given; the rest stays. New times count from now on."""
        return await self._run(schedules.change(name, job, options, tenant, self._patience))

    async def pause_schedule(self, name: str, *, tenant: str | None = None) -> ScheduleInfo:
        """Let a schedule make no more jobs."""
        return await self._run(schedules.set_paused(name, True, tenant, self._patience))

    async def resume_schedule(self, name: str, *, tenant: str | None = None) -> ScheduleInfo:
        """Let it go on from now."""
        return await self._run(schedules.set_paused(name, False, tenant, self._patience))

    async def run_schedule(self, name: str, *, tenant: str | None = None) -> FiringInfo:
        """Fire a schedule now, paused or not; the answer names the job, or why there is none."""
        return await self._run(schedules.run_now(name, tenant, self._patience))

    async def delete_schedule(self, name: str, *, tenant: str | None = None) -> None:
        """Delete a schedule; the jobs it made stay."""
        await self._run(schedules.delete(name, tenant, self._patience))

    # Everything else

    def workflows(self) -> AsyncIterator[WorkflowInfo]:
        """Iterate over the published workflows."""
        return self._pages(Pager(WorkflowInfo, "/workflows", {}, self._patience, whole=True))

    async def workflow(self, name: str, *, version: int | None = None) -> WorkflowInfo:
        """Return one workflow: schema, graph, versions."""
        return await self._run(system.workflow(name, version, self._patience))

    async def publish(self, workflow: Any) -> WorkflowInfo:
        """Store a workflow's definition, so that jobs may name it."""
        return await self._run(system.publish(workflow, self._patience))

    def queues(self) -> AsyncIterator[QueueInfo]:
        """Iterate over the queues: depth, limits, paused."""
        return self._pages(Pager(QueueInfo, "/queues", {}, self._patience, whole=True))

    async def set_queue(
        self, name: str, *, paused: Any = limits.KEEP, concurrency: Any = limits.KEEP, rate_limit: Any = limits.KEEP
    ) -> QueueInfo:
        """Pause or resume a queue, change its limits; what is not said stays, None takes a limit away.

        Args:
            concurrency: most tasks that run at a time.
            rate_limit: `(limit, period_s)`: at most so many starts in any so many seconds.
        """
        changes = {"paused": paused, "concurrency": concurrency, "rate_limit": limits.rate_limit(rate_limit)}
        return await self._run(limits.set_queue(name, changes, self._patience))

    def tenants(self) -> AsyncIterator[TenantInfo]:
        """Iterate over the tenants: weight, quotas, jobs."""
        return self._pages(Pager(TenantInfo, "/tenants", {}, self._patience, whole=True))

    async def set_tenant(
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
        return await self._run(limits.set_tenant(name, changes, self._patience))

    def workers(self) -> AsyncIterator[WorkerInfo]:
        """Iterate over the workers that are connected."""
        return self._pages(Pager(WorkerInfo, "/workers", {}, self._patience, whole=True))

    # What is kept, and what went wrong

    async def failures(
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
        return await self._run(upkeep.failures(query, self._patience))

    async def prune(
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
        return await self._run(upkeep.prune(body, self._patience))

    async def cache(self) -> Sequence[CachedResults]:
        """Return what the result cache holds, by task and tenant."""
        return await self._run(upkeep.cache(self._patience))

    async def clear_cache(
        self,
        *,
        task: str | None = None,
        tenant: str | None = None,
        older_than_s: float | None = None,
        dry_run: bool = False,
    ) -> PruneAnswer:
        """Forget cached results, so that equal tasks run again."""
        body = {"task": task, "tenant": tenant, "older_than_s": older_than_s, "dry_run": dry_run}
        return await self._run(upkeep.clear_cache(body, self._patience))

    async def backup(self, target: str) -> BackupAnswer:
        """Have the server copy database and files to a new folder of its machine; returns when the copy is on disk."""
        return await self._run(upkeep.backup(target, self._patience))

    # Keys and the trail

    async def create_key(
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
        return await self._run(access.create_key(body, self._patience))

    def api_keys(self) -> AsyncIterator[KeyInfo]:
        """Iterate over the API keys, revoked ones too."""
        return self._pages(access.keys(self._patience))

    async def revoke_key(self, key_id: str) -> KeyInfo:
        """Take a key away, at once."""
        return await self._run(access.revoke_key(key_id, self._patience))

    async def whoami(self) -> SessionInfo:
        """Return who the server takes this client for."""
        return await self._run(access.session(self._patience))

    def audit(
        self,
        *,
        actor: str | None = None,
        type: str | None = None,  # noqa: A002 (the word of the API)
        tenant: str | None = None,
        after: str | None = None,
        before: str | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[AuditInfo]:
        """Iterate over what people and programs did, the newest first."""
        query = {"actor": actor, "type": type, "tenant": tenant, "after": after, "before": before}
        return self._pages(Pager(AuditInfo, "/audit", query, self._patience, limit=limit))

    async def ready(self) -> tuple[bool, dict[str, Any]]:
        """Ask once, without retries, whether the server takes work."""
        return await self._run(system.ready())

    async def perform(self, operation: Operation[T]) -> T:
        """Carry out an operation of this package's sans-IO modules."""
        return await self._run(operation)

    async def _pages(self, pager: Pager[T]) -> AsyncIterator[T]:
        while not pager.finished:
            for item in await self._run(pager.next_page()):
                yield item

    async def _follow(self, begin: Callable[[], Follower[T]]) -> AsyncIterator[T]:
        follower = begin()
        while not follower.is_finished():
            try:
                async with self._driver.stream(follower.request(), follower.idle_s) as chunks:
                    async for chunk in chunks:
                        for value in follower.feed(chunk):
                            yield value
                        if follower.is_finished():
                            return
                pause = follower.broken()
            except (ConnectionLost, OrpheusHTTPError) as broken:
                pause = follower.broken(broken)
            await asyncio.sleep(pause)

"""What the API shows: rows from the store's readers, with what only the engine knows beside them.

Rows are read in the readers' threads, the engine's memory on the loop: an answer may mix two instants a moment apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orpheus.core.dispatch import NO_NEEDS
from orpheus.core.errors import OrpheusError
from orpheus.core.job import TERMINAL, Job, JobState
from orpheus.core.schedule import Schedule, upcoming
from orpheus.core.task import NODE, SETTLED, Task, TaskState
from orpheus.engine.audit import AuditEntry, AuditFilter
from orpheus.engine.base import Waiting
from orpheus.engine.cron import slots_of
from orpheus.engine.explain import capacities, distinct, why_job, why_task
from orpheus.store.reader import Reader

if TYPE_CHECKING:
    from orpheus.engine.machine import Machine

KINDS_ASKED = 50
"""Kinds of tasks asked for the reasons of their job: thousands of items wait for the same few things, unless each has a
concurrency key of its own."""


OUTSIDE = ("approval", "event", "callback", "child")
"""Reasons that somebody outside has to see to, whatever else of the job runs."""


class EmbeddedReads(Reader):
    """Keeps `base.Reads`."""

    def __init__(self, path: Path, machine: Machine) -> None:
        super().__init__(path)
        self._machine = machine

    async def waiting_for_job(self, job: Job) -> list[Waiting]:
        """List every distinct reason why the job does not move. While something of it runs it does move, and only what it
        waits for outside of itself is told: a person, a signal, a child job."""
        if job.state in TERMINAL:
            return []
        dependencies = await self.unsettled_dependencies(job.job_id) if job.unmet_jobs else []
        publishing = self._machine.outbox.fault_of(job.job_id)
        now = self._machine.clock.now()
        reasons = why_job(job, dependencies=dependencies, now=now, publishing=publishing)
        compensates = job.closing is not None and "compensation" in job.extra
        if (job.closing is not None and not compensates) or job.state is JobState.PENDING:
            return reasons
        if job.runs_active and not job.counts.get(TaskState.WAITING.value):
            return reasons
        for task in await self.alike_tasks(job.job_id, most=KINDS_ASKED):
            if task.state is TaskState.WAITING or not job.runs_active:
                waits = await self.waiting_for_task(job, task)
                reasons += [each for each in waits if not job.runs_active or each.reason in OUTSIDE]
        return distinct(reasons)

    async def waiting_for_task(self, job: Job, task: Task) -> list[Waiting]:
        """List why a task does not move; a task of a job that has not begun waits for what its job waits for."""
        if task.state in SETTLED or task.state is TaskState.RUNNING:
            return []
        if job.state is JobState.PENDING:
            return await self.waiting_for_job(job)
        graph = await self.graph(job.definition_id)
        if graph is None or task.node not in graph.all_nodes:
            return []
        predecessors: Mapping[str, TaskState] = {}
        container = None
        if task.state is TaskState.BLOCKED:
            if task.index == NODE:
                predecessors = await self.node_states(job.job_id, graph.predecessors[task.node])
            else:
                container = await self.task(job.job_id, task.node)
        machine = self._machine
        mono = machine.clock.monotonic()
        return why_task(
            job,
            task,
            graph,
            predecessors=predecessors,
            container=container,
            dispatcher=machine.feed.dispatcher,
            needs=machine.feed.needs.of(graph, task.node) if task.handler else NO_NEEDS,
            workers=capacities(machine.sessions.all(), silent_since=mono - machine.options.lease_s),
            now=machine.clock.now(),
            mono=mono,
        )

    async def audit(
        self, filters: AuditFilter, *, limit: int, cursor: str | None
    ) -> tuple[list[AuditEntry], str | None]:
        """Return who ordered what, newest first."""
        records, following = await self.trail(filters, limit=limit, cursor=cursor)
        return [AuditEntry(**record) for record in records], following

    async def queues(self) -> list[Mapping[str, Any]]:
        """Return every queue with settings or tasks: the store's record, with `ready` and `running`."""
        found: list[Mapping[str, Any]] = []
        for record in await super().queues():
            tasks = record["tasks"]
            ready = tasks.get(TaskState.READY.value, 0)
            running = self._machine.feed.dispatcher.running(str(record["name"]))
            since = record["oldest_ready_at"]
            waited_s = None if since is None else max(0.0, self._machine.clock.now() - since)
            shown = {"ready": ready, "running": running, "oldest_wait_s": waited_s}
            found.append({"concurrency": None, "rate_limit": None, **record, **shown})
        return found

    async def tenants(self) -> list[Mapping[str, Any]]:
        """Return every tenant with settings or jobs: the store's record, with its open jobs and what it runs now."""
        dispatcher = self._machine.feed.dispatcher
        found: list[Mapping[str, Any]] = []
        for record in await super().tenants():
            open_jobs = sum(count for state, count in record["jobs"].items() if state not in TERMINAL)
            limits = {"weight": 1.0, "max_running": None, "max_open_jobs": None, "max_priority": None}
            running = dispatcher.running_of(record["name"])
            found.append({**limits, **record, "open_jobs": open_jobs, "running": running})
        return found

    async def workers(self) -> list[Mapping[str, Any]]:
        """Return the sessions known since they were last cleared away, with what a live one does now."""
        machine = self._machine
        found: list[Mapping[str, Any]] = []
        for record in await super().workers():
            session = machine.sessions.find(str(record["session_id"]))
            if session is None:
                found.append({**record, "alive": False, "tasks": [], "memory_bytes": 0})
                continue
            silent_s = machine.clock.monotonic() - session.last_contact
            found.append(
                {
                    **record,
                    "alive": silent_s <= machine.options.lease_s,
                    "last_seen_at": session.last_contact_at,
                    "tasks": [run.task for run in map(machine.runs.get, session.runs) if run is not None],
                    "memory_bytes": session.memory_bytes,
                }
            )
        return found

    def next_runs(self, schedule: Schedule, count: int) -> list[float]:
        """Return when a schedule fires next; none while it is paused or when its time zone is not known here."""
        try:
            return upcoming(schedule, slots_of(schedule), count)
        except OrpheusError:
            return []

    async def stats(self) -> Mapping[str, Any]:
        """Return counts by state, the queues, and the engine's own timings; cheap whatever the backlog."""
        machine = self._machine
        counted = await super().stats()
        by_state: dict[str, int] = {}
        for states in counted["tasks"].values():
            for state, count in states.items():
                by_state[state] = by_state.get(state, 0) + count
        return {
            "jobs": counted["jobs"],
            "tasks": by_state,
            "queues": await self.queues(),
            "runs": len(machine.runs),
            "sessions": len(machine.sessions),
            "subscribers": machine.stream.subscribers,
            "queued_operations": machine.queued,
            "publishing": len(machine.outbox),
            "windowed_tasks": len(machine.feed.dispatcher),
            "wal_bytes": machine.store.wal_bytes(),
            "slots": sum(session.hello.slots for session in machine.sessions.all()),
            "webhooks": machine.webhooks.stats(),
            "engine": machine.meter.shown(),
        }

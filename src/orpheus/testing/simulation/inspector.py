"""Looks at the file after each commit, beside the server, and holds it against every promise.

It reads the rows themselves (not what the store remembers of them) through a connection of its own, so it sees exactly what
a new process would find.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orpheus.core.decision import Event, Signal
from orpheus.core.graph import Graph, NodeKind
from orpheus.core.job import TERMINAL, Job, JobState
from orpheus.core.task import NODE, Task, TaskState
from orpheus.core.values import item_result
from orpheus.engine.machine import Machine
from orpheus.store import rows as read
from orpheus.store.database import connect_reader
from orpheus.store.queries import query, with_events
from orpheus.testing.simulation.clock import ManualClock
from orpheus.testing.simulation.graphs import QUEUES
from orpheus.testing.simulation.invariants import (
    Broken,
    JobHistory,
    JobRows,
    check_family,
    check_signals,
    check_skips,
    check_starts,
)
from orpheus.testing.simulation.rates import RateWindows
from orpheus.testing.simulation.server import Shelf
from orpheus.testing.simulation.workers import Observed

_JOB = f"SELECT job_no, {read.JOB_COLUMNS} FROM jobs"  # noqa: S608 (columns of ours)
TaskKey = tuple[str, str, int, int]
_EVENTS = with_events(
    'SELECT cursor, job_no, seq, type, at, actor, task, "index", run_id, data FROM events '
    "WHERE group_cursor > ?1 AND cursor > ?1 ORDER BY cursor"
)
_CACHED = with_events(
    "SELECT task, coalesce(\"index\", -1), data FROM events WHERE job_no = ? AND type = 'task.cached' ORDER BY seq"
)
_EVENT = with_events(
    "SELECT job_id, seq FROM events JOIN jobs USING (job_no) WHERE cursor = ?1 AND group_cursor BETWEEN ?1 AND ?1 + 63"
)


@dataclass(slots=True)
class Limits:
    """What queues are set to. A change counts once it was acknowledged and everything picked before it is committed."""

    concurrency: dict[str, int | None] = field(default_factory=dict)
    paused: dict[str, bool] = field(default_factory=dict)
    acknowledged: dict[str, tuple[int | None, bool]] = field(default_factory=dict)

    def changing(self, queue: str) -> None:
        """From here on until the change is acknowledged the old and the new setting may hold: check neither."""
        for kept in (self.concurrency, self.paused, self.acknowledged):
            kept.pop(queue, None)

    def settle(self) -> None:
        """The server has nothing to do: what was picked under older settings has begun by now."""
        for queue, (concurrency, paused) in self.acknowledged.items():
            self.concurrency[queue], self.paused[queue] = concurrency, paused
        self.acknowledged.clear()


@dataclass(slots=True)
class Start:
    """An attempt that began, as the events tell."""

    job_no: int
    node: str
    index: int
    run_id: str


class Inspector:
    """Everything that was ever seen in the file, and the checks on it.

    Args:
        path: the database file.
        graphs: by definition id.
        observed: what workers saw.
        clock, lease_s: how long silence may last.
        shelf: the object store.
        jumped: the wall clock was moved, so lengths between instants in rows mean nothing.
    """

    def __init__(
        self,
        path: Path,
        graphs: dict[str, Graph],
        observed: Observed,
        shelf: Shelf,
        *,
        clock: ManualClock,
        lease_s: float,
        jumped: bool = False,
    ) -> None:
        self._clock = clock
        self._lease_s = lease_s
        self._path = path
        self._graphs = graphs
        self._observed = observed
        self._shelf = shelf
        self._jumped = jumped
        self._connection: sqlite3.Connection | None = None
        self.cursor = 0
        self.histories: dict[int, JobHistory] = {}
        self.states: dict[str, JobState] = {}
        """As last seen, by job id."""
        self.ever_ended: dict[str, dict[JobState, None]] = {}
        self.limits = Limits()
        self.quotas = Limits()
        """Of tenants: most runs at a time."""
        self.rates = RateWindows()
        self.kinds: Counter[str] = Counter()
        self.digest: list[str] = []
        self.acknowledged: dict[str, None] = {}
        self.dependencies: dict[str, tuple[tuple[str, str], ...]] = {}
        self.commits = 0

    def look(self) -> None:
        """Check what was committed since the last look.

        Raises:
            Broken: a promise is broken.
        """
        self.commits += 1
        fresh: dict[int, list[Event]] = {}
        for cursor, job_no, *rest in self._rows(_EVENTS, self.cursor):
            if cursor <= self.cursor:
                raise Broken(f"cursor {cursor} came after {self.cursor} (R2)")
            self.cursor = cursor
            self.digest.append(repr((cursor, job_no, *rest)))
            event = _event(rest)
            fresh.setdefault(job_no, []).append(event)
            self._note_end(job_no, event)
        families: dict[int, None] = {}
        started: list[Start] = []
        for job_no, events in fresh.items():
            rows = self.job(job_no)
            self._see(job_no, rows, events)
            if "parent" in rows.job.extra:
                families[self.job_no(rows.job.extra["parent"]["job"])] = None
            if "definitions" in rows.job.extra:
                families[job_no] = None
            for event in events:
                self.kinds[event.type] += 1
                self._check_lost(event, rows)
                if event.task is not None and not self._jumped:
                    node = rows.graph.all_nodes[event.task]
                    self.rates.see(event, node, queue=node.queue, task=node.task)
                if event.type == "task.started" and event.run_id is not None:
                    assert event.task is not None
                    index = NODE if event.index is None else event.index
                    started.append(Start(job_no, event.task, index, event.run_id))
        for job_no in families:
            self._check_family(job_no)
        if started:
            self._check_limits(started)
        if self._observed.faults:
            raise Broken(f"a worker saw: {self._observed.faults[0]}")

    def _note_end(self, job_no: int, event: Event) -> None:
        if event.type in ("job.completed", "job.failed", "job.cancelled"):
            job_id = self._rows("SELECT job_id FROM jobs WHERE job_no = ?", job_no)[0][0]
            self.ever_ended.setdefault(job_id, {})[JobState(event.type.partition(".")[2])] = None

    def look_at_all(self) -> None:
        """Check every job, whether something happened to it or not, and that nothing acknowledged is missing."""
        self.look()
        found: dict[str, None] = {}
        for (job_no,) in self._rows("SELECT job_no FROM jobs ORDER BY job_no"):
            rows = self.job(job_no)
            found[rows.job.job_id] = None
            self._see(job_no, rows, [])
            self._check_family(job_no)
        lost = [job_id for job_id in self.acknowledged if job_id not in found]
        if lost:
            raise Broken(f"jobs were acknowledged and are gone: {lost} (promise 1)")

    def _see(self, job_no: int, rows: JobRows, events: list[Event]) -> None:
        history = self.histories.get(job_no)
        if history is None:
            history = self.histories[job_no] = JobHistory.of(rows.graph)
        history.see(rows, events)
        if not self._jumped:
            check_starts(rows, history.folded)
        job = rows.job
        if rows.graph.signals:
            kept = self.signals(job.job_id)
            taken = [signal.number for signal, taken_at in kept if taken_at is not None]
            check_signals(rows.graph, rows.current, [signal for signal, _at in kept], taken)
        for event in events:
            self._check_gates(job, event)
            if event.type in ("job.completed", "job.failed", "job.cancelled"):
                self._check_end(job_no, rows, JobState(event.type.partition(".")[2]), event is events[-1])
        self.states[job.job_id] = job.state

    def _check_lost(self, event: Event, rows: JobRows) -> None:
        """Check that a run is taken from its worker only after a whole lease of silence while the server was awake (R6, R7),
        and returned only if its worker never had it (R8)."""
        run_id = event.run_id
        if run_id is None:
            return
        if event.type == "task.rescued":
            heard = max(self._observed.contact.get(run_id, -math.inf), self._observed.awake_since)
            if self._clock.monotonic() - heard < self._lease_s - 1e-6:
                raise Broken(f"run {run_id} was rescued {self._clock.monotonic() - heard} s after contact (R6, R7)")
        if event.data.get("reason") == "grant_not_received" and run_id in self._observed.confirmed:
            raise Broken(f"run {run_id} was returned although its worker holds it (R8)")

    def _check_gates(self, job: Job, event: Event) -> None:
        """Check that a job left `pending` only when its time and the jobs before it had come (R15, R16)."""
        if event.type != "job.queued":
            return
        if job.run_at is not None and event.at < job.run_at:
            raise Broken(f"job {job.job_id} was queued at {event.at}, {job.run_at - event.at} s before its time")
        for before, on in self.dependencies.get(job.job_id, ()):
            ends = self.ever_ended.get(before, {})
            if not ends or (on == "success" and JobState.COMPLETED not in ends):
                raise Broken(f"job {job.job_id} was queued, but {before} has ended as {list(ends)} (R16)")

    def _check_end(self, job_no: int, rows: JobRows, outcome: JobState, latest: bool) -> None:
        job = rows.job
        if not latest or job.state not in TERMINAL:
            return  # it was retried in the same commit
        results = Results(self, job_no, rows)
        check_skips(rows, results.params(), results.of)
        sources = self._cached(job_no, rows)
        self._check_results(rows, results, sources)
        self._check_artifacts(job_no, rows, set(sources.values()))

    def _check_results(self, rows: JobRows, results: Results, sources: dict[TaskKey, str]) -> None:
        """Check that what stands in the rows is what the accepted attempt reported."""
        for task in rows.current:
            run_id = sources.get(task.key) if task.cached else task.run_id
            if task.state is not TaskState.COMPLETED or not task.handler or run_id is None:
                continue
            if rows.graph.all_nodes[task.node].kind is NodeKind.MAP and task.index == NODE:
                continue
            if run_id not in self._observed.completed:
                raise Broken(f"{task.key} completed by {run_id}, which never reported that")
            sent = self._observed.completed[run_id]
            kept = results.own(task)
            if kept != sent:
                raise Broken(f"{task.key}: {run_id} returned {sent}, the row holds {kept}")

    def _cached(self, job_no: int, rows: JobRows) -> dict[TaskKey, str]:
        """Return the runs whose results cached tasks have, as their events tell it (R23)."""
        cached = {(task.node, task.index): task for task in rows.current if task.cached}
        found: dict[TaskKey, str] = {}
        for node, index, data in self._rows(
            _CACHED,
            job_no,
        ):
            task = cached.get((node, index))
            if task is not None:
                if task.attempt or task.run_id is not None:
                    raise Broken(f"{task.key} is cached and was run (R23)")
                found[task.key] = json.loads(data)["source"]["run_id"]
        for task in cached.values():
            if task.key not in found:
                raise Broken(f"{task.key} is cached, and no event tells of it (R1)")
        return found

    def _check_artifacts(self, job_no: int, rows: JobRows, cached: set[str]) -> None:
        """Check that exactly the accepted attempts' files are in the manifest, which was final before the end (R10)."""
        job = rows.job
        completed = {
            task.run_id for task in rows.current if task.state is TaskState.COMPLETED and not task.cached
        } | cached
        names = []
        for name, run_id, published_at in self._rows(
            "SELECT name, run_id, published_at FROM artifacts WHERE job_no = ? AND superseded = 0", job_no
        ):
            names.append(name)
            if run_id not in completed:
                raise Broken(
                    f"artifact {name!r} of job {job.job_id} is of run {run_id}, which is not an accepted one (R10)"
                )
            if name not in self._observed.artifacts.get(run_id, ()):
                raise Broken(f"artifact {name!r} of job {job.job_id}: run {run_id} never reported it")
            if published_at is None:
                raise Broken(f"job {job.job_id} ended before its artifact {name!r} was published (design, section 6)")
            if self._shelf.published.get(job.job_id, {}).get(name) != run_id:
                raise Broken(f"artifact {name!r} of job {job.job_id} does not stand under its name")
        for run_id in completed:
            missing = set(self._observed.artifacts.get(run_id or "", ())) - set(names)
            if missing:
                raise Broken(f"files of the accepted run {run_id} are not among the artifacts: {sorted(missing)}")
        if job.has_files:
            told = self._shelf.manifests.get(job.job_id)
            if told != (str(job.state), tuple(sorted(names))):
                raise Broken(f"job {job.job_id} ended as {job.state} with {sorted(names)}; its manifest tells {told}")

    def _check_limits(self, started: list[Start]) -> None:
        """Check queue limits and concurrency keys where attempts began (R25). Ends free a slot only after their commit, so
        at each commit the count is within the limit."""
        tasks = self._running()
        queues = Counter(task.queue for task in tasks)
        tenants = Counter(task.tenant for task in tasks)
        keys = Counter(task.concurrency_key for task in tasks if task.concurrency_key is not None)
        fresh = {start.run_id for start in started}
        for task in tasks:
            if task.run_id not in fresh:
                continue
            limit = self.limits.concurrency.get(task.queue)
            if limit is not None and queues[task.queue] > limit:
                raise Broken(f"queue {task.queue} runs {queues[task.queue]} tasks, its limit is {limit} (R25)")
            quota = self.quotas.concurrency.get(task.tenant)
            if quota is not None and tenants[task.tenant] > quota:
                raise Broken(f"tenant {task.tenant} runs {tenants[task.tenant]} tasks, its quota is {quota} (R25)")
            if self.limits.paused.get(task.queue):
                raise Broken(f"{task.key} began in queue {task.queue}, which is paused (R26)")
        for key, count in keys.items():
            sharing = [task for task in tasks if task.concurrency_key == key]
            most = max(self._graph_of(task).all_nodes[task.node].concurrency_limit for task in sharing)
            if count > most and any(task.run_id in fresh for task in sharing):
                raise Broken(f"{count} runs share the key {key!r}, the limit is {most} (R25)")

    def check_published(self, published: list[tuple[int, str, int]]) -> None:
        """Check that subscribers hear only what is committed, as it is committed (R2, R3)."""
        for cursor, job_id, seq in published:
            found = self._rows(_EVENT, cursor)
            if found != [(job_id, seq)]:
                raise Broken(f"event {cursor} was told as {seq} of {job_id}; in the file it is {found} (R2)")
        published.clear()

    def check_memory(self, machine: Machine) -> None:
        """Hold the server's memory against the rows. Only while it has nothing to do: memory follows the commit.

        Raises:
            Broken: a run is watched that does not run, a limit is held for nothing, a ready task can never be picked.
        """
        claimable = dict.fromkeys(
            (row[0], *row[1:])
            for row in self._rows(
                'SELECT jobs.job_id, node, "index", tasks.generation FROM tasks JOIN jobs USING (job_no) '
                "WHERE tasks.state = 'ready' AND held = 0 AND superseded = 0"
            )
        )
        running = {str(task.run_id): task for task in self._running()}
        watched = {str(run.run_id) for run in machine.runs}
        if watched != running.keys():
            raise Broken(f"runs in memory and rows differ: {sorted(watched ^ running.keys())}")
        dispatcher = machine.feed.dispatcher
        taken = Counter(task.queue for task in running.values())
        for queue in QUEUES:
            if dispatcher.running(queue) != taken[queue]:
                raise Broken(f"queue {queue} counts {dispatcher.running(queue)} runs, there are {taken[queue]} (R25)")
        known = [key for key in claimable if key in dispatcher]
        if len(known) != len(dispatcher):
            raise Broken(f"the dispatcher holds {len(dispatcher)} tasks, {len(known)} of them can be claimed")
        if len(known) < len(claimable) and not dispatcher.expects_more():
            lost = [key for key in claimable if key not in dispatcher]
            raise Broken(f"ready tasks that nobody will ever pick: {lost[:3]}")

    # Reading

    def _running(self) -> list[Task]:
        tasks = [self._task(row) for row in self._rows(_current("state = 'running' AND handler != ''"))]
        return [task for task in tasks if task.run_id is not None]

    def job(self, job_no: int) -> JobRows:
        """Return a job with all its rows."""
        job = read.job_from_row(next(iter(self._rows(f"{_JOB} WHERE job_no = ?", job_no))))
        statement = query("current_tasks").replace("AND superseded = 0", "")
        tasks = [read.task_from_row(job.job_id, row) for row in self._rows(statement, job_no)]
        return JobRows(job, self._graphs[job.definition_id], tasks)

    def _check_family(self, job_no: int) -> None:
        parent = read.job_from_row(self._rows(f"{_JOB} WHERE job_no = ?", job_no)[0])
        of_parent = "WHERE job_no IN (SELECT job_no FROM children WHERE parent_no = ?)"
        check_family(parent, [read.job_from_row(row) for row in self._rows(f"{_JOB} {of_parent}", job_no)])

    def signals(self, job_id: str) -> list[tuple[Signal, float | None]]:
        """Return a job's signals in order, each with when it was taken."""
        found = self._rows(
            "SELECT number, name, signal_id, payload, taken_at FROM signals JOIN jobs USING (job_no) WHERE job_id = ? "
            "ORDER BY number",
            job_id,
        )
        return [
            (Signal(number=number, name=name, payload=read.from_json(payload), signal_id=signal_id), taken_at)
            for number, name, signal_id, payload, taken_at in found
        ]

    def jobs(self) -> list[Job]:
        return [read.job_from_row(row) for row in self._rows(f"{_JOB} ORDER BY job_no")]

    def job_no(self, job_id: str) -> int:
        return int(next(iter(self._rows("SELECT job_no FROM jobs WHERE job_id = ?", job_id)))[0])

    def job_of_key(self, tenant: str, key: str) -> str | None:
        found = self._rows("SELECT job_id FROM jobs WHERE tenant = ? AND idempotency_key = ?", tenant, key)
        return found[0][0] if found else None

    def text(self, statement: str, *parameters: Any) -> Any:
        found = self._rows(statement, *parameters)
        return None if not found or found[0][0] is None else read.from_json(found[0][0])

    def _task(self, row: tuple[Any, ...]) -> Task:
        return read.task_from_row(str(row[0]), row)

    def _graph_of(self, task: Task) -> Graph:
        """Return the graph of a task read by `_current`, whose job_id is the job's number."""
        definition = self._rows("SELECT definition_id FROM jobs WHERE job_no = ?", int(task.job_id))[0][0]
        return self._graphs[definition]

    def _rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        if self._connection is None:
            self._connection = connect_reader(self._path)
        return self._connection.execute(statement, parameters).fetchall()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class Results:
    """Results of one job's tasks, from their rows."""

    def __init__(self, inspector: Inspector, job_no: int, rows: JobRows) -> None:
        self._inspector = inspector
        self._job_no = job_no
        self._rows = rows

    def params(self) -> Any:
        return self._inspector.text("SELECT params FROM job_params WHERE job_no = ?", self._job_no)

    def own(self, task: Task) -> Any:
        key = (task.node, task.index, task.generation)
        return self._inspector.text(query("task_result"), self._job_no, *key)

    def of(self, node: str) -> Any:
        """Return a node's result; a map's is put together from its items."""
        task = next(t for t in self._rows.current if t.node == node and t.index == NODE)
        if self._rows.graph.nodes[node].kind is not NodeKind.MAP:
            return self.own(task)
        items = sorted(
            (t for t in self._rows.current if t.node == node and t.index != NODE), key=lambda item: item.index
        )
        return [item_result(item.state is TaskState.COMPLETED, self.own(item), None) for item in items]


def _current(condition: str) -> str:
    return query("current_tasks").replace("job_no = ? AND superseded = 0", f"superseded = 0 AND {condition}")


def _event(row: list[Any]) -> Event:
    seq, kind, at, actor, task, index, run_id, data = row
    return Event(
        seq=seq,
        type=kind,
        at=at,
        actor=actor,
        task=task,
        index=index,
        run_id=run_id,
        data={} if data is None else read.from_json(data),
    )

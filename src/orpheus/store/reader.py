"""What the API shows: reads beside the writer, on connections of their own.

Each read sees the newest commit, as of one instant, and waits for nobody: SQLite's write-ahead log lets readers and the writer
pass one another. The work is done in a few threads, so a slow list keeps neither the event loop nor the writer.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import sqlite3
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from orpheus.core.decision import Event
from orpheus.core.errors import InvalidRequest
from orpheus.core.graph import Graph, NodeKind
from orpheus.core.job import Job
from orpheus.core.task import NODE, Task, TaskState
from orpheus.core.validate import parse_graph
from orpheus.store import database, rows
from orpheus.store.definitions import GraphCache
from orpheus.store.inbox import InboxReads
from orpheus.store.likenesses import LikenessReads
from orpheus.store.limits import list_tenants, oldest_ready_at
from orpheus.store.listing import JobQuery, list_jobs, states_of
from orpheus.store.log_reads import LogReads
from orpheus.store.payloads import map_result, outcomes_of
from orpheus.store.queries import query
from orpheus.store.records import artifact_record, file_record, queue_record, worker_record
from orpheus.store.rows import TASK_COLUMNS, Row
from orpheus.store.schedule_reads import ScheduleReads
from orpheus.store.trail import AuditQuery, read_trail
from orpheus.store.upkeep_reads import UpkeepReads
from orpheus.store.webhook_reads import WebhookReads

THREADS = 3
T = TypeVar("T")

StreamEvent = tuple[int, str, str, str, Event]
"""`(cursor, job_id, tenant, correlation_id, event)`."""


class Reader(ScheduleReads, WebhookReads, LogReads, UpkeepReads, LikenessReads, InboxReads):
    """The reads of one store. Safe to close twice; unknown things are None."""

    def __init__(self, path: Path, *, threads: int = THREADS) -> None:
        self._path = path
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="orpheus-read")
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._graphs = GraphCache()
        self._closed = False

    def close(self) -> None:
        """Finish what runs, then close the connections."""
        if self._closed:
            return
        self._closed = True
        self._pool.shutdown(wait=True)
        for connection in self._connections:
            connection.close()

    # One job

    async def job(self, job_id: str) -> Job | None:
        """Return the job's row. One row by its index, without payloads: read right here, since going to a thread and
        back costs ten times as much."""

        def read(connection: sqlite3.Connection) -> Job | None:
            row = connection.execute(query("job_by_id"), (job_id,)).fetchone()
            return None if row is None else rows.job_from_row(row)

        return self.read(read)

    async def job_parts(self, job_id: str, *, artifacts: bool) -> tuple[Any, Any, list[Mapping[str, Any]]]:
        """Return `(params, result, artifacts)` of a job as of one instant.

        Args:
            artifacts: whether it can have any.
        """

        def read(connection: sqlite3.Connection) -> tuple[Any, Any, list[Mapping[str, Any]]]:
            row = connection.execute(query("job_payload"), (job_id,)).fetchone()
            params, result = (None, None) if row is None else row
            found = connection.execute(query("artifacts_of_job"), (job_id,)) if artifacts else ()
            return _json(params), _json(result), [artifact_record(each) for each in found]

        return await self._run(read) if artifacts else self.read(read)  # as with `job`: one row, by its index

    async def job_payload(self, job_id: str) -> tuple[Any, Any]:
        """Return `(params, result)`; None for what there is not."""

        def read(connection: sqlite3.Connection) -> tuple[Any, Any]:
            row = connection.execute(query("job_payload"), (job_id,)).fetchone()
            params, result = (None, None) if row is None else row
            return _json(params), _json(result)

        return await self._run(read)

    async def jobs(
        self, filters: JobQuery, *, limit: int, cursor: str | None, skip: int = 0
    ) -> tuple[list[Job], str | None]:
        """Return a page, newest first (see `listing.py`: a page may be short and still have a cursor)."""
        return await self._run(lambda connection: list_jobs(connection, filters, limit=limit, cursor=cursor, skip=skip))

    async def states(self, job_ids: Sequence[str], *, tenant: str | None) -> dict[str, str]:
        return await self._run(lambda connection: states_of(connection, job_ids, tenant))

    async def trail(
        self, filters: AuditQuery, *, limit: int, cursor: str | None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Return who ordered what, newest first (see `trail.py`)."""
        return await self._run(lambda connection: read_trail(connection, filters, limit=limit, cursor=cursor))

    async def events(self, job_id: str, *, after: int, limit: int) -> list[Event]:
        def read(connection: sqlite3.Connection) -> list[Event]:
            found = connection.execute(query("events_of_job"), (job_id, after, limit))
            events = [event for row in found for event in rows.events_from_text(row[0])]
            return [event for event in events if event.seq > after][:limit]

        return await self._run(read)

    async def artifacts(self, job_id: str) -> list[Mapping[str, Any]]:
        return await self._run(
            lambda connection: [
                artifact_record(row) for row in connection.execute(query("artifacts_of_job"), (job_id,))
            ]
        )

    async def unsettled_dependencies(self, job_id: str) -> list[tuple[str, str, str]]:
        """Return `(job_id, on, state)` of the jobs this one still waits for."""

        def read(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
            job = _job_no(connection, job_id)
            found = () if job is None else connection.execute(query("unsettled_dependencies"), (job[0],))
            return [(row[0], row[1], row[2]) for row in found]

        return await self._run(read)

    # Tasks

    async def task(self, job_id: str, node: str, index: int = NODE) -> Task | None:
        """Return the current generation's row."""

        def read(connection: sqlite3.Connection) -> Task | None:
            job = _job_no(connection, job_id)
            row = None if job is None else connection.execute(query("current_task"), (job[0], node, index)).fetchone()
            return None if row is None else rows.task_from_row(job_id, row)

        return await self._run(read)

    async def alike_tasks(self, job_id: str, *, most: int) -> list[Task]:
        """Return one task of each kind that waits: of those alike in node, state, queue and concurrency key the one that
        has waited longest."""
        return await self._run(
            lambda connection: [
                rows.task_from_row(job_id, row[:-1]) for row in connection.execute(query("alike_tasks"), (job_id, most))
            ]
        )

    async def tasks(
        self, job_id: str, *, node: str | None, states: Sequence[str], limit: int, cursor: str | None
    ) -> tuple[list[Task], str | None]:
        """Return a page of current rows, in the graph's node order, items by index.

        Raises:
            InvalidRequest: the cursor is not one of this list.
        """

        def read(connection: sqlite3.Connection) -> tuple[list[Task], str | None]:
            return self._tasks(connection, job_id, node=node, states=states, limit=limit, cursor=cursor)

        return await self._run(read)

    def _tasks(
        self,
        connection: sqlite3.Connection,
        job_id: str,
        *,
        node: str | None,
        states: Sequence[str],
        limit: int,
        cursor: str | None,
    ) -> tuple[list[Task], str | None]:
        job = _job_no(connection, job_id)
        graph = None if job is None else self._graph(connection, job[1])
        if job is None or graph is None:
            return [], None
        names = list(graph.all_nodes) if node is None else [node]
        begin, after = (names[0], NODE - 1) if cursor is None and names else _task_cursor(cursor)
        if begin not in names:
            return [], None
        condition = f" AND state IN ({', '.join('?' * len(states))})" if states else ""
        sql = (
            f'SELECT job_no, {TASK_COLUMNS} FROM tasks WHERE job_no = ? AND node = ? AND "index" > ? AND superseded = 0'  # noqa: S608
            f'{condition} ORDER BY "index" LIMIT ?'
        )
        found: list[Task] = []
        for name in names[names.index(begin) :]:
            room = limit + 1 - len(found)
            parameters = (job[0], name, after, *states, room)
            found += [rows.task_from_row(job_id, row) for row in connection.execute(sql, parameters)]
            after = NODE - 1
            if len(found) > limit:
                last = found[limit - 1]
                return found[:limit], _encode([last.node, last.index])
        return found, None

    async def task_result(self, task: Task) -> Any:
        """Return the result of a task; a map's own is put together from its items."""

        def read(connection: sqlite3.Connection) -> Any:
            job = _job_no(connection, task.job_id)
            graph = None if job is None else self._graph(connection, job[1])
            if job is None or graph is None:
                return None
            node = graph.all_nodes.get(task.node)
            if node is not None and node.kind is NodeKind.MAP and task.index == NODE:
                if task.state is not TaskState.COMPLETED:
                    return None
                found = connection.execute(query("item_outcomes"), (job[0], task.node)).fetchall()
                return map_result(outcomes_of(found))
            row = connection.execute(query("task_result"), (job[0], task.node, task.index, task.generation)).fetchone()
            return None if row is None else _json(row[0])

        return await self._run(read)

    async def task_item(self, task: Task) -> Any:
        """Return what a map's item was given, or what an approval asks about."""

        def read(connection: sqlite3.Connection) -> Any:
            job = _job_no(connection, task.job_id)
            key = (task.node, task.index, task.generation)
            row = None if job is None else connection.execute(query("item_value"), (job[0], *key)).fetchone()
            return None if row is None else _json(row[0])

        return await self._run(read)

    async def attempts(self, task: Task) -> list[Mapping[str, Any]]:
        """Return the attempts of a task in this generation, first to last; `outcome` is None while one runs."""

        def read(connection: sqlite3.Connection) -> list[Mapping[str, Any]]:
            job = _job_no(connection, task.job_id)
            if job is None:
                return []
            key = (job[0], task.node, task.index, task.generation)
            found: list[Mapping[str, Any]] = [
                _attempt_record(row) for row in connection.execute(query("attempts_of_task"), key)
            ]
            if task.run_id is not None and task.run_id not in {one["run_id"] for one in found}:
                found.append(_current_attempt(task))
            return found

        return await self._run(read)

    async def node_states(self, job_id: str, nodes: Sequence[str]) -> dict[str, TaskState]:
        """Return the states of some nodes' own rows: what a blocked task waits for."""

        def read(connection: sqlite3.Connection) -> dict[str, TaskState]:
            job = _job_no(connection, job_id)
            found: dict[str, TaskState] = {}
            for name in nodes if job is not None else ():
                assert job is not None
                row = connection.execute(query("current_task"), (job[0], name, NODE)).fetchone()
                if row is not None:
                    found[name] = TaskState(row[4])
            return found

        return await self._run(read)

    # Definitions

    async def graph(self, definition_id: str) -> Graph | None:
        known = self._graphs.get(definition_id)
        return (
            known if known is not None else await self._run(lambda connection: self._graph(connection, definition_id))
        )

    def _graph(self, connection: sqlite3.Connection, definition_id: str) -> Graph | None:
        with self._lock:
            known = self._graphs.get(definition_id)
        if known is not None:
            return known
        row = connection.execute(query("definition_graph"), (definition_id,)).fetchone()
        if row is None:
            return None
        graph = parse_graph(rows.from_json(row[0]))
        with self._lock:
            self._graphs.put(graph, len(row[0]))
        return graph

    async def definition(self, definition_id: str) -> Mapping[str, Any] | None:
        """Return the graph's JSON as it was published."""

        def read(connection: sqlite3.Connection) -> Mapping[str, Any] | None:
            row = connection.execute(query("definition_graph"), (definition_id,)).fetchone()
            return None if row is None else rows.read_mapping(row[0])

        return await self._run(read)

    async def workflows(self) -> list[Mapping[str, Any]]:
        """Return every published workflow, by name, newest version first."""

        def read(connection: sqlite3.Connection) -> list[Mapping[str, Any]]:
            found: list[Mapping[str, Any]] = []
            for name, version, definition_id, published_at, text in connection.execute(query("all_definitions")):
                graph = rows.read_mapping(text)
                record = {
                    "name": name,
                    "version": version,
                    "definition_id": definition_id,
                    "published_at": published_at,
                    "description": graph.get("description", ""),
                    "params": graph.get("params"),
                    "result": graph.get("result"),
                    "nodes": len(graph.get("nodes", ())),
                }
                found.append(record)
            return found

        return await self._run(read)

    async def task_specs(self) -> list[Mapping[str, Any]]:
        """Return what workers have said of the tasks they offer, every version."""

        def read(connection: sqlite3.Connection) -> list[Mapping[str, Any]]:
            return [
                {
                    **rows.read_mapping(row[3]),
                    "name": row[0],
                    "version": row[1],
                    "content": row[2],
                    "published_at": row[4],
                }
                for row in connection.execute(query("all_task_specs"))
            ]

        return await self._run(read)

    # The rest

    async def events_after(self, cursor: int, limit: int) -> list[StreamEvent]:
        """Return events of all jobs in commit order, for a stream that catches up."""

        def read(connection: sqlite3.Connection) -> list[StreamEvent]:
            found: list[StreamEvent] = []
            groups = connection.execute(query("events_after"), (cursor, limit))
            for last, job_id, tenant, correlation_id, text in groups:
                events = rows.events_from_text(text)
                first = last - len(events) + 1
                found += [
                    (at, job_id, tenant, correlation_id, one) for at, one in enumerate(events, first) if at > cursor
                ]
                if len(found) >= limit:
                    break
            return found[:limit]

        return await self._run(read)

    async def queues(self) -> list[Mapping[str, Any]]:
        """Return every queue that has settings or has had tasks, with its counts of tasks by state."""

        def read(connection: sqlite3.Connection) -> list[Mapping[str, Any]]:
            found: dict[str, dict[str, Any]] = {}
            for row in connection.execute(query("all_queues")):
                found[row[0]] = {**queue_record(row), "tasks": {}}
            for queue, state, count in connection.execute(query("task_counts")):
                if queue:
                    empty = {"name": queue, "paused": False, "updated_at": None, "tasks": {}}
                    found.setdefault(queue, empty)["tasks"][state] = count
            for name, record in found.items():
                ready = record["tasks"].get("ready")
                record["oldest_ready_at"] = oldest_ready_at(connection, name) if ready else None
            return [found[name] for name in sorted(found)]

        return await self._run(read)

    async def tenants(self) -> list[Mapping[str, Any]]:
        """Return every tenant that has settings or has had jobs, with its counts of jobs by state."""
        return await self._run(list_tenants)

    async def workers(self) -> list[Mapping[str, Any]]:
        return await self._run(
            lambda connection: [worker_record(row) for row in connection.execute(query("all_workers"))]
        )

    async def worker_names(self, session_ids: Collection[str]) -> dict[str, str]:
        """Return what the workers of these sessions are called; those forgotten long ago are left out."""
        if not session_ids:
            return {}
        asked = json.dumps(list(session_ids))
        return await self._run(lambda connection: dict(connection.execute(query("worker_names"), (asked,)).fetchall()))

    async def file(self, file_id: str) -> Mapping[str, Any] | None:
        def read(connection: sqlite3.Connection) -> Mapping[str, Any] | None:
            row = connection.execute(query("file"), (file_id,)).fetchone()
            return None if row is None else file_record(row)

        return await self._run(read)

    async def stats(self) -> Mapping[str, Any]:
        """Return `jobs` (counts by state) and `tasks` (by queue, then state), from the counters."""

        def read(connection: sqlite3.Connection) -> Mapping[str, Any]:
            tasks: dict[str, dict[str, int]] = {}
            for queue, state, count in connection.execute(query("task_counts")):
                tasks.setdefault(queue, {})[state] = count
            jobs = {row[0]: row[1] for row in connection.execute(query("job_counts"))}
            return {"jobs": jobs, "tasks": tasks}

        return await self._run(read)

    async def jobs_of_tenant(self, tenant: str) -> Mapping[str, int]:
        """Return a tenant's jobs by state, from the counters."""

        def read(connection: sqlite3.Connection) -> Mapping[str, int]:
            return {row[0]: row[1] for row in connection.execute(query("job_counts_of_tenant"), (tenant,))}

        return await self._run(read)

    async def needed_runs(self, run_ids: Sequence[str]) -> frozenset[str]:
        """Return those of the runs that are under way or accepted. Looks at every task once, however many are asked."""
        asked = json.dumps(list(run_ids))
        return await self._run(
            lambda connection: frozenset(row[0] for row in connection.execute(query("needed_runs"), (asked,)))
        )

    # Threads

    async def _run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self.read, read)

    def read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Run a read as of one instant, in this thread."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = database.connect_reader(self._path)
            with self._lock:
                self._connections.append(connection)
        connection.execute("BEGIN")
        try:
            return read(connection)
        finally:
            connection.execute("COMMIT")


def _json(text: str | None) -> Any:
    return None if text is None else rows.from_json(text)


def _job_no(connection: sqlite3.Connection, job_id: str) -> tuple[int, str] | None:
    row = connection.execute(query("job_no"), (job_id,)).fetchone()
    return None if row is None else (row[0], row[1])


def _attempt_record(row: Row) -> dict[str, Any]:
    attempt, run_id, worker, started_at, finished_at, outcome, error = row
    return {
        "attempt": attempt,
        "run_id": run_id,
        "worker": worker,
        "started_at": started_at,
        "finished_at": finished_at,
        "outcome": outcome,
        "error": rows.read_error(error),
    }


def _current_attempt(task: Task) -> dict[str, Any]:
    """Tell of the attempt that stands in the task's own row: it runs, or it was completed."""
    return {
        "attempt": task.attempt,
        "run_id": task.run_id,
        "worker": task.worker,
        "started_at": task.started_at,
        "finished_at": task.finished_at,
        "outcome": "completed" if task.state is TaskState.COMPLETED else None,
        "error": None,
    }


def _encode(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _task_cursor(cursor: str | None) -> tuple[str, int]:
    if cursor is None:
        return "", NODE
    try:
        node, index = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(node, str) or not isinstance(index, int) or abs(index) > 1 << 62:
            raise ValueError(cursor)
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise InvalidRequest("the cursor is not one of this list", hint="leave it out to begin anew") from None
    return node, index

"""What a transaction has changed and not yet written: rows are gathered here and written together.

A decision changes a handful of rows, a batch of decisions often the same rows again (a job submitted and claimed at once, a
map's row for each of its items). Rows wait here, in their last form, and go to SQLite together when somebody asks a question
about many rows, and before COMMIT; or, where nobody has asked and they are many, to the process beside (`Unit.finish`). Every UPDATE
is guarded by what the row was when it was read, and the rows it met are counted: a mismatch is our bug and rolls the batch back, or,
when that process finds it, ends the server (ADR 0033).
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from itertools import repeat
from typing import Any

from orpheus.core.decision import Event
from orpheus.core.job import Job
from orpheus.core.task import Task, TaskState
from orpheus.store import rows, usual_rows, wide_inserts
from orpheus.store.cache import JobEntry, RowCache, TaskEntry, TaskKey, TaskPlace
from orpheus.store.errors import GuardFailed
from orpheus.store.in_flight import InFlight, holds_any
from orpheus.store.queries import is_question, query
from orpheus.store.rows import EVENTS_PER_ROW, Row
from orpheus.store.usual_rows import JobMove, TaskMove
from orpheus.store.writer import Statement

READY_SEQ_BLOCK = 1_000_000
"""`ready_seq` numbers are reserved in `meta` this many at a time: their maximum in the rows would need a scan at start."""


FEW = 8
"""Moves that are added up one by one: counting like ones first costs more."""


class Counters:
    """The numbers given to new rows. A rollback sets them back (`Store` opens a transaction with a copy)."""

    __slots__ = ("cursor", "job_no", "log_no", "ready_seq", "ready_seq_end")

    def __init__(self, *, job_no: int, cursor: int, log_no: int, ready_seq: int, ready_seq_end: int) -> None:
        self.job_no = job_no
        self.cursor = cursor
        self.log_no = log_no
        self.ready_seq = ready_seq
        self.ready_seq_end = ready_seq_end

    def copy(self) -> Counters:
        return Counters(
            job_no=self.job_no,
            cursor=self.cursor,
            log_no=self.log_no,
            ready_seq=self.ready_seq,
            ready_seq_end=self.ready_seq_end,
        )


class Unit:
    """The rows of one transaction. Loads through the cache, gathers changes, flushes them in order."""

    def __init__(
        self, connection: sqlite3.Connection, cache: RowCache, counters: Counters, *, in_flight: InFlight | None = None
    ) -> None:
        self.connection = connection
        """For questions by a row's key, others call `settle` before; whoever changes rows through it calls `begin`."""
        self.counters = counters
        self.apart: list[Statement] | None = None
        """The whole transaction, when it is to be written by the process beside (writer.py) instead of this connection."""
        self.sent: Set[str] = frozenset()
        """Names of its statements, once that process has it."""
        self._in_flight = in_flight
        self._begun = False
        self.wrote = False
        """Anything was changed, so a COMMIT is worth its fsync."""
        self._cache = cache
        self.jobs = cache.jobs
        """What is remembered of the rows; who asks them first saves a call for each."""
        self.tasks = cache.tasks
        self.current = cache.current
        self.dirty_jobs: list[JobEntry] = []
        """What has changed since the last flush; each once, with `dirty` set."""
        self.dirty_tasks: list[TaskEntry] = []
        self.touched_jobs: list[JobEntry] = []
        self.touched_tasks: list[TaskEntry] = []
        self._inserts: dict[str, list[Row]] = {}
        self._events: list[Row] = []
        self._job_moves: list[JobMove] = []
        self._task_moves: list[TaskMove] = []
        self.created_with: dict[tuple[str, str], tuple[str, str | None]] = {}

    # Loading

    def job(self, job_id: str) -> JobEntry | None:
        """Return the job's entry; its row is ours, callers copy it before changing."""
        entry = self.jobs.get(job_id)
        if entry is None:
            row = self.connection.execute(query("job_by_id"), (job_id,)).fetchone()
            if row is None:
                return None
            entry = self.jobs[job_id] = JobEntry.stored(row[0], rows.job_from_row(row))
        return entry

    def task(self, job: JobEntry, node: str, index: int) -> TaskEntry | None:
        """Return the current generation's row."""
        job_id = job.job.job_id
        entry = self.current.get((job_id, node, index))
        if entry is None and job.stored_state is not None:
            row = self.connection.execute(query("current_task"), (job.job_no, node, index)).fetchone()
            if row is not None:
                entry = self.remember(job.job_no, rows.task_from_row(job_id, row))
        # A rewound map's items may have no successor yet: then there is no current row (R20).
        return None if entry is None or entry.task.superseded else entry

    def load_jobs(self, keys: Iterable[TaskPlace | TaskKey]) -> list[JobEntry]:
        """Read by one statement the jobs of remembered tasks that are not remembered themselves; return these."""
        jobs, current = self.jobs, self.current
        missing = {entry.job_no for key in keys if key[0] not in jobs and (entry := current.get(key[:3])) is not None}
        if not missing:
            return []
        asked = rows.to_json(sorted(missing))
        loaded = [
            JobEntry.stored(row[0], rows.plain_job(row))
            for row in self.connection.execute(query("plain_jobs_by_no"), (asked,))
        ]
        if len(loaded) < len(missing):
            asked = rows.to_json(sorted(missing.difference(entry.job_no for entry in loaded)))
            loaded += [
                JobEntry.stored(row[0], rows.job_from_row(row))
                for row in self.connection.execute(query("jobs_by_no"), (asked,))
            ]
        jobs.update((entry.job.job_id, entry) for entry in loaded)
        return loaded

    def task_by_key(self, job: JobEntry, key: TaskKey) -> TaskEntry:
        """Return a row that must exist, of whatever generation."""
        entry = self.tasks.get(key)
        if entry is None:
            row = self.connection.execute(query("task_by_key"), (job.job_no, *key[1:])).fetchone()
            if row is None:
                raise GuardFailed(f"a decision changes task {key}, which does not exist")
            entry = TaskEntry.stored(job.job_no, rows.task_from_row(key[0], row))
            # Not `current`: an older generation's row may be asked for by its key.
            self._cache.add_task(entry, current=False)
        return entry

    def current_tasks(self, job: JobEntry, node: str | None = None) -> list[TaskEntry]:
        """Return every current row of the job, or of one node, in no particular order."""
        self.settle()
        self.flush()
        if node is None:
            found = self.connection.execute(query("current_tasks"), (job.job_no,))
        else:
            found = self.connection.execute(query("current_tasks_of_node"), (job.job_no, node))
        return [self.remember(job.job_no, rows.task_from_row(job.job.job_id, row)) for row in found]

    def remember(self, job_no: int, task: Task) -> TaskEntry:
        """Return the entry of a current row that was just read; a change not yet written stays."""
        entry = self.tasks.get(task.key)
        if entry is None:
            entry = TaskEntry.stored(job_no, task)
        self._cache.add_task(entry, current=not entry.task.superseded)
        return entry

    def idempotent(self, tenant: str, key: str) -> tuple[str, str | None] | None:
        found = self.created_with.get((tenant, key))
        if found is None and self._in_flight:
            found = self._in_flight.idempotent(tenant, key)
        if found is not None:
            return found
        row = self.connection.execute(query("idempotent_job"), (tenant, key)).fetchone()
        return None if row is None else (row[0], row[1])

    def any_idempotent(self, tenant: str, keys: Sequence[str]) -> bool:
        """Tell whether `idempotent` knows any of these keys. Those of a batch mostly stand side by side with nobody else's between
        them, which one look tells; else each is looked for."""
        if holds_any(self.created_with, tenant, keys) or (
            self._in_flight and self._in_flight.any_idempotent(tenant, keys)
        ):
            return True
        ends = (tenant, min(keys), max(keys))
        if self.connection.execute(query("any_idempotent_job_between"), ends).fetchone() is None:
            return False
        asked = (tenant, rows.to_json(keys))
        return self.connection.execute(query("any_idempotent_job"), asked).fetchone() is not None

    @property
    def knows_dependencies(self) -> bool:
        """Tell whether any job ever waited for another; where none did, an end asks for nobody."""
        return self._cache.dependencies

    @knows_dependencies.setter
    def knows_dependencies(self, known: bool) -> None:
        self._cache.dependencies = known

    def forget_jobs(self, job_ids: Iterable[str]) -> None:
        """Remember nothing of jobs whose rows are gone."""
        self._cache.forget_jobs(frozenset(job_ids))

    # Changing

    def new_job(self, job: Job) -> JobEntry:
        assert job.job_id not in self.jobs, f"job {job.job_id} exists already"
        self.counters.job_no += 1
        entry = self.jobs[job.job_id] = JobEntry(self.counters.job_no, job)
        self.dirty_jobs.append(entry)
        if job.idempotency_key is not None:
            self.created_with[job.tenant, job.idempotency_key] = (job.job_id, job.fingerprint)
        return entry

    def next_job_nos(self, count: int) -> range:
        counters = self.counters
        first = counters.job_no + 1
        counters.job_no += count
        return range(first, first + count)

    def new_jobs(self, job_nos: range, jobs: Sequence[Job], begun: Sequence[tuple[Job, Row] | None]) -> None:
        """Do as `new_job` for each of these. `begun`: see `JobEntry`."""
        known, dirty = self.jobs, self.dirty_jobs
        for job_no, job, as_begun in zip(job_nos, jobs, begun, strict=True):
            assert job.job_id not in known, f"job {job.job_id} exists already"
            entry = known[job.job_id] = JobEntry(job_no, job, begun=as_begun)
            dirty.append(entry)
            if job.idempotency_key is not None:
                self.created_with[job.tenant, job.idempotency_key] = (job.job_id, job.fingerprint)

    def change_job(self, entry: JobEntry, job: Job) -> None:
        """Put the changed row in the place of the old one. Who changes more than usual facts do says so (`JobEntry.usual`)."""
        entry.job = job
        if not entry.dirty:
            entry.dirty = True
            self.dirty_jobs.append(entry)

    def new_task(self, job_no: int, task: Task, row: Row | None = None) -> TaskEntry:
        """Keep a new task, and what the lean INSERT takes of it where that is known (`TaskEntry.begun`)."""
        entry = TaskEntry(job_no, task, begun=None if row is None else (task, row))
        job_id, node, index = task.job_id, task.node, task.index
        self.tasks[job_id, node, index, task.generation] = self.current[job_id, node, index] = entry
        self.dirty_tasks.append(entry)
        return entry

    def change_task(self, entry: TaskEntry, task: Task) -> None:
        """Do for a task as `change_job` does."""
        entry.task = task
        if not entry.dirty:
            entry.dirty = True
            self.dirty_tasks.append(entry)

    def insert(self, name: str, row: Row) -> None:
        """Queue a row for the statement of that name."""
        gathered = self._inserts.get(name)
        if gathered is None:
            gathered = self._inserts[name] = []
        gathered.append(row)

    def insert_many(self, name: str, found: Iterable[Row]) -> None:
        self._inserts.setdefault(name, []).extend(found)

    def events(self, job_no: int, events: Sequence[Event]) -> int:
        """Queue the events of a decision; return the cursor of the last one. Those before it count down without a gap."""
        counters = self.counters
        count = len(events)
        cursor = counters.cursor = counters.cursor + count
        if count > EVENTS_PER_ROW:
            self._events.extend(rows.event_rows(cursor, job_no, events))
        else:
            self._events.append(rows.event_row(cursor, job_no, events))
        return cursor

    def same_events(self, job_nos: range, events: Sequence[Event]) -> int:
        """Do as `events` for new jobs that have the same, one after the other; return the last one's cursor."""
        counters = self.counters
        cursor = self.events(job_nos[0], events)
        others = job_nos[1:]
        if len(events) > EVENTS_PER_ROW:
            for job_no in others:
                cursor = self.events(job_no, events)
            return cursor
        _cursor, _job_no, seq, text = self._events[-1]
        count = len(events)
        counters.cursor = cursor + count * len(others)
        self._events += zip(
            range(cursor + count, counters.cursor + 1, count), others, repeat(seq), repeat(text), strict=False
        )
        return counters.cursor

    def next_ready_seq(self) -> int:
        counters = self.counters
        if counters.ready_seq >= counters.ready_seq_end:
            counters.ready_seq_end = counters.ready_seq + READY_SEQ_BLOCK
            self.insert("put_meta", ("ready_seq_end", str(counters.ready_seq_end)))
        counters.ready_seq += 1
        return counters.ready_seq

    def next_ready_seqs(self, count: int) -> range:
        """Return what as many calls of `next_ready_seq` would."""
        counters = self.counters
        first = counters.ready_seq + 1
        counters.ready_seq += count
        if counters.ready_seq > counters.ready_seq_end:
            counters.ready_seq_end = counters.ready_seq + READY_SEQ_BLOCK
            self.insert("put_meta", ("ready_seq_end", str(counters.ready_seq_end)))
        return range(first, first + count)

    def ask(self, name: str, parameters: Sequence[Any], *, of: str) -> sqlite3.Cursor:
        """Ask about rows that only the statement `of` inserts: what is gathered is written first only if some of them wait.

        Each job's end asks for its dependents. With a flush for each, the rows of a batch went to SQLite one by one: 5,000
        one-task jobs cost 920 µs each in the machine alone, and 460 µs without (2 shared cores).
        """
        if of in self._inserts:
            self.flush()
        elif self.awaits(of):
            self.settle()
        return self.connection.execute(query(name), parameters)

    def settle(self) -> None:
        """Wait until the file has what was decided before this transaction. Afterwards every question may be asked."""
        if self._in_flight:
            self._in_flight.settle()

    @property
    def has_settled(self) -> bool:
        """Tell whether the file has what was decided before this transaction."""
        return not self._in_flight

    def awaits(self, *statements: str) -> bool:
        """Tell whether rows of one of these statements were decided before this transaction and may not be in the file yet."""
        return self._in_flight is not None and self._in_flight.hold(*statements)

    def begin(self) -> None:
        """Begin the transaction on this connection, if nothing has: what only asks needs none, there is no other writer."""
        assert self.apart is None, "the transaction is complete, and another process's"
        if not self._begun:
            self.settle()
            self.connection.execute("BEGIN IMMEDIATE")
            self._begun = True

    def execute(self, name: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Ask about many rows, or change them directly: what is gathered is written first."""
        self.settle()
        self.flush()
        statement = query(name)
        if not is_question(statement):
            self.begin()
        return self.connection.execute(statement, parameters)

    # Writing

    @property
    def is_flushed(self) -> bool:
        return not (self.dirty_jobs or self.dirty_tasks or self._inserts or self._events)

    def flush(self) -> None:
        """Write everything gathered, in an order in which nothing refers to a row that is not there."""
        if self.is_flushed:
            return
        self.wrote = True
        if self.apart is None:
            self.begin()
        self._flush_jobs()
        self._flush_tasks()
        events, self._events = self._events, []
        self._many("insert_events", events)
        self._all(self._inserts)
        self._inserts.clear()
        self._flush_counts()

    def finish(self) -> None:
        """Write what is left; or, when it is everything and many rows, leave it to the process beside.

        While that one has something to write it gets small ones too: they would have to wait for it.
        """
        if (
            self._in_flight is not None
            and not self._begun
            and not self.is_flushed
            and (self._in_flight or len(self.dirty_jobs) + len(self.dirty_tasks) >= self._in_flight.writer.least_rows)
            and self._in_flight.takes()
        ):
            self.apart = []
        self.flush()

    def _flush_jobs(self) -> None:
        gathered: dict[str, list[Row]] = {}
        for entry in usual_rows.jobs(self.dirty_jobs, gathered, self._job_moves):
            job, state, before = entry.job, entry.job.state, entry.stored_state
            row: Row
            if before is None:
                name, row = "insert_job", rows.job_insert(entry.job_no, job, entry.new_result)
            else:
                name, row = (
                    ("update_job_usual", rows.job_usual_update(job))
                    if entry.usual
                    else ("update_job", rows.job_update(job))
                )
                guard = (entry.job_no, entry.stored_seq)
                if entry.new_result is not None:
                    name, row = name + "_result", (state._value_, *row, entry.new_result, *guard)
                elif before is not state:
                    name, row = name + "_state", (state._value_, *row, *guard)
                else:
                    row = (*row, *guard)
            if before is not state:
                self._job_moves.append((job.tenant, job.workflow, before, state))
            if name in gathered:
                gathered[name].append(row)
            else:
                gathered[name] = [row]
            if entry.stored_labels != job.labels:
                self._change_labels(entry)
            entry.stored_state, entry.stored_seq = state, job.last_seq
            entry.new_result = None
            entry.usual = True
            entry.dirty = False
        self.touched_jobs += self.dirty_jobs
        self.dirty_jobs.clear()
        self._all(gathered)

    def _change_labels(self, entry: JobEntry) -> None:
        job = entry.job
        for name, labels in (("delete_labels", entry.stored_labels), ("insert_label", job.labels)):
            self._many(name, [(key, value, job.created_at, entry.job_no) for key, value in labels.items()])
        entry.stored_labels = job.labels

    def _flush_tasks(self) -> None:
        gathered: dict[str, list[Row]] = {}
        for entry in usual_rows.tasks(self.dirty_tasks, self.jobs, gathered, self._task_moves):
            task, state, before = entry.task, entry.task.state, entry.stored_state
            job = self.jobs.get(task.job_id)
            held = job is not None and job.job.paused and state is TaskState.READY
            row: Row
            if before is None:
                name, row = "insert_task", rows.task_insert(entry.job_no, task, held, entry.new_result)
            else:
                if entry.usual:
                    name, row = "update_task_usual", rows.task_usual_update(task, held)
                else:
                    name, row = "update_task", rows.task_update(task, held)
                place = (entry.job_no, task.node, task.index, task.generation, before._value_, entry.stored_attempt)
                if entry.new_result is None:
                    row = (*row, *place)
                else:
                    name, row = name + "_result", (*row, entry.new_result, *place)
            if name in gathered:
                gathered[name].append(row)
            else:
                gathered[name] = [row]
            counted_as = None if task.superseded else state
            if counted_as is not entry.counted_as:
                self._task_moves.append((task.queue, entry.counted_as, counted_as))
                entry.counted_as = counted_as
            entry.stored_state, entry.stored_attempt = state, task.attempt
            entry.new_result = None
            entry.usual = True
            entry.dirty = False
        self.touched_tasks += self.dirty_tasks
        self.dirty_tasks.clear()
        self._all(gathered)

    def _all(self, gathered: dict[str, list[Row]]) -> None:
        for name, found in gathered.items():
            if found:
                self._many(name, found)

    def _flush_counts(self) -> None:
        """Move the counters by what moved between states since the last flush."""
        for name, moves in (("move_job_count", self._job_moves), ("move_task_count", self._task_moves)):
            if moves:
                self._many(name, _net(moves))
                moves.clear()

    def _many(self, name: str, gathered: list[Row]) -> None:
        if not gathered:
            return
        if self.apart is not None:
            self.apart.append((name, gathered))  # the list is nobody else's from here on
            return
        met = wide_inserts.write(self.connection, name, gathered)
        if met != len(gathered):
            raise GuardFailed(f"{name}: {len(gathered)} rows were decided on, {met} were as they had been read")

    @property
    def begun(self) -> bool:
        """Tell whether this connection has something to commit."""
        return self._begun

    # Ending

    def committed(self) -> None:
        """The file has it: keep the memory bounded."""
        self._cache.forget_ended(self.touched_jobs, self.touched_tasks)


def _net(moves: Sequence[tuple[Any, ...]]) -> list[Row]:
    """Return by how much the number of those in each state has changed: `(whose …, state, by)`."""
    changed: dict[Row, int] = {}
    for move, times in _times(moves):
        whose, left, came = move[:-2], move[-2], move[-1]
        if left is not None:
            key = (*whose, left._value_)
            changed[key] = changed.get(key, 0) - times
        if came is not None:
            key = (*whose, came._value_)
            changed[key] = changed.get(key, 0) + times
    return [(*key, by) for key, by in changed.items() if by]


def _times(moves: Sequence[tuple[Any, ...]]) -> Iterable[tuple[tuple[Any, ...], int]]:
    """Return the moves, and how often each of them was made."""
    return Counter(moves).items() if len(moves) > FEW else zip(moves, repeat(1), strict=False)

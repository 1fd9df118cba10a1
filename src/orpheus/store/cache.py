"""What the store remembers between transactions: rows it will need again, and decoded payloads.

Nobody else writes, so what was decided is what stands in the file, or is on its way there (in_flight.py): a remembered row needs no
second look. Both memories are bounded (promise 5) and both are emptied by a rollback, the only event that could make them differ from
the file.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Set
from typing import Any

import msgspec

from orpheus.core.job import TERMINAL, Job, JobState
from orpheus.core.task import NODE, SETTLED, Task, TaskState

MAX_JOBS = 8_192
MAX_TASKS = 32_768
"""Rows kept after a commit; about a kilobyte each."""
MAX_PAYLOAD_BYTES = 32 << 20

_QUEUED, _JOB_RUNNING = JobState.QUEUED, JobState.RUNNING
_READY, _RUNNING = TaskState.READY, TaskState.RUNNING

TaskKey = tuple[str, str, int, int]
TaskPlace = tuple[str, str, int]
"""(job_id, node, index): names the current generation's row."""


class TaskEntry(msgspec.Struct, eq=False, gc=False):
    """A task's row, and what the file says of it until the next flush. As it is made here: new, to be inserted."""

    job_no: int
    task: Task
    stored_state: TaskState | None = None
    """None: the row is not in the file yet."""
    stored_attempt: int = 0
    counted_as: TaskState | None = None
    """The state `task_counts` has it under."""
    dirty: bool = True
    usual: bool = False
    """Since the last flush only usual decisions have changed it (core/usual.py)."""
    new_result: str | None = None
    begun: tuple[Task, tuple[Any, ...]] | None = None
    """As it was created, and what the lean INSERT takes of that: it still holds if `task` is this one."""

    @classmethod
    def stored(cls, job_no: int, task: Task) -> TaskEntry:
        """Return the entry of a row that was just read."""
        counted_as = None if task.superseded else task.state
        return cls(job_no, task, task.state, task.attempt, counted_as, dirty=False, usual=True)


class JobEntry(msgspec.Struct, eq=False, gc=False):
    """A job's row, and what the file says of it until the next flush. As it is made here: new, to be inserted."""

    job_no: int
    job: Job
    stored_state: JobState | None = None
    """None: the row is not in the file yet."""
    stored_seq: int = 0
    stored_labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    dirty: bool = True
    usual: bool = False
    """Since the last flush only usual decisions have changed it (core/usual.py)."""
    new_result: str | int | None = None
    """The job's result as JSON when it is to be written; ABSENT clears it."""
    settled: list[TaskEntry] = msgspec.field(default_factory=list)
    """Its settled rows that are remembered, for what refers to them."""
    begun: tuple[Job, tuple[Any, ...]] | None = None
    """As it was created, and what the lean INSERT takes of that: it still holds if `job` is this one."""

    @classmethod
    def stored(cls, job_no: int, job: Job) -> JobEntry:
        """Return the entry of a row that was just read."""
        return cls(job_no, job, job.state, job.last_seq, job.labels, dirty=False, usual=True)


class RowCache:
    """Rows by identity, in the order in which they came."""

    def __init__(self, max_jobs: int = MAX_JOBS, max_tasks: int = MAX_TASKS) -> None:
        self.jobs: OrderedDict[str, JobEntry] = OrderedDict()
        self.tasks: OrderedDict[TaskKey, TaskEntry] = OrderedDict()
        self.current: dict[TaskPlace, TaskEntry] = {}
        self.dependencies = True
        """Some job waits, or has waited, for another; what the file says is for the store to find at its start."""
        self._max_jobs = max_jobs
        self._max_tasks = max_tasks

    def clear(self) -> None:
        self.jobs.clear()
        self.tasks.clear()
        self.current.clear()

    def add_task(self, entry: TaskEntry, *, current: bool) -> None:
        task = entry.task
        job_id, node, index = task.job_id, task.node, task.index
        self.tasks[job_id, node, index, task.generation] = entry
        if current:
            self.current[job_id, node, index] = entry

    def drop_task(self, entry: TaskEntry) -> None:
        task = entry.task
        job_id, node, index = place = task.job_id, task.node, task.index
        self.tasks.pop((job_id, node, index, task.generation), None)
        if self.current.get(place) is entry:
            del self.current[place]

    def forget_jobs(self, job_ids: frozenset[str]) -> None:
        """Drop every row of these jobs."""
        for job_id in job_ids:
            self.jobs.pop(job_id, None)
        for entry in [entry for entry in self.tasks.values() if entry.task.job_id in job_ids]:
            self.drop_task(entry)

    def forget_ended(
        self,
        jobs: list[JobEntry],
        tasks: list[TaskEntry],
        *,
        but_jobs: Set[JobEntry] = frozenset(),
        but_tasks: Set[TaskEntry] = frozenset(),
    ) -> None:
        """After a commit: drop rows that will hardly be asked for again, and keep to the bounds.

        Above a bound, what came last and does not run goes first: work is begun in the order in which it came, so with a
        long backlog the newest rows are wanted last. Then the oldest go, which have been passed over.

        Args:
            but_jobs, but_tasks: were changed again, which the file does not know yet (in_flight.py): they stay.
        """
        if but_jobs or but_tasks:
            jobs = [job for job in jobs if job not in but_jobs]
            tasks = [task for task in tasks if task not in but_tasks]
        known = self.jobs
        crowded = len(known) > self._max_jobs
        for job in jobs:
            state = job.job.state
            if state is _JOB_RUNNING or (state is _QUEUED and not crowded):
                continue
            if state in TERMINAL or len(known) > self._max_jobs:
                known.pop(job.job.job_id, None)
                if job.settled:
                    for settled in job.settled:
                        self.drop_task(settled)
                    job.settled = []
        crowded = len(self.tasks) > self._max_tasks
        room = len(self.tasks) <= self._max_tasks // 2
        for task in tasks:
            row = task.task
            state_of_task = row.state
            if state_of_task is _RUNNING or (state_of_task is _READY and not crowded):
                continue
            if state_of_task in SETTLED:
                # A node's row is kept while its job goes on and there is room: the next node refers to it.
                goes_on = known.get(row.job_id)
                if goes_on is not None and room and row.index == NODE and not row.superseded:
                    goes_on.settled.append(task)
                    continue
            elif len(self.tasks) <= self._max_tasks:
                continue
            self.drop_task(task)
        while len(known) > self._max_jobs and (oldest := next(iter(known.values()))) not in but_jobs:
            del known[oldest.job.job_id]
        while len(self.tasks) > self._max_tasks and (eldest := next(iter(self.tasks.values()))) not in but_tasks:
            self.drop_task(eldest)


class PayloadCache:
    """Decoded JSON by key, bounded by the bytes of its text; least recently used goes first.

    Values are shared between all who ask: nobody changes them.
    """

    def __init__(self, max_bytes: int = MAX_PAYLOAD_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable) -> tuple[Any, int] | None:
        """Return `(value, size)`, or None when it is not remembered."""
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    def put(self, key: Hashable, value: Any, size_bytes: int) -> None:
        if size_bytes > self._max_bytes // 4:
            self.drop(key)
            return  # one giant must not drive out everything else
        cost = size_bytes + 200
        replaced = self._entries.pop(key, None)
        if replaced is not None:
            self._bytes -= replaced[1]
        self._entries[key] = (value, cost)
        self._bytes += cost
        self._keep_to_bound()

    def put_new(self, entries: Iterable[tuple[Hashable, Any, int]]) -> None:
        """Do as `put` for what nobody asked for yet."""
        known, most = self._entries, self._max_bytes // 4
        for key, value, size_bytes in entries:
            if size_bytes <= most:
                known[key] = (value, size_bytes + 200)
                self._bytes += size_bytes + 200
        self._keep_to_bound()

    def _keep_to_bound(self) -> None:
        while self._bytes > self._max_bytes:
            _key, (_value, gone) = self._entries.popitem(last=False)
            self._bytes -= gone

    def drop(self, key: Hashable) -> None:
        gone = self._entries.pop(key, None)
        if gone is not None:
            self._bytes -= gone[1]

    def clear(self) -> None:
        self._entries.clear()
        self._bytes = 0

    @property
    def size_bytes(self) -> int:
        return self._bytes

"""What may be claimed, what is due, what runs? The questions of claims, timers and start-up (R7, R25, R26)."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from orpheus.core.dispatch import Source
from orpheus.core.task import Task, TaskState
from orpheus.store import rows
from orpheus.store.cache import JobEntry
from orpheus.store.queries import query
from orpheus.store.unit import Unit


class ReadyRow(NamedTuple):
    """A claimable task, as much of it as its place in the order needs; its node's options are in the graph of
    `definition_id`. The first four are its key."""

    job_id: str
    node: str
    index: int  # type: ignore[assignment]  # the word of the glossary; tuple.index is not used
    generation: int
    ready_seq: int
    definition_id: str
    job_no: int
    unmet: int
    ready_at: float | None
    first_ready_at: float | None
    is_plain: int
    """1: what stands here and in its source is all that its row holds."""


_ready_row = partial(tuple.__new__, ReadyRow)
"""Makes one of a row of the file. Calling the class does the same, by way of a Python function."""


class Ready:
    """The questions about tasks in many jobs, within one transaction."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def lanes(self) -> list[tuple[Source, int]]:
        """Return every source that has claimable tasks, with the `ready_seq` of its oldest. Steps over the index from one
        source to the next, so a million tasks of one source cost as much as one."""
        found: list[tuple[Source, int]] = []
        row = self._unit.execute("first_lane").fetchone()
        while row is not None:
            source = Source(*row[:5])
            found.append((source, row[5]))
            past = (source.queue, source.priority, source.tenant, source.handler, source.concurrency_key or "")
            row = self._unit.execute("next_lane", past).fetchone()
        return found

    def lanes_of_job(self, job: JobEntry) -> list[tuple[Source, int]]:
        """Return the sources of one job's claimable tasks: what a resume gives back."""
        return [(Source(*row[:5]), row[5]) for row in self._unit.execute("lanes_of_job", (job.job_no,))]

    def window(self, source: Source, after_seq: int, limit: int) -> list[ReadyRow]:
        """Return the next claimable tasks of a source, first in first out. They are about to be claimed, so their rows
        are remembered; those of a short backlog are still, and need not be read."""
        place = (*source, after_seq, limit)
        window = self._window_at_once(place)
        if window is None:
            window = list(map(_ready_row, self._unit.execute("ready_window", place)))
        unit, known = self._unit, self._unit.tasks
        new = [row for row in window if row[:4] not in known]
        for row in new:
            if row.is_plain:
                unit.remember(row.job_no, rows.plain_ready_task(row, source))
        if not all(row.is_plain for row in new):
            for job_id, job_no, *columns in unit.connection.execute(query("ready_rows"), place):
                if (job_id, columns[0], columns[1], columns[2]) not in known:
                    unit.remember(job_no, rows.task_from_row(job_id, (job_no, *columns)))
        return window

    def _window_at_once(self, place: tuple[object, ...]) -> list[ReadyRow] | None:
        """Ask the file as it is, without waiting for what is on its way there; None when that may matter.

        Tasks that become ready get ever higher numbers: those that the file does not know yet stand behind a window that is full. Of
        those that it shows, what has changed is remembered (in_flight.py). Only an unusual change moves one that is ready.
        """
        unit = self._unit
        if unit.has_settled or not unit.is_flushed or unit.awaits("update_task", "update_task_result"):
            return None
        window = list(map(_ready_row, unit.connection.execute(query("ready_window"), place)))
        known = unit.tasks
        for row in window:
            entry = known.get(row[:4])
            if entry is not None and entry.task.state is not TaskState.READY:
                return None
        return window if len(window) == place[-1] else None

    def hold(self, job: JobEntry, held: bool) -> int:
        """Take the job's ready tasks out of the order of claims, or put them back to the places they had (R26)."""
        flag = int(held)
        self._unit.wrote = True
        return self._unit.execute("hold_ready_tasks", (flag, job.job_no, flag)).rowcount

    def due_jobs(self, now: float, limit: int) -> list[str]:
        """Return jobs whose `wake_at` has come, longest overdue first."""
        return [row[0] for row in self._unit.execute("due_jobs", (now, limit))]

    def due_tasks(self, now: float, limit: int) -> list[tuple[str, str, int]]:
        """Return `(job_id, node, index)` of tasks whose `wake_at` has come, longest overdue first."""
        return [(row[0], row[1], row[2]) for row in self._unit.execute("due_tasks", (now, limit))]

    def next_wake(self) -> float | None:
        """Return the earliest `wake_at` of any job or task."""
        names = ("next_job_wake", "next_task_wake")
        wakes = [row[0] for name in names for row in self._unit.execute(name) if row[0] is not None]
        return min(wakes, default=None)

    def running(self) -> list[Task]:
        """Return every task that a worker holds, by `run_id`. For start-up (R7)."""
        return [rows.task_from_row(row[0], row) for row in self._unit.execute("running_tasks")]

    def jobs_to_finalise(self) -> list[tuple[str, str, int]]:
        """Return `(job_id, outcome, generation)` of jobs whose end is decided and nothing runs any more: their
        `Finalise` was lost with the process."""
        return [(row[0], row[1], row[2]) for row in self._unit.execute("jobs_to_finalise")]

    def jobs_to_publish(self) -> list[str]:
        """Return jobs with accepted files that do not yet stand under their stable names."""
        return [row[0] for row in self._unit.execute("jobs_to_publish")]

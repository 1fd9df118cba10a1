"""Nearly every decision is applied in a few steps: `Transaction.apply` without the questions it cannot answer with yes.

`begin` writes a new job that has rows, params and events and nothing else, `begin_alike` many that differ in nothing but these.
`apply_usual` writes a fact decided the usual way (core/usual.py): rows change as they do in each attempt, results and events come with
them, and nothing else can be in it, which `testing/simulation/short_ways.py` watches. `tests/store/test_usual_rows.py` compares them
with the long way.

`AttemptRows` are for attempts that begin or complete in a batch of their like: what was looked up to decide is written back without
being looked up again, and no `Decision` is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from orpheus.core.decision import Decision, Event
from orpheus.core.errors import UnknownJob
from orpheus.core.job import Job, JobState
from orpheus.core.task import Task, TaskState
from orpheus.core.usual_jobs import Beginning
from orpheus.store.applied import Applied, job_result_text
from orpheus.store.cache import TaskEntry
from orpheus.store.payloads import Payloads
from orpheus.store.rows import ABSENT, to_json
from orpheus.store.unit import Unit
from orpheus.store.usual_rows import around_place, is_plain_job, is_plain_task, new_jobs_alike
from orpheus.store.view import StoreView

_READY, _RUNNING, _COMPLETED = TaskState.READY, TaskState.RUNNING, TaskState.COMPLETED
_GOES_ON, _FAILED = JobState.RUNNING, JobState.FAILED


def begin(unit: Unit, payloads: Payloads, decision: Decision) -> Applied | None:
    """Write a new job; None, and nothing is done, if there is more to it."""
    if not _is_plain(decision):
        return None
    job, params = decision.job, decision.params
    entry = unit.new_job(job)
    job_no = entry.job_no
    events = decision.events
    applied = Applied(job, job_no, None, events, unit.events(job_no, events))
    for task in decision.new_tasks:
        if task.state is _READY:
            task.ready_seq = unit.next_ready_seq()
            applied.released.append(task)
        unit.new_task(job_no, task)
    text = to_json(params)
    unit.insert("insert_params", (job_no, text))
    payloads.remember_params(entry, params, len(text))
    return applied


def begin_alike(unit: Unit, payloads: Payloads, alike: Sequence[Beginning]) -> tuple[list[Task], int] | None:
    """Write new jobs that begin like the same earlier one: what is the same for all of them is looked at once. See
    `Transaction.begin_alike`."""
    like = alike[0].like
    if (
        not _is_plain(like)
        or like.commands
        or not is_plain_job(replace(like.job, labels={}))
        or not all(map(is_plain_task, like.new_tasks))
    ):
        return None
    job_nos = unit.next_job_nos(len(alike))
    jobs = [one.job for one in alike]
    unit.new_jobs(job_nos, jobs, new_jobs_alike(job_nos, jobs))
    cursor = unit.same_events(job_nos, like.events)
    unit.insert_many("insert_params", zip(job_nos, (one.params_text for one in alike), strict=True))
    payloads.remember_new_params(alike)
    models = [(task.state is _READY, *around_place(task)) for task in like.new_tasks]
    ready_seqs = iter(unit.next_ready_seqs(len(alike) * sum(model[0] for model in models)))
    released: list[Task] = []
    for job_no, one in zip(job_nos, alike, strict=True):
        for task, (is_ready, before, after) in zip(one.tasks, models, strict=True):
            place = ABSENT
            if is_ready:
                place = task.ready_seq = next(ready_seqs)
                released.append(task)
            unit.new_task(job_no, task, (job_no, *before, place, *after))
    return released, cursor


def _is_plain(decision: Decision) -> bool:
    """Tell whether a new job has rows, params and events, and nothing else."""
    job = decision.job
    return not (
        decision.params is None
        or decision.tasks
        or decision.results
        or decision.items
        or decision.artifacts
        or decision.signals
        or decision.signals_taken
        or decision.callback is not None
        or decision.published
        or decision.sets_job_result
        or decision.known_result is not None
        or decision.dependencies
        or job.extra
        or job.has_files
        or job.state is _FAILED
    )


def apply_usual(unit: Unit, payloads: Payloads, decision: Decision) -> Applied:
    """Write the decision; see `Transaction.apply`."""
    job, events = decision.job, decision.events
    entry = unit.jobs.get(job.job_id) or unit.job(job.job_id)
    if entry is None:
        raise UnknownJob(f"there is no job {job.job_id}")
    before = entry.job
    assert job.last_seq == before.last_seq + len(events), f"{job.job_id}: events are not gapless"
    applied = Applied(job, entry.job_no, before.state, events, unit.events(entry.job_no, events))
    entry.job = job
    if not entry.dirty:
        entry.dirty = True
        unit.dirty_jobs.append(entry)
    rows = unit.tasks
    for task in decision.tasks:
        key = (task.job_id, task.node, task.index, task.generation)
        row = rows.get(key) or unit.task_by_key(entry, key)
        state = task.state
        if state is not row.task.state:
            if state is _RUNNING:
                applied.withdrawn.append(key)
                applied.started.append(task)
            elif state is _COMPLETED:
                assert task.run_id is not None, f"{key} completed without an attempt"
                applied.ended_runs.append((task.run_id, task))
            elif state is _READY:
                task.ready_seq = unit.next_ready_seq()
                applied.released.append(task)
        row.task = task
        if not row.dirty:
            row.dirty = True
            unit.dirty_tasks.append(row)
    for key, result in decision.results.items():
        row = rows[key]
        assert row.dirty, f"{key} got a result but is not listed as changed"
        text = row.new_result = decision.result_text or to_json(result)
        if job.state is _GOES_ON:  # else nobody is about to ask
            payloads.remember_result(row.task, result, len(text))
    if decision.sets_job_result:
        entry.new_result = job_result_text(decision)
    return applied


class AttemptRows(StoreView, eq=False, gc=False):
    """A job, seen from one of its tasks (`Transaction.attempt_rows`). What is handed back belongs to the store from then on."""

    row: TaskEntry

    def begun(self, job: Job, task: Task, events: list[Event]) -> int:
        """Write an attempt that began (`usual.begin`); return the place of its last event in the stream."""
        return self._change(job, task, events)

    def opened(self, tasks: Sequence[Task]) -> None:
        """Write what has become ready by the attempt's end; the rows get their places in the order."""
        unit = self._unit
        for task in tasks:
            task.ready_seq = unit.next_ready_seq()
            unit.change_task(unit.task_by_key(self._job, task.key), task)

    def counted(self, container: Task) -> None:
        """Write the row of the map whose item the attempt was of."""
        self._unit.change_task(self._unit.task_by_key(self._job, container.key), container)

    def completed(self, job: Job, task: Task, events: list[Event], result: Any, text: str) -> int:
        """Write an attempt that completed (`usual.complete`, `usual.complete_item`) with this result, `text` being its JSON; return
        the place of its last event in the stream."""
        self.row.new_result = text
        if job.state is _GOES_ON:  # else nobody is about to ask
            self._payloads.remember_result(task, result, len(text))
        else:
            self._job.new_result = ABSENT if result is None or self.graph.output is None else text
        return self._change(job, task, events)

    def _change(self, job: Job, task: Task, events: list[Event]) -> int:
        unit, entry, row = self._unit, self._job, self.row
        count = len(events)
        assert job.last_seq == entry.job.last_seq + count, f"{job.job_id}: events are not gapless"
        entry.job = job
        if not entry.dirty:
            entry.dirty = True
            unit.dirty_jobs.append(entry)
        row.task = task
        if not row.dirty:
            row.dirty = True
            unit.dirty_tasks.append(row)
        return unit.events(entry.job_no, events)

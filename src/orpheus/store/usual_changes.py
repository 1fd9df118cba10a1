"""Nearly every decision is applied in a few steps: `Transaction.apply` without the questions it cannot answer with yes.

`begin` writes a new job that has rows, params and events and nothing else. `apply_usual` writes a fact decided the usual way
(core/usual.py): rows change as they do in each attempt, results and events come with them, and nothing else can be in it, which
`testing/simulation/short_ways.py` watches. `tests/store/test_usual_rows.py` compares both with the long way.
"""

from __future__ import annotations

from orpheus.core.decision import Decision
from orpheus.core.errors import UnknownJob
from orpheus.core.job import JobState
from orpheus.core.task import TaskState
from orpheus.store.applied import Applied, job_result_text
from orpheus.store.payloads import Payloads
from orpheus.store.rows import to_json
from orpheus.store.unit import Unit

_READY, _RUNNING, _COMPLETED = TaskState.READY, TaskState.RUNNING, TaskState.COMPLETED
_GOES_ON, _FAILED = JobState.RUNNING, JobState.FAILED


def begin(unit: Unit, payloads: Payloads, decision: Decision) -> Applied | None:
    """Write a new job; None, and nothing is done, if there is more to it."""
    job, params = decision.job, decision.params
    if (
        params is None
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
    ):
        return None
    entry = unit.new_job(job)
    job_no = entry.job_no
    events = decision.events
    applied = Applied(job, job_no, None, events, unit.first_events(job_no, events))
    for task in decision.new_tasks:
        if task.state is _READY:
            task.ready_seq = unit.next_ready_seq()
            applied.released.append(task)
        unit.new_task(entry, task)
    text = to_json(params)
    unit.insert("insert_params", (job_no, text))
    payloads.remember_params(entry, params, len(text))
    return applied


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

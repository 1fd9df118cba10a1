"""How does a job end? Deciding on the end, letting what runs stop, and the end itself.

`closing` holds the end that is decided. From then on nothing begins: idle tasks are cancelled at once, runs are told to stop
and have a grace (R18). When none is left the job ends, or, if files are involved, first has its manifest finalised.
"""

from __future__ import annotations

from typing import Any

from orpheus.core.children import stop_child, tell_parent
from orpheus.core.decision import CancelRun, Finalise, ForgetRun, TellDependents
from orpheus.core.draft import Draft, JobScope
from orpheus.core.errors import TaskError
from orpheus.core.graph import NodeKind
from orpheus.core.job import Job, JobState
from orpheus.core.task import IDLE, NODE, Task, TaskState
from orpheus.core.values import BindingError, Skipped, operator_of, resolve


def begin_closing(draft: Draft, outcome: JobState, error: TaskError | None, *, because_of: Task | None = None) -> None:
    """Decide on a bad end: cancel what is idle, stop what runs, end when nothing runs.

    Args:
        outcome: failed or cancelled.
        error: what the job shows.
        because_of: the task whose failure ends the job; already moved to failed, not yet counted.
    """
    job = draft.job
    job.closing = outcome
    job.error = error
    if because_of is not None and because_of.index != NODE:
        container = draft.task(because_of.node)
        container.items_settled += 1
        container.items_failed += 1
        container.error = error
        draft.move(container, TaskState.FAILED)
        draft.event("task.failed", container, error={"code": error.code, "message": error.message} if error else {})
        job.nodes_open -= 1
    elif because_of is not None:
        job.nodes_open -= 1
    for task in draft.tasks((*IDLE, TaskState.RUNNING)):
        if task.node in draft.graph.undos:
            continue  # a cancel does not stop the compensation (R19)
        if task.state is not TaskState.RUNNING or _is_container(draft, task):
            cancel_task(draft, task)
        else:
            assert task.run_id is not None
            draft.command(CancelRun(task.run_id, error.message if error else str(outcome)))
    end_if_still(draft)


def _is_container(draft: Draft, task: Task) -> bool:
    return task.index == NODE and draft.node(task).kind is NodeKind.MAP


def cancel_task(draft: Draft, task: Task, error: TaskError | None = None) -> None:
    """End a task because its job ends; its child job ends with it."""
    stop_child(draft, task, f"its parent job {task.job_id} ends")
    if task.state is TaskState.WAITING and task.run_id is not None:
        note_unknown(draft, task)  # what it waits for may have happened, or may happen yet
    if error is not None:
        task.error = error
    draft.move(task, TaskState.CANCELLED)
    draft.event("task.cancelled", task)
    if task.index == NODE:
        draft.job.nodes_open -= 1
        return
    container = draft.change(draft.task(task.node))
    container.items_settled += 1


def note_unknown(draft: Draft, task: Task) -> None:
    """Remember of a task that wants to know that an attempt's outcome is not known (R19)."""
    if draft.node(task).undo_unknown:
        task.extra = {**task.extra, "unknown": True}


def end_run(draft: Draft, task: Task) -> None:
    """Give back what an attempt held. Its `run_id` stays in the row, to be seen; the state is the fence now."""
    assert task.run_id is not None
    draft.job.runs_active -= 1
    assert draft.job.runs_active >= 0, f"job {task.job_id} has fewer than no runs"
    draft.command(ForgetRun(task.run_id))


def complete_job(draft: Draft) -> None:
    """Close the job as completed, with its output; an output that cannot be made fails it."""
    try:
        output = _output(draft, draft.graph.output)
    except BindingError as error:
        begin_closing(
            draft, JobState.FAILED, TaskError(code="binding_failed", message=f"the workflow's output: {error}")
        )
        return
    draft.decision.job_result = output
    draft.decision.sets_job_result = True
    draft.job.closing = JobState.COMPLETED
    end_if_still(draft)


def _output(draft: Draft, value: Any) -> Any:
    """Resolve the workflow's output; parts that were skipped are null (R12)."""
    if operator_of(value) is None:
        if isinstance(value, dict):
            return {key: _output(draft, inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [_output(draft, inner) for inner in value]
    try:
        return resolve(value, JobScope(draft))
    except Skipped:
        return None


def end_if_still(draft: Draft) -> None:
    """End a closing job once no attempt runs and no child is open. A bad end first undoes what is to be undone (R19)."""
    job = draft.job
    if job.closing is None or job.runs_active > 0 or job.extra.get("children_open"):
        return
    if draft.graph.undos and job.closing is not JobState.COMPLETED:
        draft.compensates = True
    else:
        end_now(draft)


def is_still(job: Job) -> bool:
    """Tell whether nothing of a closing job moves any more: runs, children, compensation."""
    compensation = job.extra.get("compensation")
    return (
        job.runs_active == 0
        and not job.extra.get("children_open")
        and (compensation is None or "failed" in compensation)
    )


def end_now(draft: Draft) -> None:
    """End a closing job: by way of the manifest where there are files, else at once."""
    job = draft.job
    assert job.closing is not None
    job.wake_at = None
    if job.has_files:
        draft.command(Finalise(str(job.closing), job.generation))
    else:
        end_job(draft)


def end_job(draft: Draft, *, finished_at: float | None = None) -> None:
    """Make the decided end the job's state, and tell those who wait for it.

    Args:
        finished_at: what the manifest says already; None is now.
    """
    job = draft.job
    assert job.closing is not None
    outcome = job.closing
    draft.move_job(outcome)
    job.closing = None
    job.finished_at = draft.now if finished_at is None else finished_at
    job.wake_at = None
    job.paused = False
    error = job.error
    told = {"error": {"code": error.code, "message": error.message}} if error else {}
    draft.event(f"job.{outcome}", None, **told)
    draft.command(TellDependents(str(outcome)))
    tell_parent(draft)

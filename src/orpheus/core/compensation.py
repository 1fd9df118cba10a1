"""How is undone what a job has done, when it fails for good or is cancelled? (R19)

1. A bad end is decided (`closing.py`), what ran has stopped, the children have ended. `end_if_still` then leaves the end to
   `go_on`, which `decide` calls last.
2. `go_on` walks over what completed, one after the other: dependents before what they depend on, a map's items from the last
   to the first. Each gets a row of its own, of the node `<name>:undo`, that a worker claims like any task.
3. An undo that completed marks what it undid (`compensated`); the next follows. When nothing is left the job ends.
4. An undo that failed for good ends the job as failed with `compensation_failed`. A retry of the job goes on here, not with the
   job's own tasks: then the job ends as it had to. A retry after that runs again what was undone.

Where it stands is in `job.extra["compensation"]`: `outcome`, the end that was decided; `at`, the place in `undo_order` and
the next index of a map; `open`, the row whose undo is under way; `failed` and `error`, of an undo that failed and of the job's
own end. `job.extra["undone"]` names the nodes that a retry has to run again.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from orpheus.core.advance import to_ready
from orpheus.core.amend import priority_of
from orpheus.core.closing import end_now, is_still
from orpheus.core.draft import Draft
from orpheus.core.errors import InvalidTransition, TaskError
from orpheus.core.graph import Node, NodeKind, undo_of
from orpheus.core.job import TERMINAL, Job, JobState
from orpheus.core.task import NODE, SETTLED, Task, TaskState


def go_on(draft: Draft) -> None:
    """Begin the next undo, or end the job when there is none. Asked too early, or while one is under way, do nothing."""
    job = draft.job
    if job.closing in (None, JobState.COMPLETED) or job.runs_active or job.extra.get("children_open"):
        return
    state = {"outcome": str(job.closing), "at": [0, None], **job.extra.get("compensation", {})}
    state["outcome"] = str(job.closing)  # a failing job may have been cancelled meanwhile
    if "open" in state:
        undo = draft.task(undo_of(state["open"][0]), state["open"][1])
        if undo.state not in SETTLED:
            _note(job, state)
            return
        if undo.state is not TaskState.COMPLETED:
            _give_up(draft, state, undo)
            return
        _undone(draft, undo, *state.pop("open"))
    target = _next(draft, state)
    if target is None:
        job.extra = {key: value for key, value in job.extra.items() if key != "compensation"}
        end_now(draft)
        return
    state["open"] = [target.node, target.index]
    _note(job, state)
    _begin(draft, target)


def _note(job: Job, state: dict[str, Any]) -> None:
    job.extra = {**job.extra, "compensation": state}


def _next(draft: Draft, state: dict[str, Any]) -> Task | None:
    """Return what is to be undone next, and move `at` behind it."""
    order = draft.graph.undo_order
    place, index = state["at"]
    while place < len(order):
        node = draft.graph.nodes[order[place]]
        row = draft.task(node.name)
        if node.kind is NodeKind.MAP:
            index = row.items_total - 1 if index is None else index
            while index >= 0:
                item = draft.task(node.name, index)
                index -= 1
                if _wants_undo(node, item):
                    state["at"] = [place, index]
                    return item
        elif _wants_undo(node, row):
            state["at"] = [place + 1, None]
            return row
        place, index = place + 1, None
    state["at"] = [place, None]
    return None


def _wants_undo(node: Node, row: Task) -> bool:
    """Tell whether the task has done something that is still there. A result from the cache was not this job's doing."""
    if row.extra.get("compensated"):
        return False
    if row.state is TaskState.COMPLETED:
        return not row.cached
    return node.undo_unknown and bool(row.extra.get("unknown"))


def _begin(draft: Draft, target: Task) -> None:
    job = draft.job
    if job.paused:  # what closes is not held any more, and a cancel does not stop the compensation either
        job.paused = False
        draft.event("job.resumed", None, reason="compensation")
    node = draft.graph.undos[undo_of(target.node)]
    undo = Task(
        job_id=job.job_id,
        node=node.name,
        index=target.index,
        generation=job.generation,
        state=TaskState.BLOCKED,
        tenant=job.tenant,
        queue=node.queue,
        handler=node.handler,
        priority=priority_of(job, node),
    )
    job.current_stage = node.name
    draft.add(undo)
    to_ready(draft, undo)


def _undone(draft: Draft, undo: Task, name: str, index: int) -> None:
    """Mark what an undo has undone: it is not undone again, and a retry runs it again (R20)."""
    target = draft.task(name, index)
    target.extra = {**target.extra, "compensated": True}
    draft.change(target)
    job = draft.job
    job.extra = {**job.extra, "undone": list(dict.fromkeys([*job.extra.get("undone", []), name]))}
    draft.event("task.compensated", target, undo=undo.node)


def _give_up(draft: Draft, state: dict[str, Any], undo: Task) -> None:
    """End the job as failed: what it did is partly still there, and somebody has to know (R19)."""
    job = draft.job
    name, index = state.pop("open")
    shown = name if index == NODE else f"{name}[{index}]"
    own = job.error
    _note(job, {**state, "failed": [name, index], "error": None if own is None else asdict(own)})
    cause = undo.error
    job.closing = JobState.FAILED
    job.error = TaskError(
        code="compensation_failed",
        message=f"{shown} could not be undone" + (f": {cause.message}" if cause is not None else ""),
        hint="mend the cause and retry the job: it goes on undoing from here",
        retryable=True,
        task=undo.node,
        details={
            "outcome": state["outcome"],
            "undo_error": None if cause is None else {"code": cause.code, "message": cause.message},
            "error": None if own is None else {"code": own.code, "message": own.message, "task": own.task},
        },
    )
    end_now(draft)


# What others ask


def has_failed(job: Job) -> bool:
    """Tell whether the job's compensation has failed and was not taken up again."""
    return "failed" in job.extra.get("compensation", {})


def undo_args(draft: Draft, undo: Task) -> dict[str, Any]:
    """Return the arguments of an undo: the result of what it undoes; null when its outcome is not known."""
    assert draft.view is not None
    name = draft.graph.undos[undo.node].extra["undoes"]
    argument = draft.graph.nodes[name].undo_argument
    if argument is None:
        return {}
    target = draft.task(name, undo.index)
    return {argument: draft.view.result(name, undo.index) if target.state is TaskState.COMPLETED else None}


def resume(draft: Draft) -> None:
    """Take up a compensation that failed, in a new generation (R19, R20)."""
    job = draft.job
    assert is_still(job), f"job {job.job_id} has ended, so nothing of it runs"
    state = dict(job.extra["compensation"])
    name, index = state.pop("failed")
    own = state.pop("error")
    draft.supersede(draft.task(undo_of(name), index))
    job.generation += 1
    job.closing = JobState(state["outcome"])
    job.error = None if own is None else TaskError(**own)
    job.finished_at = None
    assert job.state in TERMINAL, f"job {job.job_id} gave up its compensation and has not ended"
    draft.move_job(JobState.QUEUED)
    draft.event("job.retried", None, generation=job.generation, state=str(job.state), renewed={}, compensation=name)
    state["open"] = [name, index]
    _note(job, state)
    _begin(draft, draft.task(name, index))


def forget(draft: Draft) -> list[str]:
    """Leave the undo rows behind, as a new generation of the job's own tasks begins; return the nodes that were undone."""
    job = draft.job
    undone: list[str] = job.extra.get("undone", [])
    if undone:
        job.extra = {key: value for key, value in job.extra.items() if key != "undone"}
        for row in draft.tasks(list(TaskState)):
            if row.node in draft.graph.undos:
                draft.supersede(row)
    return undone


def check_may_cancel(job: Job) -> None:
    """Refuse to cancel a job that is about to end because its compensation failed: there is nothing left to stop."""
    if has_failed(job):
        raise InvalidTransition(
            f"job {job.job_id} is about to end: its compensation has failed",
            hint="retry it then, and it goes on undoing",
        )

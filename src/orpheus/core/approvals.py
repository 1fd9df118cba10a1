"""Does a person agree? The life of an approval node (R14).

1. It opens: the task is `waiting`, the value that is asked about is kept beside its row, `wake_at` is its time-out.
2. A person approves: the task is `completed` with the value, or with the edited one. Or rejects: it fails with `rejected`.
   Or nobody says anything: it fails with `timeout_approval`.
3. What a failure means is for `on_reject` to say: "fail" is the failure of any task, "skip" counts the node as skipped,
   "continue" leaves it failed and lets the job go on without its value.

What was decided, by whom and when, stays in the row (`extra["decision"]`), and the events carry actor and comment. A
decision already in effect changes nothing when it comes again; another one is refused. A rewound approval asks again,
since it gets a new row. A pause does not stop any of this (R26).
"""

from __future__ import annotations

from typing import Any

from orpheus.core.advance import begin_job, binding_failed, fail_task, settle, skip
from orpheus.core.draft import Draft, JobScope
from orpheus.core.errors import InvalidParams, InvalidTransition, TaskError
from orpheus.core.facts import TaskApproved, TaskFact, TaskRejected
from orpheus.core.graph import Node, NodeKind
from orpheus.core.task import Task, TaskState
from orpheus.core.values import BindingError, Skipped, resolve

APPROVED, REJECTED = "approved", "rejected"


def open_approval(draft: Draft, task: Task, node: Node) -> None:
    """Ask: the task waits for a person."""
    try:
        value = _value(draft, node)
    except BindingError as error:
        fail_task(draft, task, binding_failed(task, error))
        return
    except Skipped as skipped:
        skip(draft, task, f"it needs {skipped.node!r}, which has no value")
        return
    begin_job(draft)
    assert node.timeout_s is not None, "a graph is checked to end every wait"
    draft.decision.items[task.key] = value
    draft.move(task, TaskState.WAITING)
    task.started_at = draft.now
    task.wake_at = draft.now + node.timeout_s
    draft.event("task.waiting", task, reason="approval", prompt=node.prompt, until=task.wake_at)


def pass_through(draft: Draft, task: Task, node: Node) -> None:
    """Settle an approval whose `when` is false: nobody is asked, its value is the one it was given."""
    try:
        value = _value(draft, node)
    except BindingError as error:
        fail_task(draft, task, binding_failed(task, error))
        return
    except Skipped as skipped:
        skip(draft, task, f"it needs {skipped.node!r}, which has no value")
        return
    _complete(draft, task, value, asked=False)


def _value(draft: Draft, node: Node) -> Any:
    return resolve(node.args.get("value"), JobScope(draft))


def _complete(draft: Draft, task: Task, value: Any, **told: Any) -> None:
    draft.decision.results[task.key] = value
    draft.move(task, TaskState.COMPLETED)
    draft.event("task.completed", task, **told)
    settle(draft, task)


def approved(draft: Draft, fact: TaskApproved) -> None:
    """Let the value through, edited if the person edited it.

    Raises:
        InvalidTransition: it does not wait for an approval, or something else was decided already.
        InvalidParams: the value may not be edited.
    """
    task, node = _approval(draft, fact)
    assert draft.view is not None
    decision = task.extra.get("decision", {})
    if decision.get("what") == APPROVED and task.state is TaskState.COMPLETED:
        if fact.edited and fact.value != draft.view.result(task.node):
            raise InvalidTransition(f"{task.node!r} was approved with another value already")
        return
    _check_waiting(draft, task)
    asked = draft.view.item_value(task.node, task.index)
    edited = fact.edited and fact.value != asked
    if edited and not node.editable:
        raise InvalidParams(
            f"the value of {task.node!r} cannot be edited",
            hint="approve it as it is, or reject it; the workflow's author allows edits with editable=True",
            details=[{"path": "/value", "message": "it is not editable"}],
        )
    _decide(draft, task, APPROVED, fact.actor, fact.comment, edited=edited)
    comment = {"comment": fact.comment} if fact.comment else {}
    _complete(draft, task, fact.value if edited else asked, decision=APPROVED, edited=edited, **comment)


def rejected(draft: Draft, fact: TaskRejected) -> None:
    """Refuse the value: the node fails, as far as `on_reject` does not say otherwise.

    Raises:
        InvalidTransition: it does not wait for an approval, or something else was decided already.
    """
    task, _node = _approval(draft, fact)
    if task.extra.get("decision", {}).get("what") == REJECTED:
        return
    _check_waiting(draft, task)
    _decide(draft, task, REJECTED, fact.actor, fact.reason, edited=False)
    fail_task(draft, task, TaskError(code="rejected", message=fact.reason or "rejected", task=task.node))


def timed_out(draft: Draft, task: Task, node: Node) -> None:
    """End an approval that nobody gave in time, as a rejection would."""
    message = f"nobody approved {task.node!r} within its timeout_s of {node.timeout_s:g} s"
    hint = "retry the job and it asks again; a longer timeout_s, or on_reject, stands in the workflow"
    fail_task(draft, task, TaskError(code="timeout_approval", message=message, hint=hint, task=task.node))


def _approval(draft: Draft, fact: TaskFact) -> tuple[Task, Node]:
    task = draft.task(fact.node)
    node = draft.node(task)
    if node.kind is not NodeKind.APPROVAL:
        raise InvalidTransition(f"task {task.node!r} is no approval; it is of kind {node.kind}")
    return task, node


def _check_waiting(draft: Draft, task: Task) -> None:
    if task.state is not TaskState.WAITING:
        what = task.extra.get("decision", {}).get("what")
        how = f"was {what} already" if what else f"is {task.state}"
        raise InvalidTransition(f"task {task.node!r} of job {draft.job.job_id} {how}; it does not wait for a decision")


def _decide(draft: Draft, task: Task, what: str, actor: str, comment: str, *, edited: bool) -> None:
    told = {"what": what, "by": actor, "at": draft.now, "edited": edited, "comment": comment}
    task.extra = {**task.extra, "decision": told}

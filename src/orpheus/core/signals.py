"""Has the event come that a node waits for? Signals and the nodes that take them (R22).

A signal is kept with the job, under a number that counts the job's signals, from the moment it is accepted. The oldest
that nobody has taken goes to the node of its name that has waited longest, at once or when such a node opens: so a
signal that comes early is not lost, and several nodes of one name take signals in the order in which they came. A signal
is taken once: what a generation has taken stays taken when the job is rewound, and a rewound node takes the next one.
"""

from __future__ import annotations

from typing import Any

from orpheus.core.advance import begin_job, fail_task, settle
from orpheus.core.decision import Signal
from orpheus.core.draft import Draft
from orpheus.core.errors import InvalidTransition, TaskError, UnknownSignal
from orpheus.core.facts import SignalReceived
from orpheus.core.graph import Node
from orpheus.core.job import TERMINAL
from orpheus.core.suggest import did_you_mean
from orpheus.core.task import Task, TaskState


def open_wait_for(draft: Draft, task: Task, node: Node) -> None:
    """Take the oldest signal of the name that nobody has taken, or wait for the next."""
    begin_job(draft)
    task.started_at = draft.now
    after = max((taken.number for taken in draft.decision.signals_taken if taken.name == node.signal), default=0)
    signal = None if draft.view is None else draft.view.next_signal(node.signal, after)
    if signal is not None:
        _take(draft, task, signal)
        return
    assert node.timeout_s is not None, "a graph is checked to end every wait"
    draft.move(task, TaskState.WAITING)
    task.wake_at = draft.now + node.timeout_s
    draft.event("task.waiting", task, reason="event", signal=node.signal, until=task.wake_at)


def received(draft: Draft, fact: SignalReceived) -> None:
    """Keep a signal, and hand it to the node that has waited longest for one of its name.

    Raises:
        UnknownSignal: no node waits for that name.
        InvalidTransition: the job has ended, or is about to.
    """
    job = draft.job
    waiting = draft.graph.signals.get(fact.name)
    if waiting is None:
        names = ", ".join(list(draft.graph.signals)[:20])
        raise UnknownSignal(
            f"workflow {job.workflow!r} waits for no signal {fact.name[:80]!r}",
            hint=did_you_mean(fact.name, draft.graph.signals)
            or (f"it waits for {names}" if names else "It waits for no signal; wait_for(…) in a workflow does."),
        )
    assert draft.view is not None
    if fact.signal_id is not None and draft.view.has_signal(fact.name, fact.signal_id):
        return
    if job.state in TERMINAL or job.closing is not None:
        raise InvalidTransition(f"job {job.job_id} is {job.closing or job.state}; it takes no signals any more")
    number = job.extra.get("signals", 0) + 1
    job.extra = {**job.extra, "signals": number}
    signal = Signal(number=number, name=fact.name, payload=fact.payload, signal_id=fact.signal_id)
    draft.decision.signals.append(signal)
    told: dict[str, Any] = {"name": fact.name, "number": number}
    if fact.signal_id is not None:
        told["signal_id"] = fact.signal_id
    draft.event("signal.received", None, **told)
    task = _longest(draft, waiting)
    if task is not None:
        _take(draft, task, signal)


def _longest(draft: Draft, nodes: tuple[str, ...]) -> Task | None:
    """Return the task that has waited longest; equals in node order."""
    tasks = [task for name in nodes if (task := draft.task(name)).state is TaskState.WAITING]
    return min(tasks, key=lambda task: task.started_at or 0.0, default=None)


def _take(draft: Draft, task: Task, signal: Signal) -> None:
    draft.decision.signals_taken.append(signal)
    draft.decision.results[task.key] = signal.payload
    draft.move(task, TaskState.COMPLETED)
    draft.event("task.completed", task, signal=signal.number)
    settle(draft, task)


def timed_out(draft: Draft, task: Task, node: Node) -> None:
    """End a wait that nothing came for."""
    message = f"no signal {node.signal!r} came within the timeout_s of {node.timeout_s:g} s of {task.node!r}"
    hint = f"send it with POST /jobs/{draft.job.job_id}/signals/{node.signal}; a retry of the job waits anew"
    fail_task(draft, task, TaskError(code="timeout_signal", message=message, hint=hint, task=task.node))

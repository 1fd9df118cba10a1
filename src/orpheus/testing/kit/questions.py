"""What does a job ask somebody outside? Its own approval, approval nodes, signals, callbacks (R14, R15, R22)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orpheus.core.graph import Graph, NodeKind
from orpheus.core.job import Job, JobState
from orpheus.core.task import NODE, Task, TaskState


@dataclass(frozen=True, slots=True)
class Question:
    """One thing that somebody has to answer before the job goes on."""

    kind: str
    """`job` (its own approval), `approval`, `event` (a signal) or `callback`."""
    task: str
    """The node that asks; empty for the job itself."""
    text: str
    """The approval's prompt, the signal's name, or the task's."""
    index: int | None = None
    run_id: str = ""
    """callback: the attempt whose result is to be brought."""
    value: Any = None
    """approval: what is asked about, as it travels."""
    editable: bool = False

    def is_called(self, what: str) -> bool:
        """Tell whether somebody who says `what` means this one."""
        return what in (self.task, self.text)

    def __str__(self) -> str:
        place = self.task if self.index is None else f"{self.task}[{self.index}]"
        words = {"job": "the job's own approval", "approval": "approval", "event": "signal", "callback": "callback for"}
        return words[self.kind] if self.kind == "job" else f"{words[self.kind]} {self.text!r} ({place})"


def asked(job: Job, graph: Graph, tasks: Sequence[Task]) -> list[Question]:
    """List what is asked, in the graph's order; the values of approvals are left to the caller."""
    if job.state is JobState.PENDING:
        own = job.requires_approval and job.approved_at is None
        return [Question("job", "", job.workflow)] if own else []
    found = []
    for task in tasks:
        if task.state is not TaskState.WAITING:
            continue
        node = graph.nodes[task.node]
        index = None if task.index == NODE else task.index
        if node.kind is NodeKind.APPROVAL:
            found.append(Question("approval", task.node, node.prompt or task.node, editable=node.editable))
        elif node.kind is NodeKind.WAIT_FOR:
            found.append(Question("event", task.node, node.signal))
        elif task.handler and task.run_id:
            found.append(Question("callback", task.node, task.node, index, task.run_id))
    return found


def pick(questions: Sequence[Question], kind: str, what: str | None) -> Question:
    """Return the question that is meant; the only one when nothing is said.

    Raises:
        LookupError: there is none, or several.
    """
    open_ones = [one for one in questions if one.kind == kind and (what is None or one.is_called(what))]
    if len(open_ones) == 1:
        return open_ones[0]
    listed = ", ".join(str(one) for one in questions) or "nothing"
    wanted = kind if what is None else f"{kind} {what!r}"
    if not open_ones:
        raise LookupError(f"the job does not ask for {wanted} now; it asks for {listed}")
    raise LookupError(f"the job asks for more than one {kind}; name one: {listed}")

"""A decision in the making: rows read from the view, changed here, and listed once each."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from orpheus.core import job as job_table
from orpheus.core import task as task_table
from orpheus.core.decision import Command, Decision, Draws, Event, View
from orpheus.core.errors import StaleRun, TaskError, UnknownTask
from orpheus.core.facts import RunFact
from orpheus.core.graph import Graph, Node, NodeKind
from orpheus.core.job import Job, JobState
from orpheus.core.spending import release
from orpheus.core.task import NODE, SETTLED, Task, TaskState
from orpheus.core.values import BindingError, Skipped, item_result


class Draft:
    """Collects what one fact changes. Reads see the changes already made.

    `to_consider` holds nodes whose last predecessor has settled: working through it in a loop, not by recursion, lets a
    chain of thousands of skipped nodes settle in one decision.
    """

    def __init__(self, view: View | None, job: Job, graph: Graph, *, now: float, draws: Draws, actor: str) -> None:
        self.view = view
        self.job = job
        self.graph = graph
        self.now = now
        self.draws = draws
        self.actor = actor
        self.decision = Decision(job=job, is_new=view is None)
        self.to_consider: deque[str] = deque()
        self.compensates = False
        """The job has something to undo before it ends: `compensation.go_on` comes last in the decision."""
        self.releasing: list[str] = []
        """Maps whose items are being released right now."""
        self._tasks: dict[tuple[str, int], Task] = {}
        self._listed: set[tuple[str, str, int, int]] = set()
        self._left_behind: set[tuple[str, str, int, int]] = set()

    # Reading

    def task(self, node: str, index: int = NODE) -> Task:
        """Return the current row; what is changed in it must be passed to `change` or `move`."""
        found = self._tasks.get((node, index))
        if found is None:
            found = self.view.task(node, index) if self.view is not None else None
            if found is None:
                raise UnknownTask(f"job {self.job.job_id} has no task {node!r}" + (f"[{index}]" if index >= 0 else ""))
            self._tasks[node, index] = found
        return found

    def run(self, fact: RunFact) -> Task:
        """Return the row of the attempt a report names.

        Raises:
            StaleRun: the attempt is no longer current (R6).
        """
        try:
            task = self.task(fact.node, fact.index)
        except UnknownTask:
            raise StaleRun(f"run {fact.run_id} is not known") from None
        if task.run_id != fact.run_id or task.state is not TaskState.RUNNING:
            raise StaleRun(f"run {fact.run_id} of task {fact.node!r} is no longer current")
        return task

    def tasks(self, states: Iterable[TaskState], node: str | None = None) -> list[Task]:
        """Return current rows in these states, in node and index order."""
        wanted = tuple(states)
        rows: dict[tuple[str, int], Task] = {}
        if self.view is not None:
            for row in self.view.tasks(wanted, node):
                rows[row.node, row.index] = self._tasks.setdefault((row.node, row.index), row)
        rows |= {key: row for key, row in self._tasks.items() if node is None or row.node == node}
        order = {name: place for place, name in enumerate(self.graph.all_nodes)}
        chosen = [row for row in rows.values() if row.state in wanted and row.key not in self._left_behind]
        return sorted(chosen, key=lambda row: (order[row.node], row.index))

    def node(self, task: Task) -> Node:
        return self.graph.all_nodes[task.node]

    def params(self) -> Any:
        if self.decision.params is not None:
            return self.decision.params
        return self.view.params() if self.view is not None else {}

    def has_value(self, node: str) -> bool:
        """Tell whether a settled node has a value that others may read; skipped and `continue`d ones have none (R12)."""
        return self.task(node).state is TaskState.COMPLETED

    def result(self, node: str) -> Any:
        task = self.task(node)
        if task.key in self.decision.results:
            return self.decision.results[task.key]
        if self.graph.nodes[node].kind is NodeKind.MAP and task.items_total == 0:
            return []  # it may have been settled in this very decision, before any view knows of it (R13)
        if self.view is None:
            return None
        changed_items = [row for row in self._tasks.values() if row.node == node and row.index != NODE]
        if self.graph.nodes[node].kind is not NodeKind.MAP or not changed_items:
            return self.view.result(node)
        return self._map_result(task, changed_items)

    def _map_result(self, task: Task, changed_items: list[Task]) -> list[Any]:
        """Assemble a map's result while its last item is still being written."""
        assert self.view is not None
        outcomes: list[tuple[TaskState, Any, Any]] = list(self.view.item_outcomes(task.node))
        for row in changed_items:
            if row.index < len(outcomes):
                result = self.decision.results.get(row.key, outcomes[row.index][1])
                outcomes[row.index] = (row.state, result, row.error)
        return [
            item_result(state is TaskState.COMPLETED, result, failure_of(error, index, state))
            for index, (state, result, error) in enumerate(outcomes)
        ]

    # Changing

    def change(self, task: Task) -> Task:
        """List a row as changed."""
        self._tasks[task.node, task.index] = task
        if task.key not in self._listed:
            self._listed.add(task.key)
            self.decision.tasks.append(task)
        return task

    def add(self, task: Task) -> Task:
        """List a row as new; it takes the place of an older generation's."""
        self._tasks[task.node, task.index] = task
        self._listed.add(task.key)
        self.decision.new_tasks.append(task)
        self._count(task.state, +1)
        return task

    def supersede(self, task: Task) -> None:
        """Leave a row behind: it belongs to an older generation from now on."""
        task.superseded = True
        self.change(task)
        del self._tasks[task.node, task.index]
        self._left_behind.add(task.key)
        self._count(task.state, -1)

    def move(self, task: Task, state: TaskState) -> Task:
        """Take a task to another state, through the table."""
        task_table.check(task.state, state)
        self._count(task.state, -1)
        self._count(state, +1)
        if "price" in task.extra and task.state is not TaskState.READY and state is not TaskState.WAITING:
            release(self.job, task, state)
        task.state = state
        if state in SETTLED:
            task.finished_at = self.now
            task.wake_at = None
        return self.change(task)

    def move_job(self, state: JobState) -> None:
        """Take the job to another state, through the table."""
        job_table.check(self.job.state, state)
        self.job.state = state

    def _count(self, state: TaskState, by: int) -> None:
        counts = self.job.counts
        counts[state] = counts.get(state, 0) + by
        assert counts[state] >= 0, f"counts of {self.job.job_id} went below zero for {state}"

    def event(self, kind: str, task: Task | None = None, **data: Any) -> None:
        """Write down a fact; `seq` follows the job's last one without a gap (R2)."""
        self.job.last_seq += 1
        self.decision.events.append(
            Event(
                seq=self.job.last_seq,
                type=kind,
                at=self.now,
                actor=self.actor,
                task=task.node if task else None,
                index=task.index if task and task.index != NODE else None,
                run_id=task.run_id if task else None,
                data=data,
            )
        )

    def command(self, command: Command) -> None:
        self.decision.commands.append(command)

    def done(self) -> Decision:
        """Return the decision, the job's row brought up to date."""
        job = self.job
        if self.decision.events or self.decision.tasks:
            job.updated_at = self.now
        show_progress(job)
        return self.decision


def show_progress(job: Job) -> None:
    """Bring the percentage that is shown up to date with the weights; it never goes back (promise 7)."""
    share = 100.0 * job.weight_done / job.weight_total if job.weight_total else 0.0
    # Sums of fractions drift by a few ulp: only the end itself is 100.
    share = 100.0 if job.state is JobState.COMPLETED else min(share, 99.9)
    job.progress_percentage = max(job.progress_percentage, round(share, 2))


class JobScope:
    """What references mean in one job, and for one item of a map."""

    def __init__(self, draft: Draft, task: Task | None = None) -> None:
        self._draft = draft
        self._task = task

    def param(self, name: str) -> Any:
        params = self._draft.params()
        if name not in params:
            raise BindingError(f"there is no param {name!r}")
        return params[name]

    def node(self, name: str) -> Any:
        if not self._draft.has_value(name):
            raise Skipped(name)
        return self._draft.result(name)

    def item(self) -> Any:
        if self._task is None or self._task.index == NODE:
            raise BindingError("only the items of a map have an item")
        key = self._task.key
        if key in self._draft.decision.items:
            return self._draft.decision.items[key]
        assert self._draft.view is not None
        return self._draft.view.item_value(self._task.node, self._task.index)


def failure_of(error: TaskError | None, index: int, state: TaskState) -> dict[str, Any] | None:
    """Return the typed failure that stands for a `continue`d item, or None for any other item."""
    if state is not TaskState.FAILED or error is None:
        return None
    return {"code": error.code, "message": error.message, "type": error.type, "index": index}

"""What must hold whatever happens: the promises of the design as checks on one job's rows and events.

Each check names the rule it stands for. `check_job` looks at one committed instant; `JobHistory` compares it with what was
seen before (progress, frozen rows); `check_settled` holds once faults have stopped and time has passed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from orpheus.core.amend import priority_of
from orpheus.core.children import waits_for_child
from orpheus.core.conditions import holds
from orpheus.core.decision import Event, Signal
from orpheus.core.graph import Graph, NodeKind, OnFailure
from orpheus.core.job import TERMINAL, Job, JobState
from orpheus.core.pace import cap_of
from orpheus.core.price import total
from orpheus.core.task import NEVER, NODE, SETTLED, Task, TaskState
from orpheus.core.values import BindingError, Skipped, missing
from orpheus.testing.fold import FoldedJob, FoldError, fold_one
from orpheus.testing.fold import fold as fold_events

_S = TaskState


class Broken(AssertionError):
    """A promise is broken: the rule, the job, and what was seen."""


@dataclass(slots=True)
class JobRows:
    """One job as it stands in the store."""

    job: Job
    graph: Graph
    tasks: Sequence[Task]
    """Every row, those of older generations too."""

    @property
    def current(self) -> list[Task]:
        return [task for task in self.tasks if not task.superseded]


def check_job(rows: JobRows, folded: FoldedJob) -> None:
    """Check one job at one committed instant.

    Raises:
        Broken: with the rule.
    """
    try:
        _check_identity(rows)
        _check_fold(rows, folded)
        _check_counters(rows)
        _check_maps(rows)
        _check_spending(rows)
        _check_state(rows)
        _check_liveness(rows)
        check_compensation(rows)
    except AssertionError as error:
        if isinstance(error, Broken):
            raise
        raise Broken(f"job {rows.job.job_id} ({rows.job.state}, closing {rows.job.closing}): {error}") from error


def _check_identity(rows: JobRows) -> None:
    keys = Counter(task.key for task in rows.tasks)
    assert max(keys.values()) == 1, f"rows exist twice: {keys.most_common(1)}"
    places = Counter((task.node, task.index) for task in rows.current)
    assert max(places.values()) == 1, f"two current rows of one task: {places.most_common(1)} (R20)"
    newest: dict[tuple[str, int], int] = {}
    for task in rows.tasks:
        place = (task.node, task.index)
        newest[place] = max(newest.get(place, 0), task.generation)
    for task in rows.tasks:
        if not task.superseded:
            assert task.generation == newest[task.node, task.index], f"{task.key} is current beside a newer one (R20)"
            assert task.generation <= rows.job.generation, f"{task.key} is of a generation to come"
        else:
            assert task.state in SETTLED, f"{task.key} was left behind as {task.state}: it can never end (R20)"
    for name in rows.graph.nodes:
        assert (name, NODE) in places, f"node {name!r} has no current row"


def _check_fold(rows: JobRows, folded: FoldedJob) -> None:
    job = rows.job
    assert folded.last_seq == job.last_seq, f"the row says seq {job.last_seq}, the events {folded.last_seq} (R2)"
    assert folded.state is job.state, f"the row says {job.state}, the events {folded.state} (R1)"
    assert folded.paused == job.paused, f"the row says paused={job.paused}, the events {folded.paused} (R1)"
    assert folded.generation == job.generation, "the generation differs between row and events (R1)"
    assert folded.cancel_requested == (job.cancel_requested_at is not None), (
        "cancel differs between row and events (R1)"
    )
    seen = {(task.node, task.index): task for task in rows.current}
    assert seen.keys() == folded.tasks.keys(), f"tasks differ: {sorted(seen.keys() ^ folded.tasks.keys())} (R1)"
    for key, task in seen.items():
        told = folded.tasks[key]
        assert told.state is task.state, f"{key}: the row says {task.state}, the events {told.state} (R1)"
        assert told.generation == task.generation, f"{key}: generation differs between row and events (R1)"
        assert told.attempt == task.attempt, f"{key}: attempt {task.attempt} in the row, {told.attempt} told (R1)"


def _check_counters(rows: JobRows) -> None:
    job, current = rows.job, rows.current
    counted = Counter(str(task.state) for task in current)
    told = {str(state): count for state, count in job.counts.items() if count}
    assert told == dict(counted), f"counts say {told}, the rows {dict(counted)}"
    nodes_open = sum(
        task.index == NODE and task.node in rows.graph.nodes and task.state not in SETTLED for task in current
    )
    assert job.nodes_open == nodes_open, f"nodes_open is {job.nodes_open}, the rows say {nodes_open}"
    runs = [task for task in current if task.state is _S.RUNNING and not _is_map(rows.graph, task)]
    assert job.runs_active == len(runs), f"runs_active is {job.runs_active}, {len(runs)} run"
    assert not runs or job.state is JobState.RUNNING, (
        f"{len(runs)} run of a job that is {job.state}: a start does not find them"
    )
    run_ids = Counter(task.run_id for task in runs)
    assert None not in run_ids and all(count == 1 for count in run_ids.values()), "a run has no id of its own (R6)"
    if job.closing is None and job.state not in TERMINAL:
        state = {task.node: task.state for task in current if task.index == NODE}
        for task in current:
            if task.index == NODE and task.state is _S.BLOCKED:
                unmet = sum(state[before] not in SETTLED for before in rows.graph.predecessors[task.node])
                assert task.unmet == unmet, f"{task.node} counts {task.unmet} unmet predecessors, there are {unmet}"


def _check_spending(rows: JobRows) -> None:
    """What is spent is what completed, over all generations; what is held is what
    runs or waits for a callback; together they stay within the budget."""
    job = rows.job
    spent = total(*(task.extra.get("price", 0.0) for task in rows.tasks if task.state is _S.COMPLETED))
    held = total(*(task.extra.get("price", 0.0) for task in rows.current if task.state in (_S.RUNNING, _S.WAITING)))
    assert job.extra.get("cost", 0.0) == spent, f"the job says it cost {job.extra.get('cost')}, its tasks {spent}"
    assert job.extra.get("held", 0.0) == held, f"the job holds {job.extra.get('held')}, its runs {held}"
    budget = job.extra.get("budget")
    assert budget is None or total(spent, held) <= budget, f"{spent} spent and {held} held of a budget of {budget}"


def _is_map(graph: Graph, task: Task) -> bool:
    return task.index == NODE and graph.all_nodes[task.node].kind is NodeKind.MAP


def _check_maps(rows: JobRows) -> None:
    items: dict[str, list[Task]] = {}
    for task in rows.current:
        if task.index != NODE:
            items.setdefault(task.node, []).append(task)
    for container in rows.current:
        if not _is_map(rows.graph, container):
            continue
        own = sorted(items.get(container.node, []), key=lambda item: item.index)
        if container.state is _S.BLOCKED:  # a renewed map keeps its items until it goes on
            continue
        assert [item.index for item in own] == list(range(container.items_total)), f"{container.node} misses items"
        settled = [item for item in own if item.state in SETTLED]
        assert container.items_settled == len(settled), (
            f"map {container.node} counts {container.items_settled} settled items, there are {len(settled)}"
        )
        failed = sum(item.state is _S.FAILED for item in own)
        skipped = sum(item.state is _S.SKIPPED for item in own)
        assert (container.items_failed, container.items_skipped) == (failed, skipped), (
            f"map {container.node} counts {container.items_failed} failed and {container.items_skipped} skipped items, "
            f"there are {failed} and {skipped}"
        )
        active = sum(item.state in (_S.READY, _S.RUNNING, _S.RETRYING, _S.WAITING) for item in own)
        cap = cap_of(container, rows.graph.nodes[container.node])
        assert cap is None or active <= cap, f"map {container.node} has {active} items under way, its cap is {cap}"
        if container.state is _S.COMPLETED:
            assert len(settled) == len(own), f"map {container.node} completed with items open"


def _check_state(rows: JobRows) -> None:
    job, current = rows.job, rows.current
    assert 0.0 <= job.progress_percentage <= 100.0, f"progress is {job.progress_percentage}"
    if job.state in TERMINAL:
        assert job.closing is None and job.finished_at is not None and job.wake_at is None, (
            "an ended job still wants something"
        )
        open_rows = [task.key for task in current if task.state not in SETTLED]
        assert not open_rows, f"the job ended with open tasks: {open_rows[:3]}"
        assert not any(task.wake_at for task in current), "a task of an ended job wants to be woken"
    if job.state is JobState.COMPLETED:
        assert job.progress_percentage == 100.0 and job.error is None
        for task in current:
            if task.state is _S.FAILED:
                code = task.error.code if task.error is not None else ""
                lasting = rows.graph.all_nodes[task.node].on_failure_of(code)
                assert lasting is OnFailure.CONTINUE, (
                    f"the job completed although {task.key} failed (on_failure {lasting})"
                )
            assert task.state is not _S.CANCELLED, f"the job completed although {task.key} was cancelled"
    if job.state in (JobState.FAILED, JobState.CANCELLED):
        assert job.error is not None, "a job that ended badly says why"
    if job.state is JobState.PENDING or job.state is JobState.QUEUED:
        assert not any(task.state is _S.RUNNING for task in current), "something runs in a job that has not begun"
    if job.cancel_requested_at is not None:
        gave_up = job.error is not None and job.error.code == "compensation_failed"
        assert gave_up or job.closing is JobState.CANCELLED or job.state is JobState.CANCELLED, (
            "a cancel was committed and forgotten (R18)"
        )
    for task in current:
        node = rows.graph.all_nodes[task.node]
        if task.state not in SETTLED:
            wanted = priority_of(job, node)
            assert task.priority == wanted, f"{task.key} has priority {task.priority}, it should have {wanted} (R25)"
        assert task.attempt <= node.retry.max_retries + 1, f"{task.key} had {task.attempt} attempts (R5)"
        assert 0.0 <= task.progress <= 1.0, f"progress of {task.key} is {task.progress}"


def _check_liveness(rows: JobRows) -> None:
    """Nothing is stuck: whatever waits has somebody who will wake it."""
    job, current = rows.job, rows.current
    if job.state in TERMINAL:
        return
    if job.closing is not None:
        undoing = any(t.node in rows.graph.undos and t.state in (_S.READY, _S.RETRYING, _S.WAITING) for t in current)
        moves = job.runs_active > 0 or job.has_files or job.extra.get("children_open") or undoing
        assert moves, "the job closes, nothing runs, and nobody will end it"
        return
    if job.state is JobState.PENDING:
        held = job.unmet_jobs > 0 or (job.requires_approval and job.approved_at is None) or job.wake_at is not None
        assert held, "a pending job that nothing holds"
        return
    moving = 0
    for task in current:
        if task.state is _S.READY:
            assert task.ready_seq is not None and task.handler, f"{task.key} is ready but cannot be found by a claim"
            moving += 1
        elif task.state in (_S.RETRYING, _S.WAITING):
            assert task.wake_at is not None or waits_for_child(task), (
                f"{task.key} is {task.state} and nobody will wake it"
            )
            moving += 1
        elif task.state is _S.RUNNING and not _is_map(rows.graph, task):
            moving += 1
        elif task.state is _S.RUNNING:
            moving += _check_map_moves(task, [t for t in current if t.node == task.node and t.index != NODE])
        elif task.state is _S.BLOCKED and task.index == NODE:
            assert task.unmet > 0, f"{task.key} is blocked by nothing"
    assert moving, "nothing of the job is under way, and nothing will come"


def check_compensation(rows: JobRows) -> None:
    """Check that what is undone is undone for a reason, one at a time and in order, and all of it by the end (R19).

    That each is undone once is for the fold to say.
    """
    job, graph, current = rows.job, rows.graph, rows.current
    if not graph.undos:
        return
    undos = [task for task in current if task.node in graph.undos]
    done = [task for task in current if task.extra.get("compensated")]
    if job.state is JobState.COMPLETED or (job.closing is None and job.state not in TERMINAL):
        assert not undos and not done, f"{(undos + done)[0].key} is undone in a job that is {job.state}"
        return
    still_there = [task for task in current if task.node in graph.nodes and _is_to_undo(rows, task)]
    assert sum(task.state not in SETTLED for task in undos) <= 1, "two undos are under way"
    for task in done:
        later = _below(graph, task.node)
        for other in still_there:
            follows = other.node == task.node and other.index > task.index
            assert other.node not in later and not follows, f"{task.key} was undone before {other.key}"
    gave_up = job.error is not None and job.error.code == "compensation_failed"
    if job.state in TERMINAL and not gave_up:
        assert not still_there, f"the job ended and {still_there[0].key} was not undone"


def _is_to_undo(rows: JobRows, task: Task) -> bool:
    node = rows.graph.nodes[task.node]
    if node.undo is None or task.extra.get("compensated") or _is_map(rows.graph, task):
        return False
    return (task.state is _S.COMPLETED and not task.cached) or (node.undo_unknown and bool(task.extra.get("unknown")))


def _below(graph: Graph, name: str) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for after in graph.dependents[waiting.pop()]:
            if after not in found:
                found.add(after)
                waiting.append(after)
    return found


def _check_map_moves(container: Task, items: list[Task]) -> int:
    active = sum(item.state in (_S.READY, _S.RUNNING, _S.RETRYING, _S.WAITING) for item in items)
    timed = container.wake_at is not None and container.wake_at < NEVER
    assert active or timed, f"map {container.node} has nothing under way and nobody will wake it"
    return 1


@dataclass(slots=True)
class JobHistory:
    """What was seen of a job so far: its events folded as they came, its progress, its frozen rows."""

    folded: FoldedJob
    predecessors: Mapping[str, Sequence[str]]
    generation: int = 0
    progress: float = 0.0
    task_progress: dict[tuple[str, str, int, int], float] = field(default_factory=dict)
    frozen: dict[tuple[str, str, int, int], Any] = field(default_factory=dict)

    @classmethod
    def of(cls, graph: Graph) -> JobHistory:
        return cls(fold_events(graph.predecessors, ()), graph.predecessors)

    def see(self, rows: JobRows, events: Sequence[Event]) -> None:
        """Take in new events and the rows they led to.

        Raises:
            Broken: they contradict each other, or what was seen before.
        """
        try:
            for event in events:
                fold_one(self.folded, self.predecessors, event)
        except FoldError as error:
            raise Broken(f"job {rows.job.job_id}: {error}") from error
        check_job(rows, self.folded)
        job = rows.job
        if job.generation != self.generation:
            self.generation, self.progress = job.generation, 0.0
        if job.progress_percentage < self.progress:
            raise Broken(
                f"job {job.job_id}: progress fell from {self.progress} to {job.progress_percentage} (promise 7)"
            )
        self.progress = job.progress_percentage
        for task in rows.tasks:
            if task.superseded:
                known = self.frozen.setdefault(task.key, _frozen(task))
                if known != _frozen(task):
                    raise Broken(f"{task.key} is of an older generation and changed: {known} → {_frozen(task)} (R20)")
            elif task.progress < self.task_progress.get(task.key, 0.0):
                raise Broken(f"{task.key}: progress fell (promise 7)")
            else:
                self.task_progress[task.key] = task.progress


def _frozen(task: Task) -> tuple[Any, ...]:
    return (task.state, task.attempt, task.run_id, task.started_at, task.finished_at, task.error)


def check_starts(rows: JobRows, folded: FoldedJob) -> None:
    """Check that the items of a staggered map started at least the stagger apart, in each generation."""
    for name, node in rows.graph.nodes.items():
        if node.kind is not NodeKind.MAP or node.stagger_s <= 0 or folded.tasks[name, NODE].crowded:
            continue
        by_generation: dict[int, list[float]] = {}
        for (task, index), told in folded.tasks.items():
            if task == name and index != NODE and told.starts:
                by_generation.setdefault(told.generation, []).append(told.starts[0])
        for starts in by_generation.values():
            ordered = sorted(starts)
            for one, other in pairwise(ordered):
                if other - one < node.stagger_s - 1e-6:
                    raise Broken(
                        f"items of {name} of job {rows.job.job_id} started {other - one} s apart, not {node.stagger_s}"
                    )


def check_skips(rows: JobRows, params: Any, result_of: Callable[[str], Any]) -> None:
    """Check that exactly the right nodes of a completed job were skipped (R12), from what their inputs are in the end."""
    if rows.job.state is not JobState.COMPLETED:
        return
    states = {task.node: task for task in rows.current if task.index == NODE}
    scope = _EndScope(params, states, result_of)
    for name, node in rows.graph.nodes.items():
        task = states[name]
        try:
            wanted = holds(node.when, scope)
            gap = missing([node.args, node.items, node.duration], scope.has_value)
        except Skipped:
            wanted, gap = False, None
        except BindingError:
            continue  # it failed, as its on_failure says
        runs = wanted and gap is None
        if node.kind is NodeKind.APPROVAL and not wanted and gap is None and task.state is _S.COMPLETED:
            continue  # nobody was asked: the value passed through (R14)
        if not runs and task.state is not _S.SKIPPED and not _has_failed(task):
            raise Broken(
                f"{task.key} is {task.state}; its condition is {wanted}, missing is {gap}: it had to be skipped (R12)"
            )
        if runs and task.state is _S.SKIPPED and task.error is None:
            raise Broken(f"{task.key} was skipped without need (R12)")


def _has_failed(task: Task) -> bool:
    """Tell whether an approval could not make the value that it was to let through unasked."""
    return task.state is _S.FAILED and task.error is not None and task.error.code == "binding_failed"


@dataclass(slots=True)
class _EndScope:
    """What references mean once everything has settled. Implements `core.values.Scope`."""

    params: Any
    states: Mapping[str, Task]
    result_of: Callable[[str], Any]

    def has_value(self, name: str) -> bool:
        return self.states[name].state is _S.COMPLETED

    def param(self, name: str) -> Any:
        if name not in self.params:
            raise BindingError(name)
        return self.params[name]

    def node(self, name: str) -> Any:
        if not self.has_value(name):
            raise Skipped(name)
        return self.result_of(name)

    def item(self) -> Any:
        raise BindingError("no item")


def check_family(parent: Job, children: Sequence[Job]) -> None:
    """Check that no job has ended while a child of it is open, and that each child's end was told to its parent once.

    A child that was retried by itself after its end is nobody's any more.
    """
    untold = sum(_is_untold(job) for job in children)
    if untold and parent.state in TERMINAL:
        raise Broken(f"job {parent.job_id} is {parent.state}, and {untold} children of it are open")
    counted = parent.extra.get("children_open", 0)
    if counted != untold:
        raise Broken(f"job {parent.job_id} counts {counted} open children, there are {untold}")


def _is_untold(job: Job) -> bool:
    return "parent" in job.extra and not job.extra["parent"].get("told")


def check_signals(graph: Graph, tasks: Sequence[Task], signals: Sequence[Signal], taken: Sequence[int]) -> None:
    """Check one job's signals at one instant: each is taken at most once, in the order in which it came, and no node waits
    while a signal of its name lies there.

    Args:
        signals: all that were accepted, in order.
        taken: numbers of those that a node has taken.

    Raises:
        Broken: one was taken out of turn, or waits beside a node that waits for it.
    """
    if [signal.number for signal in signals] != list(range(1, len(signals) + 1)):
        raise Broken("signals are not numbered without a gap (R22)")
    gone = set(taken)
    for name in graph.signals:
        own = [signal.number for signal in signals if signal.name == name]
        untaken = [number for number in own if number not in gone]
        if untaken and any(number > untaken[0] for number in own if number in gone):
            raise Broken(f"signal {untaken[0]} of {name!r} was passed over (R22)")
        waiting = [task.node for task in tasks if task.node in graph.signals[name] and task.state is _S.WAITING]
        if untaken and waiting:
            raise Broken(f"{waiting} wait for {name!r} although signal {untaken[0]} lies there (R22)")


def check_settled(job: Job) -> None:
    """Check that a job has ended, once faults have stopped and time has passed."""
    if job.state not in TERMINAL:
        raise Broken(
            f"job {job.job_id} is stuck: {job.state}, closing {job.closing}, counts {job.counts}, "
            f"{job.runs_active} runs, unmet jobs {job.unmet_jobs}, wakes at {job.wake_at}"
        )

"""One job walked at random through the core alone: no engine, no store, thousands of lives a minute.

The whole cluster is simulated in `world.py`; this finds what is wrong in `decide` itself, in the smallest setting. Facts
come in any order the engine could bring them, and some that it could not: those must be refused and change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from orpheus.core import facts as f
from orpheus.core.decider import NewJob, decide, decide_at_length, submit
from orpheus.core.decision import (
    CancelRun,
    Decision,
    Finalise,
    ForgetRun,
    KnownResult,
    LookUpResult,
    PublishArtifacts,
    StartChild,
    TellJob,
)
from orpheus.core.errors import OrpheusError, TaskError
from orpheus.core.job import TERMINAL, Job
from orpheus.core.submission import submit_at_length
from orpheus.core.task import NEVER, Task, TaskState
from orpheus.core.validate import parse_graph
from orpheus.testing.memory_view import MemoryView
from orpheus.testing.simulation.graphs import random_params, random_workflow
from orpheus.testing.simulation.invariants import (
    Broken,
    JobHistory,
    JobRows,
    check_settled,
    check_signals,
    check_skips,
    check_starts,
)
from orpheus.testing.simulation.limits import random_update
from orpheus.testing.simulation.outsiders import random_word
from orpheus.testing.simulation.short_ways import check_usual

GRACE_S = 10.0
"""How long a run that was told to stop may go on here; an engine has a setting for it."""


class _Draws:
    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def uniform(self) -> float:
        return self._rng.random()


@dataclass(slots=True)
class Walk:
    """A job, the runs that workers hold, and what was seen so far."""

    rng: Random
    view: MemoryView
    history: JobHistory
    now: float = 1_000_000.0
    runs: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Held by workers, whether they are current or not."""
    told_to_stop: dict[str, float] = field(default_factory=dict)
    forgotten: dict[str, None] = field(default_factory=dict)
    finalise: list[Finalise] = field(default_factory=list)
    unpublished: list[str] = field(default_factory=list)
    known: dict[str, KnownResult] = field(default_factory=dict)
    """Results of tasks with a cache, by key."""
    children: dict[str, StartChild] = field(default_factory=dict)
    """Child jobs that have not ended, by id."""
    children_told: dict[str, None] = field(default_factory=dict)
    """Those of them that were told to end."""
    seen_events: int = 0
    serial: int = 0
    trace: list[str] = field(default_factory=list)

    def tell(self, fact: f.Fact) -> bool:
        """Bring a fact; tell whether it was accepted. Deciding must leave no trace, a refusal none at all."""
        before = repr((self.view.job(), self.view.tasks()))
        try:
            decision = decide(self.view, fact, self.now, _Draws(self.rng))
            if isinstance(fact, f.TaskClaimed | f.RunCompleted):  # the facts that have a short way (core/usual.py)
                check_usual(self.view, decision, decide_at_length(self.view, fact, self.now, _Draws(self.rng)))
        except OrpheusError as error:
            self.trace.append(f"{self.now:.2f} {fact} refused: {error.code}")
            if repr((self.view.job(), self.view.tasks())) != before:
                raise Broken(f"a refused {fact} changed something") from error
            return False
        if repr((self.view.job(), self.view.tasks())) != before:
            raise Broken(f"{fact} changed something that its decision shares with the rows before")
        self.trace.append(f"{self.now:.2f} {fact} → {[event.type for event in decision.events]}")
        self.take_in(decision)
        return True

    def take_in(self, decision: Decision) -> None:
        if not decision.is_new:
            self.view.apply(decision)
        looked_up: list[LookUpResult] = []
        for command in decision.commands:
            if isinstance(command, CancelRun):
                self.told_to_stop[command.run_id] = self.now + GRACE_S
            elif isinstance(command, ForgetRun):
                self.forgotten[command.run_id] = None
                self.told_to_stop.pop(command.run_id, None)
            elif isinstance(command, Finalise):
                self.finalise.append(command)
            elif isinstance(command, PublishArtifacts):
                self.unpublished += [ref.name for _, ref in decision.artifacts]
            elif isinstance(command, LookUpResult):
                looked_up.append(command)
            elif isinstance(command, StartChild):
                if command.job_id in self.children:
                    raise Broken(f"child {command.job_id} was opened twice")
                self.children[command.job_id] = command
            elif isinstance(command, TellJob) and isinstance(command.fact, f.CancelRequested):
                self.children_told[command.job_id] = None
        self.look()
        if decision.known_result is not None:
            self.known[decision.known_result.key] = decision.known_result
        for command in looked_up:
            self.recall(command)

    def recall(self, command: LookUpResult) -> None:
        """Complete a task whose result is known from before, as an engine does at once (R23)."""
        known = self.known.get(command.key)
        if known is not None and known.task.run_id is not None:
            self.tell(
                f.TaskCached(
                    node=command.node,
                    index=command.index,
                    result=known.result,
                    artifacts=known.artifacts,
                    source_job=known.task.job_id,
                    source_run=known.task.run_id,
                )
            )

    def look(self) -> None:
        """Check everything that can be checked now."""
        rows = self.rows()
        self.history.see(rows, self.view.events[self.seen_events :])
        self.seen_events = len(self.view.events)
        check_starts(rows, self.history.folded)
        if rows.job.extra.get("children_open", 0) != len(self.children):
            raise Broken(
                f"the job counts {rows.job.extra.get('children_open')} children, {len(self.children)} are open"
            )
        if rows.job.state in TERMINAL and self.children:
            raise Broken(f"the job has ended and its children {list(self.children)} have not")
        check_signals(self.view.graph, rows.current, self.view.signals, list(self.view.taken))
        for task in rows.current:
            if task.state is TaskState.WAITING and task.run_id is not None and task.run_id not in self.forgotten:
                raise Broken(f"{task.key} waits, and {task.run_id} still holds what it held (R25)")
            if task.state is TaskState.RUNNING and task.run_id is not None and task.run_id in self.forgotten:
                raise Broken(f"{task.key} runs as {task.run_id}, which the engine was told to forget")

    def rows(self) -> JobRows:
        return JobRows(self.view.job(), self.view.graph, self.view.all_rows())

    @property
    def job(self) -> Job:
        return self.view.job()


def walk(seed: int, *, steps: int = 60) -> Walk:
    """Walk one random job; then let everything go well until it ends.

    Raises:
        Broken: a promise is broken; the message ends with the trace.
    """
    rng = Random(seed)  # noqa: S311 (a seed is what it is for)
    graph = parse_graph(random_workflow(rng, "walk", ("inner",)))
    new = NewJob(
        job_id=f"job-{seed}",
        tenant="ada",
        correlation_id="c",
        params=random_params(rng),
        run_at=rng.choice((None, None, 1_000_005.0)),
        requires_approval=rng.random() < 0.1,
        timeout_s=rng.choice((None, None, None, 60.0)),
        has_files=rng.random() < 0.3,
        dependencies=(("other", "success"),) if rng.random() < 0.1 else (),
        definitions={"inner": "hash of inner"},
        extra={"budget": rng.choice((0.0, 0.3, 1.0, 3.0))} if rng.random() < 0.3 else {},
    )
    decision = submit(new, graph, 1_000_000.0, _Draws(rng))
    if decision != submit_at_length(new, graph, 1_000_000.0, _Draws(rng)):
        raise Broken("a job begun like another is not as it would be at length")
    view = MemoryView(graph, decision)
    self = Walk(rng, view, JobHistory.of(graph))
    try:
        self.take_in(decision)
        for _ in range(steps):
            _step(self, rng.choices(_ACTIONS, _WEIGHTS)[0])
        _finish(self)
    except (AssertionError, KeyError, TypeError, ValueError, AttributeError) as error:
        told = "\n".join(self.trace[-40:])
        raise Broken(f"seed {seed}: {type(error).__name__}: {error}\n{told}") from error
    return self


_ACTIONS = (
    "claim",
    "complete",
    "fail",
    "wake",
    "time",
    "lose",
    "stale",
    "order",
    "publish",
    "return",
    "progress",
    "fence",
    "child",
    "hand over",
    "call back",
    "word",
)
_WEIGHTS = (30, 25, 10, 12, 12, 3, 3, 6, 6, 3, 5, 3, 10, 5, 6, 8)


def _step(self: Walk, action: str) -> None:
    rng = self.rng
    running = [(run_id, place) for run_id, place in self.runs.items() if run_id not in self.forgotten]
    if action == "claim":
        ready = self.view.tasks((TaskState.READY,))
        if ready and not self.job.paused:
            _claim(self, rng.choice(ready))
        elif ready:
            chosen = rng.choice(ready)
            if self.tell(f.TaskClaimed(node=chosen.node, index=chosen.index, run_id="run-of-pause", worker="w")):
                raise Broken(f"{chosen.key} was claimed although its job is paused (R26)")
    elif action == "time":
        self.now += rng.choice((0.1, 0.7, 3.0, 20.0))
    elif action == "wake":
        _wake(self)
    elif action == "publish":
        _publish(self)
    elif action == "child":
        _end_child(self)
    elif action == "order":
        self.tell(_order(self))
    elif action == "word":
        self.serial += 1
        self.tell(random_word(rng, self.view.graph, self.serial))
    elif action == "call back":
        _call_back(self)
    elif action == "stale" and self.forgotten:
        run_id = rng.choice(list(self.forgotten))
        node, index = self.runs[run_id]
        if self.tell(f.RunCompleted(node=node, index=index, run_id=run_id, result={"n": 1})):
            raise Broken(f"a report from {run_id}, which is over, was accepted (R6)")
    elif running:
        run_id, (node, index) = rng.choice(running)
        fact = _report(self, action, run_id, node, index)
        if fact is not None:
            told = self.tell(fact)
            if not told and action in ("complete", "fail", "lose", "return", "progress"):
                raise Broken(f"{fact} about a current run was refused")


def _claim(self: Walk, task: Task) -> None:
    self.serial += 1
    run_id = f"run-{self.serial}"
    told = self.tell(f.TaskClaimed(node=task.node, index=task.index, run_id=run_id, worker="w"))
    if not told:
        raise Broken(f"{task.key} was ready and could not be claimed")
    after = self.view.task(task.node, task.index)
    assert after is not None
    if after.state is TaskState.RUNNING:
        self.runs[run_id] = (task.node, task.index)


def _result(rng: Random) -> Any:
    return {"n": rng.randrange(10), "flag": rng.random() < 0.5, "items": list(range(rng.randrange(4))), "echo": None}


def _report(self: Walk, action: str, run_id: str, node: str, index: int) -> f.Fact | None:
    rng = self.rng
    if action == "complete":
        names = [f"{run_id}.txt"] if rng.random() < 0.2 else []
        refs = tuple(
            f.ArtifactRef(
                name=name, key=f".runs/{run_id}/{name}", sha256="0" * 64, size_bytes=1, content_type="text/plain"
            )
            for name in names
        )
        return f.RunCompleted(node=node, index=index, run_id=run_id, result=_result(rng), artifacts=refs)
    if action == "hand over":
        return f.RunWaiting(node=node, index=index, run_id=run_id, timeout_s=rng.choice((2.0, 30.0)))
    if action == "fail":
        error = TaskError(
            code="task_failed", message="no", retryable=rng.random() < 0.8, type=rng.choice(("ValueError", "OSError"))
        )
        wait = 2.0 if rng.random() < 0.1 else None
        return f.RunFailed(node=node, index=index, run_id=run_id, error=error, retry_after_s=wait)
    if action == "lose":
        return f.RunLost(node=node, index=index, run_id=run_id)
    if action == "return":
        return f.RunReturned(node=node, index=index, run_id=run_id)
    if action == "progress":
        return f.RunProgressed(node=node, index=index, run_id=run_id, fraction=rng.random() * 1.2, stage="s")
    if action == "fence" and self.told_to_stop.get(run_id, NEVER) <= self.now:
        return f.RunFenced(node=node, index=index, run_id=run_id)
    return None


def _call_back(self: Walk) -> None:
    """Bring a result or an error for any run there was; the first one counts, and one for a run that is over is refused."""
    if not self.runs:
        return
    run_id = self.rng.choice(list(self.runs))
    node, index = self.runs[run_id]
    error = TaskError(code="task_failed", message="no luck", retryable=True) if self.rng.random() < 0.3 else None
    before = self.view.callback(run_id)
    task = self.view.task(node, index)
    open_now = task is not None and task.run_id == run_id and task.state in (TaskState.RUNNING, TaskState.WAITING)
    told = self.tell(f.CallbackReceived(node=node, index=index, run_id=run_id, result=_result(self.rng), error=error))
    if told != (before is not None or open_now):
        raise Broken(f"a callback for {run_id} was {'accepted' if told else 'refused'} (R22)")
    if before is not None and self.view.callback(run_id) != before:
        raise Broken(f"a second callback for {run_id} took the place of the first (R22)")


def _order(self: Walk) -> f.Fact:
    rng = self.rng
    nodes = [None, *self.view.graph.nodes]
    return rng.choice(
        (
            f.CancelRequested(reason="enough"),
            f.PauseRequested(),
            f.ResumeRequested(),
            f.ResumeRequested(),
            f.RetryRequested(),
            f.RetryRequested(budget=rng.choice((0.5, 2.0, 50.0))),
            f.RetryRequested(from_task=rng.choice(nodes)),
            random_update(rng),
            f.JobApproved(),
            f.JobRejected(reason="no"),
            _dependency(self),
        )
    )


def _end_child(
    self: Walk, states: tuple[str, ...] = ("completed", "completed", "failed", "cancelled", "refused")
) -> None:
    """A child job ends, or turns out never to have begun; one that was told to end does not complete any more."""
    if not self.children:
        return
    child_id = self.rng.choice(list(self.children))
    child = self.children[child_id]
    state = self.rng.choice(("cancelled", "failed") if child_id in self.children_told else states)
    error = None if state == "completed" else TaskError(code="task_failed", message="no")
    del self.children[child_id]
    fact = f.ChildEnded(
        node=child.node,
        index=child.index,
        generation=child.generation,
        child_job=child_id,
        state=state,
        result=_result(self.rng) if state == "completed" else None,
        error=error,
    )
    if not self.tell(fact):
        raise Broken(f"the end of child {child_id} was refused")


def _dependency(self: Walk) -> f.Fact:
    """The job it depends on ends: told once, and only while it waits."""
    if not self.job.unmet_jobs:
        return f.PauseRequested()
    return f.DependencySettled(job_id="other", ok=self.rng.random() < 0.8)


def _wake(self: Walk) -> None:
    job = self.job
    if job.wake_at is not None and job.wake_at <= self.now:
        self.tell(f.JobWoken())
    for task in self.view.due(self.now):
        self.tell(f.TaskWoken(node=task.node, index=task.index))


def _publish(self: Walk) -> None:
    if self.unpublished:
        names, self.unpublished = tuple(self.unpublished), []
        self.tell(f.ArtifactsPublished(names=names))
    elif self.finalise:
        command = self.finalise.pop(0)
        self.tell(f.Finalised(outcome=command.outcome, generation=command.generation))


def _finish(self: Walk) -> None:
    """Let nothing go wrong any more: the job has to end."""
    if self.job.unmet_jobs:
        self.tell(f.DependencySettled(job_id="other", ok=True))
    if self.job.requires_approval and self.job.approved_at is None:
        self.tell(f.JobApproved())
    for _ in range(3000):
        if self.job.state in TERMINAL:
            break
        if self.job.paused:
            self.tell(f.ResumeRequested())
        moved = len(self.trace)
        _end_child(self, ("completed",))
        for run_id, (node, index) in list(self.runs.items()):
            if run_id not in self.forgotten:
                self.tell(f.RunCompleted(node=node, index=index, run_id=run_id, result=_result(self.rng)))
        for task in self.view.tasks((TaskState.READY,)):
            after = self.view.task(task.node, task.index)
            if after is not None and after.state is TaskState.READY:
                _claim(self, task)
        while self.unpublished or self.finalise:
            _publish(self)
        if len(self.trace) == moved:
            wake = self.view.next_wake()
            if wake is None:
                break
            self.now = max(self.now, wake)
            _wake(self)
    check_settled(self.job)
    check_skips(self.rows(), self.view.params(), self.view.result)

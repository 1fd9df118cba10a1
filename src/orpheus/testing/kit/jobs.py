"""One job in a test: what it does next, and everything there is to see of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from orpheus.artifacts.keys import artifact_key, manifest_key
from orpheus.authoring import codec
from orpheus.authoring.file import File
from orpheus.authoring.workflow import Workflow
from orpheus.core import facts
from orpheus.core.decision import Event
from orpheus.core.errors import OrpheusError, TaskError
from orpheus.core.facts import Fact
from orpheus.core.graph import Graph
from orpheus.core.job import TERMINAL, Job
from orpheus.core.suggest import did_you_mean
from orpheus.core.task import NODE, SETTLED, Task
from orpheus.engine.base import JobFilter, Reads, Waiting
from orpheus.testing.kit.errors import JobFailed, Stuck
from orpheus.testing.kit.events import EventLog
from orpheus.testing.kit.fakes import NOTHING
from orpheus.testing.kit.questions import Question, asked, pick

if TYPE_CHECKING:
    from orpheus.testing.kit.kit import Kit

R = TypeVar("R")

PAGE = 500
ASKING = frozenset({"approval", "signal", "event", "callback", "pause", "worker"})
"""Reasons that no amount of time ends well: somebody has to do something. Time-outs of such waits are for `advance`."""


@dataclass(frozen=True, slots=True)
class KitArtifact:
    """An accepted artifact."""

    name: str
    path: Path
    """Where it lies, under its stable name."""
    content_type: str
    size_bytes: int
    sha256: str
    task: str
    metadata: Mapping[str, Any]

    @property
    def bytes(self) -> bytes:
        return self.path.read_bytes()

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")


class KitJob(Generic[R]):
    """A submitted job. Nothing of it runs until `run`, `run_until_waiting`, or the kit is told to go on.

    Attributes:
        id: its job id.
    """

    def __init__(self, kit: Kit, job_id: str, workflow: Workflow[Any, R] | None) -> None:
        self._kit = kit
        self.id = job_id
        self._workflow = workflow

    # Going on

    def run(self) -> KitJob[R]:
        """Run to the end, skipping over every wait that ends by itself.

        Raises:
            Stuck: it waits for somebody or something that never comes; the message says for what.
        """
        if not self._kit.drive(self):
            raise Stuck(self.why_stuck(), self)
        return self

    def run_until_waiting(self) -> list[Waiting]:
        """Run until it waits for an answer from outside (an approval, a signal, a callback, a pause); return for what.

        Raises:
            AssertionError: it has ended instead.
        """
        if self._kit.drive(self):
            raise AssertionError(f"{self!r} has ended and waits for nothing:\n{self._told_error()}")
        return self.waiting_for

    # Orders

    @property
    def questions(self) -> list[Question]:
        """What it asks somebody outside now: approvals with their values, signals, callbacks."""
        job = self._row()
        found = []
        for question in asked(job, self._graph(job), self.tasks):
            value = None
            if question.kind == "approval":
                task = self.task(question.task)
                value = self._kit.unspilled(self._kit.ask(partial(_item, task)))
            found.append(replace(question, value=value))
        return found

    def approve(
        self,
        what: str | None = None,
        *,
        value: Any = NOTHING,
        params: Mapping[str, Any] | None = None,
        comment: str = "",
    ) -> KitJob[R]:
        """Approve an approval node (R14), or the job itself while it is pending (R15).

        Args:
            what: the node's prompt or name; left out, the only one that asks.
            value: what the person made of the value, where that may be edited.
            params: edited params of the job.

        Raises:
            LookupError: nothing of that name asks.
            InvalidParams: the edit does not fit its type.
        """
        if what is None and any(one.kind == "job" for one in self.questions):
            return self._tell(facts.JobApproved(params=self._edited(params), comment=comment, actor="test"))
        if what is None and not self.questions:
            return self._tell(facts.JobApproved(comment=comment, actor="test"))  # refused, or in effect already
        node = pick(self.questions, "approval", what).task
        edited = value is not NOTHING
        wired = self._kit.wire(None, {"value": value})["value"] if edited else None
        return self._tell(facts.TaskApproved(node=node, value=wired, edited=edited, comment=comment, actor="test"))

    def reject(self, what: str | None = None, *, reason: str = "") -> KitJob[R]:
        """Reject an approval node, or the job itself while it is pending; see `approve`."""
        if what is None and any(one.kind == "job" for one in self.questions):
            return self._tell(facts.JobRejected(reason=reason, actor="test"))
        node = pick(self.questions, "approval", what).task
        return self._tell(facts.TaskRejected(node=node, reason=reason, actor="test"))

    def signal(self, name: str, payload: Any = None, *, signal_id: str | None = None) -> KitJob[R]:
        """Tell it that something has happened outside (R22); kept, if nothing waits for it yet.

        Raises:
            UnknownSignal: its graph waits for no such signal.
        """
        wired = self._kit.wire(None, {"payload": payload})["payload"]
        return self._tell(facts.SignalReceived(name=name, payload=wired, signal_id=signal_id, actor="test"))

    def call_back(
        self, task: str | None = None, *, index: int | None = None, result: Any = None, error: TaskError | None = None
    ) -> KitJob[R]:
        """Bring the result of a task that returned `wait_for_callback(…)`, as another system would (R22).

        Args:
            task: its node; left out, the only one that waits.
            index: of a map's item.
        """
        asking = [one for one in self.questions if index is None or one.index == index]
        question = pick(asking, "callback", task)
        token = self._kit.engine.machine.claims.tokens.callback(question.run_id)
        wired = self._kit.wire(None, {"result": result})["result"]
        self._kit.call(lambda engine: engine.call_back(token, result=wired, error=error))
        return self

    def _edited(self, params: Mapping[str, Any] | None) -> dict[str, Any] | None:
        if params is None:
            return None
        known, _result = self._kit.ask(lambda reads: reads.job_payload(self.id))
        wired = {**known, **self._kit.wire(self._workflow, params)}
        return self._kit.engine.machine.checker.check(self._graph(self._row()), wired)

    def _graph(self, job: Job) -> Graph:
        graph = self._kit.ask(lambda reads: reads.graph(job.definition_id))
        assert graph is not None, "a job's definition is kept as long as the job"
        return graph

    def cancel(self, reason: str = "") -> KitJob[R]:
        return self._tell(facts.CancelRequested(reason=reason, actor="test"))

    def pause(self) -> KitJob[R]:
        return self._tell(facts.PauseRequested(actor="test"))

    def resume(self) -> KitJob[R]:
        return self._tell(facts.ResumeRequested(actor="test"))

    def retry(self, *, from_task: str | None = None, params: Mapping[str, Any] | None = None) -> KitJob[R]:
        """Retry what failed, change params, or rewind to a task (R20)."""
        return self._tell(facts.RetryRequested(from_task=from_task, params=self._edited(params), actor="test"))

    def _tell(self, fact: Fact) -> KitJob[R]:
        self._kit.call(lambda engine: engine.tell(self.id, fact))
        return self

    # Looking

    @property
    def state(self) -> str:
        return str(self._row().state)

    @property
    def row(self) -> Job:
        """Everything the engine keeps of the job."""
        return self._row()

    @property
    def result(self) -> R:
        """What the workflow returned, of its own type.

        Raises:
            JobFailed: it did not complete; `__cause__` is what the handler raised.
            Stuck: it has not ended.
        """
        job = self._row()
        if job.state not in TERMINAL:
            raise Stuck(f"{self!r} has not ended; run() it first.\n{self._waits()}", self)
        if str(job.state) != "completed":
            cause = self._kit.cause(self.id, job.error.task) if job.error is not None else None
            raise JobFailed(job.error, self) from cause
        return self.decoded(self.result_json)

    @property
    def result_json(self) -> Any:
        """The result as it travels, with large parts put back."""
        _params, value = self._kit.ask(lambda reads: reads.job_payload(self.id))
        return self._kit.unspilled(value)

    def decoded(self, value: Any) -> R:
        """Return a result as it travels in the workflow's own type."""
        annotation = self._workflow.signature.hints.get("return", Any) if self._workflow is not None else Any
        if value is None or annotation in (Any, None, type(None)):
            found: R = codec.from_wire_untyped(value)
            return found
        typed: R = codec.from_wire(value, annotation)
        return typed

    @property
    def error(self) -> TaskError | None:
        return self._row().error

    @property
    def events(self) -> EventLog:
        found = []
        after = 0
        while page := self._kit.ask(partial(_events, self.id, after)):
            found += page
            after = page[-1].seq
        return EventLog(found)

    @property
    def tasks(self) -> list[Task]:
        """Every task's row of the current generation, in the graph's order; items of maps after their map."""
        found: list[Task] = []
        cursor = None
        while True:
            page, cursor = self._kit.ask(partial(_tasks, self.id, cursor))
            found += page
            if cursor is None:
                return found

    def task(self, name: str, index: int | None = None) -> Task:
        """Return one task's row.

        Raises:
            LookupError: there is none.
        """
        tasks = self.tasks
        for task in tasks:
            if task.node == name and task.index == (NODE if index is None else index):
                return task
        known = list(dict.fromkeys(task.node for task in tasks))
        place = name if index is None else f"{name}[{index}]"
        raise LookupError(
            f"{self!r} has no task {place!r}. {did_you_mean(name, known) or 'It has ' + ', '.join(known)}"
        )

    def attempts(self, name: str, index: int | None = None) -> list[Mapping[str, Any]]:
        """Return a task's attempts in this generation, first to last: `attempt`, `run_id`, `outcome`, `error` …"""
        task = self.task(name, index)
        found: list[Mapping[str, Any]] = self._kit.ask(lambda reads: reads.attempts(task))
        return found

    def task_result(self, name: str, index: int | None = None) -> Any:
        """Return what a task returned, as it travels (JSON, files as `File`)."""
        task = self.task(name, index)
        return codec.from_wire_untyped(self._kit.unspilled(self._kit.ask(lambda reads: reads.task_result(task))))

    @property
    def artifacts(self) -> dict[str, KitArtifact]:
        job = self._row()
        found = {}
        for row in self._kit.ask(lambda reads: reads.artifacts(self.id)):
            name = str(row["name"])
            path = self._kit.objects / artifact_key(self._kit.env, job.tenant, self.id, name)
            found[name] = KitArtifact(
                name=name,
                path=path,
                content_type=str(row["content_type"]),
                size_bytes=int(row["size_bytes"]),
                sha256=str(row["sha256"]),
                task=str(row["node"]),
                metadata=dict(row["metadata"] or {}),
            )
        return found

    def artifact(self, name: str) -> KitArtifact:
        """Return an artifact.

        Raises:
            LookupError: the job has none of that name.
        """
        found = self.artifacts
        if name not in found:
            hint = did_you_mean(name, list(found)) or f"It has {', '.join(found) or 'none'}."
            raise LookupError(f"{self!r} has no artifact {name!r}. {hint}")
        return found[name]

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest as it lies in the object store."""
        path = self._kit.objects / manifest_key(self._kit.env, self._row().tenant, self.id)
        read: dict[str, Any] = json.loads(path.read_text())
        return read

    def read(self, file: File) -> bytes:
        """Return the content of a file that the job was given or made."""
        return (self._kit.objects / file.key).read_bytes()

    @property
    def logs(self) -> list[str]:
        """Messages that handlers logged, in order."""
        lines = self._kit.ask(lambda reads: reads.logs(self.id, after=0, limit=10_000))
        return [str(line["message"]) for _number, line in lines]

    @property
    def waiting_for(self) -> list[Waiting]:
        """Why it does not move (promise 6); empty when it has ended or something runs."""
        job = self._row()
        found: list[Waiting] = self._kit.ask(lambda reads: reads.waiting_for_job(job))
        return found

    @property
    def children(self) -> list[KitJob[Any]]:
        """The child jobs it has opened, the oldest first."""
        return self._kit.jobs_like(JobFilter(parent=self.id))

    # For people

    def __repr__(self) -> str:
        try:
            job = self._row()
        except (OrpheusError, AssertionError):
            return f"<job {self.id}>"
        return f"<job {job.workflow} {self.id}: {job.state}>"

    def _row(self) -> Job:
        job: Job | None = self._kit.ask(lambda reads: reads.job(self.id))
        if job is None:
            raise LookupError(f"there is no job {self.id}: was it pruned?")
        return job

    @property
    def ended(self) -> bool:
        return self._row().state in TERMINAL

    def asks(self) -> bool:
        """Tell whether all it waits for is somebody's answer, be it asked by a child job."""
        if self._row().runs_active:
            return False
        reasons = self.waiting_for
        if not reasons or any(one.reason not in ASKING | {"child"} for one in reasons):
            return False
        if all(one.reason in ASKING for one in reasons):
            return True
        return all(child.asks() for child in self.children if not child.ended)

    def why_stuck(self) -> str:
        """Say what it and each of its tasks wait for."""
        return f"{self!r} does not move, however much time passes.\n{self._waits()}{self._told_error()}"

    def _waits(self) -> str:
        job = self._row()
        lines = [f"  the job waits for {_told(one)}" for one in self.waiting_for]
        for task in self.tasks:
            if task.state in SETTLED:
                continue
            place = task.node if task.index == NODE else f"{task.node}[{task.index}]"
            reasons = self._kit.ask(partial(_waiting, job, task))
            why = ", ".join(_told(one) for one in reasons)
            lines.append(f"  {place} is {task.state}" + (f": waits for {why}" if why else ""))
        return "\n".join(lines)

    def _told_error(self) -> str:
        error = self._row().error
        return "" if error is None else f"  error {error.code}: {error.message}"


def _told(waiting: Waiting) -> str:
    return f"{waiting.reason} ({waiting.detail})" if waiting.detail else waiting.reason


async def _events(job_id: str, after: int, reads: Reads) -> list[Event]:
    return await reads.events(job_id, after=after, limit=PAGE)


async def _tasks(job_id: str, cursor: str | None, reads: Reads) -> tuple[list[Task], str | None]:
    return await reads.tasks(job_id, node=None, states=(), limit=PAGE, cursor=cursor)


async def _item(task: Task, reads: Reads) -> Any:
    return await reads.task_item(task)


async def _waiting(job: Job, task: Task, reads: Reads) -> list[Waiting]:
    return await reads.waiting_for_task(job, task)

"""Run a workflow here and now, in one process, so that breakpoints work: `orpheus.run(talk, source="talk.mp4")`.

The real core decides everything (conditions, maps, joins, retries); what is left out is what stands between it and the
handlers: no server, no leases, no time limits, nothing durable. One task runs at a time, in the order a single worker would
get them. The clock is a number: where the core waits (a backoff, a stagger, a sleep) it is simply set forward.
"""

from __future__ import annotations

import asyncio
import atexit
import inspect
import os
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from orpheus.authoring import codec
from orpheus.authoring.context import WaitForCallback
from orpheus.authoring.definition import TaskDefinition
from orpheus.authoring.errors import Cancelled, Permanent, RetryAfter
from orpheus.authoring.file import File
from orpheus.authoring.local_context import LocalContext
from orpheus.authoring.registry import Registry
from orpheus.authoring.workflow import Workflow
from orpheus.core import facts
from orpheus.core.decider import NewJob, decide, submit
from orpheus.core.decision import Decision, Event, Finalise, PublishArtifacts
from orpheus.core.errors import InvalidParams, OrpheusError, TaskError
from orpheus.core.facts import ArtifactRef, Fact
from orpheus.core.ids import uuid7
from orpheus.core.job import Job, JobState
from orpheus.core.task import NODE, Task, TaskState
from orpheus.engine.params import ParamsChecker, holds_file
from orpheus.testing.memory_view import MemoryView

P = ParamSpec("P")
R = TypeVar("R")


class JobFailed(OrpheusError):
    """The job ended as failed or cancelled. `__cause__` is what the handler raised, `run` everything there is to see."""

    code = "task_failed"

    def __init__(self, error: TaskError | None, run: InlineRun) -> None:
        where = f"task {error.task!r}: " if error is not None and error.task else ""
        super().__init__(
            f"{where}{error.message if error is not None else 'the job did not complete'}",
            hint=error.hint if error is not None else "",
        )
        if error is not None:
            self.code = error.code
        self.error = error
        self.run = run


@dataclass(slots=True)
class InlineRun:
    """What became of a job."""

    job: Job
    result: Any
    """Of the workflow's own type."""
    tasks: list[Task]
    events: list[Event]
    artifacts: dict[str, Path]
    """Local paths by name; in a temporary folder, unless one was given."""
    waits_s: list[float] = field(default_factory=list)
    """Seconds that a real run would have waited (backoff, stagger, sleep), in order."""


def run(workflow: Workflow[P, R], /, *args: P.args, **params: P.kwargs) -> R:
    """Run a workflow in this process and return its result.

    Args:
        params: the workflow's params; for a `File`, a path will do.

    Raises:
        InvalidParams: they don't fit.
        JobFailed: a task failed for good; `__cause__` is its exception.
    """
    outcome = run_job(workflow, workflow.signature.bind(args, params))
    result: R = outcome.result
    return result


def run_job(
    workflow: Workflow[Any, Any],
    params: Mapping[str, Any],
    *,
    resources: Mapping[Callable[[], Any], Any] | None = None,
    folder: str | os.PathLike[str] | None = None,
    seed: int = 0,
) -> InlineRun:
    """Run a workflow in this process and return everything there is to see.

    Args:
        resources: values that take the place of `Resource(factory)`, by factory.
        folder: where artifacts go; a temporary one, removed at exit, when left out.
        seed: of the jitter of backoffs.

    Raises:
        InvalidParams, JobFailed: as `run` does.
    """
    inline = _Inline(workflow, params, dict(resources or {}), folder, seed)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return inline.to_end()
    return _beside_loop(inline)


def _beside_loop(inline: _Inline) -> InlineRun:
    """Run in a thread of its own: this one is busy with a loop (a notebook's)."""
    outcome: list[InlineRun | BaseException] = []

    def target() -> None:
        try:
            outcome.append(inline.to_end())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=target, name="orpheus-inline")
    thread.start()
    thread.join()
    (found,) = outcome
    if isinstance(found, BaseException):
        raise found
    return found


class _Draws:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 (jitter)

    def uniform(self) -> float:
        return self._random.random()


class _Inline:
    """One job from its submission to its end."""

    def __init__(
        self,
        workflow: Workflow[Any, Any],
        params: Mapping[str, Any],
        resources: dict[Callable[[], Any], Any],
        folder: str | os.PathLike[str] | None,
        seed: int,
    ) -> None:
        self._workflow = workflow
        self._registry = Registry()
        self._registry.add(workflow)
        self._resources = resources
        self._loaded: dict[Any, Any] = {}
        self._folder = Path(folder) if folder is not None else _temporary()
        self._draws = _Draws(seed)
        self._random = random.Random(seed + 1)  # noqa: S311 (ids of a job that nobody else sees)
        self.now = time.time()
        self._waits: list[float] = []
        self._cause: dict[str, BaseException] = {}
        self._artifacts: dict[str, Path] = {}
        graph = workflow.graph
        wired = ParamsChecker().check(graph, _wired_params(workflow, params))
        request = NewJob(
            job_id=uuid7(self.now, self._random.getrandbits(74)),
            tenant="default",
            correlation_id="inline",
            params=wired,
            has_files=holds_file(wired),
            actor="inline",
        )
        decision = submit(request, graph, self.now, self._draws)
        self._view = MemoryView(graph, decision)
        self._runner: asyncio.Runner | None = None
        self._obey(decision)

    def to_end(self) -> InlineRun:
        """Work until the job has ended."""
        with asyncio.Runner() as runner:
            self._runner = runner
            while not self._view.ended:
                ready = sorted(
                    self._view.tasks((TaskState.READY,)), key=lambda task: (task.priority, task.ready_seq or 0)
                )
                if ready:
                    self._attempt(ready[0])
                else:
                    self._wait()
            self._close_resources()
        return self._outcome()

    def _tell(self, fact: Fact) -> Decision:
        decision = decide(self._view, fact, self.now, self._draws)
        self._view.apply(decision)
        self._obey(decision)
        return decision

    def _obey(self, decision: Decision) -> None:
        names = tuple(reference.name for _, reference in decision.artifacts)
        for command in decision.commands:
            if isinstance(command, PublishArtifacts):
                self._tell(facts.ArtifactsPublished(names=names))
            elif isinstance(command, Finalise):
                self._tell(facts.Finalised(outcome=command.outcome, generation=command.generation))

    def _wait(self) -> None:
        wake_at = self._view.next_wake()
        assert wake_at is not None, "the job waits for nothing and has not ended"
        self._waits.append(max(0.0, wake_at - self.now))
        self.now = max(self.now, wake_at)
        job = self._view.job()
        if job.wake_at is not None and job.wake_at <= self.now:
            self._tell(facts.JobWoken())
        for task in self._view.due(self.now):
            current = self._view.task(task.node, task.index)
            if current is not None and current.wake_at is not None and current.wake_at <= self.now:
                self._tell(facts.TaskWoken(node=task.node, index=task.index))

    def _attempt(self, task: Task) -> None:
        run_id = uuid7(self.now, self._random.getrandbits(74))
        claim = self._tell(facts.TaskClaimed(node=task.node, index=task.index, run_id=run_id, worker="inline"))
        if claim.assignment is None:
            return
        place: dict[str, Any] = {"node": task.node, "index": task.index, "run_id": run_id}
        name, _, version = task.handler.rpartition("@")
        definition = self._registry.task(name, int(version))
        assert definition is not None, f"the workflow's graph names {task.handler}, which its tracing did not meet"
        job = self._view.job()
        context = LocalContext(
            job_id=job.job_id,
            task=task.node,
            index=None if task.index == NODE else task.index,
            attempt=task.attempt + 1,
            run_id=run_id,
            tenant=job.tenant,
            correlation_id=job.correlation_id,
            last_heartbeat=task.heartbeat,
            folder=self._folder,
        )
        try:
            result = self._call(definition, claim.assignment["args"], context)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            self._cause[task.node] = error
            self._remember(context, place)
            self._tell(_failure(error, task, place))
            return
        self._remember(context, place)
        self._tell(facts.RunCompleted(**place, result=result, artifacts=_references(context)))
        self._artifacts |= {name: context.path(file) for name, file in context.saved.items()}

    def _remember(self, context: LocalContext, place: Mapping[str, Any]) -> None:
        """Bring the attempt's last words about progress and heartbeats, as a worker's reports would."""
        if context.heartbeats or context.told:
            fraction, stage = context.told[-1] if context.told else (None, None)
            last = context.heartbeats[-1] if context.heartbeats else None
            self._tell(facts.RunProgressed(**place, fraction=fraction, stage=stage, heartbeat=last))

    def _call(self, definition: TaskDefinition, wired: Mapping[str, Any], context: LocalContext) -> Any:
        try:
            args, kwargs = definition.decode_args({name: _with_secrets(value) for name, value in wired.items()})
        except ValueError as error:
            raise Permanent(str(error), code="binding_failed") from error
        for name, resource in definition.resources.items():
            kwargs[name] = self._resource(resource.key)
        if definition.takes_context:
            args = (context, *args)
        result = definition.fn(*args, **kwargs)
        if inspect.isawaitable(result):
            result = self._await(result)
        if isinstance(result, WaitForCallback):
            raise Permanent("callbacks need a server", hint="Test the handler by itself: task.fn(ctx, …).")
        return definition.encode_result(result)

    def _await(self, awaitable: Any) -> Any:
        async def wait() -> Any:
            return await awaitable

        assert self._runner is not None
        return self._runner.run(wait())

    def _resource(self, key: Any) -> Any:
        factory, _scope = key
        if factory in self._resources:
            return self._resources[factory]
        if key not in self._loaded:
            made = factory()
            self._loaded[key] = self._await(made) if inspect.isawaitable(made) else made
        return self._loaded[key]

    def _close_resources(self) -> None:
        for value in reversed(list(self._loaded.values())):
            closer = getattr(value, "aclose", None) or getattr(value, "close", None)
            if callable(closer):
                closing = closer()
                if inspect.isawaitable(closing):
                    self._await(closing)

    def _outcome(self) -> InlineRun:
        job = self._view.job()
        outcome = InlineRun(
            job=job,
            result=None,
            tasks=list(self._view.tasks()),
            events=list(self._view.events),
            artifacts=dict(self._artifacts),
            waits_s=self._waits,
        )
        if job.state is not JobState.COMPLETED:
            cause = self._cause.get(job.error.task or "") if job.error is not None else None
            raise JobFailed(job.error, outcome) from cause
        annotation = self._workflow.signature.hints.get("return", Any)
        value = self._view.job_result
        if value is None or annotation in (Any, None, type(None)):
            outcome.result = codec.from_wire_untyped(value)
        else:
            outcome.result = codec.from_wire(value, annotation)
        return outcome


def _wired_params(workflow: Workflow[Any, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Turn params as a caller has them into JSON; paths become files where files are wanted."""
    hints = workflow.signature.hints
    wired: dict[str, Any] = {}
    for name, value in params.items():
        wanted = hints.get(name)
        if wanted is File and isinstance(value, str | os.PathLike):
            if not Path(value).is_file():
                raise InvalidParams(f"param {name!r}: there is no file {os.fspath(value)!r}")
            value = File.from_path(value)  # noqa: PLW2901 (the same param, in the form that travels)
        elif isinstance(value, os.PathLike):
            value = os.fspath(value)  # noqa: PLW2901
        try:
            wired[name] = codec.to_wire(value)
        except TypeError as error:
            raise InvalidParams(f"param {name!r}: {error}") from error
    return wired


def _with_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        if list(value) == ["$secret"]:
            name = value["$secret"]
            found = os.environ.get(f"ORPHEUS_SECRET_{name}")
            if found is None:
                raise ValueError(f"secret {name!r} is not set; set ORPHEUS_SECRET_{name} in the environment")
            return found
        return {key: _with_secrets(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_secrets(inner) for inner in value]
    return value


def _failure(error: BaseException, task: Task, place: Mapping[str, Any]) -> facts.RunFailed:
    """Say of an exception what a worker would."""
    hint = error.hint if isinstance(error, Permanent) else ""
    code = error.code if isinstance(error, Permanent) else "task_failed"
    return facts.RunFailed(
        **place,
        error=TaskError(
            code=code,
            message=str(error) or type(error).__name__,
            hint=hint,
            retryable=not isinstance(error, Permanent | Cancelled),
            task=task.node,
            type=type(error).__name__,
        ),
        retry_after_s=error.delay_s if isinstance(error, RetryAfter) else None,
    )


def _references(context: LocalContext) -> tuple[ArtifactRef, ...]:
    return tuple(
        ArtifactRef(
            name=name,
            key=file.key,
            sha256=file.sha256,
            size_bytes=file.size_bytes,
            content_type=file.content_type,
            metadata=context.metadata[name],
        )
        for name, file in context.saved.items()
    )


def _temporary() -> Path:
    folder = tempfile.mkdtemp(prefix="orpheus-run-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)

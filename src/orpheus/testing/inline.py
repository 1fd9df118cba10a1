"""Run a workflow here and now, in one process, so that breakpoints work: `orpheus.run(talk, source="talk.mp4")`.

It is the test kit (`kit/`) on a temporary folder that begins at this very moment: the real engine decides everything, one
task runs at a time in the caller's thread with its own stdin and stdout, and where the job would wait (a backoff, a stagger,
a sleep) the clock is simply set forward. It does not move otherwise, so no lease lapses and no limit passes while somebody
stands at a breakpoint. Nothing is durable.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

from orpheus.authoring.file import LOCAL
from orpheus.authoring.workflow import Workflow
from orpheus.core.decision import Event
from orpheus.core.job import Job
from orpheus.core.task import Task
from orpheus.testing.answers import Answers, Ask
from orpheus.testing.kit.errors import JobFailed, Stuck
from orpheus.testing.kit.jobs import KitJob
from orpheus.testing.kit.kit import Kit

__all__ = ["InlineRun", "JobFailed", "Stuck", "run", "run_job"]

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(slots=True)
class InlineRun:
    """What became of a job."""

    job: Job
    result: Any
    """Of the workflow's own type; None when it did not complete."""
    tasks: list[Task]
    events: list[Event]
    artifacts: dict[str, Path]
    """Local paths by name; in a temporary folder, removed at exit, unless one was given."""
    skipped_s: float
    """Seconds that a real run would have waited (backoff, stagger, sleep)."""

    @property
    def state(self) -> str:
        return str(self.job.state)


def run(workflow: Workflow[P, R], /, *args: P.args, **params: P.kwargs) -> R:
    """Run a workflow in this process and return its result.

    Args:
        params: the workflow's params; for a `File`, a path will do.

    Raises:
        InvalidParams: they don't fit.
        JobFailed: a task failed for good; `__cause__` is its exception.
        Stuck: it waits for somebody's answer; `orpheus.testing.run_job` takes answers.
    """
    result: R = run_job(workflow, workflow.signature.bind(args, params)).result
    return result


def run_job(
    workflow: Workflow[Any, Any],
    params: Mapping[str, Any],
    *,
    resources: Mapping[Callable[[], Any], Any] | None = None,
    folder: str | os.PathLike[str] | None = None,
    seed: int = 0,
    approvals: Mapping[str, Any] | Literal["auto"] | None = None,
    signals: Mapping[str, Any] | None = None,
    callbacks: Mapping[str, Any] | None = None,
    ask: Ask | None = None,
) -> InlineRun:
    """Run a workflow in this process and return everything there is to see.

    Args:
        approvals: answers to approvals, by prompt or node: True approves the value as it is, False rejects it, anything
            else approves it as edited. `"auto"` approves everything.
        signals: payloads, by the signal's name.
        callbacks: what other systems would bring, by node.
        ask: asked for what is not answered above; what it returns counts as there.
        resources: values that take the place of `Resource(factory)`, by factory.
        folder: where artifacts go; a temporary one, removed at exit, when left out.
        seed: of the jitter of backoffs.

    Raises:
        InvalidParams, JobFailed, Stuck: as `run` does. `JobFailed.job` is the `InlineRun`.
    """
    place = Path(tempfile.mkdtemp(prefix="orpheus-run-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    with Kit(workflow, start=datetime.now(UTC), folder=place, seed=seed) as kit:
        for factory, value in (resources or {}).items():
            kit.resource(factory, value)
        began = kit.clock.now()
        job: KitJob[Any] = kit.submit_bound(workflow, params, requires_approval=False)  # who runs it has decided
        answers = Answers(approvals, signals, callbacks, ask)
        while not kit.drive(job):
            if not answers.give_one(kit):
                raise Stuck(f"{job.why_stuck()}\n{answers.missing(kit)}", job)
        return _outcome(kit, job, folder, kit.clock.now() - began)


def _outcome(kit: Kit, job: KitJob[Any], folder: str | os.PathLike[str] | None, skipped_s: float) -> InlineRun:
    artifacts = {name: one.path for name, one in job.artifacts.items()}
    if folder is not None:
        artifacts = {name: _copied(path, Path(folder) / name) for name, path in artifacts.items()}
    outcome = InlineRun(
        job=job.row, result=None, tasks=job.tasks, events=list(job.events), artifacts=artifacts, skipped_s=skipped_s
    )
    try:
        _ = job.result
    except JobFailed as failed:
        raise JobFailed(failed.error, outcome) from failed.__cause__
    outcome.result = _local(kit, job)
    return outcome


def _local(kit: Kit, job: KitJob[Any]) -> Any:
    """Return the job's result with files that can be read after the kit has gone."""
    return job.decoded(_with_local_files(job.result_json, kit.objects))


def _with_local_files(value: Any, objects: Path) -> Any:
    if isinstance(value, dict):
        body = value.get("$file") if len(value) == 1 else None
        if isinstance(body, dict):
            return {"$file": {**body, "key": f"{LOCAL}{objects / str(body['key'])}"}}
        return {key: _with_local_files(inner, objects) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_local_files(inner, objects) for inner in value]
    return value


def _copied(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return target

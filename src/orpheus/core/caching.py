"""What becomes of a task whose result is known already (R23).

It completes as `cached` in the commit that made it ready: no attempt, no slot, no price. Its result and files are those of
the accepted attempt that made them, under this job's names.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from orpheus.core.advance import begin_job, settle
from orpheus.core.cache_key import KEY, MADE_WITH, made, renamed
from orpheus.core.closing import end_if_still
from orpheus.core.decision import KnownResult, PublishArtifacts
from orpheus.core.draft import Draft
from orpheus.core.facts import ArtifactRef, TaskCached
from orpheus.core.task import Task, TaskState


def cached(draft: Draft, fact: TaskCached) -> None:
    """Complete a ready task with a known result. One that is not ready any more, or whose files would take names the job
    has given already, is left as it is: then it runs."""
    task = draft.task(fact.node, fact.index)
    if task.state is not TaskState.READY or draft.job.closing is not None:
        return
    job_id = draft.job.job_id
    artifacts = tuple(replace(ref, name=ref.name.replace(fact.source_job, job_id)) for ref in fact.artifacts)
    view = draft.view
    assert view is not None
    if any(view.has_artifact(ref.name) for ref in artifacts):
        return
    begin_job(draft)
    draft.decision.results[task.key] = renamed(fact.result, fact.source_job, job_id)
    task.error = None
    task.cached = True
    if artifacts:
        draft.decision.artifacts.extend((task, ref) for ref in artifacts)
        draft.job.has_files = True
        draft.command(PublishArtifacts())
    draft.move(task, TaskState.COMPLETED)
    source: dict[str, Any] = {"job_id": fact.source_job, "run_id": fact.source_run}
    draft.event("task.cached", task, source=source, artifacts=[ref.name for ref in artifacts])
    settle(draft, task)
    end_if_still(draft)


def remember(draft: Draft, task: Task, result: Any, artifacts: tuple[ArtifactRef, ...]) -> None:
    """Keep an accepted result for equal tasks to come. The latest one counts."""
    key = task.extra.get(KEY)
    if key is not None:
        key = made(key, task.extra.get(MADE_WITH, ""))
        draft.decision.known_result = KnownResult(key=key, task=task, result=result, artifacts=artifacts)

"""What keeps a job from running, and what stops it: approval, its time, other jobs, pause, cancel."""

from __future__ import annotations

from typing import Any

from orpheus.core.children import tell_children
from orpheus.core.closing import begin_closing
from orpheus.core.compensation import check_may_cancel
from orpheus.core.draft import Draft
from orpheus.core.errors import InvalidTransition, TaskError
from orpheus.core.facts import (
    CancelRequested,
    DependencySettled,
    JobApproved,
    JobRejected,
    PauseRequested,
    ResumeRequested,
)
from orpheus.core.job import TERMINAL, Job, JobState
from orpheus.core.spending import set_budget


def leave_pending(draft: Draft) -> None:
    """Queue the job if nothing holds it any more; its roots become ready and its time limit begins (R5, R15)."""
    job = draft.job
    awaits_approval = job.requires_approval and job.approved_at is None
    early = job.run_at is not None and draft.now < job.run_at
    job.wake_at = job.run_at if early else None
    if awaits_approval or early or job.unmet_jobs > 0 or job.closing is not None:
        return
    draft.move_job(JobState.QUEUED)
    draft.event("job.queued")
    start_clock(draft)
    draft.to_consider.extend(draft.graph.roots)


def start_clock(draft: Draft) -> None:
    """Start the job's own time limit."""
    job = draft.job
    job.deadline_at = None if job.timeout_s is None else draft.now + job.timeout_s
    job.wake_at = job.deadline_at


def approved(draft: Draft, fact: JobApproved) -> None:
    """Lift the approval gate (R15). Approving twice changes nothing.

    Raises:
        InvalidTransition: it does not wait for approval, or was approved with other params or another budget.
    """
    job = draft.job
    if job.approved_at is not None and job.state is not JobState.CANCELLED:
        if fact.params is not None and fact.params != draft.params():
            raise InvalidTransition(f"job {job.job_id} was approved with other params already")
        if fact.budget is not None and fact.budget != job.extra.get("budget"):
            raise InvalidTransition(
                f"job {job.job_id} was approved with another budget already", hint="a retry takes a new one"
            )
        return
    if job.state is not JobState.PENDING or not job.requires_approval:
        raise _not_asked(job)
    job.approved_at = draft.now
    if fact.params is not None:
        draft.decision.params = fact.params
    told: dict[str, Any] = {"comment": fact.comment} if fact.comment else {}
    told |= set_budget(job, fact.budget)
    draft.event("job.approved", None, edited=fact.params is not None, **told)
    leave_pending(draft)


def _not_asked(job: Job) -> InvalidTransition:
    hint = (
        ""
        if job.state in TERMINAL
        else "An approval in the middle of it is decided by its name: approve JOB --task NAME."
    )
    return InvalidTransition(f"job {job.job_id} is {job.state} and does not wait for approval", hint=hint)


def rejected(draft: Draft, fact: JobRejected) -> None:
    """End a job that waits for approval (R15)."""
    job = draft.job
    if job.state is JobState.CANCELLED and job.error is not None and job.error.code == "rejected":
        return
    if job.state is not JobState.PENDING or not job.requires_approval or job.approved_at is not None:
        raise _not_asked(job)
    draft.event("job.rejected", None, reason=fact.reason)
    begin_closing(draft, JobState.CANCELLED, TaskError(code="rejected", message=fact.reason or "rejected"))


def dependency_settled(draft: Draft, fact: DependencySettled) -> None:
    """Count a dependency as met, or cancel the job because it never will be (R15, R16).

    A job that was retried ends once more and is heard of again; its first end is the one that counted (R20).
    """
    job = draft.job
    if job.state is not JobState.PENDING or job.closing is not None:
        return
    met = job.extra.get("dependencies_met", [])
    if fact.job_id in met:
        return
    if fact.ok:
        job.extra = {**job.extra, "dependencies_met": [*met, fact.job_id]}
        job.unmet_jobs -= 1
        assert job.unmet_jobs >= 0, f"job {job.job_id} has more dependencies met than it has"
        leave_pending(draft)
        return
    begin_closing(draft, JobState.CANCELLED, dependency_failed(fact.job_id))


def dependency_failed(job_id: str) -> TaskError:
    return TaskError(
        code="dependency_failed",
        message=f"job {job_id}, which this job depends on, did not complete",
        hint='submit it again once that job is mended, or depend with "on": "end"',
    )


def cancel_requested(draft: Draft, fact: CancelRequested) -> None:
    """Decide that the job ends cancelled (R18). Repeated, it changes nothing."""
    job = draft.job
    if job.state is JobState.CANCELLED or job.cancel_requested_at is not None:
        return
    if job.state in TERMINAL:
        raise InvalidTransition(f"job {job.job_id} is {job.state}; it cannot be cancelled any more")
    check_may_cancel(job)
    job.cancel_requested_at = draft.now
    job.cancel_reason = fact.reason or None
    draft.event("job.cancel_requested", None, reason=fact.reason)
    draft.decision.sets_job_result = True  # an output that was waiting for its manifest no longer counts
    begin_closing(draft, JobState.CANCELLED, TaskError(code="cancelled", message=fact.reason or "cancelled on request"))


def pause_requested(draft: Draft, fact: PauseRequested) -> None:
    """Let no further task be claimed, of its children neither (R26)."""
    job = draft.job
    if job.state in TERMINAL or job.closing is not None:
        raise InvalidTransition(f"job {job.job_id} is {job.closing or job.state}; it cannot be paused")
    if not job.paused:
        job.paused = True
        draft.event("job.paused")
        tell_children(draft, fact)


def resume_requested(draft: Draft, fact: ResumeRequested) -> None:
    """Let tasks be claimed again, those of its children too (R26)."""
    job = draft.job
    if job.state in TERMINAL:
        raise InvalidTransition(f"job {job.job_id} is {job.state}; it cannot be resumed")
    if job.paused:
        job.paused = False
        draft.event("job.resumed")
        tell_children(draft, fact)

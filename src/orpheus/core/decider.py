"""The decider: one fact about one job in, everything that follows from it out (R4).

    decide(view, fact, now, draws) → Decision(rows, events, commands)

The life of a job, as facts: `submit` makes it; `DependencySettled`, `JobApproved` and `JobWoken` take it out of `pending`;
`TaskClaimed` begins attempts, and the run facts end them; `TaskWoken` goes on after a backoff, stagger or sleep; when no
node is open the job closes and ends, by way of `Finalised` where there are files. `CancelRequested` may come at any time.

Where to look: which node may begin → `opening.py`; what a settled task sets free → `advance.py`; what becomes of an
attempt → `attempts.py`; who is waited for → `approvals.py`, `signals.py`, `callbacks.py`; how a job ends → `closing.py`;
what holds it back → `gates.py`; what may be changed → `amend.py`; what runs again → `rewind.py`; child jobs →
`children.py`, `child_ends.py`; what is undone → `compensation.py`; time → `waking.py`; its first rows → `submission.py`. The
tables of legal transitions are in `job.py` and `task.py`, and nothing here moves a row past them.

The order of commands and events is part of the decider's compatibility: change it and you change `DECIDER_VERSION`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orpheus.core import (
    amend,
    approvals,
    attempts,
    caching,
    callbacks,
    child_ends,
    compensation,
    gates,
    rewind,
    signals,
    usual,
    waking,
)
from orpheus.core import facts as f
from orpheus.core.closing import end_job, is_still
from orpheus.core.decision import Decision, Draws, View
from orpheus.core.draft import Draft
from orpheus.core.opening import advance
from orpheus.core.submission import DECIDER_VERSION, NewJob, submit

__all__ = ["DECIDER_VERSION", "NewJob", "decide", "decide_at_length", "submit"]


def decide(view: View, fact: f.Fact, now: float, draws: Draws) -> Decision:
    """Work out everything that follows from a fact. Reads the view, changes nothing outside the decision.

    Args:
        view: the job the fact is about.
        fact: what happened.
        now: seconds since the epoch, UTC.
        draws: randomness for jitter.

    Raises:
        OrpheusError: the fact is refused (`stale_run`, `invalid_transition`, `unknown_task`); nothing is to be written.
    """
    short_way = _SHORT_WAYS.get(type(fact))
    if short_way is not None:
        decision = short_way(view, fact, now)
        if decision is not None:
            return decision
    return decide_at_length(view, fact, now, draws)


def decide_at_length(view: View, fact: f.Fact, now: float, draws: Draws) -> Decision:
    """Decide without the short way for usual facts (`usual.py`), which says the same wherever it says anything."""
    draft = Draft(view, view.job(), view.graph, now=now, draws=draws, actor=fact.actor)
    _HANDLERS[type(fact)](draft, fact)
    advance(draft)
    if draft.compensates:
        compensation.go_on(draft)
    return draft.done()


def _artifacts_published(draft: Draft, fact: f.ArtifactsPublished) -> None:
    _publish(draft, fact.names)


def _publish(draft: Draft, names: tuple[str, ...]) -> None:
    draft.decision.published = names
    for name in names:
        draft.event("artifact.published", None, name=name)


def _finalised(draft: Draft, fact: f.Finalised) -> None:
    """End the job, unless its end was decided anew meanwhile (a cancel): then another `Finalise` is under way."""
    job = draft.job
    if job.closing is None or str(job.closing) != fact.outcome or job.generation != fact.generation:
        return
    if is_still(job):
        end_job(draft, finished_at=fact.finished_at)


_SHORT_WAYS: dict[type[f.Fact], Callable[[View, Any, float], Decision | None]] = {
    f.TaskClaimed: usual.claimed,
    f.RunCompleted: usual.completed,
}
_HANDLERS: dict[type[f.Fact], Callable[[Draft, Any], None]] = {
    f.JobWoken: waking.job_woken,
    f.TaskWoken: waking.task_woken,
    f.JobApproved: gates.approved,
    f.JobRejected: gates.rejected,
    f.DependencySettled: gates.dependency_settled,
    f.CancelRequested: gates.cancel_requested,
    f.PauseRequested: gates.pause_requested,
    f.ResumeRequested: gates.resume_requested,
    f.JobUpdated: amend.updated,
    f.RetryRequested: rewind.retry_requested,
    f.ChildEnded: child_ends.child_ended,
    f.TaskCached: caching.cached,
    f.TaskApproved: approvals.approved,
    f.TaskRejected: approvals.rejected,
    f.SignalReceived: signals.received,
    f.TaskClaimed: attempts.claimed,
    f.RunReturned: attempts.returned,
    f.RunCompleted: attempts.completed,
    f.RunFailed: attempts.failed,
    f.RunWaiting: callbacks.waiting,
    f.CallbackReceived: callbacks.received,
    f.RunLost: attempts.lost,
    f.RunTimedOut: attempts.timed_out,
    f.RunFenced: attempts.fenced,
    f.RunProgressed: attempts.progressed,
    f.ArtifactsPublished: _artifacts_published,
    f.Finalised: _finalised,
}

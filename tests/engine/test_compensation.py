"""Compensation in the engine: offered like any task, through restarts, with children and files (R19, R24)."""

from __future__ import annotations

import pytest

from orpheus.core.facts import CancelRequested, PauseRequested, RetryRequested
from orpheus.engine.explain import why_job

UNDO = {"undo": "unstep", "undo_options": {"queue": "careful", "retry": {"max_retries": 0}}}
ONCE = {"retry": {"max_retries": 0}}


@pytest.fixture
def broken(cluster, flow):
    """A job whose `a` completed and whose `b` has failed it; with the worker that did it."""

    def make(*handlers, artifacts=()):
        worker = cluster.worker(*(handlers or ("step@1", "unstep@1")))
        job_id = cluster.submit(flow("one", {"name": "a", **UNDO}, {"name": "b", "after": ["a"], **ONCE}))
        worker.complete(worker.poll()[0], {"page": 1}, artifacts=artifacts)
        worker.fail(worker.poll()[0])
        return job_id, worker

    return make


def test_an_undo_is_a_task_of_its_own_queue_and_handler(cluster, broken):
    """The worker that offers it gets the result of what it undoes."""
    job_id, worker = broken()
    [grant] = worker.poll()
    assert (grant.task.node, grant.task.handler, grant.task.queue) == ("a:undo", "unstep@1", "careful")
    assert (grant.args, grant.max_retries) == ({"result": {"page": 1}}, 0)
    worker.complete(grant)
    assert cluster.job(job_id).state == "failed"
    assert cluster.events(job_id)[-3:] == ["task.completed", "task.compensated", "job.failed"]
    assert cluster.task(job_id, "a").extra == {"compensated": True}


def test_without_a_worker_for_it_the_job_waits_and_says_so(cluster, broken):
    """R24; the job's own reason names what is undone."""
    job_id, _worker = broken("step@1")
    job = cluster.job(job_id)
    [why] = why_job(job, dependencies=(), now=cluster.clock.now(), publishing="")
    assert (job.state, why.reason, why.detail) == ("running", "compensation", "a is undone before the job is failed")
    late = cluster.worker("unstep@1", name="late")
    late.complete(late.poll()[0])
    assert cluster.job(job_id).state == "failed"


def test_a_restart_while_something_is_undone_changes_nothing(cluster, broken):
    """The undo's run is not told to stop though its job closes, and the manifest waits for it."""
    job_id, worker = broken(artifacts=("p.webp",))
    cluster.restart()
    assert (cluster.job(job_id).state, [one.outcome for one in cluster.delivered]) == (
        "running",
        [None] * len(cluster.delivered),
    )
    worker.hello()
    [grant] = worker.poll()
    cluster.restart()
    worker.hello()
    cluster.advance(15, beating=[worker])
    assert worker.beat() == ((), ())
    worker.complete(grant)
    assert cluster.job(job_id).state == "failed"
    assert [one.outcome for one in cluster.delivered if one.outcome] == ["failed"]


def test_a_lost_undo_is_tried_again_by_its_policy(cluster, broken):
    job_id, worker = broken()
    worker.poll()
    cluster.advance(40)
    job = cluster.job(job_id)
    assert (job.state, job.error.code if job.error else "") == ("failed", "compensation_failed")
    cluster.tell(job_id, RetryRequested())
    other = cluster.worker("unstep@1", name="other")
    other.complete(other.poll()[0])
    job = cluster.job(job_id)
    assert (job.state, job.error.code if job.error else "", job.generation) == ("failed", "task_failed", 2)


def test_a_paused_job_that_is_cancelled_is_undone(cluster, flow):
    """Its rows were held; they are offered again."""
    worker = cluster.worker("step@1", "unstep@1")
    job_id = cluster.submit(flow("one", {"name": "a", **UNDO}, {"name": "b", "after": ["a"]}))
    worker.complete(worker.poll()[0])
    cluster.tell(job_id, PauseRequested())
    cluster.tell(job_id, CancelRequested())
    [grant] = worker.poll()
    worker.complete(grant)
    assert cluster.job(job_id).state == "cancelled"


def test_a_parent_is_undone_after_its_children_have_undone_their_own(cluster, flow):
    """Each job undoes what is its own; the child that completed is undone by the parent's node, with its result."""
    worker = cluster.worker("step@1", "unstep@1")
    cluster.publish(flow("inner", {"name": "a", **UNDO}, {"name": "b", "after": ["a"]}, output={"$ref": "b"}))
    child = {"kind": "child", "workflow": "inner", **UNDO}
    graph = flow("outer")
    graph["nodes"] = [{"name": "c", **child}, {"name": "d", "after": ["c"], **child}]
    job_id = cluster.submit(graph)
    worker.complete(worker.poll()[0])
    worker.complete(worker.poll()[0], "of c")
    worker.complete(worker.poll()[0], "of a in d")
    second = cluster.task(job_id, "d").extra["child_job"]
    [grant] = worker.poll()
    cluster.tell(job_id, CancelRequested())
    worker.fail(grant)
    [undo] = worker.poll()
    assert (undo.job.job_id, undo.task.node, undo.args) == (second, "a:undo", {"result": "of a in d"})
    worker.complete(undo)
    [undo] = worker.poll()
    assert cluster.job(second).state == "cancelled"
    assert (undo.job.job_id, undo.task.node, undo.args) == (job_id, "c:undo", {"result": "of c"})
    worker.complete(undo)
    assert cluster.job(job_id).state == "cancelled"


def test_a_retry_after_it_runs_again_what_was_undone(cluster, broken):
    job_id, worker = broken(artifacts=("p.webp",))
    worker.complete(worker.poll()[0])
    cluster.tell(job_id, RetryRequested())
    assert worker.complete(worker.poll()[0], {"page": 2}, artifacts=("p.webp",)) is None
    worker.complete(worker.poll()[0])
    assert cluster.job(job_id).state == "completed"
    assert len(cluster.ask(lambda tx: tx.artifacts(job_id))) == 1

"""A task that becomes ready while a poll waits and nothing else does is claimed in the commit that made it ready."""

from __future__ import annotations

from orpheus.core.facts import CancelRequested
from orpheus.engine.base import Submission
from orpheus.engine.queues import queue_changes
from orpheus.engine.submissions import Submit, prepare
from orpheus.engine.work import Operation


def commits(cluster):
    return cluster.machine.meter.commits


def chain():
    return {"name": "a"}, {"name": "b", "after": ["a"]}


def test_an_idle_system_commits_once_per_step(cluster, flow):
    cluster.publish(flow("chained", *chain()))
    worker = cluster.worker()
    box = worker.ask()
    before = commits(cluster)
    job_id = cluster.submit("chained")
    assert commits(cluster) == before + 1
    [first] = worker.take(box).grants
    assert (first.task.node, first.task.attempt) == ("a", 1)
    box = worker.ask()
    before = commits(cluster)
    worker.complete(first)
    assert commits(cluster) == before + 1
    [second] = worker.take(box).grants
    assert second.task.node == "b"
    worker.complete(second)
    assert cluster.job(job_id).state == "completed"
    assert cluster.events(job_id) == [
        *("job.created", "job.queued", "task.ready", "job.started", "task.started", "task.completed"),
        *("task.ready", "task.started", "task.completed", "job.completed"),
    ]


class Faulty(Operation):
    """A fault of ours as it runs; or, with a submission, when its rows are written."""

    name = "faulty"

    def __init__(self, submit=None):
        self._submit = submit

    def run(self, work):
        assert self._submit is not None
        self._submit.run(work)
        work.tx.put_meta("no text", object())


def test_claims_ahead_of_what_is_dropped_are_given_back(cluster, flow):
    """Else the poll they were made for would wait for them until its time is over, and the task's limits stay taken."""
    cluster.publish(flow("plain", {"name": "a"}))
    worker = cluster.worker()
    box = worker.ask()
    machine = cluster.machine
    submit = Submit(
        prepare([Submission(workflow="plain")]), checker=machine.checker, rng=machine.rng, params_max_bytes=99
    )
    machine.queue(Faulty())
    machine.queue(Faulty(submit))
    cluster.settle()
    assert machine.meter.faults == 2
    assert [session.claiming for session in machine.sessions.all()] == [0]
    cluster.submit("plain")
    assert len(worker.take(box).grants) == 1


def test_what_waits_already_goes_first(cluster, flow):
    """A backlog of the same kind is not passed over by what has just come."""
    cluster.publish(flow("plain", {"name": "a"}))
    older = [cluster.submit("plain") for _ in range(3)]
    worker = cluster.worker()
    got = worker.take(worker.ask(free=2)).grants
    assert [grant.job.job_id for grant in got] == older[:2]
    box = worker.ask(free=1, settle=False)
    newer = cluster.submit("plain")
    [grant] = worker.take(box).grants
    assert grant.job.job_id == older[2]
    assert newer not in [one.job.job_id for one in worker.held.values()]


def test_limits_hold_and_are_given_back(cluster, flow):
    cluster.publish(flow("plain", {"name": "a"}))
    cluster.machine.call("limit", queue_changes(cluster.machine.feed, "default", {"concurrency": 1}))
    cluster.settle()
    worker = cluster.worker()
    box = worker.ask()
    first = cluster.submit("plain")
    [grant] = worker.take(box).grants
    assert grant.job.job_id == first
    box = worker.ask()
    second = cluster.submit("plain")
    assert not box.done, "the queue runs one at a time"
    worker.complete(grant)
    [grant] = worker.take(box).grants
    assert grant.job.job_id == second
    worker.complete(grant)
    assert cluster.machine.feed.dispatcher.running("default") == 0


def test_a_poll_gets_no_more_than_it_has_room_for(cluster, flow):
    cluster.publish(flow("plain", {"name": "a"}))
    worker = cluster.worker()
    box = worker.ask(free=2)
    jobs = [made.job.job_id for made in cluster.submit_many(*[Submission(workflow="plain")] * 3)]
    grants = list(worker.take(box).grants)
    grants += worker.poll()
    assert [grant.job.job_id for grant in grants] == jobs


def test_what_is_cancelled_in_the_same_commit_is_not_claimed(cluster, flow):
    cluster.publish(flow("plain", {"name": "a"}))
    worker = cluster.worker()
    box = worker.ask()
    machine = cluster.machine
    made = []

    def submit_and_cancel(work):
        operation = Submit(
            prepare([Submission(workflow="plain")]), checker=machine.checker, rng=cluster.rng, params_max_bytes=1000
        )
        [submitted] = operation.run(work)
        made.append(submitted.job.job_id)
        work.tell(submitted.job.job_id, CancelRequested())

    cluster.machine.call("both", submit_and_cancel)
    cluster.settle()
    assert not box.done
    assert cluster.job(made[0]).state == "cancelled"
    assert machine.feed.dispatcher.running("default") == 0
    other = cluster.submit("plain")
    [grant] = worker.take(box).grants
    assert grant.job.job_id == other

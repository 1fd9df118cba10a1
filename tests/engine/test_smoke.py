"""The shortest way through the engine."""

from __future__ import annotations


def test_a_job_goes_from_submission_to_completed(cluster, flow):
    """Submit, claim, report: the job ends, and its events tell so in order."""
    job_id = cluster.submit(flow())
    worker = cluster.worker()
    (grant,) = worker.poll()
    assert grant.task.node == "a"
    assert worker.complete(grant, {"n": 1}) is None
    assert cluster.job(job_id).state == "completed"
    assert cluster.events(job_id) == [
        "job.created", "job.queued", "task.ready", "job.started", "task.started", "task.completed", "job.completed",
    ]  # fmt: skip

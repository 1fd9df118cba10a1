"""Files after the commit: stable names, the final manifest, and what a crash leaves (R10, design section 6)."""

from __future__ import annotations

from orpheus.core.facts import CancelRequested

FILE = {
    "$file": {
        "name": "a.txt",
        "key": "dev/t/.files/f/content",
        "size_bytes": 1,
        "sha256": "0" * 64,
        "content_type": "t",
    }
}
SCHEMA = {"type": "object", "properties": {"source": {"type": "object", "x-orpheus": "file"}}}


def finish(cluster, flow, *, artifacts=("out.txt",), **options):
    job_id = cluster.submit(flow(), **options)
    worker = cluster.worker()
    worker.complete(worker.poll()[0], None, artifacts=artifacts)
    return job_id


def test_a_job_with_files_ends_after_its_final_manifest(cluster, flow):
    """The terminal event comes last; artifact.published before it."""
    job_id = finish(cluster, flow)
    events = cluster.events(job_id)
    assert events[-2:] == ["artifact.published", "job.completed"]
    final = cluster.delivered[-1]
    assert final.outcome == "completed" and [a["name"] for a in final.artifacts] == ["out.txt"]


def test_a_manifest_is_written_at_creation_for_a_file_param(cluster, flow):
    """Before anything ran (design section 6)."""
    cluster.submit(flow(params=SCHEMA), params={"source": FILE})
    (delivery,) = cluster.delivered
    assert delivery.outcome is None and delivery.params == {"source": FILE}


def test_a_job_without_files_needs_no_publisher(cluster, flow):
    """It ends at once."""
    cluster.publishes = False
    job_id = finish(cluster, flow, artifacts=())
    assert cluster.job(job_id).state == "completed"


def test_what_was_to_be_published_is_taken_up_after_a_crash(cluster, flow):
    """The rows name it: unpublished artifacts, and the end that waits for its manifest (R10)."""
    cluster.publishes = False
    job_id = finish(cluster, flow)
    assert cluster.job(job_id).state == "running"
    cluster.publishes = True
    cluster.restart()
    assert cluster.job(job_id).state == "completed"
    assert cluster.events(job_id)[-2:] == ["artifact.published", "job.completed"]


def test_a_publisher_that_fails_is_tried_again_later(cluster, flow):
    """The job's end waits for it, and why is told (promise 6)."""
    cluster.publishes = False
    job_id = finish(cluster, flow)
    for wait_s in (1.0, 2.0, 4.0):
        (delivery,) = cluster.machine.outbox.take()
        cluster.machine.outbox.undelivered(delivery, OSError("disk full"), cluster.clock.monotonic())
        assert "disk full" in cluster.machine.outbox.fault_of(job_id)
        cluster.advance(wait_s - 0.1)
        assert cluster.machine.outbox.take() == []
        cluster.advance(0.2)
    cluster.publishes = True
    cluster.settle()
    assert cluster.job(job_id).state == "completed"


def test_a_cancel_while_the_manifest_is_written_wins(cluster, flow):
    """The end is decided anew, and so is the manifest (R18)."""
    cluster.publishes = False
    job_id = finish(cluster, flow)
    (delivery,) = cluster.machine.outbox.take()
    cluster.tell(job_id, CancelRequested())
    cluster.machine.outbox.delivered(delivery)
    cluster.publishes = True
    cluster.settle()
    assert cluster.job(job_id).state == "cancelled"
    assert cluster.delivered[-1].outcome == "cancelled"

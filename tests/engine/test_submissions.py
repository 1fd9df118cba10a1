"""How a job comes in: checks, idempotency, dependencies, atomic batches (R15, R16, R21)."""

from __future__ import annotations

import pytest

from orpheus.core.errors import OrpheusError
from orpheus.core.facts import CancelRequested, JobApproved, JobRejected
from orpheus.engine.base import Submission

NUMBER = {
    "type": "object",
    "properties": {"count": {"type": "integer", "minimum": 1}, "style": {"type": "string", "default": "calm"}},
    "required": ["count"],
    "additionalProperties": False,
}


def refused(call, *args, **options):
    with pytest.raises(OrpheusError) as caught:
        call(*args, **options)
    return caught.value


def count_jobs(cluster):
    return cluster.store.connection.execute("SELECT count(*) FROM jobs").fetchone()[0]


def test_params_are_checked_and_defaults_filled_in(cluster, flow):
    """An error names the place and, for a field that does not exist, the one that was meant (invalid_params)."""
    graph = flow(params=NUMBER)
    error = refused(cluster.submit, graph, params={"count": 0})
    assert error.code == "invalid_params" and error.details[0]["path"] == "/params/count"
    error = refused(cluster.submit, graph, params={"count": 1, "stile": "wild"})
    assert error.details[0]["path"] == "/params/stile" and 'Did you mean "style"?' in error.hint
    error = refused(cluster.submit, graph, params={})
    assert error.details[0]["path"] == "/params/count"
    assert count_jobs(cluster) == 0
    job_id = cluster.submit(graph, params={"count": 2})
    assert cluster.ask(lambda tx: tx.params(job_id)) == {"count": 2, "style": "calm"}


def test_a_published_workflow_is_found_by_name_and_version(cluster, flow):
    """Without a version the newest is taken; an unknown name gets the nearest as a hint (unknown_workflow)."""
    cluster.publish(flow("talk"))
    cluster.publish(flow("talk") | {"version": 3, "description": "newer"})
    assert cluster.job(cluster.submit("talk")).workflow_version == 3
    assert cluster.job(cluster.submit("talk@1")).workflow_version == 1
    for name in ("tlak", "talk@2", "talk@x", "talk@", "@1", ""):
        assert refused(cluster.submit, name).code == "unknown_workflow"
    assert '"talk"' in refused(cluster.submit, "tlak").hint


@pytest.mark.parametrize(
    "options",
    [
        {"priority": 0},
        {"priority": 6},
        {"priority": True},
        {"delay_s": -1.0},
        {"delay_s": float("nan")},
        {"delay_s": 1.0, "run_at": 1.0},
        {"run_at": float("inf")},
        {"timeout_s": 0.0},
        {"timeout_s": -5.0},
        {"tenant": ""},
        {"tenant": "../up"},
        {"tenant": ".."},
        {"idempotency_key": ""},
        {"labels": {"": "x"}},
        {"depends_on": (("some", "maybe"),)},
    ],
)
def test_nonsense_is_refused(cluster, flow, options):
    """Each with a message that names the field, and nothing changed (invalid_request)."""
    error = refused(cluster.submit, flow(), **options)
    assert error.code == "invalid_request" and error.details
    assert count_jobs(cluster) == 0


def test_a_delay_and_a_time_hold_a_job_back(cluster, flow):
    """It is pending until then; a time in the past means now."""
    late = cluster.submit(flow(), delay_s=60.0)
    at = cluster.submit(flow(), run_at=cluster.clock.now() + 30.0)
    now = cluster.submit(flow(), run_at=cluster.clock.now() - 3600.0)
    assert [cluster.job(j).state for j in (late, at, now)] == ["pending", "pending", "queued"]
    cluster.advance(31.0)
    assert [cluster.job(j).state for j in (late, at)] == ["pending", "queued"]
    cluster.restart(after_s=100.0)
    cluster.settle()
    assert cluster.job(late).state == "queued"


def test_the_same_key_and_body_gives_the_same_job(cluster, flow):
    """Also after a restart; another body is a conflict; keys are per tenant (R21)."""
    graph = flow(params=NUMBER)
    first = cluster.submit(graph, params={"count": 1}, idempotency_key="k")
    (again,) = cluster.submit_many(Submission(workflow=graph, params={"count": 1}, idempotency_key="k"))
    assert (again.job.job_id, again.created) == (first, False)
    cluster.restart()
    assert cluster.submit(graph, params={"count": 1}, idempotency_key="k") == first
    assert refused(cluster.submit, graph, params={"count": 2}, idempotency_key="k").code == "idempotency_conflict"
    assert cluster.submit(graph, params={"count": 2}, idempotency_key="k", tenant="other") != first


def test_a_batch_is_created_whole_or_not_at_all(cluster, flow):
    """One bad item refuses the rest, and the error says which (R21)."""
    graph = flow(params=NUMBER)
    good = Submission(workflow=graph, params={"count": 1})
    bad = Submission(workflow=graph, params={"count": "many"})
    error = refused(cluster.submit_many, good, good, bad)
    assert error.details[0]["path"] == "/jobs/2/params/count"
    assert count_jobs(cluster) == 0
    assert len({answer.job.job_id for answer in cluster.submit_many(good, good, good)}) == 3


def test_a_conflict_inside_a_batch_refuses_it(cluster, flow):
    """The same key twice with the same body is one job; with another body the batch is refused (R21)."""
    graph = flow(params=NUMBER)
    one = Submission(workflow=graph, params={"count": 1}, idempotency_key="k")
    two = Submission(workflow=graph, params={"count": 2}, idempotency_key="k")
    assert refused(cluster.submit_many, one, two).code == "idempotency_conflict"
    assert count_jobs(cluster) == 0
    first, second = cluster.submit_many(one, one)
    assert first.job.job_id == second.job.job_id and (first.created, second.created) == (True, False)


def test_a_dependency_holds_a_job_until_it_is_met(cluster, flow):
    """Settled in the transaction that ends the other job (R16)."""
    first = cluster.submit(flow())
    second = cluster.submit(flow(), depends_on=((first, "success"),))
    assert cluster.job(second).state == "pending"
    worker = cluster.worker()
    (grant,) = worker.poll()
    assert grant.job.job_id == first
    worker.complete(grant)
    (grant,) = worker.poll()
    assert grant.job.job_id == second


def test_a_failed_dependency_cancels_down_the_line(cluster, flow):
    """on: success is broken, on: end is met; a chain falls in one transaction (R15, R16)."""
    jobs = [cluster.submit(flow())]
    for _ in range(200):
        jobs.append(cluster.submit(flow(), depends_on=((jobs[-1], "success"),)))
    after = cluster.submit(flow(), depends_on=((jobs[0], "end"),))
    cluster.tell(jobs[0], CancelRequested())
    assert {cluster.job(job).state for job in jobs} == {"cancelled"}
    assert cluster.job(jobs[-1]).error.code == "dependency_failed"
    assert cluster.job(after).state == "queued"


def test_a_dependency_settled_before_the_submission_counts(cluster, flow):
    """Met: the job runs at once. Broken: it is created and cancelled with dependency_failed (R15)."""
    done, dead = cluster.submit(flow()), cluster.submit(flow())
    cluster.tell(dead, CancelRequested())
    worker = cluster.worker()
    worker.complete(worker.poll()[0])
    assert cluster.job(cluster.submit(flow(), depends_on=((done, "success"),))).state == "queued"
    assert cluster.job(cluster.submit(flow(), depends_on=((dead, "end"),))).state == "queued"
    job = cluster.job(cluster.submit(flow(), depends_on=((dead, "success"),)))
    assert job.state == "cancelled" and job.error.code == "dependency_failed"


def test_an_unknown_dependency_or_one_of_another_tenant_is_refused(cluster, flow):
    """Both look the same from outside (R16)."""
    theirs = cluster.submit(flow(), tenant="them")
    for job_id in (theirs, "no-such-job"):
        error = refused(cluster.submit, flow(), depends_on=((job_id, "success"),))
        assert error.code == "unknown_job" and error.details[0]["job_id"] == job_id
    assert count_jobs(cluster) == 1


def test_approval_comes_first_and_edited_params_are_checked(cluster, flow):
    """As at submission; the job stays pending until then (R15)."""
    graph = flow(params=NUMBER)
    job_id = cluster.submit(graph, params={"count": 1}, requires_approval=True)
    assert cluster.job(job_id).state == "pending"
    assert refused(cluster.tell, job_id, JobApproved(params={"count": -1})).code == "invalid_params"
    assert cluster.job(job_id).state == "pending"
    cluster.tell(job_id, JobApproved(params={"count": 5}))
    assert cluster.ask(lambda tx: tx.params(job_id))["count"] == 5
    assert cluster.tell(job_id, JobApproved()).state == "queued"
    other = cluster.submit(graph, params={"count": 1}, requires_approval=True)
    cluster.tell(other, JobRejected(reason="too loud"))
    assert cluster.job(other).error.code == "rejected"


def test_another_tenants_job_is_unknown(cluster, flow):
    """Orders do not cross tenants (formats.md)."""
    job_id = cluster.submit(flow(), tenant="a")
    assert refused(cluster.tell, job_id, CancelRequested(), tenant="b").code == "unknown_job"
    assert refused(cluster.tell, "nope", CancelRequested()).code == "unknown_job"
    assert cluster.tell(job_id, CancelRequested(), tenant="a").state == "cancelled"


def test_a_job_passes_its_time_limit(cluster, flow):
    """timeout_s begins when the job leaves pending (R5)."""
    job_id = cluster.submit(flow(), timeout_s=60.0, delay_s=100.0)
    cluster.advance(150.0)
    assert cluster.job(job_id).state == "queued"
    cluster.advance(11.0)
    assert cluster.job(job_id).error.code == "job_timeout"


def test_a_workflow_may_want_approval(cluster, flow):
    """R15: said by the workflow, unless the submission says otherwise."""
    cluster.publish({**flow("careful", {"name": "a"}), "requires_approval": True})
    held = cluster.job(cluster.submit("careful"))
    assert (held.state, held.requires_approval) == ("pending", True)
    assert cluster.job(cluster.submit("careful", requires_approval=False)).state == "queued"
    cluster.publish(flow("free", {"name": "a"}))
    assert cluster.job(cluster.submit("free")).state == "queued"
    assert cluster.job(cluster.submit("free", requires_approval=True)).state == "pending"

"""Child jobs in the engine: one transaction for both sides, definitions fixed at submission, lists, restarts."""

from __future__ import annotations

import pytest

from orpheus.core.errors import OrpheusError
from orpheus.core.facts import CancelRequested, PauseRequested, ResumeRequested, RetryRequested
from orpheus.core.validate import parse_graph
from orpheus.engine.base import JobFilter
from orpheus.engine.children import check_circle
from orpheus.store.listing import list_jobs

NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
OUT = {"output": {"$ref": "a"}}


def child_node(workflow="inner", **more):
    return {"name": "c", "kind": "child", "workflow": workflow, "args": {"n": {"$param": "n"}}, **more}


@pytest.fixture
def outer(flow):
    """`outer` runs `inner` and gives its result."""

    def make(*nodes, name="outer", output=None, **more):
        graph = flow(name, params=NUMBER, output=output or {"$ref": "c"}, **more)
        return {**graph, "nodes": list(nodes)}

    return make


@pytest.fixture
def inner(cluster, flow):
    step = {"name": "a", "args": {"n": {"$param": "n"}}}
    cluster.publish(flow("inner", step, params=NUMBER, **OUT))


def child_of(cluster, job_id, node="c", index=-1):
    return cluster.task(job_id, node, index).extra["child_job"]


def children(cluster, job_id, **filters):
    page, _cursor = list_jobs(cluster.store.connection, JobFilter(parent=job_id, **filters), limit=100, cursor=None)
    return [job.job_id for job in page]


@pytest.mark.usefixtures("inner")
def test_a_child_is_a_job_of_its_own_and_its_result_comes_back(cluster, outer):
    """Own id and events; tenant, correlation and trace of the parent; told in the transaction of its end."""
    worker = cluster.worker()
    job_id = cluster.submit(
        outer(child_node()),
        params={"n": 4},
        tenant="ada",
        correlation_id="c-1",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        priority=2,
        labels={"a": "b"},
        webhook_url="http://example.com/hook",
    )
    child_id = child_of(cluster, job_id)
    child = cluster.job(child_id)
    assert (child.tenant, child.correlation_id, child.priority) == ("ada", "c-1", 2)
    assert child.traceparent == cluster.job(job_id).traceparent
    assert (child.labels, child.webhook_url) == ({}, None)
    assert child.extra["parent"]["job"] == job_id
    [grant] = worker.poll()
    assert (grant.job.job_id, grant.args) == (child_id, {"n": 4})
    worker.complete(grant, {"page": 1})
    assert cluster.job(child_id).state == cluster.job(job_id).state == "completed"
    assert cluster.ask(lambda tx: tx.job_result(job_id)) == {"page": 1}
    assert cluster.events(job_id) == [
        *("job.created", "job.queued", "job.started", "task.waiting", "task.completed", "job.completed")
    ]
    assert cluster.events(child_id)[0] == "job.created"
    assert (children(cluster, job_id), children(cluster, "none")) == ([child_id], [job_id])
    assert children(cluster, job_id, states=("failed",)) == []


@pytest.mark.usefixtures("inner")
def test_a_restart_finds_the_child_and_the_parent_as_they_were(cluster, outer):
    """Exactly once: the child is not made again, and its end is told once."""
    job_id = cluster.submit(outer(child_node()), params={"n": 4})
    child_id = child_of(cluster, job_id)
    cluster.restart()
    worker = cluster.worker()
    [grant] = worker.poll()
    cluster.restart()
    worker.hello()
    worker.complete(grant, "x")
    cluster.restart()
    assert cluster.job(job_id).state == "completed"
    assert (child_of(cluster, job_id), children(cluster, job_id)) == (child_id, [child_id])


def test_the_definition_is_fixed_at_submission(cluster, flow, outer):
    """R11, R24: a version deployed later does not change a job that runs, of whatever depth."""
    step = {"name": "a", "args": {"n": {"$param": "n"}}}
    leaf = flow("leaf", step, params=NUMBER, **OUT)
    cluster.publish(leaf)
    cluster.publish(outer(child_node("leaf"), name="inner"))
    wait = {"name": "s", "kind": "sleep", "duration": 10}
    job_id = cluster.submit(outer(wait, child_node(after=["s"])), params={"n": 1})
    cluster.publish({**leaf, "version": 2})
    cluster.publish({**outer(child_node("leaf"), name="inner"), "version": 2, "description": "newer"})
    cluster.advance(11)
    child_id = child_of(cluster, job_id)
    assert cluster.job(child_id).workflow_version == 1
    assert cluster.job(child_of(cluster, child_id)).workflow_version == 1


def test_circles_and_unknown_workflows_are_refused(cluster, flow, outer):
    """At publication as far as the others are known, and at submission; nothing is created."""
    with pytest.raises(OrpheusError) as caught:
        cluster.submit(outer(child_node("nowhere")), params={"n": 1})
    assert caught.value.code == "unknown_workflow" and "'nowhere'" in caught.value.message
    one, two = outer(child_node("two"), name="one"), outer(child_node("one"), name="two")
    cluster.publish(one)
    with pytest.raises(OrpheusError) as caught:
        cluster.ask(lambda tx: check_circle(tx, parse_graph(two)))
    assert caught.value.code == "invalid_graph" and "two@1 → one@1 → two@1" in caught.value.message
    cluster.publish(two)  # a way around the check: published when the other was not there yet
    with pytest.raises(OrpheusError) as caught:
        cluster.submit("one", params={"n": 1})
    assert "one@1 → two@1 → one@1" in caught.value.message
    assert cluster.store.connection.execute("SELECT count(*) FROM jobs").fetchone() == (0,)


def test_nesting_has_a_bound(cluster, flow, outer):
    for level in range(40):
        step = child_node(f"w{level - 1}") if level else {"name": "c", "kind": "task", "task": "step", "version": 1}
        cluster.publish(outer(step, name=f"w{level}"))
    cluster.submit("w31", params={"n": 1})
    with pytest.raises(OrpheusError, match="32 levels"):
        cluster.submit("w32", params={"n": 1})


@pytest.mark.usefixtures("inner")
def test_cancel_reaches_the_children_of_children(cluster, outer):
    """R18: the parent ends after them, and their runs are told to stop."""
    cluster.publish(outer(child_node("inner"), name="middle"))
    worker = cluster.worker()
    job_id = cluster.submit(outer(child_node("middle")), params={"n": 1})
    middle = child_of(cluster, job_id)
    leaf = child_of(cluster, middle)
    [grant] = worker.poll()
    assert cluster.tell(job_id, CancelRequested(reason="enough")).state == "running"
    [order], _ = worker.beat()
    assert order.run_id == grant.run_id
    assert [cluster.job(one).state for one in (leaf, middle, job_id)] == ["running"] * 3
    worker.fail(grant, "stopped")
    assert [cluster.job(one).state for one in (leaf, middle, job_id)] == ["cancelled"] * 3
    assert job_id in (cluster.job(middle).cancel_reason or "")


@pytest.mark.usefixtures("inner")
def test_a_pause_holds_what_is_below(cluster, outer):
    """R26: no claim of the children either, nor of those that are opened meanwhile."""
    worker = cluster.worker()
    wait = {"name": "s", "kind": "sleep", "duration": 10}
    later = {**child_node(), "name": "d", "after": ["s"]}
    job_id = cluster.submit(outer(child_node(), wait, later), params={"n": 1})
    cluster.tell(job_id, PauseRequested())
    cluster.advance(11, beating=[worker])
    assert worker.poll() == []
    assert all(cluster.job(one).paused for one in children(cluster, job_id))
    assert len(children(cluster, job_id)) == 2
    cluster.tell(job_id, ResumeRequested())
    assert len(worker.poll()) == 2


@pytest.mark.usefixtures("inner")
def test_a_failed_child_may_be_retried_by_itself_or_with_its_parent(cluster, outer):
    """The parent is not revived by the child; its own retry opens a new child, and the old one stays."""
    worker = cluster.worker()
    job_id = cluster.submit(outer(child_node()), params={"n": 1})
    child_id = child_of(cluster, job_id)
    [grant] = worker.poll()
    worker.fail(grant, "no light", final=True)
    assert cluster.job(child_id).state == cluster.job(job_id).state == "failed"
    error = cluster.job(job_id).error
    assert error is not None and error.code == "child_failed" and child_id in error.message
    cluster.tell(child_id, RetryRequested())
    worker.complete(worker.poll()[0], "by itself")
    assert (cluster.job(child_id).state, cluster.job(job_id).state) == ("completed", "failed")
    cluster.tell(job_id, RetryRequested())
    assert child_of(cluster, job_id) != child_id
    worker.complete(worker.poll()[0], "with its parent")
    assert cluster.ask(lambda tx: tx.job_result(job_id)) == "with its parent"
    assert len(children(cluster, job_id)) == 2


@pytest.mark.usefixtures("inner")
def test_params_that_do_not_fit_the_child_fail_the_node(cluster, outer):
    """No child is created; the parent is not stuck."""
    worker = cluster.worker()
    make = {"name": "a", "kind": "task", "task": "step", "version": 1}
    job_id = cluster.submit(outer(make, {**child_node(), "args": {"n": {"$ref": "a"}}}), params={"n": 1})
    worker.complete(worker.poll()[0], "no number")
    job = cluster.job(job_id)
    assert (job.state, job.error.code if job.error else "") == ("failed", "binding_failed")
    assert "integer" in job.error.message and children(cluster, job_id) == []


@pytest.mark.usefixtures("inner")
def test_large_values_and_files_pass_between_parent_and_child(cluster, outer):
    """A spilled value stays a reference; a file of the child stays the child's artifact, and its job has the manifest."""
    worker = cluster.worker()
    make = {"name": "a", "kind": "task", "task": "step", "version": 1}
    use = {**make, "name": "u", "args": {"f": {"$ref": "c"}}}
    graph = outer(make, {**child_node(), "args": {"n": {"$ref": "a"}}}, use, output={"$ref": "u"})
    job_id = cluster.submit(graph, params={"n": 1})
    [grant] = worker.poll()
    spill = {"$spill": {"key": f".runs/{grant.run_id}/result.json", "size_bytes": 100_000}}
    worker.complete(grant, spill)
    [grant] = worker.poll()
    assert grant.args == {"n": spill}
    file = {"name": "p.webp", "key": f".runs/{grant.run_id}/p.webp", "size_bytes": 3, "sha256": "a" * 64}
    value = {"$file": {**file, "content_type": "image/webp"}}
    worker.complete(grant, value, artifacts=("p.webp",))
    [grant] = worker.poll()
    assert grant.args == {"f": value}
    worker.complete(grant, value)
    assert cluster.job(job_id).state == "completed"
    child_id = child_of(cluster, job_id)
    assert [one["name"] for one in cluster.ask(lambda tx: tx.artifacts(child_id))] == ["p.webp"]
    assert cluster.ask(lambda tx: tx.artifacts(job_id)) == []


@pytest.mark.usefixtures("inner")
def test_a_map_of_many_children_opens_bit_by_bit(cluster, flow):
    """Other jobs have their turn in between; all of it completes."""
    worker = cluster.worker()
    graph = flow("many", output={"$ref": "m"})
    graph["nodes"] = [{"name": "m", "kind": "map", "workflow": "inner", "items": {"n": list(range(230))}}]
    job_id = cluster.submit(graph)
    done = 0
    while grants := worker.poll():
        for grant in grants:
            worker.complete(grant, grant.args["n"] * 2)
        done += len(grants)
    assert done == 230
    assert cluster.ask(lambda tx: tx.job_result(job_id)) == [n * 2 for n in range(230)]

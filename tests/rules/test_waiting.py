"""Promise 6: why something waits is always answerable. Every reason, on the job and on its task, over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

SETTINGS = {"lease_s": 8}
ITEMS = {"type": "object", "properties": {"items": {"type": "array"}}}


def told(server, job_id, name="a", index=None):
    """What the job and its task say: the same, each with a time that has been."""
    job = server.job(job_id)
    task = server.task(job_id, name, index)
    for each in (*job["waiting_for"], *task["waiting_for"]):
        assert set(each) == {"reason", "detail", "since"}
        assert each["since"] is not None, each
        assert datetime.fromisoformat(each["since"]) <= datetime.now(UTC) + timedelta(seconds=5)
    return job["waiting_for"], task["waiting_for"]


def reasons(found):
    return [each["reason"] for each in found]


def _approval(server, kit, worker):
    return server.submit(kit.graph(kit.node("a", kit.unique())), requires_approval=True)["job_id"]


def _time(server, kit, worker):
    return server.submit(kit.graph(kit.node("a", kit.unique())), delay_s=600)["job_id"]


def _job(server, kit, worker):
    first = server.submit(kit.graph(kit.node("a", kit.unique())))["job_id"]
    return server.submit(kit.graph(kit.node("a", kit.unique())), depends_on=[first])["job_id"]


def _nobody(server, kit, worker):
    name = kit.unique()
    worker(name)  # offers version 1
    return server.submit(kit.graph(kit.node("a", name, version=2)))["job_id"]


def _no_server_of_the_queue(server, kit, worker):
    name = kit.unique()
    worker(name, queues=["elsewhere"])
    return server.submit(kit.graph(kit.node("a", name, queue="lonely")))["job_id"]


def _slot(server, kit, worker):
    name = kit.unique()
    hand = worker(name, slots=1)
    server.submit(kit.graph(kit.node("a", name)))
    hand.take_one()
    hand.poll(free=0, wait_s=0)
    return server.submit(kit.graph(kit.node("a", name)))["job_id"]


def _queue_limit(server, kit, worker):
    name, queue = kit.unique(), kit.unique("q")
    server.http.patch(f"/queues/{queue}", json={"concurrency": 1})
    server.submit(kit.graph(kit.node("a", name, queue=queue)))
    worker(name).take_one()
    return server.submit(kit.graph(kit.node("a", name, queue=queue)))["job_id"]


def _queue_pause(server, kit, worker):
    name, queue = kit.unique(), kit.unique("q")
    server.http.patch(f"/queues/{queue}", json={"paused": True})
    worker(name)
    return server.submit(kit.graph(kit.node("a", name, queue=queue)))["job_id"]


def _job_pause(server, kit, worker):
    name = kit.unique()
    worker(name)
    job_id = server.submit(kit.graph(kit.node("a", name)))["job_id"]
    server.post(f"/jobs/{job_id}/pause")
    return job_id


def _queue_rate(server, kit, worker):
    name, queue = kit.unique(), kit.unique("q")
    server.http.patch(f"/queues/{queue}", json={"rate_limit": {"limit": 1, "period_s": 600}})
    server.submit(kit.graph(kit.node("a", name, queue=queue)))
    worker(name).take_one()
    return server.submit(kit.graph(kit.node("a", name, queue=queue)))["job_id"]


def _task_rate(server, kit, worker):
    name = kit.unique()
    whole = kit.graph(kit.node("a", name, rate_limit={"limit": 1, "period_s": 600}))
    server.submit(whole)
    worker(name).take_one()
    return server.submit(whole)["job_id"]


def _key(server, kit, worker):
    name = kit.unique()
    whole = kit.graph(kit.node("a", name, concurrency_key="theirs"))
    server.submit(whole)
    worker(name).take_one()
    return server.submit(whole)["job_id"]


def _tenant(server, kit, worker):
    name, tenant = kit.unique(), kit.unique("t")
    server.http.patch(f"/tenants/{tenant}", json={"max_running": 1})
    whole = kit.graph(kit.node("a", name))
    server.submit(whole, tenant=tenant)
    worker(name).take_one()
    return server.submit(whole, tenant=tenant)["job_id"]


def _resource(server, kit, worker):
    name = kit.unique()
    worker(name, resources={"gpu": 2})
    return server.submit(kit.graph(kit.node("a", name, resources={"gpu": 8})))["job_id"]


def _resource_in_use(server, kit, worker):
    name = kit.unique()
    hand = worker(name, resources={"gpu": 1})
    whole = kit.graph(kit.node("a", name, resources={"gpu": 1}))
    server.submit(whole)
    hand.take_one()
    hand.poll(resources_free={"gpu": 0}, wait_s=0)
    return server.submit(whole)["job_id"]


def _backoff(server, kit, worker):
    name = kit.unique()
    job_id = server.submit(kit.graph(kit.node("a", name, retry={"initial_s": 600, "max_s": 600})))["job_id"]
    hand = worker(name)
    hand.fail(hand.take_one())
    return job_id


def _sleep(server, kit, worker):
    return server.submit(kit.graph({"name": "a", "kind": "sleep", "duration": 600}))["job_id"]


def _approval_node(server, kit, worker):
    node = {"name": "a", "kind": "approval", "prompt": "Review the cuts", "timeout_s": 600}
    return server.submit(kit.graph(node))["job_id"]


def _signal(server, kit, worker):
    return server.submit(kit.graph({"name": "a", "kind": "wait_for", "signal": "paid", "timeout_s": 600}))["job_id"]


def _child(server, kit, worker):
    inner = kit.graph(kit.node("a", kit.unique()))
    server.post("/workflows", inner, status=201)
    return server.submit(kit.graph({"name": "a", "kind": "child", "workflow": inner["name"]}))["job_id"]


CASES = {
    "an approval node": (_approval_node, "approval", "Review the cuts", "until 2"),
    "signal": (_signal, "event", "paid", "until 2"),
    "child job": (_child, "child", "child job"),
    "approval": (_approval, "approval", "approve"),
    "time": (_time, "time", "until 2"),
    "job": (_job, "job", "has to complete"),
    "nobody offers it": (_nobody, "worker", "@2", "there is one for"),
    "nobody serves the queue": (_no_server_of_the_queue, "worker", "'lonely'", "elsewhere"),
    "every worker is busy": (_slot, "slot", "busy"),
    "the queue's limit": (_queue_limit, "slot", "runs 1 of 1"),
    "the queue is paused": (_queue_pause, "pause", "queue", "paused"),
    "the job is paused": (_job_pause, "pause", "the job is paused"),
    "the queue's rate": (_queue_rate, "rate", "queue", "to go"),
    "the task's rate": (_task_rate, "rate", "task", "to go"),
    "key": (_key, "key", "theirs", "runs 1 of 1"),
    "the tenant's quota": (_tenant, "quota", "runs 1 of 1"),
    "no worker has so much": (_resource, "resource", "gpu=8", "gpu=2"),
    "in use": (_resource_in_use, "resource", "gpu=1 is in use"),
    "backoff": (_backoff, "backoff", "attempt 2"),
    "sleep": (_sleep, "time", "until 2"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_reason_is_told(server, worker, kit, case):
    """On the job and on the task, in words that name the culprit."""
    make, reason, *words = CASES[case]
    job_id = make(server, kit, worker)
    for found in told(server, job_id):
        assert reason in reasons(found), found
        [detail] = [each["detail"] for each in found if each["reason"] == reason]
        assert all(word in detail for word in words), detail
    server.http.delete(f"/jobs/{job_id}")


def test_blocked_items_and_tasks_say_what_is_before_them(server, worker, kit):
    """`task`, `cap` and `stagger`, on tasks; the job itself moves."""
    name = kit.unique()
    chain = server.submit(kit.graph(kit.node("a", name), kit.node("b", name, after=["a"])))["job_id"]
    _, [waiting] = told(server, chain, "b")
    assert (waiting["reason"], waiting["detail"]) == ("task", "a")
    items = {"kind": "map", "items": {"x": {"$param": "items"}}}
    capped = kit.graph(kit.node("m", name, **items, max_concurrency=1), params=ITEMS)
    job_id = server.submit(capped, {"items": [1, 2]})["job_id"]
    assert reasons(told(server, job_id, "m", 1)[1]) == ["cap"]
    spread = kit.graph(kit.node("m", name, **items, stagger_s=30), params=ITEMS)
    job_id = server.submit(spread, {"items": [1, 2]})["job_id"]
    assert reasons(told(server, job_id, "m", 1)[1]) == ["stagger"]


def test_several_reasons_are_all_told(server, worker, kit):
    """Whoever lifts one of them knows what else is in the way."""
    name, queue, tenant = kit.unique(), kit.unique("q"), kit.unique("t")
    server.http.patch(f"/queues/{queue}", json={"paused": True, "concurrency": 0})
    server.http.patch(f"/tenants/{tenant}", json={"max_running": 0})
    job_id = server.submit(kit.graph(kit.node("a", name, queue=queue)), tenant=tenant)["job_id"]
    found = [reasons(each) for each in told(server, job_id)]
    assert found == [["pause", "slot", "quota", "worker"]] * 2
    assert server.job(job_id)["waiting_for"]
    server.http.patch(f"/queues/{queue}", json={"paused": False, "concurrency": None})
    server.http.patch(f"/tenants/{tenant}", json={"max_running": None})
    hand = worker(name)
    hand.complete(hand.take_one())
    assert server.ended(job_id, "completed")["waiting_for"] == []


def test_ten_thousand_items_tell_each_reason_once(server, worker, kit):
    """Of a wide job, every distinct reason, the rare one too, at bounded cost."""
    name, other = kit.unique(), kit.unique()
    items = {"kind": "map", "items": {"x": {"$param": "items"}}}
    whole = kit.graph(
        kit.node("m", name, **items, concurrency_key="one"), kit.node("z", other, queue="rare"), params=ITEMS
    )
    job_id = server.submit(whole, {"items": list(range(10_000))})["job_id"]
    server.http.patch("/queues/rare", json={"paused": True})
    found = server.job(job_id)["waiting_for"]
    assert sorted(reasons(found)) == ["pause", "worker", "worker"], found
    server.http.patch("/queues/rare", json={"paused": False})
    server.http.delete(f"/jobs/{job_id}")


def test_a_worker_that_is_gone_is_not_waited_for(server, worker, kit):
    """One that was killed and not heard of for a lease no longer counts as busy: nobody offers the task."""
    name = kit.unique()
    job_id = server.submit(kit.graph(kit.node("a", name)))["job_id"]
    hand = worker(name)
    hand.poll(free=0, wait_s=0)
    assert server.reasons(job_id) == ["slot"]
    kit.until(lambda: server.reasons(job_id) == ["worker"])
    server.http.delete(f"/jobs/{job_id}")

"""Child jobs through the public API: R11, R18, R20, R24, R26."""

from __future__ import annotations

from typing import Any

JSON = dict[str, Any]


def published(server: Any, kit: Any, *nodes: JSON, **fields: Any) -> str:
    """Publish a workflow and return its name."""
    definition = kit.graph(*nodes, **fields)
    assert server.http.post("/workflows", json=definition).status_code in (200, 201)
    return str(definition["name"])


def child_node(workflow: str, name: str = "c", **more: Any) -> JSON:
    return {"name": name, "kind": "child", "workflow": workflow, **more}


def test_a_child_job_is_shown_on_both_sides_and_gives_its_result(server, worker, kit):
    """Its JSON names parent, task and index; the parent's task names the child; lists filter by parent."""
    name = kit.unique()
    hand = worker(name)
    inner = published(server, kit, kit.node("a", name, args={"v": {"$param": "v"}}), output={"$ref": "a"})
    outer = kit.graph(
        {"name": "m", "kind": "map", "workflow": inner, "items": {"v": [1, 2]}},
        child_node(inner, args={"v": {"$ref": "m"}}),
        output={"$ref": "c"},
    )
    job = server.submit(outer, labels={"who": "ada"})
    assert [each["reason"] for each in server.job(job["job_id"])["waiting_for"]] == ["child"]
    for run in hand.take(2):
        hand.complete(run, run["args"]["v"] * 10)
    run = hand.take_one()
    assert run["args"] == {"v": [10, 20]} and run["correlation_id"] == job["correlation_id"]
    hand.complete(run, "done")
    assert server.ended(job["job_id"], "completed")["result"] == "done"
    children = server.get("/jobs", parent=job["job_id"])["items"]
    assert sorted(each["parent"]["index"] for each in children if each["parent"]["task"] == "m") == [0, 1]
    assert {each["labels"].get("who") for each in children} == {None}
    [last] = [each for each in children if each["parent"]["task"] == "c"]
    assert last["parent"] == {"job": job["job_id"], "task": "c", "index": None}
    assert server.task(job["job_id"], "c")["child_job"] == last["job_id"]
    assert server.job(job["job_id"])["parent"] is None
    mine = [each["job_id"] for each in server.get("/jobs", parent="none", label="who:ada")["items"]]
    assert job["job_id"] in mine
    server.ended(last["job_id"], "completed")


def test_a_cancelled_parent_takes_its_children_along(server, worker, kit):
    """R18: down to the grandchild, whose run is told to stop; the parent ends last."""
    name = kit.unique()
    hand = worker(name)
    leaf = published(server, kit, kit.node("a", name))
    middle = published(server, kit, child_node(leaf))
    job = server.submit(kit.graph(child_node(middle)))
    run = hand.take_one()
    server.post(f"/jobs/{job['job_id']}/cancel", {"reason": "enough"}, status=202)
    assert server.reasons(job["job_id"]) == ["child"]
    hand.fail(run)
    server.ended(job["job_id"], "cancelled")
    child = server.task(job["job_id"], "c")["child_job"]
    grandchild = server.task(child, "c")["child_job"]
    assert grandchild == run["job_id"]
    for each in (child, grandchild):
        server.ended(each, "cancelled")


def test_a_failed_child_fails_the_parent_whose_retry_begins_a_new_one(server, worker, kit):
    """R20: the error is typed and names the child; the old child stays."""
    name = kit.unique()
    hand = worker(name)
    inner = published(server, kit, kit.node("a", name, retry={"max_retries": 0}), output={"$ref": "a"})
    job = server.submit(kit.graph(child_node(inner), output={"$ref": "c"}))
    hand.fail(hand.take_one())
    error = server.ended(job["job_id"], "failed")["error"]
    first = server.task(job["job_id"], "c")["child_job"]
    assert error["code"] == "child_failed" and error["details"]["child_job"] == first
    server.post(f"/jobs/{job['job_id']}/retry")
    hand.complete(hand.take_one(), "better")
    assert server.ended(job["job_id"], "completed")["result"] == "better"
    assert server.task(job["job_id"], "c")["child_job"] != first
    assert server.job(first)["state"] == "failed"


def test_children_survive_a_kill_of_the_server(server, worker, kit):
    """Promise 1: killed while the child waits, and while it runs; one child, one result."""
    name = kit.unique()
    inner = published(server, kit, kit.node("a", name), output={"$ref": "a"})
    job = server.submit(kit.graph(child_node(inner), output={"$ref": "c"}))
    server.kill()
    server.start()
    hand = worker(name)
    hand.complete(hand.take_one(), 7)
    assert server.ended(job["job_id"], "completed")["result"] == 7
    server.kill()
    server.start()
    assert len(server.get("/jobs", parent=job["job_id"])["items"]) == 1

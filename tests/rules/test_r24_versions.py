"""R24, R11: definitions, their versions, and workers that offer some of them."""

from __future__ import annotations


def test_another_content_under_the_same_name_and_version_conflicts(server, kit):
    """R24: `definition_conflict` with the difference; the same content again is fine; another version too."""
    whole = kit.graph(kit.node("a", kit.unique()))
    server.post("/workflows", whole, status=201)
    assert server.http.post("/workflows", json={**whole, "description": "told better"}).status_code in (200, 201)
    changed = {**whole, "nodes": [{**whole["nodes"][0], "queue": "other"}]}
    refused = server.post("/workflows", changed, status=409)
    assert refused["code"] == "definition_conflict"
    told = refused["message"] + refused["hint"] + str(refused.get("details", ""))
    assert whole["name"] in told and "queue" in told, told
    server.post("/workflows", {**changed, "version": 2}, status=201)
    shown = server.get(f"/workflows/{whole['name']}")
    assert (shown["version"], shown["versions"]) == (2, [2, 1])
    assert server.get(f"/workflows/{whole['name']}", version=1)["graph"]["version"] == 1


def test_an_inline_graph_may_not_pass_for_a_published_one(server, kit):
    """R24: the same content is that version; another under its name is refused, and no job is made."""
    published = kit.graph(kit.node("a", kit.unique()))
    server.post("/workflows", published, status=201)
    assert server.submit(published)["workflow"] == published["name"]
    other = {**published, "nodes": [{**published["nodes"][0], "priority": 1}]}
    refused = server.submit(other, status=409)
    assert refused["code"] == "definition_conflict" and "priority" in refused["message"]
    assert server.submit({**other, "version": 2})["workflow_version"] == 2


def test_a_task_with_another_content_is_refused_at_hello(server, worker, kit):
    """R24: the worker stops; one that offers another version is welcome."""
    name = kit.unique()
    worker({"name": name, "version": 1, "content": "aaaa", "params": {"type": "object"}})
    clash = {"protocol": 1, "session_id": kit.unique("s" * 20), "worker": "w"}
    for version, content, status in ((1, "bbbb", 409), (1, "aaaa", 200), (2, "bbbb", 200)):
        offered = [{"name": name, "version": version, "content": content, "params": {"type": "object"}}]
        answer = server.http.post("/worker/hello", json={**clash, "tasks": offered})
        assert answer.status_code == status, answer.text
        if status == 409:
            assert answer.json()["code"] == "definition_conflict" and name in answer.json()["message"]


def test_a_job_finishes_with_the_versions_it_began_with(server, worker, kit):
    """R11, R24, promise 6: without a worker for `x@1` it waits and says so; the new worker gets only the new job."""
    name = kit.unique()
    old_graph = kit.graph(kit.node("a", name), output={"$ref": "a"})
    new_graph = {**old_graph, "version": 2, "nodes": [{**old_graph["nodes"][0], "version": 2}]}
    server.post("/workflows", old_graph, status=201)
    old = server.submit(old_graph["name"])
    server.post("/workflows", new_graph, status=201)
    new = server.submit(old_graph["name"])
    assert (old["workflow_version"], new["workflow_version"]) == (1, 2)
    assert server.submit(f"{old_graph['name']}@1")["workflow_version"] == 1
    hand = worker({"name": name, "version": 2})
    run = hand.take_one()
    assert (run["job_id"], run["handler"], run["version"]) == (new["job_id"], name, 2)
    hand.complete(run, "new")
    hand.nothing()
    reason = server.reason(old["job_id"], "worker")
    assert f"{name}@1" in reason["detail"]
    late = worker({"name": name, "version": 1})
    runs = late.take(2)
    assert {run["version"] for run in runs} == {1}
    for run in runs:
        late.complete(run, "old")
    assert server.ended(old["job_id"], "completed")["result"] == "old"
    assert server.ended(new["job_id"], "completed")["result"] == "new"


def test_an_unknown_workflow_names_the_nearest(server, kit):
    """Bad input: `unknown_workflow` with a hint; an unknown version too."""
    whole = {**kit.graph(kit.node("a", kit.unique())), "name": "transcode" + kit.unique()}
    server.post("/workflows", whole, status=201)
    wrong = whole["name"].replace("transcode", "transcoed")
    refused = server.submit(wrong, status=404)
    assert refused["code"] == "unknown_workflow" and whole["name"] in refused["hint"]
    assert server.submit(f"{whole['name']}@7", status=404)["code"] == "unknown_workflow"
    assert server.http.get(f"/workflows/{wrong}").json()["code"] == "unknown_workflow"

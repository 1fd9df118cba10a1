"""What waits for a person, what jobs wait for one another, and what workers have in hand: each in one list."""

from __future__ import annotations

import time
import uuid

import httpx
import pytest


@pytest.fixture
def review(client):
    """Publish a workflow that asks in its middle, then sleeps beside the question, and return its name."""
    name = f"r{uuid.uuid4().hex[:12]}"
    nodes = [
        {"name": "rest", "kind": "sleep", "duration": 9999},
        {
            "name": "agree",
            "kind": "approval",
            "prompt": "This?",
            "editable": True,
            "args": {"value": {"$param": "text"}},
        },
    ]
    params = {"type": "object", "properties": {"text": {"type": "string"}}}
    body = {"format": 1, "name": name, "version": 1, "params": params, "nodes": nodes, "output": {"$ref": "agree"}}
    answer = client.post("/workflows", json=body)
    assert answer.status_code == 201, answer.text
    return name


def waiting(client, **query):
    found = client.get("/approvals", params=query)
    assert found.status_code == 200, found.text
    return found.json()


def test_all_that_waits_for_a_person_is_one_list(client, submit, review):
    """Whole jobs and nodes in the middle, the longest waiting first, page by page; what is decided is gone (R14, R15)."""
    whole = submit(requires_approval=True, tenant="inbox")["job_id"]
    inside = submit(workflow=review, params={"text": "look"}, tenant="inbox")["job_id"]
    rejected = submit(requires_approval=True, tenant="inbox")["job_id"]
    client.post(f"/jobs/{rejected}/reject", json={"reason": "no"}).raise_for_status()
    submit(delay_s=9999, tenant="inbox")
    submit(requires_approval=True, tenant="another")
    first = waiting(client, tenant="inbox", limit=1)
    assert [(each["job"]["job_id"], each["task"]) for each in first["items"]] == [(whole, None)]
    second = waiting(client, tenant="inbox", limit=1, cursor=first["next_cursor"])
    (entry,) = second["items"]
    assert (entry["job"]["job_id"], entry["task"]["name"]) == (inside, "agree")
    assert entry["task"]["approval"]["value"] == "look"
    assert entry["task"]["waiting_for"][0]["reason"] == "approval"
    assert entry["since"] >= entry["job"]["created_at"]
    assert second["next_cursor"] is None
    client.post(f"/jobs/{inside}/tasks/agree/approve", json={"value": "other"}).raise_for_status()
    client.post(f"/jobs/{whole}/approve").raise_for_status()
    assert waiting(client, tenant="inbox")["items"] == []
    assert client.get("/approvals", params={"cursor": "nonsense"}).json()["code"] == "invalid_request"


def test_jobs_that_wait_for_one_another_are_listed_from_both_ends(client, submit):
    """`depends_on` and `needed_by`, together with other conditions, and with each other (R16)."""
    first, second = submit(delay_s=9999)["job_id"], submit(delay_s=9999)["job_id"]
    after_both = submit(depends_on=[first, second])["job_id"]
    after_one = submit(depends_on=[{"job": first, "on": "end"}], labels={"which": "one"})["job_id"]

    def ids(**query):
        return {each["job_id"] for each in client.get("/jobs", params=query).raise_for_status().json()["items"]}

    assert ids(depends_on=first) == {after_both, after_one}
    assert ids(depends_on=first, label="which:one") == {after_one}
    assert ids(needed_by=after_both) == {first, second}
    assert ids(depends_on=first, needed_by=after_both) == set()
    assert ids(depends_on=first, parent="none", state="pending") == {after_both, after_one}
    assert ids(depends_on="nobody") == set()


def test_a_worker_tells_what_it_has_in_hand(client, hand_worker, submit, fresh):
    """The attempts it holds, by job and task, while it holds them."""
    worker = hand_worker({fresh: None})
    job = submit(workflow=fresh)["job_id"]
    until = time.monotonic() + 20
    tasks = []
    while not tasks and time.monotonic() < until:
        tasks = worker.poll().get("tasks", [])

    def held():
        (mine,) = [each for each in client.get("/workers").json()["items"] if each["session_id"] == worker.session]
        assert mine["running"] == len(mine["tasks"])
        return [
            (each["job_id"], each["task"], each["index"], each["attempt"], each["run_id"]) for each in mine["tasks"]
        ]

    assert held() == [(job, "count", None, 1, tasks[0]["run_id"])]
    worker.report({"run_id": tasks[0]["run_id"], "kind": "completed", "result": None})
    assert held() == []


def test_the_key_of_a_tenant_shows_its_own_only(start_server, hand_worker, workflows):
    """Neither what others are asked, nor what workers do for them."""
    live = start_server()
    with httpx.Client(base_url=live.url, timeout=30) as http:
        http.post("/workflows", json=workflows["count"]).raise_for_status()
        jobs = {}
        for tenant in ("ours", "theirs"):
            body = {"workflow": "count", "params": {"text": "x"}, "tenant": tenant}
            jobs[tenant] = http.post("/jobs", json=body).raise_for_status().json()["job_id"]
            http.post("/jobs", json={**body, "requires_approval": True}).raise_for_status()
        worker = hand_worker(url=live.url)
        until = time.monotonic() + 20
        while len(worker.held) < 2 and time.monotonic() < until:
            worker.poll()
        root = {"authorization": f"Bearer {http.post('/keys', json={'role': 'admin', 'name': 'root'}).json()['key']}"}
        made = http.post("/keys", json={"role": "read", "tenant": "ours"}, headers=root).json()
        ours = {"authorization": f"Bearer {made['key']}"}

        def tenants(path, headers):
            return [each["job"]["tenant"] for each in http.get(path, headers=headers).json()["items"]]

        assert sorted(tenants("/approvals", root)) == ["ours", "theirs"]
        assert tenants("/approvals", ours) == ["ours"]
        assert tenants("/approvals?tenant=theirs", ours) == []
        (shown,) = http.get("/workers", headers=ours).json()["items"]
        assert (shown["running"], [each["job_id"] for each in shown["tasks"]]) == (2, [jobs["ours"]])
        worker.http.headers.update(root)  # to say goodbye

"""Estimates and budgets over HTTP: what is recorded comes back, what cannot be paid is refused."""

from __future__ import annotations

import httpx
import pytest

GRAPH = {
    "format": 1,
    "name": "priced",
    "version": 1,
    "params": {
        "type": "object",
        "properties": {"text": {"type": "string"}},
        "required": ["text"],
        "additionalProperties": False,
    },
    "nodes": [
        {
            "name": "first",
            "kind": "task",
            "task": "count",
            "version": 1,
            "price": 1,
            "args": {"text": {"$param": "text"}},
        },
        {
            "name": "again",
            "kind": "map",
            "task": "count",
            "version": 1,
            "price": 0.5,
            "items": {"text": {"$get": [{"$ref": "first"}, "list"]}},
        },
    ],
    "output": None,
}


def _counted(_worker, _task, text):
    return {"words": 1, "list": ["a", "b", "c"]}, []


@pytest.fixture
def priced(start_server, hand_worker):
    live = start_server()
    with httpx.Client(base_url=live.url, timeout=30) as http:
        assert http.post("/workflows", json=GRAPH).status_code == 201
        yield http, lambda: hand_worker({"count": _counted}, url=live.url).start()


BODY = {"workflow": "priced", "params": {"text": "x"}}


def test_durations_are_recorded_and_come_back(priced, start_server):
    """Unknown before the first run, known after it."""
    http, work = priced
    before = http.post("/estimate", json=BODY).json()
    assert before["price"] == {"least": 1.0, "most": None, "expected": None}
    assert before["duration_s"] == {"p50": None, "p95": None}
    assert {each["node"] for each in before["unknown"]} == {"first", "again"}
    assert [each["samples"] for each in before["nodes"]] == [0, 0]
    work()
    job = http.post("/jobs", json=BODY).json()
    done = http.get(f"/jobs/{job['job_id']}", params={"wait_s": 30}).json()
    assert (done["state"], done["cost"], done["budget"]) == ("completed", 2.5, None)
    after = http.post("/estimate", json=BODY).json()
    assert after["nodes"][0]["samples"] >= 4
    assert 0 < after["nodes"][0]["duration_s"]["p50"] < 30
    assert http.get("/jobs").json()["items"][0]["job_id"] == job["job_id"], "an estimate makes no job"


def test_what_is_recorded_survives_a_restart(start_server, hand_worker, tmp_path):
    live = start_server(tmp_path / "kept")
    graph = {**GRAPH, "nodes": GRAPH["nodes"][:1]}
    httpx.post(f"{live.url}/workflows", json=graph).raise_for_status()
    worker = hand_worker({"count": _counted}, url=live.url).start()
    job = httpx.post(f"{live.url}/jobs", json=BODY).json()
    assert (
        httpx.get(f"{live.url}/jobs/{job['job_id']}", params={"wait_s": 30}, timeout=60).json()["state"] == "completed"
    )
    known = httpx.post(f"{live.url}/estimate", json=BODY).json()
    worker.stop()
    worker.stop = lambda: None  # the fixture would say goodbye to a server that is gone
    live.stop()
    again = start_server(tmp_path / "kept")
    assert httpx.post(f"{again.url}/estimate", json=BODY).json() == known
    assert known["duration_s"]["p50"] is not None


def test_an_approver_sees_the_estimate_and_may_set_the_budget(priced):
    http, work = priced
    job = http.post("/jobs", json={**BODY, "requires_approval": True, "budget": 5}).json()
    assert job["estimate"]["price"] == {"least": 1.0, "most": None, "expected": None}
    assert job["budget"] == 5
    refused = http.post(f"/jobs/{job['job_id']}/approve", json={"budget": 0.5})
    assert (refused.status_code, refused.json()["code"]) == (422, "budget_exceeded")
    approved = http.post(f"/jobs/{job['job_id']}/approve", json={"budget": 1.9, "comment": "enough for two"})
    assert approved.json()["budget"] == 1.9
    work()
    done = http.get(f"/jobs/{job['job_id']}", params={"wait_s": 30}).json()
    assert (done["state"], done["error"]["code"]) == ("failed", "budget_exceeded")
    assert 1.0 <= done["cost"] <= 1.9
    retried = http.post(f"/jobs/{job['job_id']}/retry", json={"budget": 10})
    assert retried.status_code == 200
    done = http.get(f"/jobs/{job['job_id']}", params={"wait_s": 30}).json()
    assert (done["state"], done["cost"]) == ("completed", 2.5)


def test_a_budget_that_cannot_do_is_refused_with_its_place(priced):
    http, _ = priced
    refused = http.post("/jobs", json={**BODY, "budget": 0.99})
    assert (refused.status_code, refused.json()["code"]) == (422, "budget_exceeded")
    assert refused.json()["details"][0]["path"] == "/budget"
    for budget in (-1, "much", 1e13):
        assert http.post("/jobs", json={**BODY, "budget": budget}).json()["code"] == "invalid_request"
    batch = http.post("/jobs/batch", json={"jobs": [BODY, {**BODY, "budget": 0}]}).json()
    assert (batch["code"], batch["details"][0]["path"]) == ("budget_exceeded", "/jobs/1/budget")
    assert http.get("/jobs").json()["items"] == []


def test_an_estimate_is_checked_like_a_submission(priced):
    http, _ = priced
    for body, code in (
        ({**BODY, "workflow": "pricd"}, "unknown_workflow"),
        ({**BODY, "params": {}}, "invalid_params"),
        ({**BODY, "nothing": 1}, "invalid_request"),
    ):
        assert http.post("/estimate", json=body).json()["code"] == code
    inline = {**GRAPH, "name": "inline"}
    assert http.post("/estimate", json={"workflow": inline, "params": {"text": "x"}}).json()["price"]["least"] == 1

"""R21, design section 5: idempotency keys, batches, multipart."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

FILE = {"type": "object", "x-orpheus": "file"}


def test_the_same_key_and_body_give_the_same_job(server, kit):
    """R21: 201 with `Location`, then 200; key order does not matter; the header and the field are one."""
    whole, key = kit.graph(kit.node("a", kit.unique())), uuid.uuid4().hex
    body = {"workflow": whole, "params": {"a": 1, "b": [1, {"c": 2}]}, "priority": 2}
    first = server.http.post("/jobs", json=body, headers={"Idempotency-Key": key})
    assert (first.status_code, first.headers["location"]) == (201, f"/jobs/{first.json()['job_id']}")
    assert first.json()["idempotency_key"] == key
    turned = {"priority": 2, "params": {"b": [1, {"c": 2}], "a": 1}, "workflow": whole}
    for answer in (
        server.http.post("/jobs", json=turned, headers={"Idempotency-Key": key}),
        server.http.post("/jobs", json={**body, "idempotency_key": key}),
    ):
        assert (answer.status_code, answer.json()["job_id"]) == (200, first.json()["job_id"])


def test_another_body_under_the_same_key_is_a_conflict(server, kit):
    """R21: `409 idempotency_conflict`, nothing is created; another tenant may use the key."""
    whole, key = kit.graph(kit.node("a", kit.unique())), uuid.uuid4().hex
    label = {"run": key}
    first = server.submit(whole, idempotency_key=key, labels=label)
    for changed in ({"params": {"x": 1}}, {"priority": 1}, {"labels": {"run": "other"}}, {"delay_s": 1}):
        body = {"workflow": whole, "params": {}, "labels": label, "idempotency_key": key, **changed}
        refused = server.post("/jobs", body, status=409)
        assert (refused["code"], bool(refused["hint"])) == ("idempotency_conflict", True)
        assert key in refused["message"]
    assert len(server.get("/jobs", label=f"run:{key}")["items"]) == 1
    other = server.submit(whole, idempotency_key=key, labels=label, tenant="other")
    assert other["job_id"] != first["job_id"]


def test_one_job_of_many_requests_at_once(server, kit):
    """R21: twenty at the same time make one job."""
    body = {"workflow": kit.graph(kit.node("a", kit.unique())), "params": {}, "idempotency_key": uuid.uuid4().hex}
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: server.http.post("/jobs", json=body), range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({answer.json()["job_id"] for answer in answers}) == 1


def test_a_key_survives_a_sigkill_and_the_jobs_end(server, worker, kit):
    """R21, promise 1: keys live as long as the job's row."""
    name, key = kit.unique(), uuid.uuid4().hex
    whole = kit.graph(kit.node("a", name))
    first = server.submit(whole, idempotency_key=key)
    hand = worker(name)
    hand.complete(hand.take_one())
    server.ended(first["job_id"], "completed")
    server.kill()
    server.start()
    again = server.submit(whole, idempotency_key=key, status=200)
    assert (again["job_id"], again["state"]) == (first["job_id"], "completed")


def _multipart(server, whole, key, content, **fields):
    data = {"workflow": whole, "labels": json.dumps({"k": "v"}), "idempotency_key": key, **fields}
    return server.http.post("/jobs", data=data, files={"file": ("a.bin", content, "application/octet-stream")})


def test_of_a_multipart_body_the_files_content_counts(server, kit):
    """R21, formats: the same bytes uploaded again give the same job; other bytes are a conflict."""
    whole = kit.graph(
        kit.node("a", kit.unique(), args={"f": {"$param": "source"}}),
        params={"type": "object", "properties": {"source": FILE, "n": {"type": "integer"}}, "required": ["source"]},
    )
    server.post("/workflows", whole, status=201)
    key = uuid.uuid4().hex
    params = json.dumps({"n": 1})
    first = _multipart(server, whole["name"], key, b"one", params=params)
    assert first.status_code == 201, first.text
    job = first.json()
    assert (job["labels"], job["params"]["n"]) == ({"k": "v"}, 1)
    again = _multipart(server, whole["name"], key, b"one", params=params)
    assert (again.status_code, again.json()["job_id"]) == (200, job["job_id"])
    for content, text in ((b"two", params), (b"one", json.dumps({"n": 2}))):
        other = _multipart(server, whole["name"], key, content, params=text)
        assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")


def test_a_batch_is_all_or_nothing(server, kit):
    """Design section 5, R21: `{"jobs"}` → `{"items"}` in order; one bad job refuses the batch and is named by its place."""
    whole = kit.graph(kit.node("a", kit.unique()))
    server.post("/workflows", {**whole, "params": {"type": "object", "additionalProperties": False}}, status=201)
    label = kit.unique()
    good = {"workflow": whole["name"], "params": {}, "labels": {"batch": label}}
    created = server.post("/jobs/batch", {"jobs": [{**good, "priority": p} for p in (1, 2, 3)]}, status=201)
    assert [item["priority"] for item in created["items"]] == [1, 2, 3]
    for bad, code, path in (
        ({"params": {"nope": 1}}, "invalid_params", "/jobs/1/params/nope"),
        ({"workflow": "no-such-workflow"}, "unknown_workflow", "/jobs/1"),
        ({"priority": 9}, "invalid_request", "/jobs/1/priority"),
        ({"depends_on": ["0190aaaa-0000-7000-8000-000000000000"]}, "unknown_job", "/jobs/1"),
    ):
        answer = server.http.post("/jobs/batch", json={"jobs": [good, {**good, **bad}, good]})
        error = answer.json()
        assert (answer.status_code // 100, error["code"]) == (4, code), error
        assert error["details"][0]["path"].startswith(path), error
    [alone] = [{**good, "params": {"nope": 1}}]
    refused = server.post("/jobs/batch", {"jobs": [alone]}, status=422)
    assert refused["details"][0]["path"] == "/jobs/0/params/nope" and "nope" in refused["message"]
    assert server.post("/jobs", alone, status=422)["details"][0]["path"] == "/params/nope"
    assert len(server.get("/jobs", label=f"batch:{label}")["items"]) == 3


def test_a_conflict_inside_a_batch_refuses_it(server, kit):
    """R21: two bodies under one key, or one that was used before; equal bodies under one key are one job."""
    whole = kit.graph(kit.node("a", kit.unique()))
    label, key = kit.unique(), uuid.uuid4().hex
    one = {"workflow": whole, "params": {}, "labels": {"batch": label}, "idempotency_key": key}
    refused = server.post("/jobs/batch", {"jobs": [one, {**one, "priority": 1}]}, status=409)
    assert refused["code"] == "idempotency_conflict"
    assert server.get("/jobs", label=f"batch:{label}")["items"] == []
    same = server.post("/jobs/batch", {"jobs": [one, one]}, status=201)["items"]
    assert same[0]["job_id"] == same[1]["job_id"]
    fresh = {"workflow": whole, "params": {}, "labels": {"batch": label}}
    refused = server.post("/jobs/batch", {"jobs": [fresh, {**one, "priority": 1}]}, status=409)
    assert refused["code"] == "idempotency_conflict"
    assert len(server.get("/jobs", label=f"batch:{label}")["items"]) == 1
    assert server.post("/jobs/batch", {"jobs": [one]}, status=200)["items"][0]["job_id"] == same[0]["job_id"]

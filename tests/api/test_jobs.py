"""Creating, listing and looking at jobs."""

from __future__ import annotations

import threading
import time

import pytest

FIELDS = {
    "job_id", "workflow", "workflow_version", "tenant", "state", "paused", "priority", "labels", "params",
    "result", "error", "progress_percentage", "current_stage", "waiting_for", "tasks", "artifacts", "generation",
    "correlation_id", "idempotency_key", "created_at", "started_at", "finished_at", "updated_at", "estimate",
}  # fmt: skip


def test_a_new_job_answers_with_location_and_all_fields(client):
    """201, Location, and every field of formats.md."""
    answer = client.post("/jobs", json={"workflow": "count", "params": {"text": "x"}, "labels": {"show": "night"}})
    assert answer.status_code == 201
    job = answer.json()
    assert answer.headers["location"] == f"/jobs/{job['job_id']}"
    assert job["state"] == "queued"
    assert job["labels"] == {"show": "night"}
    assert set(job) >= FIELDS
    assert set(client.get(answer.headers["location"]).json()) >= FIELDS


def test_a_job_runs_to_its_result(client, hand_worker, submit, wait_end):
    """From POST to the worker and back."""
    hand_worker().start()
    ended = wait_end(submit()["job_id"])
    assert ended["state"] == "completed"
    assert ended["result"] == {"words": 3}
    assert ended["progress_percentage"] == 100
    assert ended["tasks"] == {"completed": 1, "total": 1}
    tasks = client.get(f"/jobs/{ended['job_id']}/tasks", params={"attempts": True}).json()["items"]
    assert [(task["name"], task["state"], task["attempt"]) for task in tasks] == [("count", "completed", 1)]
    assert [each["outcome"] for each in tasks[0]["attempts"]] == ["completed"]
    events = client.get(f"/jobs/{ended['job_id']}/events").json()["items"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["type"] == "job.created"
    assert events[-1]["type"] == "job.completed"
    assert client.get(f"/jobs/{ended['job_id']}/result").json() == {"words": 3}


def test_the_same_key_gives_the_same_job(client):
    """R21: same body 200, other body 409, also by header; conflict between header and field refused."""
    body = {"workflow": "count", "params": {"text": "once"}, "idempotency_key": "k-1"}
    first, second = client.post("/jobs", json=body), client.post("/jobs", json=body)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["job_id"] == second.json()["job_id"]
    other = client.post("/jobs", json={**body, "params": {"text": "twice"}})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    del body["idempotency_key"]
    third = client.post("/jobs", json=body, headers={"Idempotency-Key": "k-1"})
    assert third.status_code == 200
    clash = client.post("/jobs", json={**body, "idempotency_key": "k-2"}, headers={"Idempotency-Key": "k-1"})
    assert clash.status_code == 409


def test_a_batch_is_all_or_nothing(client):
    """One bad job refuses the batch and names its place."""
    good = {"workflow": "count", "params": {"text": "x"}, "labels": {"batch": "one"}}
    refused = client.post("/jobs/batch", json={"jobs": [good, {"workflow": "count", "params": {"texxt": 1}}]})
    assert refused.status_code == 422
    assert refused.json()["code"] == "invalid_params"
    assert any("1" in entry["path"] for entry in refused.json()["details"])
    assert client.get("/jobs", params={"label": "batch:one"}).json()["items"] == []
    created = client.post("/jobs/batch", json={"jobs": [good, good]})
    assert created.status_code == 201
    assert len(created.json()["items"]) == 2
    assert len(client.get("/jobs", params={"label": "batch:one"}).json()["items"]) == 2


def test_states_of_many_by_id(client, submit):
    """Those that exist, in one request; a thousand at most."""
    ids = [submit()["job_id"] for _ in range(3)]
    answered = client.post("/jobs/states", json={"job_ids": [*ids, "no-such-job"]})
    assert answered.status_code == 200
    states = answered.json()["states"]
    assert set(states) == set(ids)
    assert set(states.values()) <= {"queued", "running", "completed"}
    assert client.post("/jobs/states", json={"job_ids": []}).status_code == 422
    assert client.post("/jobs/states", json={"job_ids": ["x"] * 1001}).status_code == 422


def test_lists_filter_and_page(client, submit):
    """Every filter, repeatable ones too, and cursors that lead to the end."""
    made = [submit(labels={"page": "yes", "n": str(n)}, tenant="pages")["job_id"] for n in range(5)]
    seen, cursor = [], None
    while True:
        query = {"tenant": "pages", "limit": 2} | ({"cursor": cursor} if cursor else {})
        page = client.get("/jobs", params=query).json()
        seen += [job["job_id"] for job in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == made[::-1]
    page = client.get("/jobs", params={"tenant": "pages", "limit": 2}).json()
    ahead = {"tenant": "pages", "limit": 2, "cursor": page["next_cursor"], "skip": 1}
    assert [job["job_id"] for job in client.get("/jobs", params=ahead).json()["items"]] == made[1::-1]
    assert client.get("/jobs", params=ahead | {"skip": 3}).json() == {"items": [], "next_cursor": None}
    refused = client.get("/jobs", params=ahead | {"state": "queued"})
    assert (refused.status_code, refused.json()["details"][0]["path"]) == (422, "/skip")
    assert len(client.get("/jobs", params={"label": ["page:yes", "n:3"]}).json()["items"]) == 1
    assert len(client.get("/jobs", params={"tenant": "pages", "state": ["queued", "failed"]}).json()["items"]) == 5
    assert client.get("/jobs", params={"tenant": "pages", "state": "failed"}).json()["items"] == []
    assert client.get("/jobs", params={"tenant": "pages", "q": made[2]}).json()["items"][0]["job_id"] == made[2]
    assert (
        client.get("/jobs", params={"tenant": "pages", "created_after": "2100-01-01T00:00:00Z"}).json()["items"] == []
    )
    before = {"tenant": "pages", "created_before": "2100-01-01T00:00:00+02:00"}
    assert len(client.get("/jobs", params=before).json()["items"]) == 5


def test_etag_tells_when_nothing_changed(client, submit):
    """304 for the same, 200 after a change."""
    job_id = submit()["job_id"]
    first = client.get(f"/jobs/{job_id}")
    etag = first.headers["etag"]
    same = client.get(f"/jobs/{job_id}", headers={"If-None-Match": etag})
    assert (same.status_code, same.content) == (304, b"")
    client.post(f"/jobs/{job_id}/pause")
    assert client.get(f"/jobs/{job_id}", headers={"If-None-Match": etag}).status_code == 200


def test_wait_s_answers_at_the_end_of_the_job(client, hand_worker, submit):
    """A long poll returns when the job ends, or after its time."""
    job_id = submit(delay_s=3600)["job_id"]
    began = time.monotonic()
    assert client.get(f"/jobs/{job_id}", params={"wait_s": 0.3}).json()["state"] == "pending"
    assert 0.25 < time.monotonic() - began < 3
    threading.Timer(0.3, lambda: client.post(f"/jobs/{job_id}/cancel")).start()
    began = time.monotonic()
    assert client.get(f"/jobs/{job_id}", params={"wait_s": 20}).json()["state"] == "cancelled"
    assert time.monotonic() - began < 5


def test_a_submission_may_wait_for_its_jobs_end(client, hand_worker):
    """`POST /jobs?wait_s=`: the job as it stands at its end, with its result; the same key waits for the same job (R21)."""
    body = {"workflow": "count", "params": {"text": "a b c"}, "idempotency_key": "wait-1"}
    unfinished = client.post("/jobs", params={"wait_s": 0.2}, json=body)  # nobody works yet
    assert (unfinished.status_code, unfinished.json()["state"]) == (201, "queued")
    hand_worker().start()
    same = client.post("/jobs", params={"wait_s": 20}, json=body)
    assert (same.status_code, same.json()["job_id"]) == (200, unfinished.json()["job_id"])
    assert (same.json()["state"], same.json()["result"]) == ("completed", {"words": 3})
    again = client.post("/jobs", params={"wait_s": 20}, json=body)  # it has ended already
    assert (again.status_code, again.json()["result"]) == (200, {"words": 3})
    fresh = client.post("/jobs", params={"wait_s": 20}, json=body | {"idempotency_key": "wait-2"})
    assert (fresh.status_code, fresh.json()["result"]) == (201, {"words": 3})
    assert fresh.headers["location"] == f"/jobs/{fresh.json()['job_id']}"
    shown = client.get(f"/jobs/{fresh.json()['job_id']}").json()
    assert shown == fresh.json()


@pytest.mark.parametrize(
    "result",
    [
        {"words": 3, "of": [1, 2.5, -0.0, 1e300, None, True]},
        [],
        {},
        0,
        "text",
        None,
        "\u2028 é",
        2**53,
        {"b": 1, "a": {}},
    ],
    ids=str,
)
def test_what_a_submission_that_waited_shows_is_what_is_stored(client, hand_worker, result):
    """Params and result are not read from the file for it: the bytes are the same."""
    hand_worker({"count": lambda _worker, _task, text: (result, [])}).start()
    body = {"workflow": "count", "params": {"text": "a b c"}, "labels": {"x": "y"}}
    told = client.post("/jobs", params={"wait_s": 20}, json=body)
    assert (told.json()["state"], told.json()["result"]) == ("completed", result)
    assert told.content == client.get(f"/jobs/{told.json()['job_id']}").content


def test_a_submission_that_waits_hears_of_a_cancellation_and_of_its_own_faults(client):
    """However the job ends is an answer to the waiting (R18); what is refused is refused at once."""

    def cancel():
        while not (found := client.get("/jobs", params={"label": "stop:me"}).json()["items"]):
            time.sleep(0.02)
        client.post(f"/jobs/{found[0]['job_id']}/cancel", json={"reason": "enough"})

    threading.Thread(target=cancel).start()
    body = {"workflow": "count", "params": {"text": "x"}, "labels": {"stop": "me"}, "delay_s": 3600}
    ended = client.post("/jobs", params={"wait_s": 20}, json=body)
    assert (ended.status_code, ended.json()["state"]) == (201, "cancelled")
    assert client.post("/jobs", params={"wait_s": 20}, json={"workflow": "no-such"}).status_code == 404
    assert client.post("/jobs", params={"wait_s": -1}, json=body).status_code == 422


def test_orders_answer_what_the_core_decides(client, submit):
    """pause, resume, approve, reject, cancel, retry: what is in effect answers 200, the illegal 409."""
    job_id = submit()["job_id"]
    assert client.post(f"/jobs/{job_id}/pause").json()["paused"] is True
    assert client.post(f"/jobs/{job_id}/pause").status_code == 200
    assert client.post(f"/jobs/{job_id}/resume").json()["paused"] is False
    cancelled = client.post(f"/jobs/{job_id}/cancel", json={"reason": "no need"})
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert client.delete(f"/jobs/{job_id}").status_code == 200
    refused = client.post(f"/jobs/{job_id}/approve")
    assert (refused.status_code, refused.json()["code"]) == (409, "invalid_transition")
    waiting = submit(requires_approval=True)
    assert waiting["state"] == "pending"
    assert waiting["waiting_for"][0]["reason"] == "approval"
    approved = client.post(f"/jobs/{waiting['job_id']}/approve", json={"params": {"text": "edited"}})
    assert (approved.status_code, approved.json()["params"]) == (200, {"text": "edited"})
    other = submit(requires_approval=True)["job_id"]
    bad = client.post(f"/jobs/{other}/approve", json={"params": {"nonsense": 1}})
    assert (bad.status_code, bad.json()["code"]) == (422, "invalid_params")
    rejected = client.post(f"/jobs/{other}/reject", json={"reason": "not now"})
    assert (rejected.json()["state"], rejected.json()["error"]["code"]) == ("cancelled", "rejected")


def test_failures_show_and_can_be_retried(client, hand_worker, submit, wait_end, fresh):
    """A permanent failure, its attempts and logs, then a retry in a new generation."""
    worker = hand_worker({fresh: lambda _worker, _task, text: ({"words": 1}, [])})
    job_id = submit(workflow=fresh)["job_id"]
    [task] = worker.poll(wait_s=5)["tasks"]
    line = {"message": "about to fail", "level": "warning", "fields": {"n": 1}}
    error = {"message": "no such word", "type": "KeyError", "final": True}
    told = worker.report(
        {"run_id": task["run_id"], "kind": "progress", "fraction": 0.5, "stage": "half"},
        {"run_id": task["run_id"], "kind": "log", "lines": [line]},
        {"run_id": task["run_id"], "kind": "failed", "error": error},
        {"run_id": task["run_id"], "kind": "failed", "error": error},
    )
    assert [each["ok"] for each in told] == [True, True, True, False]
    assert told[3]["code"] == "stale_run"
    failed = wait_end(job_id)
    assert failed["state"] == "failed"
    assert failed["error"]["message"] == "no such word"
    [logged] = client.get(f"/jobs/{job_id}/logs").json()["items"]
    assert (logged["message"], logged["level"], logged["fields"]) == ("about to fail", "warning", {"n": 1})
    retried = client.post(f"/jobs/{job_id}/retry")
    assert retried.status_code == 200
    assert retried.json()["generation"] == 2
    worker.start()
    assert wait_end(job_id)["state"] == "completed"


def test_following_logs_and_events_ends_with_the_job(client, hand_worker, submit, fresh):
    """`follow` sends lines as they come, as NDJSON or SSE."""
    worker = hand_worker({fresh: None})
    job_id = submit(workflow=fresh)["job_id"]
    [task] = worker.poll(wait_s=5)["tasks"]

    def finish():
        for n in range(3):
            worker.report({"run_id": task["run_id"], "kind": "log", "lines": [{"message": f"line {n}"}]})
            time.sleep(0.1)
        worker.report({"run_id": task["run_id"], "kind": "completed", "result": {"words": 0}})

    threading.Thread(target=finish).start()
    with client.stream("GET", f"/jobs/{job_id}/logs", params={"follow": True}) as answer:
        assert answer.headers["content-type"] == "application/x-ndjson"
        lines = [line for line in answer.iter_lines() if line]
    assert len(lines) == 3
    with client.stream(
        "GET", f"/jobs/{job_id}/events", params={"follow": True}, headers={"Accept": "text/event-stream"}
    ) as answer:
        text = "".join(answer.iter_text())
    assert "job.completed" in text
    assert text.endswith("event: end\ndata: {}\n\n")


def test_workers_are_shown_by_name(client, hand_worker, submit, fresh):
    """A task, its attempts and `task.started` name the worker as people called it, not its session."""
    worker = hand_worker({fresh: None}, worker="gpu-box-3")
    job_id = submit(workflow=fresh)["job_id"]
    [run] = worker.poll(wait_s=5)["tasks"]

    def shown():
        [task] = client.get(f"/jobs/{job_id}/tasks", params={"attempts": True}).json()["items"]
        return [task["worker"], *(attempt["worker"] for attempt in task["attempts"])]

    assert shown() == ["gpu-box-3", "gpu-box-3"]
    error = {"code": "oops", "message": "no", "final": True}
    worker.report({"run_id": run["run_id"], "kind": "failed", "error": error})
    assert set(shown()) == {"gpu-box-3"}
    events = client.get(f"/jobs/{job_id}/events").json()["items"]
    [started] = [event for event in events if event["type"] == "task.started"]
    assert started["data"]["worker"] == "gpu-box-3"

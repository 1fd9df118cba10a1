"""Design section 5 and formats.md: every field and answer of the HTTP API, by a plain client."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest

FILE = {"type": "object", "x-orpheus": "file"}
JOB_FIELDS = {
    *("job_id", "workflow", "workflow_version", "tenant", "state", "paused", "priority", "labels", "params", "result"),
    *("error", "progress_percentage", "current_stage", "waiting_for", "tasks", "artifacts", "generation"),
    *("correlation_id", "idempotency_key", "created_at", "started_at", "finished_at", "updated_at", "estimate"),
}
TASK_FIELDS = {
    *("name", "index", "state", "generation", "attempt", "max_retries", "queue", "version", "progress", "stage"),
    *("waiting_for", "result", "error", "cached", "run_id", "worker", "ready_at", "started_at", "finished_at"),
    "attempts",
}
ERROR_FIELDS = {"code", "message", "hint", "retryable", "correlation_id"}


def done(server, worker, kit, **fields):
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name)), **fields)
    hand.complete(hand.take_one(), {"n": 1})
    return server.ended(job["job_id"], "completed")


def test_every_field_of_a_job_and_a_task(server, worker, kit):
    """Formats (Job, Task): all under their names, when new and when ended; times RFC 3339 UTC with milliseconds."""
    name = kit.unique()
    hand = worker(name)
    labels = {"team": "news", "a/b": "c:d"}
    new = server.submit(kit.graph(kit.node("a", name), output={"$ref": "a"}), {"x": 1}, labels=labels, priority=2)
    run = hand.take_one()
    running = server.job(new["job_id"])
    hand.complete(run, {"n": 1})
    ended = server.ended(new["job_id"], "completed")
    for job in (new, running, ended):
        assert set(job) >= JOB_FIELDS
        assert (job["labels"], job["priority"], job["params"], job["tenant"]) == (labels, 2, {"x": 1}, "default")
        for field in ("created_at", "started_at", "finished_at", "updated_at"):
            if job[field] is not None:
                assert job[field].endswith("Z") and len(job[field].partition(".")[2]) >= 4
                datetime.fromisoformat(job[field])
    assert (running["state"], running["current_stage"], running["tasks"]) == (
        "running",
        "a",
        {"running": 1, "total": 1},
    )
    assert ended["created_at"] <= ended["started_at"] <= ended["finished_at"] <= ended["updated_at"]
    assert (ended["result"], ended["progress_percentage"], ended["error"]) == ({"n": 1}, 100, None)
    task = server.task(new["job_id"], "a")
    assert set(task) >= TASK_FIELDS
    assert (task["attempt"], task["max_retries"], task["version"], task["queue"]) == (1, 3, 1, "default")
    assert (task["result"], task["progress"], task["cached"], task["run_id"]) == ({"n": 1}, 1, False, run["run_id"])
    assert set(task["attempts"][0]) >= {"attempt", "run_id", "worker", "started_at", "finished_at", "outcome", "error"}
    assert "attempts" not in server.get(f"/jobs/{new['job_id']}/tasks")["items"][0]


def test_defaults(server, kit):
    """Formats: priority 3, retries 3, start_to_close 3600, queue `default`, tenant `default`; ids sort by time."""
    jobs = [server.submit(kit.graph(kit.node("a", kit.unique()))) for _ in range(3)]
    assert [job["priority"] for job in jobs] == [3, 3, 3]
    assert [job["job_id"] for job in jobs] == sorted(job["job_id"] for job in jobs)
    assert server.task(jobs[0]["job_id"], "a")["max_retries"] == 3
    for job in jobs:
        server.http.delete(f"/jobs/{job['job_id']}")


def test_etags_and_waiting(server, worker, kit):
    """Design section 5: `ETag` changes with the job; `If-None-Match` is 304; `wait_s` waits for the end, or its time."""
    name = kit.unique()
    hand = worker(name)
    job_id = server.submit(kit.graph(kit.node("a", name)))["job_id"]
    path = f"/jobs/{job_id}"
    first = server.http.get(path)
    assert server.http.get(path, headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    run = hand.take_one()
    second = server.http.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (second.status_code, second.headers["etag"] != first.headers["etag"]) == (200, True)
    assert server.get(path, wait_s=0.1)["state"] == "running"
    hand.complete(run)
    assert server.get(path, wait_s=20)["state"] == "completed"
    assert server.http.get(path, params={"wait_s": -1}).status_code == 422


def test_lists_filter_and_page(server, worker, kit):
    """Design section 5: state and label repeatable, workflow, tenant, q, created_after and before; newest first."""
    name, tenant = kit.unique(), kit.unique("tenant")
    hand = worker(name)
    whole = kit.graph(kit.node("a", name))
    server.post("/workflows", whole, status=201)
    before = datetime.now(UTC)
    ids = []
    for place in range(5):
        labels = {"n": str(place), "odd": str(place % 2), "run": tenant}
        ids.append(server.submit(whole["name"], tenant=tenant, labels=labels)["job_id"])
    for run in hand.take(5):
        if run["job_id"] in ids[:3]:
            hand.complete(run)
    for job_id in ids[:3]:
        server.ended(job_id, "completed")

    def found(**query):
        return [job["job_id"] for job in server.get("/jobs", **query)["items"]]

    assert found(tenant=tenant) == ids[::-1]
    assert found(workflow=whole["name"]) == ids[::-1]
    assert found(tenant=tenant, state="completed") == ids[2::-1]
    assert found(tenant=tenant, state=["completed", "running"]) == ids[::-1]
    assert found(label=f"run:{tenant}", state="running") == ids[:2:-1]
    assert found(label=[f"run:{tenant}", "odd:1"]) == [ids[3], ids[1]]
    assert found(q=tenant) == ids[::-1]
    assert found(tenant=tenant, created_after=before.isoformat()) == ids[::-1]
    assert found(tenant=tenant, created_before=(before - timedelta(seconds=1)).isoformat()) == []
    pages, query = [], {"tenant": tenant, "limit": 2}
    while True:
        page = server.get("/jobs", **query)
        pages += [job["job_id"] for job in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert pages == ids[::-1]
    for wrong in (
        {"state": "sleeping"},
        {"limit": 0},
        {"cursor": "rubbish!"},
        {"label": "x"},
        {"created_after": "soon"},
        {"nope": 1},
    ):
        answer = server.http.get("/jobs", params=wrong)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), wrong
        assert next(iter(wrong)) in answer.json()["message"], answer.json()
    for run_id in list(hand.held):
        hand.report({"run_id": run_id, "kind": "completed"})


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/nowhere", None, 404, None),
        ("PUT", "/jobs", None, 405, None),
        ("GET", "/jobs/0190aaaa-none", None, 404, "unknown_job"),
        ("DELETE", "/jobs/0190aaaa-none", None, 404, "unknown_job"),
        ("GET", "/jobs/0190aaaa-none/events", None, 404, "unknown_job"),
        ("GET", "/jobs/0190aaaa-none/manifest", None, 404, "unknown_job"),
        ("POST", "/jobs/0190aaaa-none/cancel", {}, 404, "unknown_job"),
        ("POST", "/jobs", {"workflow": "nope", "params": {}}, 404, "unknown_workflow"),
        ("POST", "/jobs", {"workflow": 5}, 422, "invalid_request"),
        ("POST", "/jobs", {"params": {}}, 422, "invalid_request"),
        ("POST", "/jobs", [1], 422, "invalid_request"),
        ("POST", "/jobs", {"workflow": "nope", "unknown_field": 1}, 422, "invalid_request"),
        ("POST", "/jobs", {"workflow": "nope", "priority": 0}, 422, "invalid_request"),
        ("POST", "/jobs", {"workflow": "nope", "tenant": "../x"}, 422, "invalid_request"),
        ("POST", "/jobs/batch", {"jobs": []}, 422, "invalid_request"),
        ("PATCH", "/queues/q", {"concurrency": -1}, 422, "invalid_request"),
        ("PATCH", "/queues/..%2Fx", {"paused": True}, None, None),
        ("GET", "/workflows/nope", None, 404, "unknown_workflow"),
        ("POST", "/workflows", {"name": "x"}, 422, "invalid_graph"),
        ("GET", "/files/nope", None, 404, "unknown_file"),
    ],
)
def test_every_error_is_the_envelope(server, method, path, body, status, code):
    """Design section 5: also 404, 405, 413 and 422; every field always, and the caller's correlation id."""
    mine = uuid.uuid4().hex
    answer = server.http.request(method, path, json=body, headers={"X-Correlation-ID": mine})
    assert 400 <= answer.status_code < 500
    assert status is None or answer.status_code == status, answer.text
    error = answer.json()
    assert set(error) >= ERROR_FIELDS and error["message"], error
    assert error["correlation_id"] == answer.headers["x-correlation-id"] == mine
    assert error["retryable"] is False
    assert code is None or error["code"] == code, error


def test_broken_bodies_are_the_envelope_too(server):
    """Bad input: not JSON, another content type, too large; never a 500."""
    for content, kind, status in (
        (b"{", "application/json", (400, 422)),
        (b"x", "text/plain", (415,)),
        (b"", "application/json", (400, 422)),
    ):
        answer = server.http.post("/jobs", content=content, headers={"Content-Type": kind})
        assert answer.status_code in status, (content, answer.text)
        assert set(answer.json()) >= ERROR_FIELDS
    large = b'{"workflow": "' + b"x" * 34_000_000 + b'"}'
    answer = server.http.post("/jobs", content=large, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert set(answer.json()) >= ERROR_FIELDS


def test_correlation_and_trace_reach_everything(server, worker, kit):
    """Design section 5: taken or made, returned; on the job, its events, log lines of the server, the assignment."""
    name, mine = kit.unique(), f"corr-{uuid.uuid4().hex}"
    trace = f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01"
    hand = worker(name)
    answer = server.http.post(
        "/jobs",
        json={"workflow": kit.graph(kit.node("a", name, retry={"initial_s": 0})), "params": {}},
        headers={"X-Correlation-ID": mine, "traceparent": trace},
    )
    assert (
        answer.headers["x-correlation-id"] == mine
        and answer.headers["traceparent"].split("-")[1] == trace.split("-")[1]
    )
    job_id = answer.json()["job_id"]
    assert answer.json()["correlation_id"] == mine
    run = hand.take_one()
    assert run["correlation_id"] == mine and run["traceparent"].split("-")[1] == trace.split("-")[1]
    hand.fail(run)
    again = hand.take_one()
    assert again["correlation_id"] == mine
    hand.complete(again)
    server.ended(job_id, "completed")
    assert {event["correlation_id"] for event in server.events(job_id)} == {mine}
    assert server.get(f"/jobs/{job_id}/manifest")["correlation_id"] == mine
    made = server.http.get("/healthz")
    assert made.headers["x-correlation-id"] and made.headers["traceparent"].startswith("00-")
    rubbish = server.http.get("/healthz", headers={"X-Correlation-ID": "a b\tc", "traceparent": "zz"})
    assert rubbish.headers["x-correlation-id"] != "a b\tc" and rubbish.headers["traceparent"].startswith("00-")


def test_the_server_logs_json_lines(server):
    """`--log-json`: one object per line, with time, level, logger and message."""
    for line in server.log.splitlines():
        said = json.loads(line)
        assert {"timestamp", "level", "logger", "message"} <= set(said), said


def test_logs_of_a_job(server, worker, kit):
    """Design section 5: paged, filtered, and of every attempt; `logs` name their attempt and run."""
    name = kit.unique()
    hand = worker(name)
    job_id = server.submit(kit.graph(kit.node("a", name, retry={"initial_s": 0})))["job_id"]
    for attempt in (1, 2):
        run = hand.take_one()
        lines = [{"message": f"{attempt}.{n}", "level": "warning", "fields": {"n": n}} for n in range(3)]
        assert hand.report({"run_id": run["run_id"], "kind": "log", "lines": lines})[0]["ok"]
        (hand.fail if attempt == 1 else hand.complete)(run)
    server.ended(job_id, "completed")
    lines = server.get(f"/jobs/{job_id}/logs")["items"]
    assert [line["message"] for line in lines] == ["1.0", "1.1", "1.2", "2.0", "2.1", "2.2"]
    assert {(line["attempt"], line["task"], line["level"]) for line in lines} == {
        (1, "a", "warning"),
        (2, "a", "warning"),
    }
    page = server.get(f"/jobs/{job_id}/logs", limit=4)
    rest = server.get(f"/jobs/{job_id}/logs", limit=4, cursor=page["next_cursor"])
    assert page["items"] + rest["items"] == lines
    assert server.get(f"/jobs/{job_id}/logs", node="b")["items"] == []


def test_workflows_queues_workers_and_their_fields(server, worker, kit):
    """Design section 5: schema, graph, versions; queues with limits; workers that are there."""
    name, queue = kit.unique(), kit.unique("q")
    whole = kit.graph(kit.node("a", name, queue=queue), description="told")
    published = server.http.post("/workflows", json=whole)
    assert (published.status_code, published.headers["location"]) == (201, f"/workflows/{whole['name']}")
    shown = server.get(f"/workflows/{whole['name']}")
    assert set(shown) >= {"name", "version", "versions", "description", "params", "result", "graph", "definition_id"}
    assert whole["name"] in [each["name"] for each in server.get("/workflows")["items"]]
    assert server.get("/workflows/schema")["properties"]["nodes"]
    hand = worker(name, queues=[queue], resources={"gpu": 1}, host="here", pid=7)
    job = server.submit(whole["name"])
    run = hand.take_one()
    mine = next(each for each in server.get("/workers")["items"] if each["session_id"] == hand.session)
    assert (mine["host"], mine["pid"], mine["queues"], mine["resources"], mine["running"], mine["alive"]) == (
        *("here", 7, [queue], {"gpu": 1}),
        *(1, True),
    )
    listed = next(each for each in server.get("/queues")["items"] if each["name"] == queue)
    assert (listed["running"], listed["ready"], listed["paused"]) == (1, 0, False)
    hand.complete(run)
    server.ended(job["job_id"], "completed")
    assert server.get(f"/jobs/{job['job_id']}/graph")["name"] == whole["name"]


def test_health_and_metrics(server, worker, kit):
    """Design section 5: `/healthz`, `/readyz`, Prometheus `/metrics` with counts of jobs, queues and commits."""
    done(server, worker, kit)
    assert server.get("/healthz")["status"] == "ok"
    assert server.get("/readyz")["ready"] is True
    answer = server.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    text = answer.text
    for metric in ("orpheus_jobs{", "orpheus_tasks{", "orpheus_queue_ready", "orpheus_store_commits_total",
                   "orpheus_claims_total", "orpheus_rescues_total", "orpheus_store_commit_seconds_bucket"):  # fmt: skip
        assert metric in text, metric
    openapi = server.get("/openapi.json")
    assert "/jobs" in openapi["paths"] and server.http.get("/docs").status_code == 200
    assert "://" not in server.http.get("/docs").text.replace("http://www.w3.org", ""), "assets are served locally"


def test_other_hosts_and_origins_are_refused(server):
    """Design section 8: Host and Origin are checked."""
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        answer = server.http.get("/jobs", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_under_a_root_path(tmp_path_factory, kit):
    """Design section 5: the page, `Location` and `/openapi.json` work under a `root_path`."""
    server = kit.make_server(tmp_path_factory.mktemp("root"), root_path="/orpheus").start()
    try:
        whole = kit.graph(kit.node("a", kit.unique()))
        for prefix in ("", "/orpheus"):
            answer = server.http.post(f"{prefix}/jobs", json={"workflow": whole, "params": {}})
            assert answer.status_code == 201, (prefix, answer.text)
            assert answer.headers["location"] == f"/orpheus/jobs/{answer.json()['job_id']}"
            page = server.http.get(f"{prefix}/")
            assert page.status_code == 200 and "text/html" in page.headers["content-type"]
            assert 'src="/' not in page.text and 'href="/' not in page.text.replace('href="/orpheus', "")
        assert server.stop() == 0
        assert '"stopped"' in server.log and "Warning" not in server.log, server.log
    finally:
        server.stop()


def test_a_file_param_of_every_form(server, worker, kit):
    """Design section 5: `{"file_id"}` and multipart; what no upload has is refused and names its place."""
    name = kit.unique()
    whole = kit.graph(
        kit.node("a", name, args={"f": {"$param": "source"}}),
        params={
            "type": "object",
            "properties": {"source": FILE},
            "required": ["source"],
            "additionalProperties": False,
        },
    )
    server.post("/workflows", whole, status=201)
    refused = server.submit(whole["name"], {"source": {"file_id": "nope"}}, status=422)
    assert refused["code"] == "invalid_params" and refused["details"][0]["path"].startswith("/params/source")
    refused = server.http.post("/jobs", data={"workflow": whole["name"]}, files={"file": ("../../etc/passwd", b"x")})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_file_name")
    answer = server.http.post("/jobs", data={"workflow": whole["name"]}, files={"file": ("passwd", b"x")})
    assert answer.status_code == 201, answer.text
    hand = worker(name)
    run = hand.take_one()
    assert run["args"]["f"]["$file"]["name"] == "passwd" and "passwd" not in run["args"]["f"]["$file"]["key"]
    hand.complete(run)
    server.ended(answer.json()["job_id"], "completed")

"""Pages, documents, health, metrics, workflows, queues and workers."""

from __future__ import annotations

import re
from importlib import resources

import httpx
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from orpheus.api.app import endpoints
from orpheus.protocol.jobs import JobInfo


def test_the_page_is_served_under_a_strict_policy(client):
    """No script, style or frame from elsewhere; every file the page names is there."""
    page = client.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["x-frame-options"] == "DENY"
    named = re.findall(r'(?:src|href)="(static/[^"]+)"', page.text)
    assert len(named) >= 3
    for name in named:
        answer = client.get(f"/{name}")
        assert answer.status_code == 200, name
        same = client.get(f"/{name}", headers={"if-none-match": answer.headers["etag"]})
        assert same.status_code == 304
    assert "//" not in re.sub(r"https?://www\.w3\.org/\S+", "", page.text.replace("</", ""))


def imported(client, folder, name, found):
    """The modules that a module needs before it runs, itself included."""
    if name not in found:
        found[name] = client.get(f"{folder}/{name}").raise_for_status()
        for module in re.findall(r'^(?:import|export)[^"]*"\./([^"]+)"', found[name].text, re.MULTILINE):
            imported(client, folder, module, found)
    return found


def test_the_page_is_small_and_asked_for_once(client):
    """What the first view needs is named in advance and fits; all of it stays under 150 KB; files may be kept for a year."""
    page = client.get("/")
    assert page.headers["cache-control"] == "no-cache"
    assert client.get("/", headers={"if-none-match": page.headers["etag"]}).status_code == 304
    [folder] = set(re.findall(r'"(static/\w+)/', page.text))
    first = imported(client, folder, "jobs.js", imported(client, folder, "app.js", {}))
    assert set(re.findall(r'modulepreload" href="static/\w+/([^"]+)"', page.text)) == set(first) - {"app.js"}
    for name in ("style.css", "views.css", "icon.svg"):
        first[name] = client.get(f"{folder}/{name}")
    everything = dict(first)
    for view in re.findall(r'import\("\./([^"]+)"\)', first["router.js"].text):
        imported(client, folder, view, everything)
    for answer in everything.values():
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-encoding"] == "gzip"
    assert client.get("static/0123456789ab/app.js").headers["cache-control"] == "no-cache"  # a page of another release

    def sent(answers):
        return sum(int(answer.headers["content-length"]) for answer in answers.values())

    assert sent(first) < 50_000
    assert sum(len(answer.content) for answer in first.values()) < 150_000, "unpacked"
    assert sent(everything) < 150_000


def test_a_prefix_is_kept(start_server, workflows):
    """Behind a proxy that strips the prefix, and behind one that does not."""
    live = start_server(root_path="/orpheus")
    assert live.url.endswith("/orpheus")
    with httpx.Client(base_url=live.url) as whole, httpx.Client(base_url=live.url.removesuffix("/orpheus")) as stripped:
        for client in (whole, stripped):
            assert client.get("/healthz").status_code == 200
            assert client.get("/").status_code == 200
            assert client.post("/workflows", json=workflows["count"]).status_code == 201
            made = client.post("/jobs", json={"workflow": "count", "params": {"text": "x"}})
            assert made.headers["location"].startswith("/orpheus/jobs/")
            assert client.get(f"/jobs/{made.json()['job_id']}/tasks").status_code == 200
            assert client.get("/openapi.json").json()["servers"] == [{"url": "/orpheus"}]


def test_the_document_lists_every_endpoint(client):
    """Whatever is mounted is described: summary, answers, errors in one envelope."""
    document = client.get("/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    for endpoint in endpoints():
        if endpoint.hidden:
            continue
        operation = document["paths"][re.sub(r":path", "", endpoint.path)][endpoint.method.lower()]
        assert operation["summary"]
        assert operation["responses"]["default"]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorBody")
        for problem in endpoint.errors:
            assert str(problem.status) in operation["responses"], (endpoint.path, problem)
    identifiers = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(identifiers) == len(set(identifiers))


def test_references_in_the_document_lead_somewhere(client):
    """No dangling `$ref`."""
    document = client.get("/openapi.json").json()
    for reference in re.findall(r'"\$ref":\s*"#/([^"]+)"', msgspec.json.encode(document).decode()):
        value = document
        for step in reference.split("/"):
            value = value[step]


def test_metrics_are_readable(client, submit):
    """Prometheus' own parser takes them; states, routes and timings are there."""
    submit()
    text = client.get("/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {"orpheus_jobs", "orpheus_tasks", "orpheus_http_requests", "orpheus_store_commit_seconds"} <= set(families)
    routes = {sample.labels["route"] for sample in families["orpheus_http_requests"].samples}
    assert "/jobs" in routes
    assert not any("nope" in route for route in routes)
    stats = client.get("/stats").json()
    assert stats["jobs"]["queued"] >= 1


def test_readiness_waits_for_supervised_workers(start_server, hand_worker, workflows):
    """503 until as many supervised workers as were started have said hello."""
    live = start_server(supervised_workers=1)
    with httpx.Client(base_url=live.url) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503
        hand_worker(url=live.url)
        assert client.get("/readyz").status_code == 503
        hand_worker(url=live.url, supervised=True)
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["workers"]) == (200, 1)


def test_workflows_show_schema_graph_and_versions(client, workflows):
    """Versions newest first; the same again is no conflict, another content is."""
    second = {**workflows["count"], "name": "counted", "version": 2, "description": "counts"}
    for definition in ({**second, "version": 1}, second, second):
        assert client.post("/workflows", json=definition).status_code == 201
    shown = client.get("/workflows/counted").json()
    assert (shown["version"], shown["versions"], shown["description"]) == (2, [2, 1], "counts")
    assert shown["graph"]["nodes"][0]["task"] == "count"
    assert client.get("/workflows/counted", params={"version": 1}).json()["version"] == 1
    assert client.get("/workflows/counted", params={"version": 9}).status_code == 404
    assert "counted" in [each["name"] for each in client.get("/workflows").json()["items"]]
    changed = {**second, "nodes": [{**second["nodes"][0], "task": "other"}]}
    conflict = client.post("/workflows", json=changed)
    assert (conflict.status_code, conflict.json()["code"]) == (409, "definition_conflict")
    unknown = client.get("/workflows/countd").json()
    assert "counted" in unknown["hint"] or "count" in unknown["hint"]
    assert client.get("/workflows/schema").json()["type"] == "object"
    broken = {**second, "name": "broken", "output": {"$ref": "cuont"}}
    refused = client.post("/workflows", json=broken).json()
    assert refused["code"] == "unknown_reference"
    assert "count" in refused["hint"]


def test_queues_are_paused_and_limited(client, hand_worker, submit, fresh):
    """A paused queue gives nothing out and says so; null takes a limit away (R26)."""
    changed = client.patch("/queues/default", json={"paused": True, "concurrency": 2})
    assert (changed.status_code, changed.json()["paused"], changed.json()["concurrency"]) == (200, True, 2)
    worker = hand_worker({fresh: None})
    job_id = submit(workflow=fresh)["job_id"]
    assert worker.poll(wait_s=0.2).get("tasks", []) == []
    reasons = [each["reason"] for each in client.get(f"/jobs/{job_id}").json()["waiting_for"]]
    assert "pause" in reasons
    changed = client.patch("/queues/default", json={"paused": False, "concurrency": None}).json()
    assert (changed["paused"], changed["concurrency"]) == (False, None)
    assert [task["job_id"] for task in worker.poll(wait_s=5)["tasks"]] == [job_id]
    [shown] = [queue for queue in client.get("/queues").json()["items"] if queue["name"] == "default"]
    assert shown["running"] >= 1
    for bad in ({"paused": "yes"}, {"concurrency": -1}, {"pasued": True}, {"rate_limit": {"limit": 0, "period_s": 1}}):
        assert client.patch("/queues/default", json=bad).status_code == 422
    assert client.patch("/queues/..%2fx", json={}).status_code in (404, 422)


def test_workers_are_listed(client, hand_worker):
    """With what they offer and hold."""
    worker = hand_worker()
    [shown] = [each for each in client.get("/workers").json()["items"] if each["session_id"] == worker.session]
    assert shown["alive"]
    assert shown["handlers"] == ["count@1", "look@1"]


def test_old_and_new_protocols_are_refused_clearly(client):
    """Server N serves N and N-1."""
    for protocol in (0, 2, -1):
        body = {"protocol": protocol, "session_id": "x" * 20, "worker": "w"}
        answer = client.post("/worker/hello", json=body)
        assert (answer.status_code, answer.json()["code"]) == (409, "protocol_unsupported")
    poll = {"session_id": "nobody knows me", "seq": 1}
    assert client.post("/worker/poll", json=poll).json()["code"] == "unknown_session"


@pytest.mark.parametrize("number", ["1.0", "1"])
def test_whole_numbers_may_be_written_as_fractions(client, number):
    """To JSON 1.0 is 1, and some languages write so; 1.5 stays refused."""
    raw = f'{{"workflow": "count", "params": {{"text": "x"}}, "priority": {number}}}'
    assert client.post("/jobs", content=raw, headers={"content-type": "application/json"}).status_code == 201
    assert client.post("/jobs", json={"workflow": "count", "priority": 1.5}).status_code == 422


def test_answers_decode_into_the_client_types(client, submit):
    """What the server says is what the protocol's types read."""
    job_id = submit()["job_id"]
    job = msgspec.json.decode(client.get(f"/jobs/{job_id}").content, type=JobInfo)
    assert job.params == {"text": "a b c"}
    [listed] = msgspec.convert(client.get("/jobs", params={"q": job_id}).json()["items"], list[JobInfo])
    assert listed.params is msgspec.UNSET


def test_all_of_the_page_is_less_than_150_kb_as_sent(client):
    """Every file that any view may fetch, as a browser gets it."""
    folder = re.search(r'src="(static/[^"/]+)/', client.get("/").text)[1]
    sizes = {}
    for path in resources.files("orpheus.dashboard").iterdir():
        if path.name.endswith((".js", ".css", ".svg", ".html")):
            with client.stream("GET", f"/{folder}/{path.name}", headers={"accept-encoding": "gzip"}) as answer:
                sizes[path.name] = sum(len(chunk) for chunk in answer.iter_raw()) if answer.status_code == 200 else 0
    assert sizes["app.js"] > 0 and sum(1 for size in sizes.values() if size) > 40
    assert sum(sizes.values()) < 150_000

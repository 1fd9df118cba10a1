"""API keys: roles, tenants, sessions, tickets, revocation. Everything through a real server."""

from __future__ import annotations

import json
import threading
import time

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from orpheus.api.app import endpoints
from orpheus.core.access import LADDER, may


@pytest.fixture
def shut(start_server, workflows):
    """A server with an administrator's key; gives `(live, make, http)`."""
    live = start_server()
    with httpx.Client(base_url=live.url, timeout=30) as http:
        for definition in workflows.values():
            assert http.post("/workflows", json=definition).status_code == 201
        admin = http.post("/keys", json={"role": "admin", "name": "root"}).json()

        def make(role="read", **more):
            made = http.post("/keys", json={"role": role, **more}, headers=bearer(admin["key"]))
            assert made.status_code == 201, made.text
            return made.json()

        yield live, make, http, admin


def bearer(key):
    return {"authorization": f"Bearer {key}"}


def test_the_first_key_shuts_the_server(start_server):
    """Before it everybody is the administrator; after it only what tells nothing is open."""
    live = start_server()
    with httpx.Client(base_url=live.url) as http:
        assert http.get("/jobs").status_code == 200
        assert http.get("/session").json()["keys_on"] is False
        made = http.post("/keys", json={"role": "admin", "name": "root"})
        assert made.status_code == 201
        key = made.json()
        assert key["key"].startswith(key["prefix"] + "_")
        refused = http.get("/jobs")
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
        assert refused.headers["www-authenticate"] == "Bearer"
        for path in ("/healthz", "/readyz", "/", "/static/app.js", "/docs", "/openapi.json", "/favicon.ico"):
            assert http.get(path).status_code == 200, path
        assert http.get("/jobs", headers=bearer(key["key"])).status_code == 200
        shown = http.get("/keys", headers=bearer(key["key"]))
        assert key["key"] not in shown.text
        # Revoking the last key does not open the server again.
        assert http.delete(f"/keys/{key['key_id']}", headers=bearer(key["key"])).status_code == 200
        assert http.get("/jobs").status_code == 401


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer nonsense", "Bearer orph_aaaaaaaaaa_b", "Basic dTpw", "bearer *", "Bearer " + "x" * 5000],
)
def test_what_is_no_key_is_nobody(shut, header):
    _, _, http, _ = shut
    assert http.get("/jobs", headers={"authorization": header}).status_code == 401


def test_a_key_with_another_secret_is_nobody(shut):
    _, make, http, _ = shut
    key = make()["key"]
    assert http.get("/jobs", headers=bearer(key)).status_code == 200
    assert http.get("/jobs", headers=bearer(key[:-1] + ("A" if key[-1] != "A" else "B"))).status_code == 401


def test_keys_survive_a_restart_and_are_kept_as_hashes(start_server, tmp_path):
    """Nothing in the data directory holds the key; the next server knows it."""
    live = start_server(tmp_path / "kept")
    key = httpx.post(f"{live.url}/keys", json={"role": "admin"}).json()["key"]
    live.stop()
    again = start_server(tmp_path / "kept")
    assert httpx.get(f"{again.url}/jobs").status_code == 401
    assert httpx.get(f"{again.url}/jobs", headers=bearer(key)).status_code == 200
    for file in (tmp_path / "kept").rglob("*"):
        assert not file.is_file() or key.encode() not in file.read_bytes(), file


# Every endpoint × role × tenant, from the declarations
# ---------------------------------------------------------------------------------------------------------------------


def _request(http, endpoint, key, ids):
    path = endpoint.path.replace(":path", "")
    for name in ("job_id", "file_id", "key_id", "run_id"):
        path = path.replace(f"{{{name}}}", ids.get(name, "0192f7a4-5c3b-7d21-9c1e-5a0f4be2d7c3"))
    path = path.replace("{", "").replace("}", "")
    content = {"json": {}} if endpoint.body is not None else {}
    return http.request(endpoint.method, path, headers=bearer(key) if key else {}, **content)


def _live_forever(endpoint):
    return endpoint.path == "/stream"


def test_every_endpoint_asks_for_its_role(shut):
    """Nobody gets 401, a role below 403, the role itself passes; a worker's key stands alone."""
    _, make, http, _ = shut
    keys = {role: make(role)["key"] for role in (*LADDER, "worker")}
    for endpoint in endpoints():
        if _live_forever(endpoint) or endpoint.role in ("open", "token") or endpoint.path == "/session":
            continue
        where = (endpoint.method, endpoint.path)
        assert _request(http, endpoint, None, {}).status_code == 401, where
        for role, key in keys.items():
            answer = _request(http, endpoint, key, {})
            if endpoint.role == "any" or may(role, endpoint.role):
                refusals = (401,) if endpoint.path.startswith("/worker/") else (401, 403)
                # A worker's files need the run's token beside the key.
                if "X-Run-Token" in endpoint.request_headers:
                    assert "run" in answer.json()["message"], where
                else:
                    assert answer.status_code not in refusals, (where, role, answer.text)
            else:
                assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), (where, role)


def test_open_endpoints_are_few():
    """Whoever opens another one has to say so here."""
    assert {(e.method, e.path) for e in endpoints() if e.role == "open"} == {
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/"),
        ("GET", "/static/{name}"),
        ("GET", "/static/{version}/{name}"),
        ("GET", "/docs"),
        ("GET", "/docs/assets/{name}"),
        ("GET", "/favicon.ico"),
    }
    tokens = {(e.method, e.path) for e in endpoints() if e.role == "token"}
    assert tokens <= {
        ("POST", "/session"),
        ("DELETE", "/session"),
        ("GET", "/metrics"),
        ("POST", "/callbacks/{token}"),
    }, "what carries its own proof"


def test_another_tenants_things_do_not_exist(shut):
    """At each endpoint that names a job, file or key: the answer to another tenant's is the answer to one that never was."""
    _, make, http, _ = shut
    ours, theirs = make("admin", tenant="ours")["key"], make("admin", tenant="theirs")["key"]
    job = http.post("/jobs", json={"workflow": "count", "params": {"text": "x"}}, headers=bearer(ours)).json()
    assert job["tenant"] == "ours"
    held = http.post(
        "/jobs", json={"workflow": "count", "params": {"text": "x"}, "requires_approval": True}, headers=bearer(ours)
    ).json()
    file = http.post("/files", params={"name": "a.txt"}, content=b"a", headers=bearer(ours)).json()
    key = make("read", tenant="ours")
    never = "0192f7a4-5c3b-7d21-9c1e-5a0f4be2d7c3"
    walked = 0
    for endpoint in endpoints():
        for name, real in (
            ("job_id", job["job_id"]),
            ("job_id", held["job_id"]),
            ("file_id", file["file_id"]),
            ("key_id", key["key_id"]),
        ):
            if f"{{{name}}}" not in endpoint.path:
                continue
            walked += 1
            answer = _request(http, endpoint, theirs, {name: real})
            unknown = _request(http, endpoint, theirs, {name: never})
            where = (endpoint.method, endpoint.path, answer.text)
            assert answer.status_code == unknown.status_code, where
            assert answer.status_code in (404, 422), where
            assert answer.json()["message"].replace(real, never) == unknown.json()["message"], where
    assert walked >= 20
    for path, body in (
        ("approve", {}),
        ("reject", {"reason": "no"}),
        ("cancel", {}),
        ("pause", None),
        ("resume", None),
        ("retry", {}),
    ):
        answer = http.post(f"/jobs/{held['job_id']}/{path}", json=body, headers=bearer(theirs))
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_job"), path
    assert http.get(f"/jobs/{held['job_id']}", headers=bearer(ours)).json()["state"] == "pending"


def test_lists_and_params_hold_the_tenants_own_things(shut):
    _, make, http, admin = shut
    ours, theirs = make("operate", tenant="ours")["key"], make("operate", tenant="theirs")["key"]
    count = {"workflow": "count", "params": {"text": "x"}}
    mine = http.post("/jobs", json=count, headers=bearer(ours)).json()
    batch = http.post("/jobs/batch", json={"jobs": [count, {**count, "tenant": "ours"}]}, headers=bearer(ours))
    assert batch.status_code == 201
    assert len(http.get("/jobs", headers=bearer(ours)).json()["items"]) == 3
    assert http.get("/jobs", headers=bearer(theirs)).json()["items"] == []
    assert http.get("/jobs", params={"tenant": "ours"}, headers=bearer(theirs)).json()["items"] == []
    assert len(http.get("/jobs", params={"tenant": "ours"}, headers=bearer(admin["key"])).json()["items"]) == 3
    assert http.get("/stats", headers=bearer(theirs)).json()["jobs"] == {}
    assert http.get("/stats", headers=bearer(ours)).json()["jobs"] == {"queued": 3}
    # A key submits and uploads for its tenant only.
    for path, more in (
        ("/jobs", {"json": {**count, "tenant": "ours"}}),
        ("/files", {"params": {"tenant": "ours"}, "content": b"x"}),
    ):
        refused = http.post(path, headers=bearer(theirs), **more)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), path
    form = http.post("/jobs", data={"tenant": "ours"}, files={"file": ("a", b"a")}, headers=bearer(theirs))
    assert form.status_code == 403
    # Neither as a dependency nor as a param can another tenant's thing be named.
    assert http.post("/jobs", json={**count, "depends_on": [mine["job_id"]]}, headers=bearer(theirs)).status_code == 404
    file = http.post("/files", params={"name": "a"}, content=b"x", headers=bearer(ours)).json()["file_id"]
    for source in ({"file_id": file}, {"artifact": {"job": mine["job_id"], "name": "x"}}):
        refused = http.post("/jobs", json={"workflow": "media", "params": {"source": source}}, headers=bearer(theirs))
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_params")
    # The same idempotency key is another one for another tenant (R21).
    keyed = {**count, "idempotency_key": "once"}
    assert http.post("/jobs", json=keyed, headers=bearer(ours)).status_code == 201
    assert http.post("/jobs", json=keyed, headers=bearer(theirs)).status_code == 201
    # What all tenants share needs a key of all tenants.
    assert http.patch("/queues/default", json={"paused": True}, headers=bearer(theirs)).status_code == 403
    assert http.get("/metrics", headers=bearer(theirs)).status_code == 403
    assert http.get("/metrics").status_code == 401
    assert http.get("/metrics", headers=bearer(make("read")["key"])).status_code == 200


def test_a_key_caps_the_priority_of_its_jobs(shut):
    """R25."""
    _, make, http, _ = shut
    key = make("submit", priority_cap=4)["key"]
    count = {"workflow": "count", "params": {"text": "x"}}
    for asked, got in ((1, 4), (None, 4), (5, 5)):
        job = http.post("/jobs", json={**count, "priority": asked}, headers=bearer(key)).json()
        assert job["priority"] == got


def test_an_order_to_many_jobs_means_the_tenants_own(shut):
    """Naming another tenant is refused, rather than taken for one's own."""
    _, make, http, admin = shut
    ours, theirs = make("operate", tenant="ours")["key"], make("operate", tenant="theirs", priority_cap=3)["key"]
    count = {"workflow": "count", "params": {"text": "x"}, "delay_s": 3600}
    mine = http.post("/jobs", json=count, headers=bearer(ours)).json()["job_id"]
    other = http.post("/jobs", json=count, headers=bearer(theirs)).json()["job_id"]
    order = {"action": "cancel", "filter": {"workflow": "count"}}
    named = {**order, "filter": {"workflow": "count", "tenant": "ours"}}
    assert http.post("/jobs/bulk", json=named, headers=bearer(theirs)).status_code == 403
    changed = http.patch(f"/jobs/{other}", json={"priority": 1}, headers=bearer(theirs))
    assert changed.json()["priority"] == 3, "the cap holds for changes too"
    assert http.post("/jobs/bulk", json=order, headers=bearer(theirs)).json()["matched"] == 1
    assert http.get(f"/jobs/{mine}", headers=bearer(ours)).json()["state"] == "pending"
    trail = http.get("/audit", params={"type": "job.cancel_requested"}, headers=bearer(theirs)).json()["items"]
    assert [entry["job_id"] for entry in trail] == [other]
    assert http.get("/audit", params={"tenant": "ours"}, headers=bearer(theirs)).json()["items"] == []
    kinds = {entry["type"] for entry in http.get("/audit", headers=bearer(admin["key"])).json()["items"]}
    assert {"key.created", "job.created", "workflow.published"} <= kinds


def test_the_trail_is_read_page_by_page(shut):
    """Every entry once, newest first, whatever the size of the pages; by actor, type and time."""
    _, make, http, admin = shut
    key = make("operate", name="anna")["key"]
    for _ in range(3):
        http.post("/jobs", json={"workflow": "count", "params": {"text": "x"}}, headers=bearer(key))
        http.patch("/queues/default", json={"concurrency": 5}, headers=bearer(key))
    whole = http.get("/audit", params={"limit": 1000}, headers=bearer(admin["key"])).json()
    assert whole["next_cursor"] is None
    paged, cursor = [], None
    while True:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = http.get("/audit", params=query, headers=bearer(admin["key"])).json()
        paged += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(map(json.dumps, paged)) == sorted(map(json.dumps, whole["items"]))
    assert [entry["at"] for entry in whole["items"]] == sorted((e["at"] for e in whole["items"]), reverse=True)
    hers = http.get("/audit", params={"actor": "anna"}, headers=bearer(admin["key"])).json()["items"]
    assert [entry["type"] for entry in hers] == ["queue.updated", "job.created"] * 3
    assert hers[0]["data"] == {"concurrency": 5}
    assert (
        http.get("/audit", params={"before": hers[-1]["at"], "actor": "anna"}, headers=bearer(key)).json()["items"]
        == []
    )
    assert http.get("/audit", headers=bearer(make("submit")["key"])).status_code == 403
    assert http.get("/audit", params={"cursor": "x"}, headers=bearer(key)).status_code == 422


def test_a_tenants_administrator_makes_keys_for_that_tenant_only(shut):
    _, make, http, _ = shut
    theirs = make("admin", tenant="theirs")["key"]
    assert http.post("/keys", json={"role": "read"}, headers=bearer(theirs)).json()["tenant"] == "theirs"
    for body in ({"role": "read", "tenant": "ours"}, {"role": "worker"}):
        assert http.post("/keys", json=body, headers=bearer(theirs)).status_code == 403
    assert {key["tenant"] for key in http.get("/keys", headers=bearer(theirs)).json()["items"]} == {"theirs"}


@pytest.mark.parametrize(
    "body",
    [
        {"role": "root"},
        {},
        {"role": "worker", "tenant": "a"},
        {"role": "read", "tenant": "../x"},
        {"role": "read", "name": "engine"},
        {"role": "read", "name": "<b>"},
        {"role": "read", "expires_at": "2001-01-01T00:00:00Z"},
        {"role": "submit", "priority_cap": 9},
        {"role": "read", "priority_cap": 2},
    ],
    ids=json.dumps,
)
def test_keys_that_cannot_be_are_refused(shut, body):
    _, _, http, admin = shut
    refused = http.post("/keys", json=body, headers=bearer(admin["key"]))
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")


# Browsers
# ---------------------------------------------------------------------------------------------------------------------


def test_a_session_stands_for_its_key(shut):
    """HttpOnly, SameSite=Strict; changes need an Origin of ours; signing out forgets it."""
    live, make, _, _ = shut
    key = make("submit", name="anna")
    own = {"origin": live.url}
    with httpx.Client(base_url=live.url) as browser:
        wrong = browser.post("/session", json={"key": key["key"] + "x"}, headers=own)
        assert (wrong.status_code, wrong.json()["code"]) == (401, "unauthorized")
        opened = browser.post("/session", json={"key": key["key"]}, headers=own)
        assert opened.status_code == 200
        cookie = opened.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert key["key"] not in cookie
        assert browser.get("/session").json()["name"] == "anna"
        count = {"workflow": "count", "params": {"text": "x"}}
        assert browser.post("/jobs", json=count, headers=own).status_code == 201
        assert browser.post("/jobs", json=count).status_code == 403, "no Origin"
        assert browser.post("/jobs", json=count, headers={"origin": "https://evil.example"}).status_code == 403
        job = browser.get("/jobs").json()["items"][0]
        event = browser.get(f"/jobs/{job['job_id']}/events").json()["items"][0]
        assert event["actor"] == "anna"
        assert browser.delete("/session", headers=own).status_code == 204
        assert browser.get("/jobs").status_code == 401


def test_a_sealed_text_cannot_be_made_or_moved(shut):
    """A ticket is no session, another key's seal fits nobody else."""
    _, make, http, _ = shut
    key = make("read")
    opened = http.post("/session", json={"key": key["key"]})
    value = opened.cookies["orpheus_session"]
    key_id, until, seal = value.split(".")
    http.cookies.clear()
    other = make("admin")["key_id"]
    for forged in (f"{other}.{until}.{seal}", f"{key_id}.{int(until) + 1}.{seal}", f"{key_id}.{until}.", "x", ""):
        assert http.get("/jobs", headers={"cookie": f"orpheus_session={forged}"}).status_code == 401, forged
    assert http.get("/jobs", headers={"cookie": f"orpheus_session={value}"}).status_code == 200


def _ws(live, **more):
    return connect(live.url.replace("http", "ws") + more.pop("path", "/ws"), open_timeout=10, **more)


def test_sockets_need_a_key_a_cookie_or_a_ticket(shut):
    live, make, http, _ = shut
    key = make("read")
    with pytest.raises(InvalidStatus) as refused:
        _ws(live)
    assert refused.value.response.status_code == 401
    with _ws(live, additional_headers=bearer(key["key"])) as socket:
        socket.send('{"ping": 1}')
        assert json.loads(socket.recv(timeout=10))["type"] == "pong"
    with pytest.raises(InvalidStatus) as refused:
        _ws(live, additional_headers=bearer(make("worker")["key"]))
    assert refused.value.response.status_code == 403
    cookie = http.post("/session", json={"key": key["key"]}).cookies["orpheus_session"]
    http.cookies.clear()
    cookie = {"cookie": f"orpheus_session={cookie}"}
    with _ws(live, additional_headers={**cookie, "origin": live.url}) as socket:
        socket.send('{"ping": 1}')
        assert json.loads(socket.recv(timeout=10))["type"] == "pong"
    for origin in ({}, {"origin": "https://evil.example"}):
        with pytest.raises(InvalidStatus) as refused:
            _ws(live, additional_headers={**cookie, **origin})
        assert refused.value.response.status_code == 403
    ticket = http.post("/ws-ticket", headers=bearer(key["key"])).json()["ticket"]
    with _ws(live, path=f"/ws?ticket={ticket}") as socket:
        socket.send('{"ping": 1}')
        assert json.loads(socket.recv(timeout=10))["type"] == "pong"
    with pytest.raises(InvalidStatus):
        _ws(live, path=f"/ws?ticket={ticket}")
    ticket = http.post("/ws-ticket", headers=bearer(key["key"])).json()["ticket"]
    with httpx.stream("GET", f"{live.url}/stream", params={"ticket": ticket}) as stream:
        assert stream.status_code == 200


def test_streams_tell_the_tenants_own_events_only(shut):
    live, make, http, _ = shut
    ours, theirs = make("submit", tenant="ours")["key"], make("submit", tenant="theirs")["key"]
    count = {"workflow": "count", "params": {"text": "x"}}
    with _ws(live, additional_headers=bearer(theirs)) as socket:
        mine = http.post("/jobs", json={**count, "delay_s": 3600}, headers=bearer(ours)).json()["job_id"]
        socket.send(json.dumps({"subscribe": ["jobs", f"job:{mine}"]}))
        assert json.loads(socket.recv(timeout=10))["type"] == "subscribed"
        http.post(f"/jobs/{mine}/cancel", headers=bearer(make("operate", tenant="ours")["key"]))
        other = http.post("/jobs", json=count, headers=bearer(theirs)).json()["job_id"]
        while True:
            message = json.loads(socket.recv(timeout=10))
            if message["type"] == "tick":
                continue
            assert message["job_id"] == other, message
            break


def test_revoking_ends_what_is_open(shut):
    """A socket, an event stream, a followed log and a long poll of a revoked key end at once; new requests are refused."""
    live, make, http, admin = shut
    key = make("submit")
    job = http.post(
        "/jobs", json={"workflow": "count", "params": {"text": "x"}, "delay_s": 3600}, headers=bearer(key["key"])
    ).json()["job_id"]
    ended = {}

    def read(name, path):
        with httpx.Client(base_url=live.url, timeout=60) as client:
            try:
                with client.stream("GET", path, headers=bearer(key["key"])) as stream:
                    for _ in stream.iter_bytes():
                        begun.release()
                    ended[name] = stream.status_code
            except httpx.RemoteProtocolError:
                ended[name] = "cut"

    begun = threading.Semaphore(0)
    paths = {"stream": "/stream", "poll": f"/jobs/{job}?wait_s=60", "log": f"/jobs/{job}/events?follow=true"}
    threads = [threading.Thread(target=read, args=item) for item in paths.items()]
    with _ws(live, additional_headers=bearer(key["key"])) as socket:
        for thread in threads:
            thread.start()
        for _ in range(2):  # the streams have said their first word; the poll says none
            assert begun.acquire(timeout=20)
        time.sleep(0.2)
        assert http.delete(f"/keys/{key['key_id']}", headers=bearer(admin["key"])).status_code == 200
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=20)
        assert closed.value.rcvd.code == 1008
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert ended["poll"] == 401
    assert ended["stream"] in ("cut", 200)
    refused = http.get("/jobs", headers=bearer(key["key"]))
    assert refused.status_code == 401
    assert "revoked" in refused.json()["message"]


def test_a_submission_that_waits_ends_with_its_key_and_stays_created(shut):
    """The key was good when the job was made, so that is the answer."""
    live, make, http, admin = shut
    key = make("submit")
    answered = {}

    def submit():
        body = {"workflow": "count", "params": {"text": "x"}, "labels": {"key": "ends"}}
        with httpx.Client(base_url=live.url, timeout=60) as client:
            answered["job"] = client.post("/jobs", params={"wait_s": 50}, json=body, headers=bearer(key["key"]))

    thread = threading.Thread(target=submit)
    thread.start()
    while not http.get("/jobs", params={"label": "key:ends"}, headers=bearer(admin["key"])).json()["items"]:
        time.sleep(0.02)
    assert http.delete(f"/keys/{key['key_id']}", headers=bearer(admin["key"])).status_code == 200
    thread.join(20)
    assert answered["job"].status_code == 201
    assert http.post("/jobs", json={"workflow": "count"}, headers=bearer(key["key"])).status_code == 401


def test_a_key_ends_at_its_time(shut):
    live, make, http, _ = shut
    until = time.time() + 1.5
    key = make(
        "read", expires_at=time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(until)) + f".{int(until % 1 * 1000):03d}Z"
    )
    with _ws(live, additional_headers=bearer(key["key"])) as socket, pytest.raises(ConnectionClosed):
        socket.recv(timeout=20)
    refused = http.get("/jobs", headers=bearer(key["key"]))
    assert refused.status_code == 401
    assert "expired" in refused.json()["message"]

"""Nothing a client sends may produce a 500: each fault has its code, its culprit and a hint."""

from __future__ import annotations

import socket
import time

import pytest

ENVELOPE = {"code", "message", "hint", "retryable", "correlation_id"}


def check(answer, status, code=None):
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) >= ENVELOPE, body
    assert body["message"]
    assert answer.headers["x-correlation-id"] == body["correlation_id"]
    if code:
        assert body["code"] == code, body
    return body


def post(client, raw, content_type="application/json", path="/jobs"):
    return client.post(path, content=raw, headers={"content-type": content_type})


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"null", 422),
        (b"[]", 422),
        (b'"x"', 422),
        (b'{"workflow": NaN}', 400),
        (b'{"workflow": "count", "params": {"text": "\\ud800"}}', 400),
        (b'{"workflow": "count", "params": {"text": "\xff"}}', 400),
        (b"\x00", 400),
        (b'{"workflow": "\\u0000"}', 404),
        (b'{"workflow": "count", "params": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 422),
        (b'{"workflow": "count", "params": {"text": ' + b"[" * 500 + b"]" * 500 + b"}}", 422),
        (b'{"workflow": "count", "priority": 99999999999999999999999999}', 422),
        (b'{"workflow": "count", "params": {"text": 99999999999999999999999999}}', 422),
        (b'{"workflow": "count", "delay_s": 1e999}', 422),
        (b'{"workflow": "count", "delay_s": -1}', 422),
        (b'{"workflow": "count", "timeout_s": 0}', 422),
        (b'{"workflow": "count", "run_at": "yesterday"}', 422),
        (b'{"workflow": "count", "run_at": "2026-01-01T00:00:00"}', 422),
        (b'{"workflow": "count", "run_at": "0001-01-01T00:00:00+23:00", "params": {}}', 422),
        (b'{"workflow": "count", "tenant": "../../etc"}', 422),
        (b'{"workflow": "count", "tenant": "a\\n"}', 422),
        (b'{"workflow": "count", "tenant": ""}', 422),
        (b'{"workflow": "count", "labels": {"a b": "c"}}', 422),
        (b'{"workflow": "count", "labels": {"a": "\\u0000"}}', 422),
        (b'{"workflow": "count", "idempotency_key": "\\u001a"}', 422),
        (b'{"workflow": "count", "webhook_url": "file:///etc/passwd"}', 422),
        (b'{"workflow": "count", "webhook_url": "http://192.168.0.7/hook"}', 422),
        (b'{"workflow": "count", "depends_on": ["nope"], "params": {"text": "x"}}', 404),
        (b'{"workflow": "", "params": {}}', 422),
        (b'{"workflow": {}, "params": {}}', 422),
        (b'{"workflow": {"format": 1, "name": "x", "nodes": []}, "params": {}}', 422),
        (b'{"workflow": "nope"}', 404),
    ],
)
def test_bad_bodies_are_refused_by_name(client, raw, status):
    """Invalid JSON, wrong types, huge numbers, surrogates, deep nesting, nonsense values."""
    check(post(client, raw), status)


def test_unknown_fields_get_their_nearest_match(client):
    """JSON Pointer and hint, at the top, inside, and in params."""
    body = check(client.post("/jobs", json={"workflow": "count", "prams": {}}), 422, "invalid_request")
    assert body["details"][0]["path"] == "/prams"
    assert "params" in body["hint"]
    nested = {"workflow": "count", "depends_on": ["x", {"job": "y", "onn": "end"}]}
    body = check(client.post("/jobs", json=nested), 422, "invalid_request")
    assert body["details"][0]["path"] == "/depends_on/1/onn"
    assert "on" in body["hint"]
    body = check(
        client.post("/jobs", json={"workflow": "count", "params": {"text": "x", "txt": 1}}), 422, "invalid_params"
    )
    assert "txt" in str(body["details"])
    body = check(client.get("/jobs", params={"sate": "failed"}), 422, "invalid_request")
    assert "state" in body["hint"]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=-5", "limit=x", "limit=1e99", "limit=99999999999999999999", "limit=1&limit=2", "cursor=%00", "cursor=zzz",
        "cursor=MTIz", "cursor=W10", "state=bogus", "label=x", "label=%3A", "created_after=x", "created_after=2026-01-01",
        "created_before=9999-99-99T00:00:00Z", "q=%00", "x=1",
    ],
)  # fmt: skip
def test_bad_queries_are_refused(client, query):
    """Bad cursors, negative limits, unknown names."""
    check(client.get(f"/jobs?{query}"), 422, "invalid_request")


@pytest.mark.parametrize(
    "query", ["q=%FF%FE", "workflow=%F0%9F%98%80", "tenant=x%2Fy", "q='; DROP TABLE jobs; --", "q=%25_%25"]
)
def test_odd_but_harmless_queries_answer(client, query):
    """Whatever text is searched for, it is only text."""
    assert client.get(f"/jobs?{query}").status_code == 200


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "-inf", "x", "1e999"])
def test_bad_waits_are_refused(client, submit, value):
    """`wait_s` is a number of seconds, 0 or more."""
    check(client.get(f"/jobs/{submit()['job_id']}?wait_s={value}"), 422)


@pytest.mark.parametrize(
    "path",
    ["/nope", "/jobs/nope", "/jobs/nope/tasks", "/jobs/nope/events", "/jobs/nope/logs", "/jobs/nope/artifacts/x", "/jobs/x/y/z",
     "/jobs/nope/manifest", "/jobs/%00", "/jobs/%2e%2e%2f", "/files/nope", "/files/nope/content", "/workflows/nope",
     "/workflows/%F0%28", "/static/..%2F..%2Fpyproject.toml", "/static/nope.js", "/docs/assets/x.py", "/jobs/", "/x//jobs"],
)  # fmt: skip
def test_what_does_not_exist_is_404(client, path):
    """In the envelope, whatever the path."""
    check(client.get(path), 404)


def test_wrong_methods_say_which_are_right(client):
    """405 with Allow."""
    answer = client.put("/jobs", json={})
    check(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, POST"
    check(client.post("/jobs/x"), 405)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "a\tb"])
def test_other_content_types_are_415(client, content_type):
    """What a foreign page could send without asking is not taken."""
    check(post(client, b'{"workflow": "count"}', content_type), 415, "unsupported_content_type")
    check(client.post("/jobs", content=b'{"workflow": "count"}'), 415)


def test_a_body_that_announces_3_gb_is_refused_unread(live):
    """413 comes at once, in the envelope, before any of the body is sent."""
    host, port = live.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(
            b"POST /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: 3000000000\r\n\r\n" + b"x" * 1000
        )
        began = time.monotonic()
        answer = raw.recv(65536)
        assert time.monotonic() - began < 5
    assert b" 413 " in answer.split(b"\r\n")[0]
    assert b'"code":"too_large"' in answer
    assert b"connection: close" in answer.lower()


def test_a_chunked_body_is_counted(client, live):
    """Without an announced length too; the client sees the answer although it was still sending."""

    def endless():
        for _ in range(40):
            yield b"x" * 1_000_000

    answer = client.post("/jobs", content=endless(), headers={"content-type": "application/json"})
    check(answer, 413, "too_large")


def test_foreign_hosts_and_origins_are_refused(client):
    """Against DNS rebinding and foreign pages; also null origins (sandboxed artifacts)."""
    check(client.get("/jobs", headers={"host": "evil.example"}), 403, "forbidden")
    check(client.get("/jobs", headers={"host": ""}), 403)
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        check(client.post("/jobs", json={}, headers={"origin": origin}), 403, "forbidden")
    assert client.get("/jobs", headers={"origin": str(client.base_url).rstrip("/")}).status_code == 200
    assert client.get("/jobs", headers={"host": "localhost:1"}).status_code == 200
    assert client.get("/healthz", headers={"host": "10.1.2.3:8700"}).status_code == 200


def test_correlation_and_trace_are_taken_or_made(client):
    """Taken when well-formed, made when not, returned, and on the job."""
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    answer = client.post(
        "/jobs",
        json={"workflow": "count", "params": {"text": "x"}},
        headers={"x-correlation-id": "order-17", "traceparent": trace},
    )
    assert answer.headers["x-correlation-id"] == "order-17"
    assert answer.headers["traceparent"] == trace
    assert answer.json()["correlation_id"] == "order-17"
    for bad in ("", "a" * 200, "a b", "\xff", "<x>", "#"):
        answer = client.get(
            "/nope", headers={"x-correlation-id": bad.encode("latin-1"), "traceparent": bad.encode("latin-1")}
        )
        made = answer.headers["x-correlation-id"]
        assert made != bad
        assert answer.json()["correlation_id"] == made
        assert answer.headers["traceparent"].startswith("00-")


@pytest.mark.parametrize("what", ["hello", "poll", "report", "heartbeat", "bye"])
@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"{}", b'{"session_id": 5}', b'{"session_id": "x", "seq": 99999999999999999999999, "protocol": 1, "worker": ""}',
     b'{"session_id": "' + b"x" * 100_000 + b'", "seq": 1, "protocol": 1, "worker": "w"}'],
)  # fmt: skip
def test_the_worker_endpoints_take_no_nonsense(client, what, raw):
    """They too answer in the envelope."""
    answer = post(client, raw, path=f"/worker/{what}")
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        check(answer, answer.status_code)


def test_params_cannot_smuggle_what_workers_resolve(client):
    """`$file`, `$spill` and `$secret` from outside could read another tenant's objects or the worker's secrets."""
    graph = {
        "format": 1,
        "name": "echo",
        "version": 1,
        "params": {"type": "object"},
        "nodes": [{"name": "e", "kind": "task", "task": "e", "version": 1, "args": {"x": {"$param": "x"}}}],
    }
    for value in (
        {"$secret": "TOKEN"},
        {"$file": {"key": "dev/other/x"}},
        [{"deep": {"$spill": {"key": ".runs/x/y"}}}],
    ):
        answer = client.post("/jobs", json={"workflow": graph, "params": {"x": value}})
        check(answer, 422, "invalid_params")
    check(client.post("/jobs", json={"workflow": graph, "params": {"$secret": "TOKEN"}}), 422)


def test_raw_rubbish_on_the_wire_does_not_hurt(live, client):
    """Bytes that are no HTTP, odd request lines, a body cut short."""
    host, port = live.url.removeprefix("http://").split(":")
    for raw in (
        b"\x00\x01\x02\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /jobs?q=\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{",
        b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    ):
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(4096)
        assert not answer.startswith(b"HTTP/1.1 5"), (raw, answer)
        if answer.startswith(b"HTTP/1.1 4") and b"WebSocket" not in answer:  # a broken handshake never was ours
            assert b'"code":"' in answer, (raw, answer)
    assert client.get("/healthz").status_code == 200


def test_a_value_that_is_none_of_the_choices_is_told_the_choices(client):
    """In the query and in the body alike: every valid value, and the one that was probably meant."""
    error = check(client.get("/jobs", params={"state": "runing"}), 422)
    assert error["hint"] == 'Did you mean "running"?'
    [entry] = error["details"]
    assert (entry["path"], entry["in"]) == ("/state/0", "query")
    assert entry["valid"] == ["cancelled", "completed", "failed", "pending", "queued", "running"]
    assert all(state in error["message"] for state in entry["valid"])

    body = {"workflow": "count", "params": {"text": "a"}, "depends_on": [{"job": "x", "on": "sucess"}]}
    error = check(client.post("/jobs", json=body), 422)
    assert error["hint"] == 'Did you mean "success"?'
    [entry] = error["details"]
    assert (entry["path"], entry["valid"]) == ("/depends_on/0/on", ["end", "success"])


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("GET", "/files/nope", None, "POST /files"),
        ("POST", "/workflows", {"x": 1}, "/workflows/schema"),
        ("POST", "/jobs", {"workflow": "count", "labels": {"a b": "c"}}, "letters, digits"),
        ("POST", "/jobs", {"workflow": "count", "labels": {"a": "c" * 300}}, "255"),
        ("POST", "/jobs", {"workflow": "count", "webhook_url": "x"}, "http or https"),
        ("POST", "/jobs", {"workflow": "count", "tenant": "a/b"}, "Letters, digits"),
        ("POST", "/schedules", {"name": "a b", "cron": "@daily", "job": {"workflow": "count"}}, "Letters, digits"),
        ("POST", "/jobs", {"workflow": "count", "params": {"text": 5}}, ":="),
        ("POST", "/jobs/x/reject", None, "application/json"),
    ],
)
def test_hints_say_what_would_be_right(client, method, path, body, said):
    """Not only where it is wrong: patterns are told in words."""
    answer = client.request(method, path, json=body) if body is not None else client.request(method, path)
    told = check(answer, answer.status_code)
    assert 400 <= answer.status_code < 500
    assert said in told["hint"], told


def test_a_key_that_does_not_fit_has_its_place(client):
    """The name of a label, not only its value."""
    told = check(client.post("/jobs", json={"workflow": "count", "labels": {"a b": "c"}}), 422, "invalid_request")
    assert told["details"][0]["path"] == "/labels"
    assert "$" not in told["message"].partition("regex")[0]


def test_a_body_that_is_missing_is_called_so(client):
    """Not `of no stated type`."""
    assert check(client.post("/jobs"), 400)["message"] == "the body is missing"


@pytest.mark.parametrize("optional", [False, True])
def test_a_path_where_a_file_belongs_is_told_how_to_name_one(client, optional):
    """The first mistake of everybody: `-p source=talk.mp4`."""
    file = {"type": "object", "x-orpheus": "file"}
    wanted = {"anyOf": [{"$ref": "#/$defs/File"}, {"type": "null"}]} if optional else file
    params = {"type": "object", "properties": {"source": wanted}, "$defs": {"File": file}}
    graph = {"format": 1, "name": "read", "version": 1, "params": params, "output": None,
             "nodes": [{"name": "a", "kind": "task", "task": "a", "args": {"source": {"$param": "source"}}}]}  # fmt: skip
    told = check(
        client.post("/jobs", json={"workflow": graph, "params": {"source": "talk.mp4"}}), 422, "invalid_params"
    )
    assert "file_id" in told["hint"] and "=@path" in told["hint"]

"""Bad input against the deployment as it is started: each kind has its code, names the culprit, gives a hint, says whether
repeating helps, and changes nothing. Nothing a client sends may produce a 500."""

from __future__ import annotations

import http.client
import json
import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

JSON = {"Content-Type": "application/json"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=XX"}
GIGABYTES_3 = 3_000_000_000


def ask(up: Any, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    sent = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    head = (JSON if sent is not None else {}) if headers is None else headers
    connection = http.client.HTTPConnection("127.0.0.1", up.port, timeout=20)
    try:
        connection.request(method, path, sent, head)
        answer = connection.getresponse()
        raw = answer.read()
        return answer.status, json.loads(raw) if raw else None
    finally:
        connection.close()


def counts(up: Any) -> tuple[int, int, int, int]:
    """Jobs, workflows, rows of files, and stored objects."""
    jobs = ask(up, "GET", "/jobs?limit=1000")[1]["items"]
    data = Path(up.log.name).parent / "data"
    with closing(sqlite3.connect(f"file:{data / 'orpheus.db'}?mode=ro", uri=True)) as database:
        [files] = database.execute("SELECT count(*) FROM files").fetchone()
    return (
        len(jobs),
        len(ask(up, "GET", "/workflows")[1]["items"]),
        files,
        sum(path.is_file() for path in (data / "objects").rglob("*")),
    )


def graph(*nodes: dict[str, Any]) -> dict[str, Any]:
    return {"workflow": {"name": "w", "params": {"type": "object"}, "nodes": list(nodes)}, "params": {}}


def node(name: str, after: str | None = None, text: Any = "x", **more: Any) -> dict[str, Any]:
    return {"name": name, "task": "wordcount", "args": {"text": text}, **({"after": [after]} if after else {}), **more}


def job(**more: Any) -> dict[str, Any]:
    return {"workflow": "sum_range", "params": {"n": 3}, **more}


def n_is(text: str) -> bytes:
    return b'{"workflow": "sum_range", "params": {"n": %s}}' % text.encode()


def part(head: str, data: bytes = b"x") -> bytes:
    return b"--XX\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + data + b"\r\n--XX--\r\n"


REFUSED: list[tuple[str, Any, int, str, str]] = [
    # path, body (None: GET), status, code, what the message names
    ("/jobs", {"workflow": "sum_rnge"}, 404, "unknown_workflow", "sum_rnge"),
    ("/jobs", {"workflow": "sum_range", "parms": {"n": 3}}, 422, "invalid_request", "parms"),
    ("/jobs", job(params={"n": "three"}), 422, "invalid_params", "/n"),
    ("/jobs", job(params={}), 422, "invalid_params", "'n' is missing"),
    ("/jobs", job(params={"n": 1, "m": 2}), 422, "invalid_params", "'m'"),
    ("/jobs", job(params=[1]), 422, "invalid_request", "/params"),
    ("/jobs", job(delay_s=-1), 422, "invalid_request", "/delay_s"),
    ("/jobs", job(delay_s=1, run_at="2026-01-31T09:30:00Z"), 422, "invalid_request", "run_at"),
    ("/jobs", job(run_at="tomorrow"), 422, "invalid_request", "tomorrow"),
    ("/jobs", job(priority=9), 422, "invalid_request", "/priority"),
    ("/jobs", job(depends_on=["nope"]), 404, "unknown_job", "nope"),
    ("/jobs", job(depends_on=[{"job": "nope", "on": "maybe"}]), 422, "invalid_request", "maybe"),
    ("/jobs", job(tenant="../x"), 422, "invalid_request", "/tenant"),
    ("/jobs", graph(node("a", "b"), node("b", "a")), 422, "invalid_graph", "circle"),
    ("/jobs", graph(node("a", "a")), 422, "invalid_graph", "waits for itself"),
    ("/jobs", graph(node("a", text={"$ref": "nope"})), 422, "unknown_reference", "nope"),
    ("/jobs", graph(node("a"), node("a")), 422, "invalid_graph", '"a"'),
    ("/jobs", graph(node("a", retries=3)), 422, "invalid_graph", "retries"),
    ("/jobs", graph(), 422, "invalid_graph", "nodes"),
    ("/jobs", n_is("9" * 400), 422, "invalid_params", "64 bits"),
    ("/jobs", n_is("9" * 5000), 422, "invalid_request", "out of range"),
    ("/jobs", n_is("1e999"), 422, "invalid_request", "out of range"),
    ("/jobs", n_is("NaN"), 400, "invalid_request", "JSON"),
    ("/jobs", n_is("[" * 100_000 + "]" * 100_000), 422, "invalid_request", "nested"),
    ("/jobs", n_is("[" * 500 + "]" * 500), 422, "invalid_params", "nested"),
    ("/jobs", b'{"workflow": "wordcount", "params": {"text": "\xff"}}', 400, "invalid_request", "JSON"),
    ("/jobs", b'{"workflow": "wordcount", "params": {"text": "\\ud800"}}', 400, "invalid_request", "JSON"),
    ("/jobs", {"workflow": "word\0count"}, 404, "unknown_workflow", "word"),
    ("/jobs", b'{"workflow":', 400, "invalid_request", "JSON"),
    ("/jobs", b"", 400, "invalid_request", "empty"),
    ("/jobs", [1], 422, "invalid_request", "a list"),
    ("/jobs", {"workflow": "media", "params": {"source": {"file_id": "../x"}}}, 422, "invalid_params", "../x"),
    ("/jobs", {"workflow": "wordcount", "params": {"text": {"$secret": "X"}}}, 422, "invalid_params", "$secret"),
    ("/jobs/batch", {"jobs": [job(), job(params={"n": "x"})]}, 422, "invalid_params", "job 1"),
    ("/jobs/batch", {"jobs": []}, 422, "invalid_request", "/jobs"),
    ("/workflows", {"name": "x"}, 422, "invalid_graph", "nodes"),
    ("/worker/poll", {"session_id": 1}, 422, "invalid_request", "/session_id"),
    ("/worker/hello", {}, 422, "invalid_request", "protocol"),
    ("/worker/report", b"\x00\xff", 400, "invalid_request", "JSON"),
    ("/jobs/nope", None, 404, "unknown_job", "nope"),
    ("/jobs/%00%ff", None, 404, "unknown_job", "x00"),
    ("/jobs/" + "a" * 30_000, None, 404, "unknown_job", "aaa"),
    ("/jobs?cursor=mine", None, 422, "invalid_request", "cursor"),
    ("/jobs?limit=99999999999999999999", None, 422, "invalid_request", "limit"),
    ("/jobs?sate=running", None, 422, "invalid_request", "sate"),
    ("/jobs?state=runing", None, 422, "invalid_request", "runing"),
    ("/jobs?q=%00", None, 422, "invalid_request", "'q'"),
    ("/jobs?created_after=yesterday", None, 422, "invalid_request", "yesterday"),
    ("/jobs/../../etc/passwd", None, 404, "not_found", "passwd"),
    ("/nothing", None, 404, "not_found", "/nothing"),
]


@pytest.mark.parametrize(("path", "body", "status", "code", "culprit"), REFUSED, ids=lambda value: repr(value)[:40])
def test_refusals(up: Any, path: str, body: Any, status: int, code: str, culprit: str) -> None:
    """The envelope is whole, and no job, workflow or object came of it."""
    before = counts(up)
    answered, error = ask(up, "GET" if body is None else "POST", path, body)
    assert (answered, error["code"]) == (status, code), error
    assert culprit in error["message"], error
    assert error["hint"] and error["retryable"] is False and error["correlation_id"], error
    assert counts(up) == before


@pytest.mark.parametrize(
    ("body", "code", "culprit"),
    [
        (part('name="file"; filename="../../etc/passwd"'), "invalid_file_name", "../../etc/passwd"),
        (part('name="file"; filename="..\\\\boot.ini"'), "invalid_file_name", "boot.ini"),
        (part('name="zzz"'), "invalid_request", "zzz"),
        (part('name="workflow"', b"media"), "invalid_params", "source"),
        (part('name="params"', b'{"zz": 1}')[:-8] + part('name="file"; filename="a.png"'), "invalid_params", "zz"),
        (part('name="file"; filename="a.png"')[:-10], "invalid_request", "ends"),
        (b"nothing of the kind", "invalid_request", "multipart"),
    ],
)
def test_bad_forms(up: Any, body: bytes, code: str, culprit: str) -> None:
    """Paths in file names, parts nobody knows, bodies that end too soon; what had been stored of them is gone."""
    before = counts(up)
    status, error = ask(up, "POST", "/jobs", body, MULTIPART)
    assert status in (400, 422) and error["code"] == code and culprit in error["message"], error
    assert error["hint"] and error["retryable"] is False
    assert counts(up) == before


def test_a_file_that_is_not_what_it_says_fails_its_job(up: Any) -> None:
    """HTML in a .png: taken as a file, refused by the first task, for good; the message names the file."""
    status, made = ask(up, "POST", "/jobs", part('name="file"; filename="cat.png"', b"<html><script>"), MULTIPART)
    assert status == 201
    done = ask(up, "GET", f"/jobs/{made['job_id']}?wait_s=20")[1]
    error = done["error"]
    assert (done["state"], error["code"], error["task"]) == ("failed", "unsupported_media", "validate_file"), done
    assert "cat.png" in error["message"] and error["hint"] and error["retryable"] is False


def test_orders_that_a_job_does_not_allow(up: Any) -> None:
    """A completed job takes none of them; unknown tasks are named; its events stay as they were."""
    job_id = ask(up, "POST", "/jobs", job())[1]["job_id"]
    assert ask(up, "GET", f"/jobs/{job_id}?wait_s=20")[1]["state"] == "completed"
    events = ask(up, "GET", f"/jobs/{job_id}/events")
    for order in ("approve", "pause", "resume", "cancel", "retry"):
        status, error = ask(up, "POST", f"/jobs/{job_id}/{order}", {})
        assert (status, error["code"]) == (409, "invalid_transition"), error
        assert job_id in error["message"] and error["hint"] and error["retryable"] is False
    status, error = ask(up, "POST", f"/jobs/{job_id}/retry", {"from_task": "nope"})
    assert (status, error["code"]) == (404, "unknown_task") and "nope" in error["message"]
    for name in ("../../../orpheus.db", "%2e%2e%2f%2e%2e%2forpheus.db", "a%00b"):
        status, error = ask(up, "GET", f"/jobs/{job_id}/artifacts/{name}")
        assert (status, error["code"]) == (404, "unknown_artifact") and error["hint"]
    assert ask(up, "GET", f"/jobs/{job_id}/events") == events


def test_a_stale_run_is_told_so(up: Any) -> None:
    """Reports of a run that nobody knows change nothing, item by item (R6, R8)."""
    said = {"session_id": "a-session-nobody-knows", "items": [{"run_id": "nope", "kind": "completed", "result": 1}]}
    status, answer = ask(up, "POST", "/worker/report", said)
    assert status == 200 and "stale_run" in json.dumps(answer), answer


def test_hosts_methods_and_content_types(up: Any) -> None:
    """A page elsewhere cannot speak to the server by another name, and every wrong way in has its code."""
    for method, path, headers, status, code in (
        ("GET", "/jobs", {"Host": "evil.example"}, 403, "forbidden"),
        ("GET", "/jobs", {"Host": "127.0.0.1.evil.example:80"}, 403, "forbidden"),
        ("POST", "/jobs", {**JSON, "Origin": "http://evil.example"}, 403, "forbidden"),
        ("PATCH", "/jobs", JSON, 405, "method_not_allowed"),
        ("DELETE", "/healthz", {}, 405, "method_not_allowed"),
        ("POST", "/jobs", {"Content-Type": "text/plain"}, 415, "unsupported_content_type"),
        ("POST", "/jobs", {}, 415, "unsupported_content_type"),
        ("NONSENSE", "/jobs", {}, 400, "invalid_request"),
        ("GET", "/jobs?q=" + "a" * 200_000, {}, 400, "invalid_request"),
    ):
        body = b'{"workflow": "sum_range", "params": {"n": 1}}' if method == "POST" else None
        answered, error = ask(up, method, path, body, headers)
        assert (answered, error["code"]) == (status, code), error
        assert error["hint"] and error["retryable"] is False


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, up: Any) -> Iterator[Any]:
    """A deployment that takes files up to 50 MB."""
    before = os.environ.get("ORPHEUS_MAX_UPLOAD_BYTES")
    os.environ["ORPHEUS_MAX_UPLOAD_BYTES"] = "50000000"
    try:
        deployment = type(up)(tmp_path_factory.mktemp("small"), "--workers", "0")
    finally:
        if before is None:
            del os.environ["ORPHEUS_MAX_UPLOAD_BYTES"]
        else:
            os.environ["ORPHEUS_MAX_UPLOAD_BYTES"] = before
    yield deployment
    deployment.stop()


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize(
    ("path", "content_type", "head"),
    [
        ("/jobs", "application/json", b""),
        ("/jobs", "multipart/form-data; boundary=XX", part('name="file"; filename="zeros"', b"")[:-10]),
        ("/files", "application/octet-stream", b""),
    ],
)
def test_three_gigabytes(small: Any, path: str, content_type: str, head: bytes, *, announced: bool) -> None:
    """Refused as soon as that is clear: at once when the length is announced, else at the limit; nothing stays."""
    before = counts(small)
    length = f"Content-Length: {GIGABYTES_3}" if announced else "Transfer-Encoding: chunked"
    lines = (f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{small.port}", f"Content-Type: {content_type}", length)
    piece = bytes(1 << 20)
    frame = (lambda data: data) if announced else (lambda data: b"%x\r\n%b\r\n" % (len(data), data))
    sent = 0
    with socket.create_connection(("127.0.0.1", small.port), timeout=20) as connection:
        connection.sendall("\r\n".join((*lines, "", "")).encode())
        try:
            connection.sendall(frame(head) if head else b"")
            while sent < GIGABYTES_3:
                connection.sendall(frame(piece))
                sent += len(piece)
        except OSError:
            pass  # it hung up, as it may: the answer is there already
        answer = connection.recv(65_536)
    assert sent < 200_000_000
    assert answer.startswith(b"HTTP/1.1 413 "), answer[:200]
    assert b'"code":"too_large"' in answer and b'"retryable":false' in answer
    assert counts(small) == before

"""Uploads, file params, artifacts and how they are served."""

from __future__ import annotations

import hashlib
import json

import pytest

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8


def test_an_upload_is_stored_hashed_and_typed_by_content(client):
    """Multipart and bare bodies; the type is sniffed, the name kept as data."""
    for answer in (
        client.post("/files", files={"file": ("cat.jpg", PNG, "image/jpeg")}),
        client.post("/files?name=cat.jpg", content=PNG, headers={"content-type": "image/jpeg"}),
    ):
        assert answer.status_code == 201, answer.text
        info = answer.json()
        assert info["sha256"] == hashlib.sha256(PNG).hexdigest()
        assert (info["size_bytes"], info["content_type"], info["name"]) == (len(PNG), "image/png", "cat.jpg")
        assert client.get(answer.headers["location"]).json() == info
        content = client.get(f"/files/{info['file_id']}/content")
        assert content.content == PNG
        assert content.headers["content-type"] == "image/png"


@pytest.mark.parametrize(
    "name",
    ["<img src=x onerror=alert(1)>", "x\r\nSet-Cookie: a=b", 'q"uo"te', "\u202egpj.exe",
     "ünïcödé 猫.png", "." * 300, "con", "'; $(id) &"],
)  # fmt: skip
def test_hostile_names_are_only_names(client, live, name):
    """Stored as given (without control characters), never a path, never a header of its own."""
    info = client.post("/files", params={"name": name}, content=b"x").json()
    kept = "".join(c for c in name if c.isprintable() and c != "\u202e")[:255]
    assert info["name"] == kept
    content = client.get(f"/files/{info['file_id']}/content")
    assert content.status_code == 200
    assert "set-cookie" not in content.headers
    assert content.headers["content-disposition"].startswith(("attachment;", "inline;"))
    stored = [path.name for path in (live.data / "objects").rglob("*") if path.is_file()]
    assert not [path for path in stored if "passwd" in path or "onerror" in path]


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a\\..\\b", "..", "a/b"])
def test_paths_are_no_names(client, name):
    """Refused with a code of its own, by every way a name can come; nothing is stored under it."""
    for answer in (
        client.post("/files", params={"name": name}, content=b"x"),
        client.post("/files", files={"file": (name, b"x")}),
        client.post("/jobs", files={"file": (name, b"x")}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_file_name"), answer.text


def test_an_upload_over_the_limit_leaves_nothing(start_server):
    """413 with or without an announced length; no file, no temporary file."""
    import httpx

    live = start_server(max_upload_bytes=1000)
    with httpx.Client(base_url=live.url) as client:
        assert client.post("/files", content=b"x" * 30_000).status_code == 413
        assert client.post("/files", content=iter([b"x" * 600, b"x" * 600])).status_code == 413
        assert client.post("/files", files={"file": ("a", b"x" * 5000)}).status_code == 413
        assert client.post("/files", content=b"x" * 1000).status_code == 201
    files = [path for path in (live.data / "objects").rglob("*") if path.is_file()]
    assert [path.name for path in files] == ["content"]


def test_a_file_becomes_a_job_and_artifacts(client, hand_worker, wait_end, live):
    """Multipart to `media`, artifacts published, manifest exact and final on disk."""
    hand_worker().start()
    answer = client.post("/jobs", files={"file": ("night.png", PNG, "image/png")}, data={"labels": '{"a": "b"}'})
    assert answer.status_code == 201, answer.text
    job = wait_end(answer.json()["job_id"])
    assert job["state"] == "completed"
    assert job["params"]["source"]["$file"]["name"] == "night.png"
    names = {each["name"]: each for each in job["artifacts"]}
    assert set(names) == {"notes/about.txt", "page.html"}
    manifest = client.get(f"/jobs/{job['job_id']}/manifest").json()
    folder = live.data / "objects" / "dev" / "default" / job["job_id"]
    on_disk = json.loads((folder / "manifest.json").read_bytes())
    assert on_disk["state"] == "completed"
    assert on_disk == manifest
    assert manifest["source"]["name"] == "night.png"
    assert manifest["source"]["sha256"] == hashlib.sha256(PNG).hexdigest()
    for each in manifest["artifacts"]:
        data = (live.data / "objects" / each["path"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == each["sha256"]
    text = client.get(names["notes/about.txt"]["path"])
    assert text.text == "name: night.png"
    assert text.headers["x-content-type-options"] == "nosniff"
    page = client.get(names["page.html"]["path"])
    assert page.headers["content-type"] == "application/octet-stream"
    assert page.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in page.headers["content-security-policy"]
    # An artifact as the param of another job.
    params = {"source": {"artifact": {"job": job["job_id"], "name": "notes/about.txt"}}}
    second = wait_end(client.post("/jobs", json={"workflow": "media", "params": params}).json()["job_id"])
    assert second["state"] == "completed"
    assert second["params"]["source"]["$file"]["name"] == "about.txt"


def test_multipart_with_an_idempotency_key_counts_content(client):
    """R21: the same file again is the same job, and the second copy is not kept."""
    form = {"idempotency_key": "file-1"}
    first = client.post("/jobs", data=form, files={"file": ("a.bin", b"one")})
    again = client.post("/jobs", data=form, files={"file": ("a.bin", b"one")})
    other = client.post("/jobs", data=form, files={"file": ("a.bin", b"two")})
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert first.json()["job_id"] == again.json()["job_id"]
    key = first.json()["params"]["source"]["$file"]["key"]
    assert key.startswith("dev/default/.files/")


def test_file_params_are_checked(client):
    """Unknown files and artifacts, urls, other tenants' files, nonsense: refused with the place."""
    info = client.post("/files", content=b"x", params={"tenant": "other"}).json()
    for source, word in (
        ({"file_id": "nope"}, "no file"),
        ({"file_id": info["file_id"]}, "no file"),
        ({"url": "ftp://example.com/x"}, "only http"),
        ({"artifact": {"job": "nope", "name": "x"}}, "no job"),
        ({"artifact": "x"}, "no file"),
        ({"file_id": 5}, "no file"),
        ({}, "no file"),
    ):
        answer = client.post("/jobs", json={"workflow": "media", "params": {"source": source}})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_params"), answer.text
        assert word in answer.json()["message"], answer.text
        assert answer.json()["details"][0]["path"].startswith("/params/source")
    lists = {"source": {"file_id": info["file_id"]}, "extra": [{"file_id": info["file_id"]}]}
    answer = client.post("/jobs", json={"workflow": "media", "params": lists, "tenant": "other"})
    assert answer.status_code == 201
    assert answer.json()["params"]["extra"][0]["$file"]["size_bytes"] == 1


@pytest.mark.parametrize(
    ("asked", "status", "body", "content_range"),
    [
        ("bytes=0-4", 206, b"01234", "bytes 0-4/10"),
        ("bytes=5-", 206, b"56789", "bytes 5-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=2-99", 206, b"23456789", "bytes 2-9/10"),
        ("bytes=9-9", 206, b"9", "bytes 9-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=5-2", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("bytes=", 200, b"0123456789", None),
        ("pages=1-2", 200, b"0123456789", None),
        ("bytes=a-b", 200, b"0123456789", None),
        ("bytes=99999999999999999999-", 200, b"0123456789", None),
    ],
)
def test_ranges(client, asked, status, body, content_range):
    """RFC 9110: one range is served, the impossible is 416, the rest is the whole."""
    info = client.post("/files", content=b"0123456789").json()
    answer = client.get(f"/files/{info['file_id']}/content", headers={"range": asked})
    assert answer.status_code == status
    assert answer.headers.get("content-range") == content_range
    if body is not None:
        assert answer.content == body
        assert answer.headers["content-length"] == str(len(body))


def test_head_and_conditional_requests(client):
    """HEAD has the length and no body; ETags give 304; If-Range guards a range."""
    info = client.post("/files", content=b"0123456789").json()
    path = f"/files/{info['file_id']}/content"
    head = client.head(path)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "10", b"")
    etag = head.headers["etag"]
    assert client.get(path, headers={"if-none-match": etag}).status_code == 304
    assert client.get(path, headers={"range": "bytes=0-1", "if-range": etag}).status_code == 206
    assert client.get(path, headers={"range": "bytes=0-1", "if-range": '"other"'}).status_code == 200
    empty = client.post("/files", content=b"").json()
    assert client.get(f"/files/{empty['file_id']}/content").content == b""


@pytest.mark.parametrize(
    "raw",
    [b"", b"--x--\r\n", b"--x\r\n\r\n", b"--x\r\nContent-Disposition: form-data\r\n\r\nv\r\n--x--\r\n", b"rubbish",
     b"--x\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\ncut off",
     b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--x--\r\n',
     b'--x\r\nContent-Disposition: form-data; name="params"\r\n\r\n{\r\n--x--\r\n',
     b'--x\r\nContent-Disposition: form-data; name="prams"\r\n\r\n{}\r\n--x--\r\n',
     b"--x\r\n" + b"A: " + b"b" * 100_000 + b"\r\n\r\n\r\n--x--\r\n"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/jobs", "/files"])
def test_broken_multipart_is_refused(client, path, raw):
    """Cut off, nameless, not UTF-8, no boundary: an envelope each, and nothing stored."""
    answer = client.post(path, content=raw, headers={"content-type": "multipart/form-data; boundary=x"})
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["code"]
    assert client.post(path, content=raw, headers={"content-type": "multipart/form-data"}).status_code == 400


def test_a_reported_file_that_is_not_there_costs_the_attempt(client, hand_worker, submit, fresh):
    """A worker in any language may get this wrong; the job must not hang on it."""
    worker = hand_worker({fresh: None})
    job_id = submit(workflow=fresh)["job_id"]
    [task] = worker.poll(wait_s=5)["tasks"]
    ghost = {"name": "ghost.txt", "sha256": "0" * 64, "size_bytes": 3}
    [told] = worker.report({"run_id": task["run_id"], "kind": "completed", "artifacts": [ghost]})
    assert told["ok"]
    [shown] = client.get(f"/jobs/{job_id}/tasks").json()["items"]
    assert shown["state"] == "retrying"
    assert "ghost.txt" in shown["error"]["message"]


def test_run_files_need_the_token(client, hand_worker, submit, fresh):
    """Uploads and downloads of remote workers: only with the token of the current run, only inside its folder."""
    worker = hand_worker({fresh: None})
    submit(workflow=fresh)
    [task] = worker.poll(wait_s=5)["tasks"]
    path = f"/worker/runs/{task['run_id']}/files/a/b.txt"
    token = {"X-Run-Token": task["run_token"], "X-Run-Id": task["run_id"]}
    assert client.put(path, content=b"x").status_code == 401
    assert client.put(path, content=b"x", headers={"X-Run-Token": "wrong"}).status_code == 401
    stored = client.put(path, content=b"xyz", headers=token)
    assert stored.json()["key"] == f".runs/{task['run_id']}/a/b.txt"
    assert client.get(f"/worker/objects/{stored.json()['key']}", headers=token).content == b"xyz"
    assert client.get(f"/worker/objects/{stored.json()['key']}").status_code == 401
    for bad in ("..%2f..%2fevil", "a/%2e%2e/b", "a//b", "%00", "a%5cb"):
        answer = client.put(f"/worker/runs/{task['run_id']}/files/{bad}", content=b"x", headers=token)
        assert answer.status_code in (404, 422), (bad, answer.text)
    for bad in ("dev/other/x", "..%2forpheus.db", ".probe", "%2fetc%2fpasswd"):
        answer = client.get(f"/worker/objects/{bad}", headers=token)
        assert answer.status_code in (404, 422), (bad, answer.text)
    worker.report({"run_id": task["run_id"], "kind": "completed", "result": 1})
    assert client.put(path, content=b"late", headers=token).status_code == 401


def test_large_results_are_pointed_to(client, hand_worker, submit, fresh, wait_end, live):
    """Inline over 64 KiB, and spilled to the object store: `$large` in the job, whole at /result."""
    text = "x" * 70_000
    worker = hand_worker({fresh: lambda _w, _t, text: ({"text": text}, [])}).start()
    job_id = submit(workflow=fresh, params={"text": text})["job_id"]
    job = wait_end(job_id)
    assert job["result"]["$large"]["href"] == f"/jobs/{job_id}/result"
    assert client.get(f"/jobs/{job_id}/result").json() == {"text": text}

    def spill(worker, task, text):
        data = json.dumps({"a": [1, 2, {"b": text}]}).encode()
        key = f".runs/{task['run_id']}/result.json"
        (live.data / "objects" / ".runs" / task["run_id"]).mkdir(parents=True)
        (live.data / "objects" / key).write_bytes(data)
        return {"$spill": {"key": key, "size_bytes": len(data), "path": [], "inline": [], "lengths": []}}, []

    worker.handlers[fresh] = spill
    job_id = submit(workflow=fresh)["job_id"]
    job = wait_end(job_id)
    assert "$large" in job["result"], job
    assert client.get(f"/jobs/{job_id}/result").json() == {"a": [1, 2, {"b": "a b c"}]}


def test_files_as_they_were_shown_may_be_sent_back(client):
    """With an approval and a retry: beside a new file in the same param; one that never stood there is refused."""
    files = [client.post("/files", params={"name": f"{n}.png"}, content=PNG + bytes([n])).json() for n in range(3)]
    scene = {"type": "object", "properties": {"image": {"type": "object", "x-orpheus": "file"}}}
    graph = {
        "format": 1,
        "name": "shown",
        "params": {"type": "object", "properties": {"scenes": {"type": "array", "items": scene}}},
        "nodes": [{"name": "a", "task": "nobody", "args": {"scenes": {"$param": "scenes"}}}],
    }
    named = [{"image": {"file_id": one["file_id"]}} for one in files]
    job = client.post(
        "/jobs", json={"workflow": graph, "params": {"scenes": named[:2]}, "requires_approval": True}
    ).json()
    shown = job["params"]["scenes"]
    assert shown[0]["image"]["$file"]["name"] == "0.png"
    forged = [{"image": {"$file": {**shown[0]["image"]["$file"], "key": "dev/other/.files/x/content"}}}]
    for verb in ("approve", "retry"):
        refused = client.post(f"/jobs/{job['job_id']}/{verb}", json={"params": {"scenes": forged}})
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_params"), refused.text
    answer = client.post(f"/jobs/{job['job_id']}/approve", json={"params": {"scenes": [shown[1], named[2], shown[0]]}})
    assert answer.status_code == 200, answer.text
    assert [one["image"]["$file"]["name"] for one in answer.json()["params"]["scenes"]] == ["1.png", "2.png", "0.png"]

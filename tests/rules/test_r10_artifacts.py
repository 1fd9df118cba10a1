"""R10, R10a and design section 6: files of attempts, their acceptance, publishing, the manifest, serving."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import httpx

FILE = {"type": "object", "x-orpheus": "file"}
MANIFEST_FIELDS = {
    "job_id",
    "tenant",
    "env",
    "workflow",
    "version",
    "state",
    "correlation_id",
    "created_at",
    "started_at",
    "finished_at",
    "source",
    "artifacts",
}
ARTIFACT_FIELDS = {"name", "path", "task", "run_id", "sha256", "size_bytes", "content_type", "metadata"}


def objects(server: Any) -> Path:
    return Path(server.folder / "data" / "objects")


def test_files_of_an_accepted_attempt_are_published_under_stable_names(server, worker, kit):
    """R10, section 6: `{env}/{tenant}/{job_id}/{name}`; manifest, list and bytes agree; `artifact.published` precedes the
    end."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name)), tenant="acme", labels={"a": "b"})
    run = hand.take_one()
    content = b"0123456789" * 100
    saved = [hand.upload(run, "audio/x y é.mp3", content), hand.upload(run, "plan/cut_plan.json", b"{}")]
    saved[0]["metadata"] = {"length": 3}
    assert server.get(f"/jobs/{job['job_id']}/artifacts")["items"] == []
    assert hand.complete(run, None, saved)["ok"]
    ended = server.ended(job["job_id"], "completed")
    types = server.types(job["job_id"])
    assert types.count("artifact.published") == 2
    assert types.index("artifact.published") < types.index("job.completed") == len(types) - 1

    folder = objects(server) / "dev" / "acme" / job["job_id"]
    manifest = server.get(f"/jobs/{job['job_id']}/manifest")
    assert json.loads((folder / "manifest.json").read_text()) == manifest
    assert set(manifest) >= MANIFEST_FIELDS
    assert (manifest["state"], manifest["env"], manifest["tenant"], manifest["version"]) == (
        "completed",
        "dev",
        "acme",
        1,
    )
    assert manifest["finished_at"] == ended["finished_at"] and manifest["started_at"] == ended["started_at"]
    listed = server.get(f"/jobs/{job['job_id']}/artifacts")["items"]
    assert ended["artifacts"] == listed
    for pointer, entry, told in zip(
        listed, manifest["artifacts"], sorted(saved, key=lambda one: one["name"]), strict=True
    ):
        assert set(entry) >= ARTIFACT_FIELDS
        for field in ("name", "sha256", "size_bytes", "content_type"):
            assert pointer[field] == entry[field] == told[field]
        assert (entry["task"], entry["run_id"], entry["metadata"]) == ("a", run["run_id"], told.get("metadata", {}))
        assert hashlib.sha256((objects(server) / entry["path"]).read_bytes()).hexdigest() == entry["sha256"]
        assert entry["path"] == f"dev/acme/{job['job_id']}/{entry['name']}"
        whole = server.http.get(pointer["path"])
        assert hashlib.sha256(whole.content).hexdigest() == entry["sha256"]
        assert whole.headers["x-content-type-options"] == "nosniff"


def test_ranges_and_etags_of_artifacts(server, worker, kit):
    """Design section 5: ranges, so video seeks: first, middle, last bytes, open end; 416 beyond; 304 by ETag."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name)))
    run = hand.take_one()
    content = bytes(range(256)) * 8
    hand.complete(run, None, [hand.upload(run, "clip.mp4", content)])
    server.ended(job["job_id"], "completed")
    path = f"/jobs/{job['job_id']}/artifacts/clip.mp4"
    whole = server.http.get(path)
    assert (whole.status_code, whole.content, whole.headers["accept-ranges"]) == (200, content, "bytes")
    for asked, first, last in (
        ("0-0", 0, 0),
        ("100-199", 100, 199),
        ("-48", 2000, 2047),
        ("2040-", 2040, 2047),
        ("5-9999", 5, 2047),
    ):
        part = server.http.get(path, headers={"Range": f"bytes={asked}"})
        assert (part.status_code, part.content) == (206, content[first : last + 1]), asked
        assert part.headers["content-range"] == f"bytes {first}-{last}/2048"
    beyond = server.http.get(path, headers={"Range": "bytes=2048-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */2048")
    assert set(beyond.json()) >= {"code", "message", "hint", "retryable", "correlation_id"}
    assert server.http.get(path, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    assert server.http.head(path).status_code in (200, 405)


def test_two_accepted_artifacts_of_one_name_conflict(server, worker, kit):
    """R10, R10a: the second fails for good with `artifact_conflict`, without a retry; the first stays as it was."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name), kit.node("b", name)))
    first, second = hand.take(2)
    for run in (first, second):
        assert hand.complete(run, None, [hand.upload(run, "same.txt", run["task"].encode())])["ok"]
    ended = server.ended(job["job_id"], "failed")
    assert (ended["error"]["code"], ended["error"]["task"]) == ("artifact_conflict", second["task"])
    assert "same.txt" in ended["error"]["message"]
    [kept] = ended["artifacts"]
    assert (kept["run_id"], server.http.get(kept["path"]).text) == (first["run_id"], first["task"])
    assert server.task(job["job_id"], second["task"])["attempt"] == 1


def test_files_of_attempts_that_failed_are_not_in_the_manifest_and_are_swept(server, worker, kit):
    """R10, section 6: only accepted attempts' files; a retry may save the same name."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name, retry={"initial_s": 0})))
    bad = hand.take_one()
    hand.upload(bad, "out.txt", b"bad")
    hand.upload(bad, "bad.txt", b"bad")
    hand.fail(bad)
    good = hand.take_one()
    hand.complete(good, None, [hand.upload(good, "out.txt", b"good")])
    ended = server.ended(job["job_id"], "completed")
    assert [(one["name"], one["run_id"]) for one in ended["artifacts"]] == [("out.txt", good["run_id"])]
    runs = objects(server) / ".runs"
    for run in (bad, good):
        os.utime(runs / run["run_id"], (0, 0))  # long ago: nobody may still be writing there
    server.stop()
    server.start()  # sweeps first
    kit.until(lambda: not (runs / bad["run_id"]).exists())
    assert (runs / good["run_id"]).exists(), "values may point into an accepted run's folder"
    assert server.http.get(ended["artifacts"][0]["path"]).text == "good"


def test_an_upload_needs_the_runs_own_token_and_a_safe_name(server, worker, kit):
    """R10: the token is bound to the run; a stale run's is no good; names that leave the folder are refused."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name), kit.node("b", name)))
    run, other = hand.take(2)
    url = f"{server.url}/worker/runs/{run['run_id']}/files/x.txt"
    for headers in ({}, {"X-Run-Token": "x"}, {"X-Run-Token": other["run_token"], "X-Run-Id": run["run_id"]}):
        answer = httpx.put(url, content=b"x", headers=headers)
        assert answer.status_code in (401, 403, 409), (headers, answer.text)
        assert answer.json()["code"] in ("forbidden", "unauthorized", "stale_run")
    for bad in ("%2e%2e/x", "a/../../x", "a%5Cb", "a//b", "x%00y"):
        answer = httpx.put(f"{server.url}/worker/runs/{run['run_id']}/files/{bad}", content=b"x",
                           headers={"X-Run-Token": run["run_token"], "X-Run-Id": run["run_id"]})  # fmt: skip
        assert 400 <= answer.status_code < 500, (bad, answer.status_code, answer.text)
    for bad in (".hidden", "manifest.json", "../x", "/x", "a\\b"):
        refused = hand.complete(run, None, [{"name": bad, "sha256": "0" * 64, "size_bytes": 1}])
        assert (refused["ok"], refused["code"]) == (False, "invalid_request"), (bad, refused)
    hand.complete(run)  # the run is over: its token is no good any more
    answer = httpx.put(url, content=b"x", headers={"X-Run-Token": run["run_token"], "X-Run-Id": run["run_id"]})
    assert answer.status_code in (401, 403, 409)
    hand.complete(other)
    server.ended(job["job_id"], "completed")


def test_a_report_that_names_a_file_that_is_not_there_is_a_failed_attempt(server, worker, kit):
    """R10: what is accepted is there. The attempt counts as failed, says which file, and the next one may do better."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name, retry={"initial_s": 0})))
    ghost = {"name": "ghost.txt", "sha256": "0" * 64, "size_bytes": 1, "content_type": "text/plain"}
    assert hand.complete(hand.take_one(), None, [ghost])["ok"]
    run = hand.take_one()
    assert run["attempt"] == 2
    assert hand.complete(run, None, [hand.upload(run, "ghost.txt", b"x")])["ok"]
    server.ended(job["job_id"], "completed")
    [first] = [one for one in server.task(job["job_id"], "a")["attempts"] if one["attempt"] == 1]
    assert "ghost.txt" in first["error"]["message"]


def test_a_job_with_a_file_input_has_its_manifest_from_its_creation(server, worker, kit):
    """Section 6: written at creation for jobs with a file input; `source` says what went in."""
    name = kit.unique()
    whole = kit.graph(
        kit.node("a", name, args={"source": {"$param": "source"}}),
        params={"type": "object", "properties": {"source": FILE}, "required": ["source"]},
    )
    upload = server.http.post("/files?name=note.txt", content=b"hello").json()
    job = server.submit(whole, {"source": {"file_id": upload["file_id"]}})
    path = objects(server) / "dev" / "default" / job["job_id"] / "manifest.json"
    kit.until(path.exists)
    manifest = json.loads(path.read_text())
    assert manifest["source"]["sha256"] == hashlib.sha256(b"hello").hexdigest()
    assert manifest["source"]["name"] == "note.txt"
    hand = worker(name)
    run = hand.take_one()
    value = run["args"]["source"]["$file"]
    got = httpx.get(
        f"{server.url}/worker/objects/{value['key']}",
        headers={"X-Run-Token": run["run_token"], "X-Run-Id": run["run_id"]},
    )
    assert got.content == b"hello"
    hand.complete(run)
    server.ended(job["job_id"], "completed")
    assert json.loads(path.read_text())["state"] == "completed"


def test_an_artifact_of_a_job_goes_into_another(server, worker, kit):
    """Design section 5: `{"artifact": {"job", "name"}}`; another tenant's job is unknown."""
    name, reader = kit.unique(), kit.unique()
    hand = worker(name, reader)
    first = server.submit(kit.graph(kit.node("a", name)))
    run = hand.take_one()
    hand.complete(run, None, [hand.upload(run, "a/b.txt", b"bytes")])
    server.ended(first["job_id"], "completed")
    whole = kit.graph(
        kit.node("r", reader, args={"source": {"$param": "source"}}),
        params={"type": "object", "properties": {"source": FILE}, "required": ["source"]},
    )
    pointer = {"artifact": {"job": first["job_id"], "name": "a/b.txt"}}
    second = server.submit(whole, {"source": pointer})
    run = hand.take_one()
    assert run["args"]["source"]["$file"]["sha256"] == hashlib.sha256(b"bytes").hexdigest()
    hand.complete(run)
    server.ended(second["job_id"], "completed")
    refused = server.submit(whole, {"source": pointer}, tenant="somebody-else", status=422)
    assert (refused["code"], refused["details"][0]["path"]) == ("invalid_params", "/params/source/artifact/job")
    missing = {"artifact": {"job": first["job_id"], "name": "nope"}}
    assert server.submit(whole, {"source": missing}, status=422)["code"] == "invalid_params"


def test_publishing_goes_on_after_a_sigkill(server, worker, kit):
    """R10, promise 1: acceptance was acknowledged, so the file is published and the job ends, whatever was killed."""
    name = kit.unique()
    hand = worker(name)
    jobs = [server.submit(kit.graph(kit.node("a", name)))["job_id"] for _ in range(5)]
    runs = hand.take(5)
    items = [
        {
            "run_id": run["run_id"],
            "kind": "completed",
            "artifacts": [hand.upload(run, "one.txt", b"1"), hand.upload(run, "two.txt", b"2")],
        }
        for run in runs
    ]
    assert all(answer["ok"] for answer in hand.report(*items))
    server.kill()
    server.start()
    for job_id in jobs:
        ended = server.ended(job_id, "completed")
        assert [server.http.get(one["path"]).text for one in ended["artifacts"]] == ["1", "2"]
        assert server.types(job_id).count("artifact.published") == 2


def test_a_large_result_travels_by_reference(server, worker, kit):
    """Design section 4, formats: inline up to 64 KiB; larger ones by reference, and whole at `/result`."""
    name, after = kit.unique(), kit.unique()
    hand = worker(name, after)
    assert hand.welcome.get("inline_bytes", 65536) == 65536
    big = {"count": 3, "items": ["x" * 50_000, "y" * 50_000, "z"]}
    whole = kit.graph(
        kit.node("a", name),
        kit.node("b", after, when={"$eq": [{"$get": [{"$ref": "a"}, "count"]}, 3]}, args={"v": {"$ref": "a"}}),
        output={"$ref": "a"},
    )
    job = server.submit(whole)
    run = hand.take_one()
    text = json.dumps(big).encode()
    hand.upload(run, "result.json", text)
    assert ["count"] in run["needed_paths"]
    spill = {
        "key": f".runs/{run['run_id']}/result.json",
        "size_bytes": len(text),
        "path": [],
        "inline": [[["count"], 3]],
        "lengths": [],
    }
    assert hand.complete(run, {"$spill": spill})["ok"]
    consumer = hand.take_one()
    value = consumer["args"]["v"]["$spill"]
    headers = {"X-Run-Token": consumer["run_token"], "X-Run-Id": consumer["run_id"]}
    assert httpx.get(f"{server.url}/worker/objects/{value['key']}", headers=headers).json() == big
    hand.complete(consumer)
    ended = server.ended(job["job_id"], "completed")
    assert ended["result"]["$large"]["href"] == f"/jobs/{job['job_id']}/result"
    assert server.http.get(ended["result"]["$large"]["href"]).json() == big

"""R23 through the public API and our own worker: equal work is done once, and files come out under the new job's names."""

from __future__ import annotations

import time

SETTINGS = {"lease_s": 10.0}

FLOWS = """
from pathlib import Path

from orpheus import Context, File, task, workflow


@task(cache=True, cache_extra="v1")
def louder(ctx: Context, source: File) -> File:
    return ctx.save(f"text/{ctx.job_id}.txt", Path(ctx.path(source)).read_text().upper().encode())


@task(cache=True)
def large(ctx: Context, text: File) -> dict:
    return {"size": text.size_bytes, "filler": ["x" * 1000] * 200}


@task(cache=True)
def size(value: dict) -> int:
    return value["size"] + len(value["filler"])


@workflow
def loud(source: File) -> int:
    return size(large(louder(source)))
"""


def run(server, content: bytes, name: str, **fields):
    file = server.http.post(f"/files?name={name}&tenant={fields.get('tenant', 'default')}", content=content).json()
    job = server.submit("loud", {"source": {"file_id": file["file_id"]}}, **fields)
    return server.ended(job["job_id"], "completed")


def cached(server, job):
    return {task["name"]: task["cached"] for task in server.tasks(job["job_id"])}


def test_a_job_run_twice_is_all_cached(server, real_worker, kit):
    """By content, not by name or upload; large results and files too. No attempts, other names, same bytes, under a second."""
    first = run(server, b"hello", "a.txt")
    assert not any(cached(server, first).values())
    began = time.monotonic()
    second = run(server, b"hello", "b.txt")
    assert time.monotonic() - began < 1.0
    assert cached(server, second) == {"louder": True, "large": True, "size": True}
    assert second["result"] == first["result"] == 205
    (artifact,) = second["artifacts"]
    assert artifact["name"] == f"text/{second['job_id']}.txt"
    assert server.http.get(artifact["path"]).content == b"HELLO"
    manifest = server.get(f"/jobs/{second['job_id']}/manifest")
    assert [entry["name"] for entry in manifest["artifacts"]] == [artifact["name"]]
    assert "task.started" not in server.types(second["job_id"])
    other = run(server, b"hello!", "a.txt")
    assert cached(server, other)["louder"] is False


def test_tenants_do_not_share(server, real_worker, kit):
    run(server, b"mine", "a.txt", tenant="ada")
    assert not any(cached(server, run(server, b"mine", "a.txt", tenant="bob")).values())


def test_a_damaged_or_missing_file_is_a_miss(server, real_worker, kit):
    for damage in ("gone", "other"):
        first = run(server, damage.encode(), "a.txt")
        run_id = server.task(first["job_id"], "louder")["run_id"]
        path = server.folder / "data" / "objects" / ".runs" / run_id / "text" / f"{first['job_id']}.txt"
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes(b"XXXXX")
        again = run(server, damage.encode(), "a.txt")
        assert cached(server, again)["louder"] is False
        assert server.http.get(again["artifacts"][0]["path"]).content == damage.upper().encode()


def test_a_task_rewound_by_name_runs(server, real_worker, kit):
    """R20."""
    run(server, b"again", "a.txt")
    second = run(server, b"again", "a.txt")
    server.post(f"/jobs/{second['job_id']}/retry", {"from_task": "louder"})
    ended = kit.until(lambda: (job := server.job(second["job_id"]))["generation"] == 2
                      and job["state"] == "completed" and job)  # fmt: skip
    assert cached(server, ended) == {"louder": False, "large": True, "size": True}

"""Pruning, backup under load, failures and the cache through the public API, client and command line."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orpheus.client import Client

SETTINGS = {"lease_s": 2.0}

FLOWS = """
import time
from orpheus import Context, File, Permanent, Retry, task, workflow


@task(retry=Retry(max_retries=0))
def picky(n: int) -> int:
    if n % 2:
        raise ValueError(f"cannot do {n} in '/tmp/x{n}'")
    raise Permanent(f"never {n}", code="refused")


@task(retry=Retry(max_retries=5, initial_s=0.05))
def slowly(ctx: Context, n: int) -> File:
    time.sleep(0.05)
    return ctx.save(f"out/{n}.txt", str(n).encode())


@task
def total(files: list[File]) -> int:
    return sum(file.size_bytes for file in files)


@workflow
def fails(n: int) -> int:
    return picky(n)


@workflow
def steps(numbers: list[int]) -> int:
    return total(slowly.using(max_concurrency=3).map(numbers))
"""


def cli(server, *arguments: str, fails: bool = False) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "orpheus.cli", *arguments],
        env=os.environ | {"ORPHEUS_URL": server.url, "NO_COLOR": "1"},
        cwd=server.folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stderr if fails else done.stdout


def test_failures_are_grouped_and_retried_by_group(server, real_worker, kit):
    jobs = [server.submit("fails", {"n": n}) for n in range(5)]
    for job in jobs:
        server.ended(job["job_id"], "failed")
    groups = server.get("/failures", workflow="fails")["items"]
    assert [(group["jobs"], group["code"], group["type"], group["task"]) for group in groups] == [
        (3, "refused", "Permanent", "picky"),
        (2, "task_failed", "ValueError", "picky"),
    ]
    assert groups[1]["message"] == "cannot do <n> in <text>"
    odd = {jobs[1]["job_id"], jobs[3]["job_id"]}
    assert set(groups[1]["sample"]) == odd
    assert {job["job_id"] for job in server.get("/jobs", failure=groups[1]["failure"])["items"]} == odd
    told = server.post("/jobs/bulk", groups[1]["retry"])
    assert told["outcomes"] == {"done": 2}
    for job_id in odd:
        kit.until(lambda job_id=job_id: (job := server.job(job_id))["generation"] == 2 and job["state"] == "failed")
    assert [group["jobs"] for group in server.get("/failures", workflow="fails")["items"]] == [3, 2]
    shown = json.loads(cli(server, "failures", "--workflow", "fails", "--code", "refused", "--json"))["items"]
    assert [one["jobs"] for one in shown] == [3]
    with Client(server.url) as client:
        assert [one.jobs for one in client.failures(workflow="fails")] == [3, 2]
        assert client.bulk("retry", failure=groups[0]["failure"], dry_run=True).matched == 3
        assert len(list(client.list(failure=groups[0]["failure"]))) == 3
    assert server.get("/failures", tenant="nobody")["items"] == []


def test_prune_from_everywhere(server, real_worker, kit):
    """Dry run first, then gone: 404, no files, counts right; at least one age has to be said."""
    done = server.ended(server.submit("steps", {"numbers": [1, 2]}, tenant="pruned")["job_id"], "completed")
    folder = server.folder / "data" / "objects" / "dev" / "pruned" / done["job_id"]
    assert (folder / "manifest.json").is_file()
    server.post("/prune", {"dry_run": True}, status=422)
    assert "--older-than" in cli(server, "prune", fails=True)
    dry = json.loads(cli(server, "prune", "--older-than", "0s", "--tenant", "pruned", "--dry-run", "--json"))
    assert (dry["jobs"], dry["by_state"], dry["dry_run"]) == (1, {"completed": 1}, True)
    assert server.job(done["job_id"])["state"] == "completed"
    with Client(server.url) as client:
        assert client.prune(older_than_s=3600, tenant="pruned").jobs == 0
        assert client.prune(older_than_s=0, tenant="pruned", state="completed").jobs == 1
    assert server.http.get(f"/jobs/{done['job_id']}").status_code == 404
    assert not folder.exists()
    assert server.get("/jobs", tenant="pruned")["items"] == []


def test_the_cache_is_shown_and_cleared(server, kit):
    assert server.get("/cache")["items"] == []
    assert server.post("/cache/clear")["cached_results"] == 0
    with Client(server.url) as client:
        assert list(client.cache()) == [] and client.clear_cache(task="steps").cached_results == 0
    assert json.loads(cli(server, "cache", "list", "--json")) == {"items": []}


@pytest.mark.timeout(240)
def test_a_backup_under_load_restores_to_a_whole(kit, tmp_path_factory):
    """Backed up while jobs run, killed, restored elsewhere: old cursors are reset, everything finishes, every file is there."""
    folder = tmp_path_factory.mktemp("backup")
    server = kit.make_server(folder, lease_s=2).start()
    (folder / "flows.py").write_text(FLOWS)
    worker = kit.start_worker(server)
    target = folder / "copy"
    try:
        jobs = [server.submit("steps", {"numbers": list(range(8))})["job_id"] for _ in range(6)]
        kit.until(lambda: server.get("/stats")["jobs"].get("completed", 0) >= 1)
        refused = server.http.post("/backup", json={"target": "relative/path"})
        assert refused.status_code == 422
        shown = json.loads(cli(server, "backup", str(target), "--json"))
        assert shown["objects"] > 0 and (target / "backup.json").is_file()
        later = server.submit("steps", {"numbers": [1]})["job_id"]
        assert "not empty" in cli(server, "backup", str(target), fails=True)
    finally:
        server.kill()
        worker.kill()
        worker.wait()
    shutil.rmtree(folder / "data")
    quiet = ("--data", str(folder / "data"))
    damaged = folder / "damaged"
    shutil.copytree(target, damaged)
    (damaged / "orpheus.db").write_bytes(b"no database")
    assert "backup_unusable" in cli(server, "restore", str(damaged), *quiet, fails=True)
    cli(server, "restore", str(target), *quiet, "--deep")
    assert "not empty" in cli(server, "restore", str(target), *quiet, fails=True)
    server.start()
    worker = kit.start_worker(server)
    try:
        for job_id in jobs:
            ended = server.ended(job_id, "completed")
            assert ended["result"] == 8 and len(ended["artifacts"]) == 8
            for artifact in ended["artifacts"]:
                assert server.http.get(artifact["path"]).status_code == 200
        assert server.http.get(f"/jobs/{later}").status_code == 404, "it came after the backup"
    finally:
        worker.terminate()
        worker.wait(20)
        server.stop()
        server.http.close()


def test_a_callback_is_answered_after_a_restore(kit, tmp_path: Path):
    """Whoever was given a token before the disaster cannot be given another: it is good in the restored server too (R22)."""
    server = kit.make_server(tmp_path).start()
    try:
        name = kit.unique()
        hand = kit.RawWorker(server, name)
        job = server.submit(kit.graph(kit.node("ask", name), output={"$ref": "ask"}))["job_id"]
        run = hand.take_one()
        hand.report({"run_id": run["run_id"], "kind": "waiting", "timeout_s": 600})
        cli(server, "backup", str(tmp_path / "copy"))
        server.kill()
        shutil.rmtree(tmp_path / "data")
        cli(server, "restore", str(tmp_path / "copy"), "--data", str(tmp_path / "data"))
        assert (tmp_path / "data" / "run.key").stat().st_mode & 0o077 == 0, "for its owner only"
        server.start()
        proof = hmac.new(run["run_token"].encode(), b"callback", hashlib.sha256).hexdigest()
        server.post(f"/callbacks/{run['run_id']}.{proof}", {"result": "late"})
        assert server.ended(job, "completed")["result"] == "late"
    finally:
        server.stop()


def test_an_offline_backup(tmp_path: Path):
    """Where no server runs, the command copies by itself."""
    from orpheus.store import Store

    data = tmp_path / "data"
    data.mkdir()
    Store.open(data / "orpheus.db", now=time.time(), epoch="one").close()
    env = {name: value for name, value in os.environ.items() if name != "ORPHEUS_URL"}
    for arguments in (("backup", "copy", "--data", "data"), ("restore", "copy", "--data", "again")):
        done = subprocess.run([sys.executable, "-m", "orpheus.cli", *arguments], cwd=tmp_path, env=env, timeout=60,
                              capture_output=True, text=True)  # fmt: skip
        assert done.returncode == 0, done.stderr
    again = Store.open(tmp_path / "again" / "orpheus.db", now=time.time(), epoch="x")
    assert again.epoch not in ("one", "x"), "cursors of before are foreign (R2)"
    again.close()

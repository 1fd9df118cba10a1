"""R18, promise 4: cancel. Idle work at once; running work is told, has its grace, is fenced; process groups are stopped."""

from __future__ import annotations

import time
from pathlib import Path

SETTINGS = {"cancel_grace_s": 1.0}

FLOWS = '''
import sys
from orpheus import Context, task, workflow

@task
async def group(ctx: Context, notes: str) -> None:
    """A shell with children of its own, as ffmpeg behind a script."""
    ctx.save("left.txt", b"behind")
    script = f"sleep 600 & echo $! > {notes}/child; echo $$ > {notes}/parent; wait"
    await ctx.run_process(["sh", "-c", script])

@task
async def stubborn(ctx: Context, notes: str) -> None:
    """Takes no notice of SIGTERM."""
    script = f"trap '' TERM; echo $$ > {notes}/parent; while true; do sleep 1; done"
    await ctx.run_process(["sh", "-c", script])

@workflow
def grouped(notes: str) -> None:
    group(notes)

@workflow
def hard(notes: str) -> None:
    stubborn(notes)
'''


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # the latter: it went between opening the file and reading it
        return False
    return state != "Z"


def cancel(server, job_id, reason=None):
    body = {} if reason is None else {"reason": reason}
    return server.http.post(f"/jobs/{job_id}/cancel", json=body)


def test_idle_work_ends_at_once(server, worker, kit):
    """R18, design section 5: 200, `cancelled` with the reason; again 200 and nothing more; no task is left open."""
    for fields in ({}, {"requires_approval": True}, {"delay_s": 60}):
        job = server.submit(kit.graph(kit.node("a", kit.unique()), kit.node("b", after=["a"])), **fields)
        answer = cancel(server, job["job_id"], "not needed")
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
        ended = server.ended(job["job_id"], "cancelled")
        assert (ended["error"]["code"], ended["error"]["message"]) == ("cancelled", "not needed")
        assert ended["cancel_requested_at"] and ended["tasks"] == {"cancelled": 2, "total": 2}
        count = len(server.events(job["job_id"]))
        assert cancel(server, job["job_id"], "again").status_code == 200
        assert server.http.delete(f"/jobs/{job['job_id']}").status_code == 200
        assert len(server.events(job["job_id"])) == count


def test_backing_off_and_sleeping_work_ends_at_once(server, worker, kit):
    """R18: `retrying` and `waiting` are idle."""
    name = kit.unique()
    hand = worker(name)
    retrying = server.submit(kit.graph(kit.node("a", name, retry={"initial_s": 600})))["job_id"]
    hand.fail(hand.take_one())
    sleeping = server.submit(kit.graph({"name": "nap", "kind": "sleep", "duration": 600}))["job_id"]
    for job_id in (retrying, sleeping):
        assert server.http.delete(f"/jobs/{job_id}").status_code == 200
        server.ended(job_id, "cancelled")


def test_running_work_is_told_and_the_job_ends_when_it_has_stopped(server, worker, kit):
    """R18: 202 while it runs; the poll brings the notice with its grace; the report ends the job, before the grace does."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name), kit.node("b", kit.unique()), kit.node("c", after=["a"])))
    run = hand.take_one()
    answer = cancel(server, job["job_id"], "stop it")
    assert (answer.status_code, answer.json()["state"]) == (202, "running")
    assert cancel(server, job["job_id"]).status_code == 202
    [notice] = hand.poll(free=0, wait_s=5)["cancel"]
    assert (notice["run_id"], notice.get("grace_s", 10.0)) == (run["run_id"], 1.0)
    assert notice["reason"] == "stop it"
    assert server.task(job["job_id"], "b")["state"] == "cancelled"
    assert hand.stopped(run)["ok"]
    ended = server.ended(job["job_id"], "cancelled")
    assert server.types(job["job_id"]).count("job.cancel_requested") == 1
    assert ended["tasks"] == {"cancelled": 3, "total": 3}


def test_a_run_that_does_not_stop_is_fenced_after_its_grace(server, worker, kit):
    """R18, R6: then its report is stale and changes nothing; a heartbeat carries the notice too."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name), output={"$ref": "a"}))
    run = hand.take_one()
    cancel(server, job["job_id"])
    assert [notice["run_id"] for notice in hand.beat()["cancel"]] == [run["run_id"]]
    began = time.monotonic()
    server.ended(job["job_id"], "cancelled")
    assert time.monotonic() - began < 8
    assert hand.complete(run, "late")["code"] == "stale_run"
    assert server.job(job["job_id"])["result"] is None
    assert hand.poll(free=0)["unknown"] == [run["run_id"]] or run["run_id"] not in hand.held


def test_a_completion_in_between_is_accepted_and_starts_no_successor(server, worker, kit):
    """R18: its task is `completed`, its files are kept; the job ends `cancelled` all the same."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name), kit.node("b", name, after=["a"]), output={"$ref": "a"}))
    run = hand.take_one()
    cancel(server, job["job_id"])
    assert hand.complete(run, "done", [hand.upload(run, "kept.txt", b"kept")])["ok"]
    ended = server.ended(job["job_id"], "cancelled")
    states = {task["name"]: task["state"] for task in server.tasks(job["job_id"])}
    assert states == {"a": "completed", "b": "cancelled"}
    assert [one["name"] for one in ended["artifacts"]] == ["kept.txt"]
    assert ended["result"] is None
    hand.nothing()


def test_the_terminal_state_that_was_first_stays(server, worker, kit):
    """R18, design section 1: a completed or failed job cannot be cancelled: 409, and nothing changes."""
    name = kit.unique()
    hand = worker(name)
    for state in ("completed", "failed"):
        job = server.submit(kit.graph(kit.node("a", name, retry={"max_retries": 0})))
        run = hand.take_one()
        assert (hand.complete(run) if state == "completed" else hand.fail(run))["ok"]
        ended = server.ended(job["job_id"], state)
        assert cancel(server, job["job_id"]).status_code == 409
        assert server.http.delete(f"/jobs/{job['job_id']}").json()["code"] == "invalid_transition"
        assert server.job(job["job_id"]) == ended


def test_a_cancel_survives_a_sigkill(server, worker, kit):
    """R18, promise 1: once `cancel_requested_at` is committed the job can only end `cancelled`."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name)))
    run = hand.take_one()
    assert cancel(server, job["job_id"]).status_code == 202
    server.kill()
    server.start()
    hand.hello()
    told = hand.poll(free=0, wait_s=5)
    assert [n["run_id"] for n in told.get("cancel", [])] == [run["run_id"]] or told.get("unknown") == [run["run_id"]]
    server.ended(job["job_id"], "cancelled")


def test_the_whole_process_group_is_stopped_and_left_files_are_removed(server, real_worker, kit, tmp_path):
    """R18, promise 4: a real worker, a real shell and its child; both are gone soon after the cancel."""
    job = server.submit("grouped", {"notes": str(tmp_path)})
    pids = kit.until(lambda: _pids(tmp_path, "parent", "child"))
    assert all(alive(pid) for pid in pids)
    began = time.monotonic()
    assert cancel(server, job["job_id"]).status_code == 202
    server.ended(job["job_id"], "cancelled")
    kit.until(lambda: not any(alive(pid) for pid in pids), 10)
    assert time.monotonic() - began < 8
    assert server.get(f"/jobs/{job['job_id']}/artifacts")["items"] == []
    run_id = server.task(job["job_id"], "group")["run_id"]
    kit.until(lambda: not (server.folder / "data" / "objects" / ".runs" / run_id).exists())
    assert real_worker.poll() is None


def test_a_process_that_ignores_sigterm_is_killed_within_the_grace(server, real_worker, kit, tmp_path):
    """R18: the grace is for stopping; then SIGKILL, and the run is reported or fenced."""
    job = server.submit("hard", {"notes": str(tmp_path)})
    pids = kit.until(lambda: _pids(tmp_path, "parent"))
    cancel(server, job["job_id"])
    server.ended(job["job_id"], "cancelled")
    kit.until(lambda: not any(alive(pid) for pid in pids), 10)
    assert real_worker.poll() is None


def _pids(folder: Path, *names: str) -> list[int]:
    try:
        return [int((folder / name).read_text()) for name in names]
    except (FileNotFoundError, ValueError):
        return []

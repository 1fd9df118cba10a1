"""R20: retry of a job and rewind to a task. New rows, kept work, fenced runs."""

from __future__ import annotations

from typing import Any


def rows(server: Any, job_id: str) -> dict[str, tuple[str, int, int]]:
    return {
        task["name"] if task["index"] is None else f"{task['name']}[{task['index']}]": (
            task["state"],
            task["generation"],
            task["attempt"],
        )
        for task in server.tasks(job_id)
    }


def test_retry_runs_what_failed_again_and_keeps_the_rest(server, worker, kit):
    """R20: `job.retried`, generation 2; attempts count anew in the new row; finished work elsewhere is kept."""
    name, bad = kit.unique(), kit.unique()
    hand = worker(name, bad)
    job = server.submit(
        kit.graph(
            kit.node("a", name),
            kit.node("b", bad, args={"v": {"$ref": "a"}}, retry={"max_retries": 0}),
            kit.node("c", name, args={"v": {"$ref": "b"}}),
            output={"$ref": "c"},
        )
    )
    job_id = job["job_id"]
    hand.complete(hand.take_one(), "of a")
    hand.fail(hand.take_one())
    server.ended(job_id, "failed")
    shown = server.post(f"/jobs/{job_id}/retry")
    assert (shown["state"], shown["generation"], shown["error"], shown["finished_at"]) == ("queued", 2, None, None)
    assert server.post(f"/jobs/{job_id}/retry", status=409)["code"] == "invalid_transition"
    run = hand.take_one()
    assert (run["task"], run["attempt"], run["args"]) == ("b", 1, {"v": "of a"})
    hand.complete(run, "of b")
    hand.complete(hand.take_one(), "of c")
    assert server.ended(job_id, "completed")["result"] == "of c"
    assert rows(server, job_id) == {"a": ("completed", 1, 1), "b": ("completed", 2, 1), "c": ("completed", 2, 1)}
    assert server.types(job_id).count("job.retried") == 1


def test_rewind_runs_the_named_task_and_all_that_depends_on_it(server, worker, kit):
    """R20: from `completed`; what is beside it is kept; an unknown task is refused; its artifacts may be replaced."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(
        kit.graph(
            kit.node("a", name),
            kit.node("b", name, args={"v": {"$ref": "a"}}),
            kit.node("c", name, args={"v": {"$ref": "b"}}),
            kit.node("side", name),
            output=[{"$ref": "c"}, {"$ref": "side"}],
        )
    )
    job_id = job["job_id"]
    for _ in range(4):
        run = hand.take_one()
        hand.complete(run, f"{run['task']}1", [hand.upload(run, f"{run['task']}.txt", b"first")])
    assert server.ended(job_id, "completed")["result"] == ["c1", "side1"]
    refused = server.post(f"/jobs/{job_id}/retry", {"from_task": "bb"}, status=404)
    assert refused["code"] == "unknown_task" and "bb" in refused["message"]
    assert server.post(f"/jobs/{job_id}/retry", {"from_task": "b"})["result"] is None
    for expected in ("b", "c"):
        run = hand.take_one()
        assert run["task"] == expected
        hand.complete(run, f"{run['task']}2", [hand.upload(run, f"{run['task']}.txt", b"second")])
    ended = server.ended(job_id, "completed")
    assert ended["result"] == ["c2", "side1"]
    assert {name: row[:2] for name, row in rows(server, job_id).items()} == {
        "a": ("completed", 1),
        "b": ("completed", 2),
        "c": ("completed", 2),
        "side": ("completed", 1),
    }
    bytes_of = {one["name"]: server.http.get(one["path"]).text for one in ended["artifacts"]}
    assert bytes_of == {"a.txt": "first", "b.txt": "second", "c.txt": "second", "side.txt": "first"}
    assert server.get(f"/jobs/{job_id}/manifest")["generation"] == 2


def test_a_rewind_fences_running_attempts_among_the_affected(server, worker, kit):
    """R20, R20b, R6: their reports are stale; a run beside them goes on."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name), kit.node("b", name, after=["a"]), kit.node("side", name)))
    job_id = job["job_id"]
    runs = {run["task"]: run for run in hand.take(2)}
    hand.complete(runs["a"])
    old = hand.take_one()
    server.post(f"/jobs/{job_id}/retry", {"from_task": "a"})
    assert hand.complete(old)["code"] == "stale_run"
    again = hand.take_one()
    assert (again["task"], again["attempt"]) == ("a", 1)
    hand.complete(again)
    hand.complete(hand.take_one())
    assert hand.complete(runs["side"])["ok"]
    server.ended(job_id, "completed")
    assert rows(server, job_id)["side"] == ("completed", 1, 1)
    cancelled = [event for event in server.events(job_id) if event["type"] == "task.cancelled"]
    assert [(event["task"], event["run_id"]) for event in cancelled] == [("b", old["run_id"])]


def test_a_retried_map_keeps_its_finished_items(server, worker, kit):
    """R20, R20a: only failed and cancelled items get new rows, with the values they had."""
    name = kit.unique()
    hand = worker(name)
    body = {"name": "m", "kind": "map", "task": name, "version": 1, "items": {"x": [10, 11, 12, 13]}}
    job = server.submit(kit.graph({**body, "retry": {"max_retries": 0}, "max_concurrency": 3}, output={"$ref": "m"}))
    job_id = job["job_id"]
    runs = {run["index"]: run for run in hand.take(3)}
    hand.complete(runs[0], "zero")
    runs[3] = hand.take_one()
    hand.fail(runs[1])
    for index in (2, 3):
        hand.stopped(runs[index])
    server.ended(job_id, "failed")
    server.post(f"/jobs/{job_id}/retry")
    for _ in range(3):
        run = hand.take_one()
        assert run["args"] == {"x": 10 + run["index"]}
        hand.complete(run, run["index"])
    assert server.ended(job_id, "completed")["result"] == ["zero", 1, 2, 3]
    assert {name: row[:2] for name, row in rows(server, job_id).items()} == {
        "m": ("completed", 2),
        "m[0]": ("completed", 1),
        "m[1]": ("completed", 2),
        "m[2]": ("completed", 2),
        "m[3]": ("completed", 2),
    }


def test_a_rewound_map_runs_all_its_items_again(server, worker, kit):
    """R20: the named node runs whole, with a list that may have another length."""
    name = kit.unique()
    hand = worker(name)
    body = {"name": "m", "kind": "map", "task": name, "version": 1, "items": {"x": {"$ref": "a"}}}
    job_id = server.submit(kit.graph(kit.node("a", name), body, output={"$ref": "m"}))["job_id"]
    hand.complete(hand.take_one(), [1, 2, 3])
    for run in hand.take(3):
        hand.complete(run, run["args"]["x"])
    assert server.ended(job_id, "completed")["result"] == [1, 2, 3]
    server.post(f"/jobs/{job_id}/retry", {"from_task": "a"})
    hand.complete(hand.take_one(), [7])
    hand.complete(hand.take_one(), 7)
    assert server.ended(job_id, "completed")["result"] == [7]
    assert set(rows(server, job_id)) == {"a", "m", "m[0]"}


def test_a_cancelled_job_can_be_retried_by_hand(server, worker, kit):
    """R15, R20: never revived by itself; by hand it goes on where it was."""
    name = kit.unique()
    hand = worker(name)
    job_id = server.submit(kit.graph(kit.node("a", name), kit.node("b", name, after=["a"])))["job_id"]
    hand.complete(hand.take_one())
    server.http.delete(f"/jobs/{job_id}")
    server.ended(job_id, "cancelled")
    shown = server.post(f"/jobs/{job_id}/retry")
    assert shown["cancel_requested_at"] is None
    hand.complete(hand.take_one())
    server.ended(job_id, "completed")
    assert rows(server, job_id)["a"] == ("completed", 1, 1)


def test_dependents_already_told_stay_told(server, worker, kit):
    """R20: a dependent that ran on the first end does not run again, and one cancelled by a failure stays so."""
    name = kit.unique()
    hand = worker(name)
    whole = kit.graph(kit.node("a", name, retry={"max_retries": 0}))
    first = server.submit(whole)["job_id"]
    cancelled = server.submit(whole, depends_on=[first])["job_id"]
    on_end = server.submit(whole, depends_on=[{"job": first, "on": "end"}])["job_id"]
    hand.fail(hand.take_one())
    server.ended(first, "failed")
    hand.complete(hand.take_one())
    server.ended(on_end, "completed")
    before = len(server.events(on_end))
    server.post(f"/jobs/{first}/retry")
    hand.complete(hand.take_one())
    server.ended(first, "completed")
    assert server.job(cancelled)["state"] == "cancelled"
    assert len(server.events(on_end)) == before


def test_a_retry_with_other_params(server, worker, kit):
    """R20: what reads them runs again, the rest is kept; they are checked as at a submission, and named ones alone change."""
    name = kit.unique()
    hand = worker(name)
    params = {
        "type": "object",
        "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}},
        "additionalProperties": False,
    }
    whole = kit.graph(
        kit.node("a", name, args={"x": {"$param": "x"}}),
        kit.node("b", name, args={"y": {"$param": "y"}}, after=["a"]),
        params=params,
    )
    job = server.submit(whole, {"x": 1, "y": 2})
    path = f"/jobs/{job['job_id']}/retry"
    hand.complete(hand.take_one())
    hand.complete(hand.take_one())
    server.ended(job["job_id"], "completed")
    refused = server.post(path, {"params": {"y": "two"}}, status=422)
    assert (refused["code"], refused["details"][0]["path"]) == ("invalid_params", "/params/y")
    assert server.post(path, {"params": {"y": 2}}, status=409)["code"] == "invalid_transition"
    again = server.post(path, {"params": {"y": 3}})
    assert (again["generation"], again["params"]) == (2, {"x": 1, "y": 3})
    run = hand.take_one()
    assert (run["task"], run["args"]) == ("b", {"y": 3})
    hand.complete(run)
    server.ended(job["job_id"], "completed")

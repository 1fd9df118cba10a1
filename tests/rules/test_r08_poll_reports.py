"""R8: a poll may bring reports, and its answer acknowledges them."""

from __future__ import annotations

import time
from typing import Any


def done(run: dict[str, Any], result: Any = None) -> dict[str, Any]:
    return {"run_id": run["run_id"], "kind": "completed", "result": result}


def test_a_poll_with_reports_is_answered_with_what_they_make_ready(server, worker, kit):
    """Each step of a chain is one request. A bad item harms no other, and is answered in its place."""
    name = kit.unique()
    hand = worker(name)
    assert hand.welcome["poll_reports"] is True
    steps = [kit.node("a", name), kit.node("b", name, after=["a"]), kit.node("c", name, after=["b"])]
    job = server.submit(kit.graph(*steps, output={"$ref": "c"}))
    run = hand.take_one()
    ran = [run["task"]]
    while len(ran) < 3:
        bad = {"run_id": run["run_id"], "kind": "progress", "fraction": 1e300}
        stale = {"run_id": "0190-no-such-run", "kind": "completed"}
        answer = hand.poll(free=1, wait_s=20, reports=[bad, stale, done(run)])
        assert [item["code"] for item in answer["reported"] if not item["ok"]] == ["invalid_request", "stale_run"]
        assert answer["reported"][2]["ok"]
        hand.held.remove(run["run_id"])
        [run] = answer["tasks"]
        ran.append(run["task"])
    assert ran == ["a", "b", "c"]
    hand.poll(wait_s=0, reports=[done(run, "at last")])
    ended = server.ended(job["job_id"], "completed")
    assert ended["result"] == "at last"


def test_it_does_not_wait_long_for_anything_else(server, worker, kit):
    name = kit.unique()
    hand = worker(name)
    server.submit(kit.graph(kit.node("a", name)))
    run = hand.take_one()
    began = time.monotonic()
    answer = hand.poll(wait_s=20, reports=[done(run)])
    assert time.monotonic() - began < 10
    assert answer["reported"] == [{"ok": True}]
    assert "tasks" not in answer


def test_the_same_again_after_a_lost_answer(server, worker, kit):
    """The grants are the same, the reports are stale, and nothing happens twice."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name), kit.node("b", name, after=["a"])))
    run = hand.take_one()
    first = hand.poll(wait_s=20, reports=[done(run)])
    again = hand.poll(wait_s=20, seq=hand.seq, reports=[done(run)])
    assert [task["run_id"] for task in again["tasks"]] == [task["run_id"] for task in first["tasks"]]
    assert [item["code"] for item in again["reported"]] == ["stale_run"]
    assert server.types(job["job_id"]).count("task.completed") == 1
    hand.complete(first["tasks"][0])
    server.ended(job["job_id"], "completed")


def test_after_a_restart_it_is_said_once_more(server, worker, kit):
    """`unknown_session` means that nothing of the request was carried out."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name), output={"$ref": "a"}))
    run = hand.take_one()
    server.kill()
    server.start()
    body = {"session_id": hand.session, "seq": hand.seq + 1, "held": hand.held, "free": 1, "wait_s": 0.1}
    refused = hand.say("poll", {**body, "reports": [done(run, 5)]}, status=409)
    assert refused["code"] == "unknown_session"
    assert server.job(job["job_id"])["state"] == "running"
    hand.hello()
    assert hand.say("poll", {**body, "reports": [done(run, 5)]})["reported"] == [{"ok": True}]
    assert server.ended(job["job_id"], "completed")["result"] == 5

"""R19: what a job has done is undone when it ends badly, through the public API."""

from __future__ import annotations

from typing import Any


def released(kit: Any, name: str, undo: str) -> Any:
    once = {"retry": {"max_retries": 0}}
    return kit.graph(
        kit.node("page", name, undo=undo, undo_argument="page", undo_options={"retry": {"max_retries": 0}}),
        kit.node("tell", name, after=["page"], **once),
    )


def test_a_failed_job_undoes_and_says_so(server, worker, kit):
    """The undo gets the result; it is a task of its own; `compensated` stands at what it undid; the error is the job's."""
    name, undo = kit.unique(), kit.unique()
    hand = worker(name, undo)
    job_id = server.submit(released(kit, name, undo))["job_id"]
    hand.complete(hand.take_one(), {"url": "p1"})
    hand.fail(hand.take_one(), final=True)
    run = hand.take_one()
    assert (run["task"], run["handler"], run["args"]) == ("page:undo", undo, {"page": {"url": "p1"}})
    shown = server.job(job_id)
    assert shown["state"] == "running" and shown["current_stage"] == "page:undo"
    assert "compensation" in [each["reason"] for each in shown["waiting_for"]]
    hand.complete(run)
    job = server.ended(job_id, "failed")
    assert job["error"]["task"] == "tell"
    assert server.task(job_id, "page")["compensated"] is True
    assert server.task(job_id, "page:undo")["state"] == "completed"
    assert server.types(job_id)[-2:] == ["task.compensated", "job.failed"]


def test_a_cancelled_job_whose_undo_fails_can_be_undone_later(server, worker, kit):
    """`compensation_failed` is retryable: the retry goes on undoing, and the job ends cancelled as it was told."""
    name, undo = kit.unique(), kit.unique()
    hand = worker(name, undo)
    job_id = server.submit(released(kit, name, undo))["job_id"]
    hand.complete(hand.take_one(), "p1")
    run = hand.take_one()
    server.post(f"/jobs/{job_id}/cancel", {"reason": "enough"}, status=202)
    hand.fail(run)
    hand.fail(hand.take_one())
    error = server.ended(job_id, "failed")["error"]
    assert (error["code"], error["retryable"], error["task"]) == ("compensation_failed", True, "page:undo")
    assert server.post(f"/jobs/{job_id}/retry", {"from_task": "page"}, status=409)["code"] == "invalid_transition"
    hand.bye()
    server.post(f"/jobs/{job_id}/retry")
    server.kill()
    server.start()
    hand = worker(name, undo)
    again = hand.take_one()
    assert again["task"] == "page:undo"
    hand.complete(again)
    assert server.ended(job_id, "cancelled")["error"]["code"] == "cancelled"

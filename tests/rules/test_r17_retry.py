"""R17: retries. What the policy decides, and what reaches the next attempt."""

from __future__ import annotations

from datetime import datetime


def test_a_retry_waits_for_its_backoff_and_says_so(server, worker, kit):
    """R17, formats: `retrying`, reason `backoff`; by default 1 s ± 10 % before the second attempt; the history is kept."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name)))
    run = hand.take_one()
    assert (run["attempt"], run["max_retries"]) == (1, 3)
    hand.fail(run, message="boom", type="ValueError", traceback="Traceback: here", hint="look there")
    task = server.task(job["job_id"], "a")
    assert (task["state"], [each["reason"] for each in task["waiting_for"]]) == ("retrying", ["backoff"])
    assert server.reasons(job["job_id"]) == ["backoff"]
    [event] = [event for event in server.events(job["job_id"]) if event["type"] == "task.retrying"]
    assert 0.9 <= event["data"]["wait_s"] <= 1.1
    again = hand.take_one()
    assert (again["attempt"], again["run_id"] != run["run_id"]) == (2, True)
    hand.complete(again)
    server.ended(job["job_id"], "completed")
    attempts = server.task(job["job_id"], "a")["attempts"]
    assert [(one["attempt"], one["outcome"]) for one in attempts] == [(1, "failed"), (2, "completed")]
    error = attempts[0]["error"]
    assert (error["code"], error["message"], error["type"]) == ("task_failed", "boom", "ValueError")
    waited = datetime.fromisoformat(attempts[1]["started_at"]) - datetime.fromisoformat(attempts[0]["finished_at"])
    assert waited.total_seconds() >= 0.89


def test_max_retries_3_means_four_attempts(server, worker, kit):
    """R5, R17: then the task is `failed`, and the job with it, naming the task."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name, retry={"initial_s": 0})))
    for attempt in range(1, 5):
        run = hand.take_one()
        assert run["attempt"] == attempt
        hand.fail(run)
    ended = server.ended(job["job_id"], "failed")
    assert (ended["error"]["code"], ended["error"]["task"]) == ("task_failed", "a")
    assert {"code", "message", "hint", "retryable", "task"} <= set(ended["error"])
    hand.nothing()


def test_final_errors_and_listed_types_do_not_retry(server, worker, kit):
    """R17: `Permanent` (`final`), and types of `final_errors`; another type does."""
    name = kit.unique()
    hand = worker(name)
    whole = kit.graph(kit.node("a", name, retry={"initial_s": 0, "final_errors": ["BadFile"]}))
    for error in ({"final": True}, {"type": "BadFile"}):
        job = server.submit(whole)
        hand.fail(hand.take_one(), **error)
        server.ended(job["job_id"], "failed")
        assert server.task(job["job_id"], "a")["attempt"] == 1
    job = server.submit(whole)
    hand.fail(hand.take_one(), type="OtherError")
    hand.complete(hand.take_one())
    server.ended(job["job_id"], "completed")


def test_retry_after_sets_the_wait(server, worker, kit):
    """R17: `RetryAfter(s)` replaces the backoff, without jitter."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name, retry={"initial_s": 900})))
    hand.fail(hand.take_one(), retry_after_s=0.25)
    [event] = [event for event in server.events(job["job_id"]) if event["type"] == "task.retrying"]
    assert event["data"]["wait_s"] == 0.25
    hand.complete(hand.take_one())
    server.ended(job["job_id"], "completed")


def test_the_last_heartbeats_details_reach_the_next_attempt(server, worker, kit):
    """R17: also when the worker was told nothing and simply left."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name, retry={"initial_s": 0})))
    run = hand.take_one()
    assert run.get("last_heartbeat") is None
    for place in ({"frame": 1}, {"frame": 2}):
        hand.report({"run_id": run["run_id"], "kind": "heartbeat", "heartbeat": place})
    hand.fail(run)
    run = hand.take_one()
    assert run["last_heartbeat"] == {"frame": 2}
    hand.bye()
    other = worker(name)
    run = other.take_one()
    assert (run["attempt"], run["last_heartbeat"]) == (3, {"frame": 2})
    other.complete(run)
    server.ended(job["job_id"], "completed")


def test_a_worker_that_reports_cancelled_unasked_spends_an_attempt(server, worker, kit):
    """R17, R18: nobody cancelled, so it is a failure like any other, and the policy decides."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name, retry={"initial_s": 0})))
    hand.stopped(hand.take_one())
    run = hand.take_one()
    assert run["attempt"] == 2
    hand.complete(run)
    server.ended(job["job_id"], "completed")

"""R5, R15: time. Job and task limits, delays; progress."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

SETTINGS = {"cancel_grace_s": 0.3}


def test_start_to_close_ends_one_attempt_and_is_retried(server, worker, kit):
    """R5: `timeout_start_to_close` is a failure of the attempt; the policy decides on the next. The run is stale."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(
        kit.graph(kit.node("a", name, timeouts={"start_to_close_s": 0.3}, retry={"max_retries": 1, "initial_s": 0}))
    )
    first = hand.take_one()
    assert first["start_to_close_s"] == 0.3
    second = hand.take_one()
    assert (second["attempt"], hand.complete(first)["code"]) == (2, "stale_run")
    ended = server.ended(job["job_id"], "failed")
    assert ended["error"]["code"] == "timeout_start_to_close"
    attempts = server.task(job["job_id"], "a")["attempts"]
    assert [(one["attempt"], one["outcome"]) for one in attempts] == [(1, "timed_out"), (2, "timed_out")]


def test_a_heartbeat_that_stays_away_ends_the_attempt_and_one_that_comes_does_not(server, worker, kit):
    """R5: `timeout_heartbeat`; progress and heartbeats of the run count, contact of the worker alone does not."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(
        kit.graph(kit.node("a", name, timeouts={"heartbeat_s": 2}, retry={"max_retries": 1, "initial_s": 0}))
    )
    quiet = hand.take_one()

    def silent() -> bool:
        hand.beat()
        return "task.retrying" in server.types(job["job_id"])

    kit.until(silent)
    assert hand.complete(quiet)["code"] == "stale_run"
    alive = hand.take_one()
    began = datetime.now(UTC)

    def long_enough() -> bool:
        hand.report({"run_id": alive["run_id"], "kind": "heartbeat", "heartbeat": 1})
        return datetime.now(UTC) - began > timedelta(seconds=3)

    kit.until(long_enough)
    assert hand.complete(alive)["ok"]
    server.ended(job["job_id"], "completed")
    [first] = [one for one in server.task(job["job_id"], "a")["attempts"] if one["attempt"] == 1]
    assert first["error"]["code"] == "timeout_heartbeat"


def test_schedule_to_start_ends_a_task_that_no_worker_takes(server, kit):
    """R5: `timeout_schedule_to_start` is final."""
    job = server.submit(kit.graph(kit.node("a", kit.unique(), timeouts={"schedule_to_start_s": 0.2})))
    assert server.ended(job["job_id"], "failed")["error"]["code"] == "timeout_schedule_to_start"


def test_schedule_to_close_spans_all_attempts(server, worker, kit):
    """R5: from the first `ready`, across retries and their backoff; final, and it ends a running attempt too."""
    name = kit.unique()
    hand = worker(name)
    limits = {"schedule_to_close_s": 0.6}
    backing = server.submit(kit.graph(kit.node("a", name, timeouts=limits, retry={"initial_s": 60, "jitter": 0})))
    hand.fail(hand.take_one())
    running = server.submit(kit.graph(kit.node("a", name, timeouts=limits)))
    run = hand.take_one()
    for job in (backing, running):
        assert server.ended(job["job_id"], "failed")["error"]["code"] == "timeout_schedule_to_close"
    assert hand.complete(run)["code"] == "stale_run"


def test_the_jobs_limit_starts_when_it_leaves_pending_and_does_not_stop_for_a_pause(server, worker, kit):
    """R5, formats: `job_timeout`, the job is `failed`; waiting for approval does not count, a pause does."""
    name = kit.unique()
    hand = worker(name)
    whole = kit.graph(kit.node("a", name))
    job = server.submit(whole, timeout_s=0.5, requires_approval=True)
    timed = server.submit(kit.graph(kit.node("a", kit.unique())), timeout_s=0.5)
    assert server.ended(timed["job_id"], "failed")["error"]["code"] == "job_timeout"
    assert server.job(job["job_id"])["state"] == "pending"
    server.post(f"/jobs/{job['job_id']}/approve")
    server.post(f"/jobs/{job['job_id']}/pause")
    assert server.ended(job["job_id"], "failed")["error"]["code"] == "job_timeout"
    hand.nothing()


def test_a_job_that_runs_out_of_time_stops_what_runs(server, worker, kit):
    """R5, R18: running work is told to stop, has its grace, then is fenced; the job ends `failed`."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name)), timeout_s=0.4)
    run = hand.take_one()
    notice = hand.poll(free=0, wait_s=10)["cancel"][0]
    assert notice["run_id"] == run["run_id"]
    assert server.ended(job["job_id"], "failed")["error"]["code"] == "job_timeout"
    assert hand.complete(run)["code"] == "stale_run"


def test_delay_and_run_at_hold_a_job_and_say_so(server, worker, kit):
    """Design section 5, promise 6: `pending` for `time`, then it runs. Both at once are refused."""
    name = kit.unique()
    hand = worker(name)
    at = (datetime.now(UTC) + timedelta(seconds=1.2)).isoformat()
    jobs = [
        server.submit(kit.graph(kit.node("a", name)), delay_s=1.2),
        server.submit(kit.graph(kit.node("a", name)), run_at=at),
    ]
    for job in jobs:
        assert (job["state"], [each["reason"] for each in job["waiting_for"]]) == ("pending", ["time"])
        assert server.reasons(job["job_id"]) == ["time"]
    for run in hand.take(2):
        hand.complete(run)
    for job in jobs:
        ended = server.ended(job["job_id"], "completed")
        assert ended["started_at"] >= ended["run_at"]
    refused = server.post(
        "/jobs", {"workflow": kit.graph(kit.node("a", name)), "params": {}, "delay_s": 1, "run_at": at}, status=422
    )
    assert refused["code"] == "invalid_request"
    assert server.submit(kit.graph(kit.node("a", name)), delay_s=-1, status=422)["details"][0]["path"] == "/delay_s"


def test_times_survive_a_sigkill(server, worker, kit):
    """Promise 1: delays and backoffs are rows; after a SIGKILL they come due."""
    name = kit.unique()
    hand = worker(name)
    backing = server.submit(kit.graph(kit.node("a", name, retry={"initial_s": 1, "jitter": 0})))
    hand.fail(hand.take_one())
    delayed = server.submit(kit.graph(kit.node("a", name)), delay_s=1)
    sleeping = server.submit(kit.graph({"name": "nap", "kind": "sleep", "duration": 1}))
    server.kill()
    server.start()
    hand.hello()
    for run in hand.take(2):
        hand.complete(run)
    for job in (backing, delayed, sleeping):
        server.ended(job["job_id"], "completed")
    assert server.task(backing["job_id"], "a")["attempt"] == 2


def test_a_sleep_is_waiting_for_time_and_the_job_runs(server, kit):
    """Design section 1: from the first node that begins, a sleep too, the job is `running`; the task `waiting`."""
    job = server.submit(kit.graph({"name": "nap", "kind": "sleep", "duration": 1.0}))
    shown = server.job(job["job_id"])
    assert (shown["state"], server.task(job["job_id"], "nap")["state"]) == ("running", "waiting")
    assert server.reasons(job["job_id"]) == ["time"]
    server.ended(job["job_id"], "completed")
    assert "task.waiting" in server.types(job["job_id"])


def test_progress_never_goes_backwards_within_a_generation(server, worker, kit):
    """Promise 7: over reports that shrink, a retry, and rubbish; a rewind begins anew."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name, retry={"initial_s": 0}), kit.node("b", name, after=["a"])))
    seen = []
    run = hand.take_one()
    for fraction in (0.2, 0.6, 0.1, -5, 0.7):
        hand.report({"run_id": run["run_id"], "kind": "progress", "fraction": fraction, "stage": f"at {fraction}"})
        seen.append(server.job(job["job_id"])["progress_percentage"])
    kit.until(lambda: server.job(job["job_id"])["current_stage"] == "at 0.7")  # written down now and then
    hand.fail(run)
    seen.append(server.job(job["job_id"])["progress_percentage"])
    run = hand.take_one()
    hand.report({"run_id": run["run_id"], "kind": "progress", "fraction": 0.1})
    seen.append(server.job(job["job_id"])["progress_percentage"])
    for _ in range(2):
        hand.complete(run)
        seen.append(server.job(job["job_id"])["progress_percentage"])
        run = hand.take_one() if seen[-1] < 100 and "b" not in [run["task"]] else run
    ended = server.ended(job["job_id"], "completed")
    assert seen == sorted(seen), seen
    assert ended["progress_percentage"] == 100
    server.post(f"/jobs/{job['job_id']}/retry", {"from_task": "b"})
    assert server.job(job["job_id"])["progress_percentage"] == 50
    hand.complete(hand.take_one())
    server.ended(job["job_id"], "completed")

"""R6–R9: the fence, leases, polls and reports, by a worker that misbehaves."""

from __future__ import annotations

import threading

SETTINGS = {"lease_s": 1.5}


def test_a_report_of_another_or_an_ended_run_is_stale(server, worker, kit):
    """R6, R6a: an unknown run and a second report are `stale_run` and change nothing; one bad item harms no other (R8)."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name), output={"$ref": "a"}))
    run = hand.take_one()
    answers = hand.report(
        {"run_id": "0190-no-such-run", "kind": "completed", "result": 1},
        {"run_id": run["run_id"], "kind": "completed", "result": 2},
        {"run_id": run["run_id"], "kind": "completed", "result": 3},
        {"run_id": run["run_id"], "kind": "failed", "error": {"message": "late"}},
    )
    assert [answer.get("code", "") for answer in answers] == ["stale_run", "", "stale_run", "stale_run"]
    assert [answer["ok"] for answer in answers] == [False, True, False, False]
    ended = server.ended(job["job_id"], "completed")
    assert ended["result"] == 2
    assert server.types(job["job_id"]).count("task.completed") == 1


def test_another_worker_may_not_report_a_run_it_was_not_given(server, worker, kit):
    """R6: the run is the fence; a foreign session that guesses nothing of it gets nowhere with another id."""
    name = kit.unique()
    hand, other = worker(name), worker(name)
    job = server.submit(kit.graph(kit.node("a", name)))
    run = hand.take_one()
    answers = other.report({"run_id": run["run_id"] + "0", "kind": "completed"})
    assert answers[0]["code"] == "stale_run"
    assert hand.complete(run)["ok"]
    server.ended(job["job_id"], "completed")


def test_a_silent_worker_is_rescued_and_its_late_report_is_stale(server, worker, kit):
    """R6, R9, promise 3: the lease lapses, `task.rescued`, one attempt spent as `worker_lost`; the old run is stale."""
    name = kit.unique()
    silent, good = worker(name), worker(name)
    job = server.submit(kit.graph(kit.node("a", name, retry={"initial_s": 0.05}), output={"$ref": "a"}))
    lost = silent.take_one()
    kit.until(lambda: "task.rescued" in server.types(job["job_id"]))
    assert silent.complete(lost, "late")["code"] == "stale_run"
    again = good.take_one()
    assert (again["attempt"], again["run_id"] != lost["run_id"]) == (2, True)
    good.complete(again, "good")
    assert server.ended(job["job_id"], "completed")["result"] == "good"
    [first] = [one for one in server.task(job["job_id"], "a")["attempts"] if one["attempt"] == 1]
    assert (first["outcome"], first["error"]["code"], first["run_id"]) == ("lost", "worker_lost", lost["run_id"])
    assert silent.session not in first["error"]["message"]


def test_a_file_that_kills_its_worker_ends_as_failed(server, worker, kit):
    """R9: with `max_retries` 1 there are two lost attempts, then `failed` with `worker_lost`, not a loop."""
    name = kit.unique()
    job = server.submit(kit.graph(kit.node("a", name, retry={"max_retries": 1, "initial_s": 0})))
    for attempt in (1, 2):
        victim = worker(name)
        assert victim.take_one()["attempt"] == attempt
        kit.until(lambda attempt=attempt: server.types(job["job_id"]).count("task.rescued") == attempt)
    ended = server.ended(job["job_id"], "failed")
    assert (ended["error"]["code"], ended["error"]["task"]) == ("worker_lost", "a")
    assert ended["error"]["hint"]


def test_heartbeats_and_polls_keep_a_lease(server, worker, kit):
    """R8: heartbeats renew what is held; a run that is reported late but was never rescued is accepted (R6)."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name)))
    run = hand.take_one()
    began = server.task(job["job_id"], "a")["started_at"]
    other = worker(kit.unique())  # another lease lapses meanwhile: the clock that is waited for
    slow = kit.unique()
    passing = server.submit(kit.graph(kit.node("b", slow, retry={"max_retries": 0})))
    other = worker(slow)
    other.take_one()

    def beaten() -> bool:
        hand.beat()
        return server.job(passing["job_id"])["state"] == "failed"

    kit.until(beaten)
    task = server.task(job["job_id"], "a")
    assert (task["state"], task["attempt"], task["started_at"]) == ("running", 1, began)
    assert hand.complete(run)["ok"]
    server.ended(job["job_id"], "completed")


def test_the_same_seq_again_gets_the_same_answer(server, worker, kit):
    """R8: a lost answer is asked for again and grants nothing twice."""
    name = kit.unique()
    hand = worker(name)
    jobs = [server.submit(kit.graph(kit.node("a", name)))["job_id"] for _ in range(2)]
    hand.seq += 1
    first = hand.poll(seq=hand.seq)
    again = hand.poll(seq=hand.seq, free=5)
    assert first == again
    assert len(first["tasks"]) == 1
    assert hand.poll(seq=hand.seq - 1).get("superseded") is True, "an older number is superseded"
    [second] = hand.take()
    for run in (first["tasks"][0], second):
        assert hand.complete(run)["ok"]
    for job_id in jobs:
        server.ended(job_id, "completed")


def test_a_second_poll_of_the_same_number_supersedes_the_waiting_one(server, worker, kit):
    """R8: changing one's mind; the older of two waiting polls is told that it was superseded."""
    hand = worker(kit.unique())
    hand.seq += 1
    answers: list[dict] = []
    waiting = threading.Thread(target=lambda: answers.append(hand.poll(seq=hand.seq, wait_s=20)))
    waiting.start()

    def superseded() -> bool:
        hand.poll(seq=hand.seq, wait_s=0.05, free=2)
        return bool(answers)

    # The first answer may be that of the newer poll, when the older came to the server after it.
    kit.until(superseded)
    waiting.join(20)
    assert answers[0].get("superseded") or answers[0]["seq"] == hand.seq


def test_a_grant_missing_from_the_next_poll_goes_back_and_costs_no_attempt(server, worker, kit):
    """R8: `held` is the receipt. What is not in it returns to `ready` at once; its run is stale, its number is not spent."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name)))
    lost = hand.take_one()
    hand.held.clear()
    again = hand.take_one()
    assert (again["attempt"], again["run_id"] != lost["run_id"]) == (1, True)
    assert hand.complete(lost)["code"] == "stale_run"
    assert hand.complete(again)["ok"]
    server.ended(job["job_id"], "completed")
    task = server.task(job["job_id"], "a")
    assert task["attempt"] == 1


def test_held_runs_that_are_not_current_are_told_as_unknown(server, worker, kit):
    """R8: by hello, poll and heartbeat alike."""
    hand = worker(kit.unique())
    hand.held = ["0190aaaa-not-a-run"]
    assert hand.hello()["unknown"] == hand.held
    assert hand.beat()["unknown"] == hand.held
    assert hand.poll()["unknown"] == hand.held


def test_an_unknown_session_is_told_to_say_hello(server, worker, kit):
    """R8: poll and heartbeat of a session that the server does not know. A report needs none: its run is the fence."""
    hand = worker(kit.unique())
    hand.session = "nobody-knows-this-session"
    for what, body in (
        ("poll", {"session_id": hand.session, "seq": 1}),
        ("heartbeat", {"session_id": hand.session}),
    ):
        error = hand.say(what, body, status=409)
        assert error["code"] == "unknown_session"
        assert {"message", "hint", "retryable", "correlation_id"} <= set(error)


def test_a_protocol_of_the_future_is_refused(server, kit):
    """Formats: `protocol_unsupported`, at hello."""
    answer = server.http.post(
        "/worker/hello", json={"protocol": 99, "session_id": "x" * 32, "worker": "w", "tasks": []}
    )
    assert (answer.status_code // 100, answer.json()["code"]) == (4, "protocol_unsupported")


def test_a_worker_that_says_bye_gives_its_runs_up_at_once(server, worker, kit):
    """R8, R9: runs still held at the goodbye are rescued without waiting for the lease."""
    name = kit.unique()
    leaving, good = worker(name), worker(name)
    job = server.submit(kit.graph(kit.node("a", name, retry={"initial_s": 0})))
    leaving.take_one()
    leaving.bye()
    assert "task.rescued" in server.types(job["job_id"])
    assert good.complete(good.take_one())["ok"]
    server.ended(job["job_id"], "completed")


def test_a_restart_gives_every_lease_its_full_length_and_accepts_late_reports(server, worker, kit):
    """R7, R6: after a SIGKILL the run that was held is still current, and its report is taken, once."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name), output={"$ref": "a"}))
    run = hand.take_one()
    server.kill()
    server.start()
    hand.say("heartbeat", {"session_id": hand.session, "held": hand.held}, status=409)
    assert hand.hello().get("unknown", []) == []
    assert "task.rescued" not in server.types(job["job_id"])
    assert hand.complete(run, "kept")["ok"]
    assert hand.complete(run, "again")["code"] == "stale_run"
    ended = server.ended(job["job_id"], "completed")
    assert (ended["result"], server.task(job["job_id"], "a")["attempt"]) == ("kept", 1)


def test_a_worker_that_never_comes_back_after_a_restart_is_rescued(server, worker, kit):
    """R7: leases of runs from before the start lapse too, after their full length."""
    name = kit.unique()
    hand, good = worker(name), None
    job = server.submit(kit.graph(kit.node("a", name, retry={"initial_s": 0})))
    hand.take_one()
    server.kill()
    server.start()
    good = worker(name)
    again = good.take_one()
    assert again["attempt"] == 2
    assert good.complete(again)["ok"]
    server.ended(job["job_id"], "completed")

"""R14: a person decides in the middle of a job."""

from __future__ import annotations

import pytest

PLAN = {
    "type": "object",
    "properties": {"cuts": {"type": "array", "items": {"type": "integer"}}, "key": {"x-orpheus": "sensitive"}},
    "required": ["cuts"],
    "additionalProperties": False,
}


@pytest.fixture
def asked(server, worker, kit):
    """Submit plan → review → cut and bring it to its approval; return the job's id and path, and the worker."""

    def submit(value=None, **review):
        name = kit.unique()
        hand = worker(name)
        whole = kit.graph(
            kit.node("plan", name),
            {
                "name": "review",
                "kind": "approval",
                "prompt": "Fine?",
                "args": {"value": {"$ref": "plan"}},
                "type_schema": PLAN,
                **review,
            },
            kit.node("cut", name, args={"plan": {"$ref": "review"}}),
            output={"$optional": {"$ref": "cut"}},
        )
        job = server.submit(whole)["job_id"]
        hand.complete(hand.take_one(), value or {"cuts": [1, 2]})
        kit.until(lambda: server.task(job, "review")["state"] == "waiting")
        return job, f"/jobs/{job}/tasks/review", hand

    return submit


def test_who_is_asked_sees_prompt_value_and_times(server, asked):
    """The task tells what is asked, since and until when; the job runs and waits for approval."""
    job, _path, _hand = asked(editable=True, timeout_s=3600)
    task = server.task(job, "review")
    approval = task["approval"]
    assert (approval["prompt"], approval["value"], approval["editable"]) == ("Fine?", {"cuts": [1, 2]}, True)
    assert approval["schema"]["required"] == ["cuts"]
    assert approval["since"] < approval["until"] and approval["decision"] is None
    assert [each["reason"] for each in task["waiting_for"]] == ["approval"]
    assert "Fine?" in task["waiting_for"][0]["detail"]
    assert server.job(job)["state"] == "running"
    assert "approval" in server.reasons(job)
    server.http.delete(f"/jobs/{job}")


def test_an_edit_is_checked_and_goes_on(server, asked):
    """An edit that does not fit is `invalid_params` with its place and changes nothing; one that fits goes on."""
    job, path, hand = asked(editable=True)
    for value, place in ({"cuts": [1, "x"]}, "/value/cuts/1"), ({"cuts": [{"$secret": "K"}]}, "/value/cuts/0"):
        refused = server.post(f"{path}/approve", {"value": value}, status=422)
        assert (refused["code"], refused["details"][0]["path"]) == ("invalid_params", place)
    server.post(f"{path}/approve", {"value": {"cuts": [9]}, "comment": "shorter"})
    run = hand.take_one()
    assert run["args"] == {"plan": {"cuts": [9]}}
    hand.complete(run, "done")
    assert server.ended(job, "completed")["result"] == "done"
    approval = server.task(job, "review")["approval"]
    assert (approval["decision"], approval["edited"], approval["by"]) == ("approved", True, "local")
    assert (approval["value"], approval["comment"], approval["until"]) == ({"cuts": [1, 2]}, "shorter", None)
    told = next(e for e in server.events(job) if e["type"] == "task.completed" and e["task"] == "review")
    assert (told["actor"], told["data"]["comment"], told["data"]["edited"]) == ("local", "shorter", True)


def test_hidden_values_stay_when_what_was_shown_is_sent_back(server, asked):
    """`***` is shown in place of a sensitive value, and stands for it in an edit."""
    job, path, hand = asked({"cuts": [1], "key": "s3cret"}, editable=True)
    shown = server.task(job, "review")["approval"]["value"]
    assert shown == {"cuts": [1], "key": "***"}
    server.post(f"{path}/approve", {"value": {**shown, "cuts": [2]}})
    assert hand.take_one()["args"] == {"plan": {"cuts": [2], "key": "s3cret"}}
    server.http.delete(f"/jobs/{job}")


def test_what_is_not_editable_is_approved_as_it_is(server, asked):
    """An edit is refused; the value sent back unchanged is no edit."""
    job, path, hand = asked()
    refused = server.post(f"{path}/approve", {"value": {"cuts": []}}, status=422)
    assert (refused["code"], refused["details"][0]["path"]) == ("invalid_params", "/value")
    server.post(f"{path}/approve", {"value": {"cuts": [1, 2]}})
    assert hand.take_one()["args"] == {"plan": {"cuts": [1, 2]}}
    server.http.delete(f"/jobs/{job}")


def test_the_same_again_answers_200_and_the_other_is_refused(server, asked):
    """A decision stands."""
    job, path, _hand = asked()
    server.post(f"{path}/reject", {"reason": "too long"})
    ended = server.ended(job, "failed")
    error = ended["error"]
    assert (error["code"], error["message"], error["task"]) == ("rejected", "too long", "review")
    server.post(f"{path}/reject", {"comment": "still"})
    assert server.post(f"{path}/approve", status=409)["code"] == "invalid_transition"
    assert server.job(job)["updated_at"] == ended["updated_at"]
    assert server.post(f"/jobs/{job}/tasks/plan/approve", status=409)["code"] == "invalid_transition"
    assert server.post(f"/jobs/{job}/tasks/revew/approve", status=404)["code"] == "unknown_task"
    assert "review" in server.post(f"/jobs/{job}/tasks/revew/reject", status=404)["hint"]
    server.post(f"/jobs/{job}/retry")
    assert server.task(job, "review")["approval"]["decision"] is None
    server.http.delete(f"/jobs/{job}")


@pytest.mark.parametrize(
    ("on_reject", "state", "end"), [("fail", "failed", "failed"), ("skip", "skipped", "completed")]
)
def test_nobody_decides_in_time(server, asked, on_reject, state, end):
    """The node fails with `timeout_approval`, and `on_reject` says what that means."""
    job, _path, _hand = asked(timeout_s=0.3, on_reject=on_reject)
    server.ended(job, end)
    task = server.task(job, "review")
    assert (task["state"], task["error"]["code"]) == (state, "timeout_approval")


def test_a_decision_survives_a_crash(kit, tmp_path):
    """What was asked and what was decided stands in the file."""
    server = kit.make_server(tmp_path).start()
    try:
        whole = kit.graph({"name": "review", "kind": "approval", "prompt": "Go?", "args": {"value": [1]}})
        jobs = [server.submit(whole)["job_id"] for _ in range(2)]
        server.post(f"/jobs/{jobs[0]}/tasks/review/approve", {"comment": "yes"})
        server.kill()
        server.start()
        assert server.ended(jobs[0], "completed")
        assert server.task(jobs[1], "review")["approval"]["value"] == [1]
        server.post(f"/jobs/{jobs[1]}/tasks/review/approve")
        server.ended(jobs[1], "completed")
    finally:
        server.stop()

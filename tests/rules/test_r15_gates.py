"""R15, R16, R26: what a job waits for before it runs, and pauses."""

from __future__ import annotations

import json

PARAMS = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


def test_approval_comes_first_and_its_edits_are_checked(server, worker, kit):
    """R15: `pending` for `approval`; edited params are checked as at submission; approving twice answers 200."""
    name = kit.unique()
    hand = worker(name)
    whole = kit.graph(kit.node("a", name, args={"n": {"$param": "n"}}), params=PARAMS)
    job = server.submit(whole, {"n": 1}, requires_approval=True, delay_s=0.01)
    path = f"/jobs/{job['job_id']}"
    assert (job["state"], job["requires_approval"]) == ("pending", True)
    assert "approval" in [each["reason"] for each in job["waiting_for"]]
    assert server.reason(job["job_id"], "approval")["since"]
    hand.nothing()
    refused = server.post(f"{path}/approve", {"params": {"n": "x"}}, status=422)
    assert refused["code"] == "invalid_params" and refused["details"][0]["path"] == "/params/n"
    assert server.job(job["job_id"])["state"] == "pending"
    server.post(f"{path}/approve", {"params": {"n": 2}, "comment": "go"})
    server.post(f"{path}/approve")
    server.post(f"{path}/approve", {"params": {"n": 2}})
    late = server.post(f"{path}/approve", {"params": {"n": 3}}, status=409)
    assert late["code"] == "invalid_transition" and "other params" in late["message"]
    run = hand.take_one()
    assert run["args"] == {"n": 2}
    hand.complete(run)
    assert server.ended(job["job_id"], "completed")["params"] == {"n": 2}
    approved = [event for event in server.events(job["job_id"]) if event["type"] == "job.approved"]
    assert [event["data"]["comment"] for event in approved] == ["go"]


def test_a_workflow_may_want_approval_by_itself(server, worker, kit):
    """R15: `requires_approval` of the workflow holds where the submission says nothing; false overrides it, also in a form."""
    name = kit.unique()
    hand = worker(name)
    whole = {**kit.graph(kit.node("a", name, price=0.5)), "requires_approval": True}
    held = server.submit(whole)
    assert (held["state"], held["requires_approval"]) == ("pending", True)
    assert held["estimate"]["price"] == {"least": 0.5, "most": 0.5, "expected": 0.5}
    hand.nothing()
    server.post(f"/jobs/{held['job_id']}/approve")
    hand.complete(hand.take_one())
    server.ended(held["job_id"], "completed")
    assert server.submit(whole, requires_approval=False)["state"] == "queued"
    form = {"workflow": json.dumps(whole), "requires_approval": "false"}
    answer = server.http.post("/jobs", files={key: (None, text) for key, text in form.items()})
    assert (answer.status_code, answer.json()["state"]) == (201, "queued")
    for _ in range(2):
        hand.complete(hand.take_one())


def test_a_rejected_job_is_cancelled_with_the_reason_and_stays_so(server, kit):
    """R15, R20a: `rejected`; rejecting again answers 200; approve and retry are `invalid_transition`."""
    job = server.submit(kit.graph(kit.node("a", kit.unique())), requires_approval=True)
    path = f"/jobs/{job['job_id']}"
    server.post(f"{path}/reject", {"reason": "too dear"})
    ended = server.ended(job["job_id"], "cancelled")
    assert (ended["error"]["code"], ended["error"]["message"]) == ("rejected", "too dear")
    assert server.types(job["job_id"]).count("job.rejected") == 1
    server.post(f"{path}/reject", {"reason": "again"})
    for order in ("approve", "retry", "pause", "resume"):
        assert server.post(f"{path}/{order}", status=409)["code"] == "invalid_transition"
    assert server.job(job["job_id"])["updated_at"] == ended["updated_at"]
    assert server.post(f"{path}/reject", {}, status=422)["code"] == "invalid_request"


def test_approving_what_does_not_wait_for_it_is_refused(server, kit):
    """Design section 1: `invalid_transition` changes nothing."""
    job = server.submit(kit.graph(kit.node("a", kit.unique())))
    before = server.events(job["job_id"])
    for order, body in (("approve", {}), ("reject", {"reason": "no"}), ("retry", {})):
        assert server.post(f"/jobs/{job['job_id']}/{order}", body, status=409)["code"] == "invalid_transition"
    assert server.events(job["job_id"]) == before
    server.http.delete(f"/jobs/{job['job_id']}")


def test_dependencies_on_success_and_on_end(server, worker, kit):
    """R16, R15: `on: "success"` by default; a failed one cancels with `dependency_failed`; `"end"` is content with any."""
    name = kit.unique()
    hand = worker(name)
    whole = kit.graph(kit.node("a", name, retry={"max_retries": 0}))
    first = server.submit(whole)["job_id"]
    other = kit.unique()
    worker(other)
    after = kit.graph(kit.node("b", other))
    success = server.submit(after, depends_on=[first])["job_id"]
    end = server.submit(after, depends_on=[{"job": first, "on": "end"}])["job_id"]
    chained = server.submit(after, depends_on=[success])["job_id"]
    reason = server.reason(success, "job")
    assert first in reason["detail"]
    assert server.job(success)["state"] == "pending"
    hand.fail(hand.take_one())
    server.ended(first, "failed")
    ended = server.ended(success, "cancelled")
    assert ended["error"]["code"] == "dependency_failed" and first in ended["error"]["message"]
    assert server.ended(chained, "cancelled")["error"]["code"] == "dependency_failed"
    assert server.state(end, "queued", "running")
    assert server.post(f"/jobs/{success}/retry", status=409)["code"] == "invalid_transition"
    late = server.submit(after, depends_on=[first])
    assert server.ended(late["job_id"], "cancelled")["error"]["code"] == "dependency_failed"
    server.http.delete(f"/jobs/{end}")


def test_a_met_dependency_lets_the_job_run(server, worker, kit):
    """R16: also one that had completed before the submission, and two that end one after the other."""
    name = kit.unique()
    hand = worker(name)
    whole = kit.graph(kit.node("a", name))
    jobs = [server.submit(whole)["job_id"] for _ in range(2)]
    joined = server.submit(whole, depends_on=jobs)["job_id"]
    first, second = hand.take(2)
    hand.complete(first)
    assert server.job(joined)["state"] == "pending"
    hand.complete(second)
    hand.complete(hand.take_one())
    server.ended(joined, "completed")
    later = server.submit(whole, depends_on=[joined])
    assert later["state"] == "queued"
    hand.complete(hand.take_one())
    server.ended(later["job_id"], "completed")


def test_dependencies_that_cannot_be_are_refused(server, kit):
    """R16: unknown jobs, jobs of another tenant (which do not exist for it), itself and later jobs of its batch."""
    whole = kit.graph(kit.node("a", kit.unique()))
    mine = server.submit(whole, tenant="one")["job_id"]
    for depends_on, tenant in (["0190aaaa-0000-7000-8000-000000000000"], "one"), ([mine], "two"):
        refused = server.submit(whole, depends_on=depends_on, tenant=tenant, status=404)
        assert refused["code"] == "unknown_job" and depends_on[0] in refused["message"]
        assert refused["details"][0]["path"].startswith("/depends_on")
    assert server.get("/jobs", tenant="two")["items"] == []
    wrong = server.submit(whole, depends_on=[{"job": mine, "on": "whenever"}], tenant="one", status=422)
    assert wrong["code"] == "invalid_request"
    server.http.delete(f"/jobs/{mine}")


def test_a_paused_job_is_not_claimed_but_goes_on_otherwise(server, worker, kit):
    """R26: running attempts finish, retries come due, cancel works; `pause` is a reason; pausing twice answers 200."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name), kit.node("b", name, after=["a"])))
    run = hand.take_one()
    path = f"/jobs/{job['job_id']}"
    shown = server.post(f"{path}/pause")
    assert (shown["paused"], shown["state"]) == (True, "running")
    server.post(f"{path}/pause")
    assert server.types(job["job_id"]).count("job.paused") == 1
    assert hand.complete(run)["ok"]
    kit.until(lambda: server.task(job["job_id"], "b")["state"] == "ready")
    hand.nothing()
    assert server.reasons(job["job_id"])[0] == "pause"
    assert server.task(job["job_id"], "b")["waiting_for"][0]["reason"] == "pause"
    assert not server.post(f"{path}/resume")["paused"]
    server.post(f"{path}/resume")
    hand.complete(hand.take_one())
    server.ended(job["job_id"], "completed")
    assert server.post(f"{path}/pause", status=409)["code"] == "invalid_transition"
    paused = server.submit(kit.graph(kit.node("a", name)))["job_id"]
    server.post(f"/jobs/{paused}/pause")
    assert server.http.delete(f"/jobs/{paused}").status_code == 200
    server.ended(paused, "cancelled")


def test_a_paused_queue_is_not_claimed(server, worker, kit):
    """R26, design section 5: `PATCH /queues/{name}`; the reason is `pause`; a pause survives a SIGKILL."""
    name, queue = kit.unique(), kit.unique("q")
    hand = worker(name)
    shown = server.http.patch(f"/queues/{queue}", json={"paused": True}).json()
    assert (shown["name"], shown["paused"]) == (queue, True)
    job = server.submit(kit.graph(kit.node("a", name, queue=queue)))
    hand.nothing()
    server.reason(job["job_id"], "pause")
    server.kill()
    server.start()
    hand.hello()
    hand.nothing()
    listed = next(one for one in server.get("/queues")["items"] if one["name"] == queue)
    assert (listed["paused"], listed["ready"], listed["running"]) == (True, 1, 0)
    server.http.patch(f"/queues/{queue}", json={"paused": False})
    hand.complete(hand.take_one())
    server.ended(job["job_id"], "completed")

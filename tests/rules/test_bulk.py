"""Orders to many jobs, labels, tenants and queues over HTTP (R18, R20, R25, R26)."""

from __future__ import annotations


def bulk(server, action, *, status=200, **body):
    return server.post("/jobs/bulk", {"action": action, **body}, status=status)


def many(server, kit, count, **fields):
    whole = kit.graph(kit.node("a", kit.unique()))
    jobs = [{"workflow": whole, "params": {}, **fields}] * count
    return [job["job_id"] for job in server.post("/jobs/batch", {"jobs": jobs}, status=201)["items"]]


def test_cancel_by_label_with_a_dry_run_first(server, kit):
    """The dry run tells what the real one does and changes nothing; repeated, it is `unchanged`; the actor is in the events."""
    team = kit.unique()
    jobs = many(server, kit, 30, labels={"team": team})
    others = many(server, kit, 2, labels={"team": "other"})
    tried = bulk(server, "cancel", filter={"label": {"team": team}}, dry_run=True)
    assert (tried["matched"], tried["outcomes"], tried["dry_run"]) == (30, {"done": 30}, True)
    assert len(tried["sample"]) == 20 and set(tried["sample"]) <= set(jobs)
    assert {server.job(job_id)["state"] for job_id in jobs} == {"queued"}
    done = bulk(server, "cancel", filter={"label": {"team": team}}, reason="over")
    assert (done["matched"], done["outcomes"], done["next_cursor"]) == (30, {"done": 30}, None)
    for job_id in jobs:
        assert server.job(job_id)["state"] == "cancelled"
        [asked] = [event for event in server.events(job_id) if event["type"] == "job.cancel_requested"]
        assert (asked["actor"], asked["data"]["reason"]) == ("local", "over")
    again = bulk(server, "cancel", filter={"label": {"team": team}})
    assert (again["matched"], again["outcomes"]) == (0, {})
    named = bulk(server, "cancel", filter={"label": {"team": team}, "state": "cancelled"})
    assert named["outcomes"] == {"unchanged": 30}
    assert {server.job(job_id)["state"] for job_id in others} == {"queued"}


def test_it_goes_on_from_its_cursor(server, kit):
    """A limit bounds one request; the cursor goes on, and jobs that come meanwhile are not met."""
    team = kit.unique()
    jobs = many(server, kit, 25, labels={"team": team})
    body = {"filter": {"label": {"team": team}}, "limit": 10}
    first = bulk(server, "pause", **body)
    late = many(server, kit, 1, labels={"team": team})
    second = bulk(server, "pause", **body, cursor=first["next_cursor"])
    third = bulk(server, "pause", **body, cursor=second["next_cursor"])
    assert [page["matched"] for page in (first, second, third)] == [10, 10, 5] and third["next_cursor"] is None
    assert all(server.job(job_id)["paused"] for job_id in jobs) and not server.job(late[0])["paused"]
    assert bulk(server, "resume", filter={"label": {"team": team}})["outcomes"] == {"done": 25, "unchanged": 1}
    bulk(server, "cancel", filter={"label": {"team": team}})


def test_retry_approve_and_reject_many(server, kit, worker):
    """Each is told to those it is for; a job in another state is skipped, not an error."""
    team, name = kit.unique(), kit.unique()
    whole = kit.graph(kit.node("a", name, retry={"max_retries": 0}))
    hand = worker(name)
    jobs = [server.submit(whole, labels={"team": team})["job_id"] for _ in range(3)]
    for run in hand.take(3):
        hand.fail(run)
    for job_id in jobs:
        server.ended(job_id, "failed")
    assert bulk(server, "retry", filter={"label": {"team": team}})["outcomes"] == {"done": 3}
    for run in hand.take(3):
        hand.complete(run)
    assert all(server.ended(job_id, "completed")["generation"] == 2 for job_id in jobs)
    pending = many(server, kit, 4, labels={"team": team}, requires_approval=True)
    delayed = many(server, kit, 1, labels={"team": team}, delay_s=600)
    approved = bulk(server, "approve", filter={"label": {"team": team}, "workflow": server.job(pending[0])["workflow"]})
    assert approved["outcomes"] == {"done": 4}
    assert bulk(server, "reject", filter={"label": {"team": team}})["outcomes"] == {"skipped": 1}
    assert bulk(server, "retry", filter={"label": {"team": team}, "state": ["completed"]})["outcomes"] == {"skipped": 3}
    bulk(server, "cancel", filter={"label": {"team": team}})
    assert server.job(delayed[0])["state"] == "cancelled"


def test_what_would_mean_every_job_is_refused(server):
    """An empty filter, a null in it, an unknown word or action: refused, with the place."""
    for body in (
        {"action": "cancel", "filter": {}},
        {"action": "cancel", "filter": {"workflow": None}},
        {"action": "cancel", "filter": {"label": {}}},
        {"action": "cancel", "filter": {"stat": "failed"}},
        {"action": "destroy", "filter": {"state": "failed"}},
        {"action": "cancel"},
        {"action": "cancel", "filter": {"state": "failed"}, "limit": 0},
    ):
        answer = server.http.post("/jobs/bulk", json=body)
        assert answer.status_code == 422 and answer.json()["code"] == "invalid_request", (body, answer.text)


def test_labels_and_priority_change(server, kit, worker):
    """PATCH: labels at any time and found by the list at once, priority while it is open; validated as at submission."""
    name, team = kit.unique(), kit.unique()
    whole = kit.graph(kit.node("a", name))
    first, second = (server.submit(whole, labels={"team": team, "x": "1"})["job_id"] for _ in range(2))
    changed = server.http.patch(f"/jobs/{second}", json={"priority": 1, "labels": {"team": "new", "x": None}}).json()
    assert (changed["priority"], changed["labels"]) == (1, {"team": "new"})
    [event] = [event for event in server.events(second) if event["type"] == "job.updated"]
    assert event["data"] == {"labels": {"team": "new", "x": None}, "priority": 1} and event["actor"] == "local"
    assert [job["job_id"] for job in server.get("/jobs", label=f"team:{team}")["items"]] == [first]
    hand = worker(name)
    for wanted in (second, first):
        run = hand.take_one()
        assert run["job_id"] == wanted
        hand.complete(run)
    server.ended(second, "completed")
    assert server.http.patch(f"/jobs/{second}", json={"labels": {"late": "yes"}}).json()["labels"]["late"] == "yes"
    assert server.http.patch(f"/jobs/{second}", json={"priority": 2}).json()["code"] == "invalid_transition"
    for body in ({"priority": 9}, {"labels": {"bad key!": "x"}}, {"state": "failed"}, {"labels": {"k": 1}}):
        assert server.http.patch(f"/jobs/{second}", json=body).status_code == 422, body
    assert server.http.patch("/jobs/nobody", json={"priority": 1}).status_code == 404


def test_a_quota_answers_429_and_survives_a_restart(server, kit):
    """`quota_exceeded`, retryable, with Retry-After; the settings are on disk."""
    tenant = kit.unique("t")
    assert server.http.patch(f"/tenants/{tenant}", json={"max_open_jobs": 1, "weight": 2.5}).status_code == 200
    server.kill()
    server.start()
    whole = kit.graph(kit.node("a", kit.unique()))
    job_id = server.submit(whole, tenant=tenant)["job_id"]
    refused = server.http.post("/jobs", json={"workflow": whole, "params": {}, "tenant": tenant})
    assert refused.status_code == 429 and int(refused.headers["retry-after"]) > 0
    assert refused.json()["code"] == "quota_exceeded" and refused.json()["retryable"] and refused.json()["hint"]
    [shown] = [each for each in server.get("/tenants")["items"] if each["name"] == tenant]
    assert (shown["weight"], shown["max_open_jobs"], shown["open_jobs"], shown["jobs"]) == (2.5, 1, 1, {"queued": 1})
    server.http.delete(f"/jobs/{job_id}")
    server.submit(whole, tenant=tenant)
    for body in ({"weight": 0}, {"max_running": -1}, {"max_priority": 6}, {"wait": 1}):
        assert server.http.patch(f"/tenants/{tenant}", json=body).status_code == 422, body


def test_queues_tell_depth_and_oldest_wait(server, kit, worker):
    """GET /queues: what waits, for how long, what runs, the limits; kept over a restart."""
    name, queue = kit.unique(), kit.unique("q")
    server.http.patch(f"/queues/{queue}", json={"concurrency": 1, "rate_limit": {"limit": 9, "period_s": 1}})
    for key in ("k1", "k2", "k1"):
        server.submit(kit.graph(kit.node("a", name, queue=queue, concurrency_key=key)))

    def shown():
        return next(each for each in server.get("/queues")["items"] if each["name"] == queue)

    before = shown()
    assert (before["ready"], before["running"], before["concurrency"]) == (3, 0, 1)
    assert before["oldest_wait_s"] >= 0
    hand = worker(name)
    hand.take_one()
    kit.until(lambda: shown()["running"] == 1)
    server.kill()
    server.start()
    after = shown()
    assert (after["ready"], after["running"], after["rate_limit"]) == (2, 1, {"limit": 9, "period_s": 1.0})


def test_pause_holds_claims_and_nothing_else(server, kit, worker):
    """R26: in every state; timers run, cancel works, deadlines pass, running attempts finish."""
    name = kit.unique()
    hand = worker(name)
    running = server.submit(kit.graph(kit.node("a", name), kit.node("b", name, after=["a"])))["job_id"]
    run = hand.take_one()
    pending = server.submit(kit.graph(kit.node("a", name)), delay_s=0.5)["job_id"]
    asleep = server.submit(kit.graph({"name": "s", "kind": "sleep", "duration": 0.5}, kit.node("a", name, after=["s"])))
    bounded = server.submit(kit.graph(kit.node("a", kit.unique())), timeout_s=1)["job_id"]
    jobs = [running, pending, asleep["job_id"], bounded]
    for job_id in jobs:
        assert server.post(f"/jobs/{job_id}/pause")["paused"]
    hand.complete(run)
    assert server.ended(bounded, "failed")["error"]["code"] == "job_timeout"
    kit.until(lambda: server.job(pending)["state"] == "queued")
    kit.until(lambda: server.task(asleep["job_id"], "a")["state"] == "ready")
    assert server.task(running, "b")["state"] == "ready"
    hand.nothing()
    assert server.http.delete(f"/jobs/{pending}").json()["state"] == "cancelled"
    for job_id in (running, asleep["job_id"]):
        server.post(f"/jobs/{job_id}/resume")
        hand.complete(hand.take_one())
        server.ended(job_id, "completed")

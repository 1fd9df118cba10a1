"""R25, promise 6: the order of claims, limits, and why something waits."""

from __future__ import annotations


def order(hand, count):
    """Claim one by one, and complete each."""
    found = []
    for _ in range(count):
        run = hand.take_one()
        found.append(run)
        hand.complete(run)
    return found


def test_priority_goes_before_fairness_and_age(server, worker, kit):
    """R25: 1 is the highest; first in, first out among equals; a node's own priority overrides the job's."""
    name = kit.unique()
    whole = kit.graph(kit.node("a", name))
    jobs = {p: [server.submit(whole, priority=p)["job_id"] for _ in range(2)] for p in (5, 3, 1)}
    urgent = server.submit(kit.graph(kit.node("a", name, priority=1)), priority=5)["job_id"]
    hand = worker(name)
    assert [run["job_id"] for run in order(hand, 7)] == [*jobs[1], urgent, *jobs[3], *jobs[5]]


def test_tenants_take_turns(server, worker, kit):
    """R25: a tenant with one job does not wait behind another's hundred."""
    name = kit.unique()
    whole = kit.graph(kit.node("a", name))
    server.post("/jobs/batch", {"jobs": [{"workflow": whole, "params": {}, "tenant": "busy"}] * 30}, status=201)
    for _ in range(3):
        server.submit(whole, tenant="quiet")
    hand = worker(name)
    first = [run["tenant"] for run in order(hand, 8)]
    assert first.count("quiet") == 3, first
    order(hand, 25)


def test_a_queues_concurrency_limit(server, worker, kit):
    """R25, design section 5: set by PATCH, at once in force; `slot` is the reason; null takes it away."""
    name, queue = kit.unique(), kit.unique("q")
    shown = server.http.patch(f"/queues/{queue}", json={"concurrency": 2}).json()
    assert shown["concurrency"] == 2
    whole = kit.graph(kit.node("a", name, queue=queue))
    jobs = [server.submit(whole)["job_id"] for _ in range(4)]
    hand = worker(name)
    runs = hand.take(2)
    hand.nothing()
    assert "slot" in [each["reason"] for each in server.job(jobs[3])["waiting_for"]]
    hand.complete(runs[0])
    runs.append(hand.take_one())
    hand.nothing()
    server.http.patch(f"/queues/{queue}", json={"concurrency": None})
    runs.append(hand.take_one())
    for run in runs[1:]:
        hand.complete(run)
    for job_id in jobs:
        server.ended(job_id, "completed")


def test_a_queues_rate_limit(server, worker, kit):
    """R25: so many starts in a period; `rate` is the reason."""
    name, queue = kit.unique(), kit.unique("q")
    server.http.patch(f"/queues/{queue}", json={"rate_limit": {"limit": 1, "period_s": 1.5}})
    whole = kit.graph(kit.node("a", name, queue=queue))
    jobs = [server.submit(whole)["job_id"] for _ in range(2)]
    hand = worker(name)
    hand.complete(hand.take_one())
    assert "rate" in [each["reason"] for each in server.job(jobs[1])["waiting_for"]]
    hand.complete(hand.take_one())
    for job_id in jobs:
        server.ended(job_id, "completed")
    starts = [server.task(job_id, "a")["started_at"] for job_id in jobs]
    from datetime import datetime

    first, second = (datetime.fromisoformat(start).timestamp() for start in starts)
    assert second - first >= 1.4


def test_a_concurrency_key_parks_its_own_and_stalls_nobody(server, worker, kit):
    """R25: one run per key; `key` is the reason; others go on."""
    name = kit.unique()
    keyed = kit.graph(kit.node("a", name, concurrency_key={"$param": "k"}))
    first = server.submit(keyed, {"k": "x"})["job_id"]
    second = server.submit(keyed, {"k": "x"})["job_id"]
    other = server.submit(keyed, {"k": "y"})["job_id"]
    hand = worker(name)
    runs = hand.take(2)
    assert {run["job_id"] for run in runs} == {first, other}
    hand.nothing()
    assert "key" in [each["reason"] for each in server.job(second)["waiting_for"]]
    for run in runs:
        hand.complete(run)
    hand.complete(hand.take_one())
    server.ended(second, "completed")


def test_a_tasks_own_rate_limit(server, worker, kit):
    """R25, design section 4: a task may declare its rate."""
    name = kit.unique()
    whole = kit.graph(kit.node("a", name, rate_limit={"limit": 1, "period_s": 60}))
    jobs = [server.submit(whole)["job_id"] for _ in range(2)]
    hand = worker(name)
    hand.complete(hand.take_one())
    hand.nothing()
    assert "rate" in [each["reason"] for each in server.job(jobs[1])["waiting_for"]]
    server.http.delete(f"/jobs/{jobs[1]}")


def test_resources_are_taken_together_or_not_at_all(server, worker, kit):
    """R25: what no free worker has is `resource`; what no worker has at all says so; the grant tells what was given."""
    name = kit.unique()
    big = server.submit(kit.graph(kit.node("a", name, resources={"gpu": 2, "vram_mb": 100})))["job_id"]
    hand = worker(name, resources={"gpu": 2, "vram_mb": 150})
    run = hand.take_one()
    assert run["resources"] == {"gpu": 2, "vram_mb": 100}
    small = server.submit(kit.graph(kit.node("a", name, resources={"gpu": 1})))["job_id"]
    assert hand.poll(resources_free={"gpu": 0, "vram_mb": 50}).get("tasks", []) == []
    kit.until(lambda: "resource" in server.reasons(small) or "slot" in server.reasons(small))
    hand.complete(run)
    hand.complete(hand.take_one())
    for job_id in (big, small):
        server.ended(job_id, "completed")
    huge = server.submit(kit.graph(kit.node("a", name, resources={"gpu": 64})))["job_id"]
    hand.nothing()
    assert {"resource", "worker"} & set(server.reasons(huge))
    server.http.delete(f"/jobs/{huge}")


def test_no_worker_and_busy_workers_are_reasons(server, worker, kit):
    """Promise 6: `worker` names the task and version nobody offers; `slot` when all that do are busy; `task` before it."""
    name = kit.unique()
    job = server.submit(kit.graph(kit.node("a", name), kit.node("b", name, after=["a"])))["job_id"]
    [reason] = server.job(job)["waiting_for"]
    assert reason["reason"] == "worker" and f"{name}@1" in reason["detail"] and reason["since"]
    [blocked] = server.task(job, "b")["waiting_for"]
    assert (blocked["reason"], blocked["detail"]) == ("task", "a")
    assert set(blocked) == {"reason", "detail", "since"}
    hand = worker(name, slots=1)
    run = hand.take_one()
    assert server.job(job)["waiting_for"] == []
    second = server.submit(kit.graph(kit.node("a", name)))["job_id"]
    hand.poll(free=0, wait_s=0)
    assert "slot" in server.reasons(second)
    hand.complete(run)
    order(hand, 2)
    server.ended(job, "completed")


def test_a_worker_gets_only_its_queues(server, worker, kit):
    """Formats: `--queues a,b`; the reason is `worker` while nobody serves the queue."""
    name, queue = kit.unique(), kit.unique("q")
    picky = worker(name, queues=["elsewhere"])
    job = server.submit(kit.graph(kit.node("a", name, queue=queue)))["job_id"]
    picky.nothing()
    assert server.reasons(job) == ["worker"]
    hand = worker(name, queues=["elsewhere", queue])
    hand.complete(hand.take_one())
    server.ended(job, "completed")


def test_two_pollers_at_once_never_get_the_same_task(server, worker, kit):
    """Promise 2: each transition happens once."""
    from concurrent.futures import ThreadPoolExecutor

    name = kit.unique()
    whole = kit.graph(kit.node("a", name))
    batch = server.post("/jobs/batch", {"jobs": [{"workflow": whole, "params": {}}] * 60}, status=201)["items"]
    hands = [worker(name) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        runs = [run for taken in pool.map(lambda hand: hand.take(10), hands) for run in taken]
    assert len({run["run_id"] for run in runs}) == len({run["job_id"] for run in runs}) == 60
    for hand in hands:
        hand.report(*({"run_id": run_id, "kind": "completed"} for run_id in list(hand.held)))
    for job in batch:
        server.ended(job["job_id"], "completed")

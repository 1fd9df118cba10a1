"""R23 in the engine: hits in the commit that makes a task ready, misses, and what is needed by whom."""

from __future__ import annotations

from orpheus.core import facts as f

XS = {"type": "object", "properties": {"x": {}}}
CACHED = {"name": "a", "cache": True, "args": {"x": {"$param": "x"}}}


def rows(cluster, sql, *values):
    return cluster.store.connection.execute(sql, values).fetchall()


def test_an_equal_task_of_another_job_is_cached(cluster, flow):
    cluster.publish(flow("one", CACHED, {"name": "b", "after": ["a"], "cache": True}, params=XS))
    worker = cluster.worker()
    first = cluster.submit("one", params={"x": 1})
    worker.complete(worker.poll()[0], {"n": 1}, ("out/x.txt", f"out/{first}.txt"))
    worker.complete(worker.poll()[0], 5)
    second = cluster.submit("one", params={"x": 1})
    assert cluster.job(second).state == "completed" and not worker.poll()
    row = cluster.task(second, "a")
    assert (row.cached, row.attempt, row.run_id) == (True, 0, None)
    shown = {(name, key.rsplit("/", 1)[1]) for name, key in rows(
        cluster, "SELECT name, key FROM artifacts JOIN jobs USING (job_no) WHERE job_id = ?", second)}  # fmt: skip
    assert shown == {("out/x.txt", "x.txt"), (f"out/{second}.txt", f"{first}.txt")}
    assert cluster.events(second)[:4] == ["job.created", "job.queued", "task.ready", "job.started"]
    assert cluster.events(second).count("task.cached") == 2
    third = cluster.submit("one", params={"x": 2})
    assert cluster.job(third).state == "queued" and len(worker.poll()) == 1
    run_id = rows(cluster, "SELECT run_id FROM known_results WHERE uses = 1 AND artifacts <> '[]'")[0][0]
    assert rows(cluster, "SELECT count(*) FROM object_uses WHERE object = ?", run_id) == [(1,)]


def test_other_tenants_do_not_share(cluster, flow):
    cluster.publish(flow("one", CACHED, params=XS))
    worker = cluster.worker()
    cluster.submit("one", params={"x": 1}, tenant="ada")
    worker.complete(worker.poll()[0], 1)
    cluster.submit("one", params={"x": 1}, tenant="bob")
    assert len(worker.poll()) == 1


def test_damaged_objects_are_a_miss(cluster, flow):
    """The entry is forgotten, the task runs, and its result is kept anew."""
    sound = []
    cluster.machine._intact = lambda parts, since: bool(sound)
    cluster.publish(flow("one", CACHED, params=XS))
    worker = cluster.worker()
    cluster.submit("one", params={"x": 1})
    worker.complete(worker.poll()[0], 1, ("n",))
    cluster.submit("one", params={"x": 1})
    (grant,) = worker.poll()
    assert rows(cluster, "SELECT count(*) FROM known_results") == [(0,)]
    worker.complete(grant, 2, ("n",))
    sound.append(True)
    assert cluster.job(cluster.submit("one", params={"x": 1})).state == "completed"


def test_equal_items_of_a_map(cluster, flow):
    """The first of equals runs; those that become ready after it has completed are cached."""
    node = {"kind": "map", "name": "m", "items": {"x": {"$param": "x"}}, "cache": True, "max_concurrency": 1}
    cluster.publish(flow("one", node, params=XS))
    worker = cluster.worker()
    job_id = cluster.submit("one", params={"x": [1, 1, 2, 1]})
    ran = 0
    while grants := worker.poll():
        ran += len(grants)
        worker.complete(grants[0], grants[0].args["x"])
    assert ran == 2 and cluster.job(job_id).state == "completed"
    assert [cluster.task(job_id, "m", index).cached for index in range(4)] == [False, True, False, True]


def test_a_staggered_map_is_not_held_up_by_hits(cluster, flow):
    node = {"kind": "map", "name": "m", "items": {"x": {"$param": "x"}}, "cache": True, "stagger_s": 50.0}
    cluster.publish(flow("one", node, params=XS))
    worker = cluster.worker()
    cluster.submit("one", params={"x": [1]})
    worker.complete(worker.poll()[0], 1)
    job_id = cluster.submit("one", params={"x": [1, 1, 1]})
    cluster.settle()
    assert cluster.job(job_id).state == "completed"


def test_a_retry_uses_what_others_found_and_a_named_task_does_not(cluster, flow):
    cluster.publish(flow("one", {**CACHED, "retry": {"max_retries": 0}}, params=XS))
    worker = cluster.worker()
    first = cluster.submit("one", params={"x": 1})
    worker.fail(worker.poll()[0])
    second = cluster.submit("one", params={"x": 1})
    worker.complete(worker.poll()[0], 1)
    cluster.tell(first, f.RetryRequested())
    assert cluster.job(first).state == "completed" and cluster.task(first, "a").cached
    cluster.tell(second, f.RetryRequested(from_task="a"))
    assert len(worker.poll()) == 1


def test_tasks_without_a_cache_ask_nothing(cluster, flow):
    """The hot path does not pay: no query, no row."""
    cluster.publish(flow("one", {"name": "a"}))
    worker = cluster.worker()
    seen: list[str] = []
    cluster.store.connection.set_trace_callback(seen.append)
    cluster.submit("one")
    worker.complete(worker.poll()[0], 1)
    cluster.store.connection.set_trace_callback(None)
    assert not [sql for sql in seen if "known_result" in sql or "object_uses" in sql]


def test_a_hit_survives_a_restart(cluster, flow):
    cluster.publish(flow("one", CACHED, params=XS))
    worker = cluster.worker()
    cluster.submit("one", params={"x": 1})
    worker.complete(worker.poll()[0], 1, ("n",))
    cluster.restart()
    assert cluster.job(cluster.submit("one", params={"x": 1})).state == "completed"


def offers(made_with):
    return {"name": "step", "version": 1, "content": "same", "made_with": made_with}


def test_what_another_model_made_is_not_the_same(cluster, flow):
    """The look-up asks for what the worker that said hello last would make; a result counts as made by the one that made it."""
    cluster.publish(flow("one", CACHED, params=XS))

    def submitted():
        return cluster.job(cluster.submit("one", params={"x": 1})).state

    tiny, large = cluster.worker(name="tiny"), cluster.worker(name="large")
    tiny.hello(task_specs=(offers("tiny"),))
    assert submitted() == "queued"
    tiny.complete(tiny.poll()[0], 1)
    assert submitted() == "completed"
    large.hello(task_specs=(offers("large"),))
    assert submitted() == "queued"
    tiny.complete(tiny.poll()[0], 2)  # the old worker is still there and took it: that is no result of the large one
    assert submitted() == "queued"
    large.complete(large.poll()[0], 3)
    assert submitted() == "completed"
    assert rows(cluster, "SELECT result FROM known_results ORDER BY created_at, result") == [("2",), ("3",)]
    tiny.hello(task_specs=(offers("tiny"),))
    assert submitted() == "completed"

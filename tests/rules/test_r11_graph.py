"""R11–R13: which nodes run, with what, and what maps give."""

from __future__ import annotations

import itertools
from typing import Any


def ref(name: str, *path: Any) -> Any:
    return {"$get": [{"$ref": name}, *path]} if path else {"$ref": name}


def a_map(name: str, task: str, over: Any, **options: Any) -> dict[str, Any]:
    return {"name": name, "kind": "map", "task": task, "version": 1, "items": {"x": over}, **options}


def states(server: Any, job_id: str) -> dict[str, str]:
    return {task["name"]: task["state"] for task in server.tasks(job_id) if task["index"] is None}


def test_a_skipped_input_skips_its_consumer_unless_wrapped(server, worker, kit):
    """R12: skipping goes on down; `optional` becomes null, `first_of` the first not skipped, `after` only orders; a
    skipped output is null."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(
        kit.graph(
            kit.node("a", name),
            kit.node("no", name, when={"$eq": [1, 2]}),
            kit.node("down", name, args={"v": ref("no")}),
            kit.node("opt", name, args={"v": {"$optional": ref("no")}}),
            kit.node("first", name, args={"v": {"$first_of": [ref("no"), ref("a")]}}),
            kit.node("none", name, args={"v": {"$first_of": [ref("no"), ref("down")]}}),
            kit.node("order", name, after=["no", "down"]),
            kit.node("isnone", name, when={"$is_none": ref("no")}),
            kit.node("cond", name, when={"$eq": [ref("no"), 1]}),
            output={"a": ref("a"), "no": ref("no"), "list": [ref("down"), 1]},
        )
    )
    given: dict[str, Any] = {}
    for _ in range(5):
        run = hand.take_one()
        given[run["task"]] = run.get("args", {})
        assert hand.complete(run, f"of {run['task']}")["ok"]
    ended = server.ended(job["job_id"], "completed")
    assert given == {"a": {}, "opt": {"v": None}, "first": {"v": "of a"}, "order": {}, "isnone": {}}
    skipped = {name for name, state in states(server, job["job_id"]).items() if state == "skipped"}
    assert skipped == {"no", "down", "none", "cond"}
    assert ended["result"] == {"a": "of a", "no": None, "list": [None, 1]}
    assert ended["tasks"] == {"completed": 5, "skipped": 4, "total": 9}


def test_a_value_a_task_did_not_return_is_a_permanent_binding_failed(server, worker, kit):
    """R12: not retried; the job names the task."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name), kit.node("b", name, args={"v": ref("a", "nope", 0)})))
    hand.complete(hand.take_one(), {"yes": 1})
    hand.poll()
    ended = server.ended(job["job_id"], "failed")
    assert (ended["error"]["code"], ended["error"]["task"], ended["error"]["retryable"]) == (
        "binding_failed",
        "b",
        False,
    )


def test_an_output_that_cannot_be_made_fails_the_job(server, worker, kit):
    """R12: `binding_failed` of the workflow's output."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name), output=ref("a", "nope")))
    hand.complete(hand.take_one(), {})
    assert server.ended(job["job_id"], "failed")["error"]["code"] == "binding_failed"


def test_conditions(server, worker, kit):
    """Design section 4: every comparison and combination, by what a task returned."""
    name = kit.unique()
    hand = worker(name)
    value = ref("a", "n")
    cases = {
        "eq": ({"$eq": [value, 3]}, True),
        "ne": ({"$ne": [value, 3]}, False),
        "lt": ({"$lt": [value, 4]}, True),
        "ge": ({"$ge": [value, 4]}, False),
        "isin": ({"$in": [value, [1, 2, 3]]}, True),
        "all": ({"$all": [{"$gt": [value, 1]}, ref("a", "no")]}, False),
        "any": ({"$any": [ref("a", "no"), {"$le": [value, 3]}]}, True),
        "not": ({"$not": ref("a", "no")}, True),
        "null": ({"$is_none": ref("a", "null")}, True),
    }
    nodes = [kit.node(key, name, when=when) for key, (when, _) in cases.items()]
    job = server.submit(kit.graph(kit.node("a", name), *nodes))
    hand.complete(hand.take_one(), {"n": 3, "no": False, "null": None})
    for run in hand.take(sum(expected for _, expected in cases.values())):
        hand.complete(run)
    server.ended(job["job_id"], "completed")
    ran = {key for key, state in states(server, job["job_id"]).items() if state == "completed"}
    assert ran == {"a"} | {key for key, (_, expected) in cases.items() if expected}


def test_an_empty_map_completes_with_an_empty_list(server, worker, kit):
    """R13."""
    name = kit.unique()
    worker(name)
    job = server.submit(kit.graph(a_map("m", name, []), output=ref("m")))
    assert server.ended(job["job_id"], "completed")["result"] == []


def test_results_keep_the_order_of_the_items(server, worker, kit):
    """R13, formats (Task): items carry their `index`; results stand in order however they came in."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(
        kit.graph(a_map("m", name, {"$param": "xs"}, args={"k": 7}), output=ref("m")), {"xs": [3, 1, 2]}
    )
    runs = hand.take(3)
    assert {run["index"]: run["args"] for run in runs} == {
        0: {"x": 3, "k": 7},
        1: {"x": 1, "k": 7},
        2: {"x": 2, "k": 7},
    }
    for run in reversed(runs):
        hand.complete(run, run["args"]["x"] * 10)
    assert server.ended(job["job_id"], "completed")["result"] == [30, 10, 20]


def test_a_map_over_something_that_is_no_list_is_binding_failed(server, worker, kit):
    """R12, R13."""
    name = kit.unique()
    worker(name)
    job = server.submit(kit.graph(a_map("m", name, {"$param": "xs"})), {"xs": 5})
    assert server.ended(job["job_id"], "failed")["error"]["code"] == "binding_failed"


def _failing_map(server: Any, hand: Any, kit: Any, name: str, **options: Any) -> dict[str, Any]:
    job = server.submit(kit.graph(a_map("m", name, [0, 1, 2], retry={"max_retries": 0}, **options), output=ref("m")))
    for run in sorted(hand.take(3), key=lambda run: run["index"]):
        if run["index"] == 1:
            hand.fail(run, message="no good", type="Bad")
        else:
            hand.complete(run, run["index"])
    ended: dict[str, Any] = server.ended(job["job_id"])
    return ended


def test_continue_puts_a_typed_failure_at_its_index(server, worker, kit):
    """R13: `on_failure="continue"`."""
    name = kit.unique()
    ended = _failing_map(server, worker(name), kit, name, on_failure="continue")
    first, failure, last = ended["result"]
    assert (ended["state"], first, last) == ("completed", 0, 2)
    shown = failure.get("$failure", failure)
    assert (shown["code"], shown["message"]) == ("task_failed", "no good")
    assert ended["tasks"] == {"completed": 3, "failed": 1, "total": 4}


def test_skip_counts_as_skipped_and_leaves_null(server, worker, kit):
    """R13, R13a: `on_failure="skip"`."""
    name = kit.unique()
    ended = _failing_map(server, worker(name), kit, name, on_failure="skip")
    assert (ended["state"], ended["result"]) == ("completed", [0, None, 2])
    assert ended["tasks"] == {"completed": 3, "skipped": 1, "total": 4}


def test_fail_fails_the_map_cancels_what_waits_and_stops_what_runs(server, worker, kit):
    """R13: `on_failure="fail"`, the default."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(a_map("m", name, [0, 1, 2, 3], retry={"max_retries": 0}, max_concurrency=2)))
    first, second = sorted(hand.take(2), key=lambda run: run["index"])
    hand.fail(first)
    told = hand.poll(free=0, wait_s=10)["cancel"]
    assert [notice["run_id"] for notice in told] == [second["run_id"]]
    assert hand.stopped(second)["ok"]
    ended = server.ended(job["job_id"], "failed")
    items = {task["index"]: task["state"] for task in server.tasks(job["job_id"], node="m")}
    assert items == {None: "failed", 0: "failed", 1: "cancelled", 2: "cancelled", 3: "cancelled"}
    assert ended["error"]["task"] == "m"


def test_a_single_task_that_failed_under_continue_or_skip_has_no_value(server, worker, kit):
    """R12a: its consumers are skipped, wrapped ones get null; `after` is satisfied."""
    name = kit.unique()
    hand = worker(name)
    bad = {"retry": {"max_retries": 0}}
    job = server.submit(
        kit.graph(
            kit.node("c", name, on_failure="continue", **bad),
            kit.node("s", name, on_failure="skip", **bad),
            kit.node("needs_c", name, args={"v": ref("c")}),
            kit.node("needs_s", name, args={"v": ref("s")}),
            kit.node("opt", name, args={"c": {"$optional": ref("c")}, "s": {"$optional": ref("s")}}),
            kit.node("order", name, after=["c", "s"]),
            output={"c": ref("c"), "o": ref("opt")},
        )
    )
    for run in hand.take(2):
        hand.fail(run)
    given = {run["task"]: run for run in hand.take(2)}
    assert given["opt"]["args"] == {"c": None, "s": None}
    for run in given.values():
        hand.complete(run, 1)
    ended = server.ended(job["job_id"], "completed")
    assert ended["result"] == {"c": None, "o": 1}
    assert states(server, job["job_id"]) == {
        "c": "failed",
        "s": "skipped",
        "needs_c": "skipped",
        "needs_s": "skipped",
        "opt": "completed",
        "order": "completed",
    }


def test_cap_and_stagger(server, worker, kit):
    """Design section 4, formats: at most `max_concurrency` items at a time; starts `stagger_s` apart; both say so."""
    name = kit.unique()
    hand = worker(name)
    capped = server.submit(kit.graph(a_map("m", name, [0, 1, 2], max_concurrency=1)))
    run = hand.take_one()
    hand.nothing()
    assert [each["reason"] for each in server.task(capped["job_id"], "m", 1)["waiting_for"]] == ["cap"]
    for _ in range(2):
        hand.complete(run)
        run = hand.take_one()
    hand.complete(run)
    server.ended(capped["job_id"], "completed")
    other = kit.unique()
    hand = worker(other)
    staggered = server.submit(kit.graph(a_map("m", other, [0, 1, 2], stagger_s=0.7)))
    first = hand.take_one()
    assert "stagger" in [each["reason"] for each in server.task(staggered["job_id"], "m", 1)["waiting_for"]]
    runs = [first, *hand.take(2)]
    for run in runs:
        hand.complete(run)
    server.ended(staggered["job_id"], "completed")
    from datetime import datetime

    starts = sorted(
        datetime.fromisoformat(task["started_at"]).timestamp()
        for task in server.tasks(staggered["job_id"], node="m")
        if task["index"] is not None
    )
    assert all(later - earlier >= 0.69 for earlier, later in itertools.pairwise(starts)), starts


def test_cycles_and_dangling_references_name_the_culprit(server, kit):
    """Bad input: `invalid_graph` names the nodes; `unknown_reference` the nearest match."""
    circle = kit.graph(kit.node("a", after=["b"]), kit.node("b", after=["a"]))
    refused = server.submit(circle, status=422)
    assert refused["code"] == "invalid_graph" and "a" in refused["message"] and "b" in refused["message"]
    dangling = kit.graph(kit.node("stitch"), kit.node("b", args={"v": ref("stich")}))
    refused = server.submit(dangling, status=422)
    assert refused["code"] == "unknown_reference" and "stitch" in refused["hint"] + refused["message"]


def test_a_large_map_is_paged_and_counted(server, worker, kit):
    """R4: items are rows; tasks are listed page by page, filtered by node and state."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(a_map("m", name, list(range(300)))))
    runs = hand.take(100)
    hand.report(*({"run_id": run["run_id"], "kind": "completed", "result": 1} for run in runs))
    page = server.get(f"/jobs/{job['job_id']}/tasks", node="m", state="completed", limit=60)
    assert len(page["items"]) == 60 and page["next_cursor"]
    assert len(server.tasks(job["job_id"], node="m", state="completed", limit=60)) == 100
    for _ in range(2):
        hand.report(*({"run_id": run["run_id"], "kind": "completed", "result": 1} for run in hand.take(100)))
    ended = server.ended(job["job_id"], "completed")
    assert ended["tasks"] == {"completed": 301, "total": 301}

"""How a graph is carried out, whatever the engine (R11 to R13, R17, R20)."""

from __future__ import annotations


def test_a_value_goes_from_task_to_task_to_the_result(bench, flow):
    """Params, references, fields of results, and the output."""

    async def body(b):
        graph = flow(
            {"name": "a", "args": {"n": {"$param": "x"}}},
            {"name": "b", "args": {"n": {"$get": [{"$ref": "a"}, "n"]}}},
            output={"last": {"$ref": "b"}, "first": {"$get": [{"$ref": "a"}, "n"]}},
        )
        await b.work({"step@1": lambda grant: {"n": grant.args["n"] + 1}})
        job_id = await b.submit(graph, params={"x": 1})
        assert (await b.end(job_id)).state == "completed"
        assert await b.result(job_id) == {"last": {"n": 3}, "first": 2}

    bench(body)


def test_branches_join_and_skips_pass_on(bench, flow):
    """A skipped input skips its consumer, first_of takes what there is, after only orders (R12)."""

    async def body(b):
        graph = flow(
            {"name": "kind"},
            {"name": "left", "when": {"$eq": [{"$ref": "kind"}, "l"]}, "after": ["kind"]},
            {"name": "right", "when": {"$eq": [{"$ref": "kind"}, "r"]}, "after": ["kind"]},
            {"name": "needs_left", "args": {"v": {"$ref": "left"}}},
            {"name": "either", "args": {"v": {"$first_of": [{"$ref": "left"}, {"$ref": "right"}]}}},
            {"name": "last", "after": ["needs_left", "either"]},
            output={"$optional": {"$ref": "needs_left"}},
        )
        await b.work({"step@1": lambda grant: "r" if grant.task.node == "kind" else grant.task.node})
        job_id = await b.submit(graph)
        assert (await b.end(job_id)).state == "completed"
        assert await b.states(job_id) == {
            "kind": "completed",
            "left": "skipped",
            "right": "completed",
            "needs_left": "skipped",
            "either": "completed",
            "last": "completed",
        }
        assert await b.result(job_id) is None

    bench(body)


def test_a_map_keeps_order_under_a_cap(bench, flow):
    """Results in the order of the items; an empty map is [] (R13)."""

    async def body(b):
        node = {"name": "m", "kind": "map", "items": {"n": {"$param": "x"}}, "max_concurrency": 3}
        graph = flow(node, output={"$ref": "m"})
        await b.work({"step@1": lambda grant: grant.args["n"] * 10}, slots=2)
        await b.work({"step@1": lambda grant: grant.args["n"] * 10}, slots=5)
        job_id = await b.submit(graph, params={"x": list(range(40))})
        await b.end(job_id)
        assert await b.result(job_id) == [n * 10 for n in range(40)]
        empty = await b.submit(graph, params={"x": []})
        assert (await b.end(empty)).state == "completed"
        assert await b.result(empty) == []

    bench(body)


def test_a_failure_is_retried_then_final(bench, flow):
    """max_retries=2 is three attempts; the error names its task (R5, R17)."""

    async def body(b):
        seen = []

        def fail(grant):
            seen.append(grant.task.attempt)
            raise ValueError("never")

        retry = {"max_retries": 2, "initial_s": 0.01, "factor": 1, "jitter": 0}
        await b.work({"step@1": fail})
        job = await b.end(await b.submit(flow({"name": "a", "retry": retry})))
        assert seen == [1, 2, 3]
        assert job.state == "failed" and (job.error.code, job.error.task) == ("task_failed", "a")

    bench(body)


def test_failures_may_be_skipped_or_stand_in_the_result(bench, flow):
    """on_failure of a map's items (R13)."""

    async def body(b):
        def odd(grant):
            if grant.args["n"] % 2:
                raise ValueError("odd")
            return grant.args["n"]

        await b.work({"step@1": odd})
        node = {"name": "m", "kind": "map", "items": {"n": {"$param": "x"}}, "retry": {"max_retries": 0}}
        job_id = await b.submit(flow({**node, "on_failure": "continue"}, output={"$ref": "m"}), params={"x": [0, 1, 2]})
        assert (await b.end(job_id)).state == "completed"
        first, failure, last = await b.result(job_id)
        assert (first, last) == (0, 2) and "odd" in str(failure)
        job_id = await b.submit(flow(node), params={"x": [0, 1, 2]})
        assert (await b.end(job_id)).state == "failed"

    bench(body)


def test_a_rewind_runs_the_named_task_and_what_depends_on_it_again(bench, flow):
    """A new generation; finished work elsewhere is kept (R20)."""
    from orpheus.core.facts import RetryRequested

    async def body(b):
        seen = []
        await b.work({"step@1": lambda grant: seen.append((grant.task.node, grant.task.generation))})
        graph = flow({"name": "a"}, {"name": "b", "after": ["a"]}, {"name": "c", "after": ["b"]}, {"name": "side"})
        job_id = await b.submit(graph)
        await b.end(job_id)
        seen.clear()
        job = await b.engine.tell(job_id, RetryRequested(from_task="b"))
        assert job.generation == 2
        assert (await b.end(job_id)).state == "completed"
        assert seen == [("b", 2), ("c", 2)]

    bench(body)


def test_a_sleep_passes_and_a_delay_holds(bench, flow):
    """Timers of nodes and jobs."""

    async def body(b):
        await b.work({"step@1": lambda _grant: None})
        job_id = await b.submit(
            flow({"name": "z", "kind": "sleep", "duration": 0.2}, {"name": "a", "after": ["z"]}), delay_s=0.2
        )
        job = await b.end(job_id)
        assert job.state == "completed" and job.finished_at - job.created_at >= 0.4

    bench(body)

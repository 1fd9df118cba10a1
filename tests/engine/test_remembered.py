"""What the engine remembers of a job that runs: a step of a chain reads no row of the one before it, and an end leaves nothing."""

from __future__ import annotations


def test_a_step_of_a_chain_reads_no_row(cluster, flow):
    steps = [{"name": "a"}, *({"name": name, "after": [before]} for before, name in zip("abc", "bcd", strict=True))]
    for step, before in zip(steps[1:], "abc", strict=True):
        step["args"] = {"value": {"$ref": before}}
    cluster.publish(flow("chained", *steps))
    worker = cluster.worker()
    cluster.submit("chained")
    [grant] = worker.take(worker.ask()).grants
    asked: list[str] = []
    for _ in range(3):
        worker.complete(grant, result=7)
        cluster.store.connection.set_trace_callback(asked.append)
        box = worker.ask()
        cluster.store.connection.set_trace_callback(None)
        [grant] = worker.take(box).grants
        assert grant.args == {"value": 7}
    assert any(text.startswith("UPDATE tasks") for text in asked)
    assert [text for text in asked if text.startswith("SELECT") and "FROM tasks WHERE" in text] == []
    worker.complete(grant)
    remembered = cluster.store._rows
    assert not remembered.jobs and not remembered.tasks and not remembered.current

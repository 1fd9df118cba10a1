"""What a worker says, item by item (R6, R8, R10, R17)."""

from __future__ import annotations

import pytest

from orpheus.core.errors import DefinitionConflict, TaskError
from orpheus.core.facts import ArtifactRef
from orpheus.engine.base import LiveMessage, RunReport


def ref(run_id: str, name: str, **changes):
    made = {"key": f".runs/{run_id}/{name}", "sha256": "0" * 64, "size_bytes": 1, "content_type": "text/plain"}
    return ArtifactRef(name=name, **{**made, **changes})


def test_a_bad_item_spoils_no_other(cluster, flow):
    """Each item has its own answer (R8)."""
    jobs = [cluster.submit(flow()) for _ in range(2)]
    worker = cluster.worker()
    one, two = worker.poll()
    answers = worker.report(
        RunReport(run_id=one.run_id, kind="completed", result=1),
        RunReport(run_id="unknown", kind="completed"),
        RunReport(run_id=two.run_id, kind="dances"),
        RunReport(run_id=two.run_id, kind="failed", error=TaskError(code="task_failed", message="no"), final=True),
        RunReport(run_id=one.run_id, kind="completed", result=2),
    )
    assert [answer and answer.code for answer in answers] == [None, "stale_run", "invalid_request", None, "stale_run"]
    assert [cluster.job(job).state for job in jobs] == ["completed", "failed"]
    assert cluster.store.connection.execute("SELECT result FROM tasks WHERE state='completed'").fetchone()[0] == "1"


@pytest.mark.parametrize(
    "name",
    ["../up", "/abs", "a//b", "a/./b", "", "a\\b", "x" * 513, "é" * 257, "nul\0", "manifest.json", ".runs/x", "a/.."],
)
def test_artifact_names_stay_in_the_runs_folder(cluster, flow, name):
    """Refused with the name, and nothing changed: the run may report again (R10)."""
    cluster.submit(flow())
    worker = cluster.worker()
    (grant,) = worker.poll()
    report = RunReport(run_id=grant.run_id, kind="completed", artifacts=(ref(grant.run_id, name),))
    assert worker.report(report)[0].code == "invalid_request"
    assert worker.complete(grant, None, artifacts=("fine/name.txt",)) is None


def test_an_artifact_that_lies_elsewhere_is_refused(cluster, flow):
    """A run writes only under its own folder (R10)."""
    cluster.submit(flow())
    worker = cluster.worker()
    (grant,) = worker.poll()
    for changes in ({"key": ".runs/other/a"}, {"key": "dev/t/j/a"}, {"sha256": "A" * 64}, {"size_bytes": -1}):
        report = RunReport(run_id=grant.run_id, kind="completed", artifacts=(ref(grant.run_id, "a", **changes),))
        assert worker.report(report)[0].code == "invalid_request"


def test_two_accepted_artifacts_of_one_name_conflict(cluster, flow):
    """The second task fails; the first one's file stands (R10)."""
    job_id = cluster.submit(flow("two", {"name": "a"}, {"name": "b", "after": ["a"], "retry": {"max_retries": 0}}))
    worker = cluster.worker()
    worker.complete(worker.poll()[0], None, artifacts=("same.txt",))
    worker.complete(worker.poll()[0], None, artifacts=("same.txt",))
    assert cluster.task(job_id, "b").error.code == "artifact_conflict"
    assert cluster.job(job_id).state == "failed"


def test_a_result_that_is_too_large_fails_the_task(make_cluster, flow):
    """With result_too_large, for good; inline and spilled alike."""
    cluster = make_cluster(inline_max_bytes=100, result_max_bytes=1_000)
    worker = cluster.worker()
    for result in ("x" * 200, {"$spill": {"key": None, "size_bytes": 2_000}}):
        job_id = cluster.submit(flow())
        (grant,) = worker.poll()
        if isinstance(result, dict):
            result["$spill"]["key"] = f".runs/{grant.run_id}/result.json"
        assert worker.complete(grant, result) is None
        assert cluster.job(job_id).error.code == "result_too_large"


def test_a_result_spilled_elsewhere_is_not_taken(cluster, flow):
    """A reference into another run's folder would read what is not its own (R10)."""
    job_id = cluster.submit(flow())
    worker = cluster.worker()
    (grant,) = worker.poll()
    worker.complete(grant, {"$spill": {"key": ".runs/other/result.json", "size_bytes": 5}})
    assert cluster.job(job_id).state == "failed"


def test_retries_wait_and_carry_the_last_heartbeat(cluster, flow):
    """The attempt number and the details reach the next attempt, also when they were held back (R17)."""
    cluster.submit(flow("retried", {"name": "a", "retry": {"max_retries": 2, "initial_s": 4, "jitter": 0}}))
    worker = cluster.worker()
    (grant,) = worker.poll()
    said = [RunReport(run_id=grant.run_id, kind="heartbeat", heartbeat={"page": page}) for page in range(5)]
    worker.report(*said)
    worker.fail(grant)
    cluster.advance(3.9, beating=[worker])
    assert worker.poll() == []
    cluster.advance(0.2, beating=[worker])
    (again,) = worker.poll()
    assert again.task.attempt == 2 and again.task.heartbeat == {"page": 4}


def test_a_final_error_is_not_retried_and_retry_after_sets_the_wait(cluster, flow):
    """Permanent and RetryAfter (R17)."""
    final = cluster.submit(flow())
    worker = cluster.worker()
    worker.fail(worker.poll()[0], final=True)
    assert cluster.job(final).state == "failed"
    cluster.submit(flow())
    worker.fail(worker.poll()[0], retry_after_s=50.0)
    cluster.advance(49.0, beating=[worker])
    assert worker.poll() == []
    cluster.advance(1.5, beating=[worker])
    assert len(worker.poll()) == 1


def test_progress_is_written_now_and_then_and_is_no_event(cluster, flow):
    """A talkative handler costs a row write per quarter second; the last word is not lost (R2)."""
    job_id = cluster.submit(flow())
    worker = cluster.worker()
    (grant,) = worker.poll()
    before = cluster.machine.meter.operations.get("progress", 0)
    for step in range(100):
        worker.report(RunReport(run_id=grant.run_id, kind="progress", fraction=step / 100, stage=f"s{step}"))
        cluster.clock.advance(0.01)
    assert cluster.machine.meter.operations["progress"] - before <= 5
    cluster.advance(0.3)
    task = cluster.task(job_id, "a")
    assert (task.progress, task.stage) == (0.99, "s99")
    assert not [kind for kind in cluster.events(job_id) if "progress" in kind]


def test_progress_and_logs_are_told_live(cluster, flow):
    """As unnumbered messages, of the job that was asked for (R2)."""
    job_id = cluster.submit(flow())
    cluster.submit(flow())
    worker = cluster.worker()
    one, two = worker.poll()
    heard: list[LiveMessage] = []
    stop = cluster.machine.stream.listen_live(heard.append, job_id)
    for grant in (one, two):
        worker.report(
            RunReport(run_id=grant.run_id, kind="progress", fraction=0.5, stage="half"),
            RunReport(run_id=grant.run_id, kind="log", lines=({"message": "hello", "level": "info"},)),
        )
    stop()
    told = {message.kind: message for message in heard}
    assert len(heard) == 2 and {message.job_id for message in heard} == {job_id}
    assert told["progress"].data == {"fraction": 0.5, "stage": "half", "progress_percentage": 50.0}
    assert told["log"].data["lines"][0]["message"] == "hello"


def test_logs_are_bounded_per_attempt(make_cluster, flow):
    """One marker says that the rest was cut; the next attempt has its own bound."""
    cluster = make_cluster(log_max_lines=10)
    cluster.submit(flow())
    worker = cluster.worker()
    (grant,) = worker.poll()
    lines = tuple({"message": f"line {n}", "at_offset_s": 1e9} for n in range(7))
    for _ in range(4):
        worker.report(RunReport(run_id=grant.run_id, kind="log", lines=lines))
    rows = cluster.store.connection.execute("SELECT message, at FROM logs ORDER BY log_no").fetchall()
    assert len(rows) == 11 and rows[-1][0].startswith("log cut here")
    assert all(at <= cluster.clock.now() for _message, at in rows)


def test_logs_of_a_stale_run_are_refused(cluster):
    """Like everything else of it (R6)."""
    worker = cluster.worker()
    (answer,) = worker.report(RunReport(run_id="gone", kind="log", lines=({"message": "x"},)))
    assert answer.code == "stale_run"


def test_a_conflicting_definition_refuses_the_whole_hello(cluster, flow):
    """Nothing of it is kept, and others of the same batch are not harmed (R24)."""
    worker = cluster.worker()
    spec = {"name": "step", "version": 1, "content": "one"}
    worker.hello(task_specs=(spec,), workflows=(flow("talk"),))
    worker.hello(task_specs=(spec,), workflows=(flow("talk"),))
    other = {"name": "fresh", "version": 1, "content": "f"}
    with pytest.raises(DefinitionConflict):
        worker.hello(task_specs=(other, {**spec, "content": "two"}))
    rows = cluster.store.connection.execute("SELECT name FROM task_specs").fetchall()
    assert rows == [("step",)]
    changed = flow("talk", {"name": "other"})
    with pytest.raises(DefinitionConflict):
        worker.hello(workflows=(flow("new"), changed))
    assert cluster.store.connection.execute("SELECT name FROM definition_names").fetchall() == [("talk",)]

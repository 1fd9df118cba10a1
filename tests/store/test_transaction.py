"""What `apply` writes, and what the questions answer."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from orpheus.core import facts as f
from orpheus.core.decider import decide
from orpheus.core.dispatch import Source
from orpheus.core.errors import DefinitionConflict, TaskError, UnknownJob
from orpheus.core.facts import ArtifactRef
from orpheus.core.job import JobState
from orpheus.core.task import TaskState
from orpheus.core.validate import parse_graph
from orpheus.store import GuardFailed, Store

GraphOf = Callable[..., dict[str, Any]]


def test_a_job_of_one_task_from_end_to_end(hand: Any, one_task_graph: GraphOf) -> None:
    """Rows, places in the order, events with cursors, the result: all as decided, in one transaction or in several."""
    graph = hand.publish(one_task_graph())
    applied = hand.submit("a", graph, params={"text": "x"})
    assert [task.ready_seq for task in applied.released] == [1]
    assert (applied.cursor, len(applied.events)) == (3, 3)
    hand.commit()
    run_id = hand.claim("a")
    assert [(task.job_id, task.run_id) for task in hand.tx.running()] == [("a", run_id)]
    hand.commit()
    applied = hand.complete("a", run_id, result={"words": 3})
    assert applied.was is JobState.RUNNING
    assert [ended for ended, _task in applied.ended_runs] == [run_id]
    hand.commit()
    assert hand.tx.job("a").state is JobState.COMPLETED
    assert hand.tx.view("a").result("count") == {"words": 3}
    assert hand.tx.view("a").params() == {"text": "x"}
    assert hand.sql("SELECT result FROM jobs") == [('{"words":3}',)]
    assert hand.tx.running() == []
    assert hand.sql("SELECT count(*) FROM attempts") == [(0,)], "a happy attempt has no row of its own"
    assert [row[0] for row in hand.sql("SELECT seq FROM events ORDER BY cursor")] == list(range(1, 8))


def test_an_unknown_job_and_one_of_another_tenant_are_alike(hand: Any, one_task_graph: GraphOf) -> None:
    graph = hand.publish(one_task_graph())
    hand.submit("a", graph)
    for job_id, tenant in (("a", "bob"), ("b", None)):
        with pytest.raises(UnknownJob):
            hand.tx.view(job_id, tenant=tenant)
    assert hand.tx.job("b") is None


def test_what_a_view_hands_out_is_a_copy(hand: Any, one_task_graph: GraphOf) -> None:
    """A decision that is dropped leaves no trace in the memory. Labels and `extra` are shared: their type lets nobody change them in
    place, and what is put in their place is the copy's alone."""
    graph = hand.publish(one_task_graph())
    hand.submit("a", graph, labels={"k": "v"})
    view = hand.tx.view("a")
    job, task = view.job(), view.task("count")
    job.state, job.labels, job.counts["ready"] = JobState.FAILED, {"k": "w"}, 9
    task.state, task.extra = TaskState.FAILED, {"x": 1}
    assert view.job().state is JobState.QUEUED
    assert view.job().labels == {"k": "v"} and view.job().counts["ready"] == 1
    assert view.task("count").state is TaskState.READY
    assert view.task("count").extra == {}


def test_a_guarded_write_refuses_a_row_that_has_moved(hand: Any, one_task_graph: GraphOf) -> None:
    """If memory and file ever differ, the batch fails; nothing is overwritten."""
    graph = hand.publish(one_task_graph())
    hand.submit("a", graph)
    hand.commit()
    other = sqlite3.connect(hand.store.path)
    with other:
        other.execute("UPDATE tasks SET state = 'cancelled'")
    other.close()
    hand.claim("a")
    with pytest.raises(GuardFailed):
        hand.tx.flush()
    hand.rollback()
    assert hand.tx.view("a").task("count").state is TaskState.CANCELLED


def test_bad_attempts_leave_history(hand: Any, one_task_graph: GraphOf) -> None:
    """Failed, lost, out of time, returned: a row each; the returned one costs no attempt (R8)."""
    graph = hand.publish(one_task_graph(retry={"max_retries": 5, "jitter": 0.0}))
    hand.submit("a", graph)

    def wake() -> None:
        hand.now += 100.0
        hand.tell("a", f.TaskWoken(node="count"))

    hand.fail("a", hand.claim("a"))
    wake()
    hand.tell("a", f.RunLost(node="count", run_id=hand.claim("a")))
    wake()
    hand.tell("a", f.RunTimedOut(node="count", run_id=hand.claim("a"), code="timeout_start_to_close"))
    wake()
    hand.tell("a", f.RunReturned(node="count", run_id=hand.claim("a")))
    hand.complete("a", hand.claim("a"), result=1)
    history = hand.sql("SELECT attempt, outcome, error IS NULL FROM attempts ORDER BY attempt")
    assert history == [(1, "failed", 0), (2, "lost", 0), (3, "timed_out", 0), (4, "returned", 1)]
    assert hand.tx.view("a").task("count").attempt == 4


def test_a_cancelled_attempt_is_told_apart(hand: Any, one_task_graph: GraphOf) -> None:
    graph = hand.publish(one_task_graph())
    hand.submit("a", graph)
    run_id = hand.claim("a")
    hand.tell("a", f.CancelRequested(reason="enough"))
    hand.tell("a", f.RunFenced(node="count", run_id=run_id))
    assert hand.sql("SELECT outcome FROM attempts") == [("cancelled",)]
    assert hand.tx.job("a").state is JobState.CANCELLED


def test_lanes_and_windows_are_first_in_first_out(hand: Any, one_task_graph: GraphOf) -> None:
    """Lanes are told apart by queue, priority, tenant, handler and key; a window goes on where the last one ended."""
    graph = hand.publish(one_task_graph())
    keyed = hand.publish(one_task_graph("keyed", concurrency_key={"$param": "k"}))
    for number in range(5):
        hand.submit(f"a{number}", graph)
    hand.submit("b", graph, tenant="bob")
    hand.submit("p", graph, priority=1)
    for number in range(4):
        hand.submit(f"k{number}", keyed, params={"k": f"key{number % 2}"})
    lanes = [source for source, _seq in hand.tx.lanes()]
    plain = Source("default", 3, "ada", "count@1", None)
    assert set(lanes) == {
        plain,
        plain._replace(tenant="bob"),
        plain._replace(priority=1),
        plain._replace(concurrency_key="ada/key0"),
        plain._replace(concurrency_key="ada/key1"),
    }
    assert lanes == sorted(lanes, key=lambda one: (*one[:4], one.concurrency_key or ""))
    first = hand.tx.ready_window(plain, 0, 3)
    rest = hand.tx.ready_window(plain, first[-1].ready_seq, 3)
    assert [row.job_id for row in first + rest] == ["a0", "a1", "a2", "a3", "a4"]
    assert {row.definition_id for row in first} == {graph.definition_id}
    hand.claim("a0")
    assert [row.job_id for row in hand.tx.ready_window(plain, 0, 2)] == ["a1", "a2"]
    keys = hand.tx.ready_window(plain._replace(concurrency_key="ada/key1"), 0, 9)
    assert [row.job_id for row in keys] == ["k1", "k3"]


def test_a_paused_jobs_tasks_are_held_and_come_back_to_their_places(hand: Any, mapped_graph: GraphOf) -> None:
    """Pause takes ready tasks out of the lanes, also those that become ready meanwhile; resume gives all back (R26)."""
    graph = hand.publish(mapped_graph(max_concurrency=2))
    hand.submit("a", graph, params={"xs": [1, 2, 3]})
    run_id = hand.claim("a", "each", 0)
    applied = hand.tell("a", f.PauseRequested())
    assert applied.held is True
    assert hand.tx.lanes() == []
    hand.complete("a", run_id, "each", 0, result=1)
    hand.commit()
    assert hand.tx.lanes() == []
    assert hand.tell("a", f.ResumeRequested()).held is False
    lanes = hand.tx.lanes_of_job("a")
    assert [source for source, _seq in lanes] == [source for source, _seq in hand.tx.lanes()]
    assert [row.index for row in hand.tx.ready_window(lanes[0][0], 0, 9)] == [1, 2]


def test_timers_are_rows(hand: Any, one_task_graph: GraphOf) -> None:
    """Jobs and tasks that want to be woken are found, the longest overdue first."""
    graph = hand.publish(one_task_graph(retry={"max_retries": 1, "initial_s": 50.0, "jitter": 0.0}))
    hand.submit("late", graph, run_at=hand.now + 20)
    hand.submit("early", graph, run_at=hand.now + 10)
    hand.submit("a", graph)
    assert hand.tx.next_wake() == hand.now + 10
    applied = hand.fail("a", hand.claim("a"))
    assert [task.wake_at for task in hand.tx.view(applied.job.job_id).tasks()] == [hand.now + 50]
    assert hand.tx.due_jobs(hand.now + 5, 9) == []
    assert hand.tx.due_jobs(hand.now + 30, 9) == ["early", "late"]
    assert hand.tx.due_tasks(hand.now + 50, 9) == [("a", "count", -1)]


def test_keys_are_found_in_the_same_transaction_and_after(hand: Any, one_task_graph: GraphOf) -> None:
    graph = hand.publish(one_task_graph())
    hand.submit("a", graph, idempotency_key="k", fingerprint="f")
    assert hand.tx.idempotent("ada", "k") == ("a", "f") and hand.tx.any_idempotent("ada", ["other", "k"])
    hand.commit()
    assert hand.tx.idempotent("ada", "k") == ("a", "f")
    assert hand.tx.idempotent("bob", "k") is None
    assert hand.tx.any_idempotent("ada", ["other", "k"]) and not hand.tx.any_idempotent("ada", ["other"])
    assert not hand.tx.any_idempotent("ada", ["j", "l"]) and hand.tx.any_idempotent("ada", ["l", "k", "j"])
    assert hand.tx.any_idempotent("ada", ["k"]) and not hand.tx.any_idempotent("ada", ["kk", "kj"])
    assert not hand.tx.any_idempotent("bob", ["k"])
    hand.submit("b", graph, idempotency_key="k", tenant="bob")
    hand.commit()


def test_dependents_are_told_in_order(hand: Any, one_task_graph: GraphOf) -> None:
    graph = hand.publish(one_task_graph())
    hand.submit("a", graph)
    hand.submit("b", graph, dependencies=(("a", "success"),))
    hand.submit("c", graph, dependencies=(("a", "end"), ("b", "end")))
    assert hand.tx.dependency_state("a") == ("ada", JobState.QUEUED)
    assert hand.tx.dependency_state("nobody") is None
    assert hand.tx.dependents("a") == [("b", "success"), ("c", "end")]
    assert hand.tx.dependents("b") == [("c", "end")]


def test_a_name_keeps_its_meaning(hand: Any, one_task_graph: GraphOf) -> None:
    """The same content changes nothing, another is a conflict that names the node (R24); inline graphs have no name."""
    first = one_task_graph()
    graph = hand.publish(first)
    assert hand.tx.put_definition(first, graph, 1.0) is False
    other = one_task_graph(queue="gpu")
    with pytest.raises(DefinitionConflict, match="'count'"):
        hand.publish(other)
    with pytest.raises(DefinitionConflict):  # nor may a graph sent inline pass for the published one (R24a)
        hand.tx.put_definition(other, parse_graph(other), 1.0, published=False)
    unnamed = {**other, "name": "inline"}
    inline = parse_graph(unnamed)
    hand.tx.put_definition(unnamed, inline, 1.0, published=False)
    assert hand.tx.graph(inline.definition_id).nodes["count"].queue == "gpu"
    assert hand.tx.definition_by_name("inline") is None
    assert hand.tx.definition_by_name("count") == graph.definition_id
    second = {**other, "version": 2}
    newest = hand.publish(second)
    assert hand.tx.definition_by_name("count") == newest.definition_id
    assert hand.tx.definition_by_name("count", 1) == graph.definition_id
    assert hand.tx.definition_by_name("nothing") is None
    assert hand.tx.definition_names(9) == [("count", 1), ("count", 2)]
    hand.rollback()
    assert hand.tx.definition_by_name("count") is None, "a name that was rolled back is forgotten"


def test_a_task_spec_keeps_its_content(hand: Any) -> None:
    spec = {"name": "count", "version": 2, "content": "abc", "queue": "default"}
    assert hand.tx.put_task_spec(spec, 1.0) is True
    assert hand.tx.put_task_spec(spec, 1.0) is False
    with pytest.raises(DefinitionConflict, match="queue"):
        hand.tx.put_task_spec({**spec, "content": "abd", "queue": "gpu"}, 1.0)


def test_artifacts_from_acceptance_to_publishing(hand: Any, one_task_graph: GraphOf) -> None:
    """Accepted, listed as unpublished, published; a rewound task's files leave the manifest and may come again (R20)."""
    graph = hand.publish(one_task_graph())
    hand.submit("a", graph)
    ref = ArtifactRef(
        name="x/y.txt", key=".runs/r/x/y.txt", sha256="0", size_bytes=3, content_type="text/plain", metadata={"m": 1}
    )
    hand.complete("a", hand.claim("a"), artifacts=(ref,))
    assert hand.tx.view("a").has_artifact("x/y.txt")
    assert hand.tx.jobs_to_publish() == ["a"]
    assert hand.tx.jobs_to_finalise() == [("a", "completed", 1)]
    (record,) = hand.tx.unpublished_artifacts("a")
    assert (record["name"], record["key"], record["metadata"]) == (ref.name, ref.key, {"m": 1})
    hand.tell("a", f.ArtifactsPublished(names=("x/y.txt",)))
    assert hand.tx.unpublished_artifacts("a") == []
    assert hand.tx.artifacts("a")[0]["published_at"] == hand.now
    hand.tell("a", f.Finalised(outcome="completed", generation=1))
    assert hand.tx.job("a").state is JobState.COMPLETED
    hand.tell("a", f.RetryRequested(from_task="count"))
    assert hand.tx.artifacts("a") == []
    assert not hand.tx.view("a").has_artifact("x/y.txt")
    hand.complete("a", hand.claim("a"), artifacts=(ref,))
    assert len(hand.tx.artifacts("a")) == 1


def test_a_maps_result_holds_failures_and_nulls_at_their_places(hand: Any, mapped_graph: GraphOf) -> None:
    """R13: results keep the order, a `continue`d failure stands at its index."""
    graph = hand.publish(mapped_graph(on_failure="continue", retry={"max_retries": 0}))
    hand.submit("a", graph, params={"xs": ["p", "q", "r"]})
    assert hand.tx.view("a").item_value("each", 1) == "q"
    hand.complete("a", hand.claim("a", "each", 2), "each", 2, result={"of": "r"})
    hand.fail("a", hand.claim("a", "each", 1), "each", 1)
    hand.complete("a", hand.claim("a", "each", 0), "each", 0)
    hand.commit()
    result = hand.tx.view("a").result("each")
    assert result[0] is None
    assert result[1]["$failure"]["index"] == 1
    assert result[2] == {"of": "r"}
    assert hand.tx.view("a").result("each") is result, "assembled once, then remembered"
    run_id = hand.claim("a", "join")
    assert run_id


def test_one_item_of_many_costs_a_few_rows(hand: Any, mapped_graph: GraphOf) -> None:
    """R4: a fact about one of 2,000 items runs as many statements as about one of 20, also when nothing is remembered."""

    def statements_of(job_id: str, count: int) -> int:
        hand.submit(job_id, graph, params={"xs": list(range(count))})
        hand.commit()
        hand.rollback()  # forgets every row
        said: list[str] = []
        hand.store.connection.set_trace_callback(said.append)
        view = hand.tx.view(job_id)
        hand.tx.apply(decide(view, f.TaskClaimed(node="each", index=7, run_id=job_id, worker="w"), hand.now, None))
        hand.complete(job_id, job_id, "each", 7, result=7)
        hand.tx.flush()
        hand.store.connection.set_trace_callback(None)
        return len(said)

    graph = hand.publish(mapped_graph(max_concurrency=10))
    small, large = statements_of("small", 20), statements_of("large", 2_000)
    assert large == small < 20


def test_logs_files_queues_and_workers(hand: Any, one_task_graph: GraphOf) -> None:
    """What is written without a decision reads back."""
    graph = hand.publish(one_task_graph())
    hand.submit("a", graph)
    hand.claim("a")
    line = {"at": 5.0, "level": "info", "stream": "log", "message": "hallo", "fields": {"n": 1}}
    assert hand.tx.add_logs(hand.tx.task("a", "count"), [line, {**line, "fields": {}}]) == [1, 2]
    record = {
        "file_id": "f1", "tenant": "ada", "name": "a.png", "key": "k", "size_bytes": 3, "sha256": "0",
        "content_type": "image/png", "created_at": 1.0,
    }  # fmt: skip
    hand.tx.add_file(record)
    assert hand.tx.file("f1") == record
    hand.tx.put_queue_settings("gpu", {"paused": True, "concurrency": 2}, 7.0)
    assert hand.tx.queue_settings()["gpu"] == {"name": "gpu", "paused": True, "concurrency": 2, "updated_at": 7.0}
    hand.tx.record_worker("s1", "w", {"slots": 2}, 1.0)
    hand.tx.end_worker("s1", 9.0)
    assert hand.sql("SELECT session_id, ended_at FROM workers") == [("s1", 9.0)]
    hand.tx.put_meta("k", "v")
    assert hand.tx.meta("k") == "v"


def test_numbers_go_on_after_a_reopening(hand: Any, one_task_graph: GraphOf) -> None:
    """Cursors go on, places in the order only grow, the epoch stays."""
    graph = hand.publish(one_task_graph())
    hand.submit("a", graph)
    hand.commit()
    last = hand.store.last_cursor()
    hand.store.close()
    again = Store.open(hand.store.path, now=0.0, epoch="another")
    assert again.epoch == "epoch-1"
    assert again.last_cursor() == last == 3
    hand = type(hand)(again)
    applied = hand.submit("b", graph)
    assert (applied.cursor, len(applied.events)) == (6, 3)
    ((source, oldest),) = hand.tx.lanes()
    assert oldest == 1
    assert [row.job_id for row in hand.tx.ready_window(source, 0, 9)] == ["a", "b"]
    again.close()


def test_a_window_brings_the_rows_that_are_not_remembered(hand: Any, one_task_graph: GraphOf) -> None:
    """Those of a short backlog are; turning each into a row anew was a twentieth of what a job cost the server."""
    graph = hand.publish(one_task_graph())
    for number in range(3):
        hand.submit(f"job{number}", graph)
    hand.commit()
    source = Source("default", 3, "ada", "count@1", None)
    asked: list[str] = []
    hand.store.connection.set_trace_callback(asked.append)
    known = hand.tx.ready_window(source, 0, 9)
    assert len(asked) == 1
    hand.rollback()  # forgets everything
    asked.clear()
    assert hand.tx.ready_window(source, 0, 9) == known
    assert hand.tx.ready_window(source, 0, 9) == known
    assert len(asked) == 2, "what a plain row holds comes with its place"
    before = len(asked)
    assert [hand.tx.view(row.job_id).task("count").ready_seq for row in known] == [row.ready_seq for row in known]
    assert not [one for one in asked[before:] if "FROM tasks" in one]


def test_what_claims_from_a_backlog_will_ask_for_is_read_together(
    store: Store, hand: Any, one_task_graph: GraphOf
) -> None:
    graph = hand.publish(one_task_graph())
    for number in range(5):
        hand.submit(f"job{number}", graph, params={"text": "x" * (100_000 if number == 2 else 1)})
    hand.commit()
    store.close()
    again = type(hand)(Store.open(store.path, now=2_000.0, epoch="epoch-1"))
    source = Source("default", 3, "ada", "count@1", None)
    window = again.tx.ready_window(source, 0, 9)
    asked: list[str] = []
    again.store.connection.set_trace_callback(asked.append)
    again.tx.foresee([(row.job_id, row.node, row.index) for row in window])
    assert len(asked) == 2
    again.tx.foresee([(row.job_id, row.node, row.index) for row in window])
    assert len(asked) == 2, "what is remembered is not read again"
    for number in range(3):
        view = again.tx.view(f"job{number}")
        assert view.job().job_id == f"job{number}"
        assert view.task("count").state is TaskState.READY
        assert len(view.params()["text"]) == (100_000 if number == 2 else 1)
    assert not [each for each in asked[2:] if "FROM definitions" not in each]
    assert len(again.tx.view("job4").params()["text"]) == 1, "beyond large params nothing is read ahead"
    again.store.connection.set_trace_callback(None)
    assert "job_params" in asked[-1]
    again.store.close()


def test_running_tasks_are_found_at_start(hand: Any, one_task_graph: GraphOf) -> None:
    graph = hand.publish(one_task_graph())
    hand.submit("a", graph)
    hand.submit("b", graph)
    run_id = hand.claim("a")
    hand.commit()
    hand.rollback()
    (task,) = hand.tx.running()
    assert (task.job_id, task.run_id, task.state) == ("a", run_id, TaskState.RUNNING)


def test_an_errors_details_survive(hand: Any, one_task_graph: GraphOf) -> None:
    graph = hand.publish(one_task_graph(retry={"max_retries": 0}))
    hand.submit("a", graph)
    error = TaskError(code="task_failed", message="no", type="ValueError", details={"traceback": "…", "n": [1]})
    hand.tell("a", f.RunFailed(node="count", run_id=hand.claim("a"), error=error))
    hand.commit()
    hand.rollback()
    assert hand.tx.view("a").task("count").error == error
    assert hand.tx.job("a").error == error

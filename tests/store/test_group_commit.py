"""Many operations, one commit: what a batch may count on (R3)."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from typing import Any

import pytest

from orpheus.core import facts as f
from orpheus.core.decider import decide
from orpheus.core.errors import InvalidTransition
from orpheus.core.job import JobState
from orpheus.store import CommitFailed, Store
from orpheus.store.database import connect_reader

GraphOf = Callable[..., dict[str, Any]]


def count(store: Store, table: str) -> int:
    """Count rows as another process sees them."""
    reader = connect_reader(store.path)
    found: int = reader.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    reader.close()
    return found


def test_nobody_sees_anything_before_the_commit(hand: Any, one_task_graph: GraphOf) -> None:
    graph = hand.publish(one_task_graph())
    hand.submit("a", graph)
    hand.tx.flush()
    assert count(hand.store, "jobs") == 0
    assert hand.store.last_cursor() == 0
    hand.commit()
    assert count(hand.store, "jobs") == 1
    assert hand.store.last_cursor() == 3


def test_later_operations_see_what_earlier_ones_did(hand: Any, one_task_graph: GraphOf) -> None:
    """A whole life in one batch is one insert per row, in its last form."""
    graph = hand.publish(one_task_graph())
    hand.tx.flush()
    said: list[str] = []
    hand.store.connection.set_trace_callback(said.append)
    hand.submit("a", graph)
    hand.complete("a", hand.claim("a"), result=1)
    hand.tx.flush()
    hand.store.connection.set_trace_callback(None)
    assert hand.tx.job("a").state is JobState.COMPLETED
    assert not [one for one in said if one.startswith("UPDATE")]


def test_a_refused_fact_writes_nothing_and_the_batch_goes_on(hand: Any, one_task_graph: GraphOf) -> None:
    graph = hand.publish(one_task_graph())
    hand.submit("a", graph)
    with pytest.raises(InvalidTransition):
        decide(hand.tx.view("a"), f.RetryRequested(), hand.now, None)
    hand.submit("b", graph)
    hand.commit()
    assert hand.tx.job("a").state is JobState.QUEUED
    assert count(hand.store, "jobs") == 2


def test_a_rollback_takes_everything_back_from_memory_too(hand: Any, one_task_graph: GraphOf) -> None:
    """Rows, payloads, numbers: the next transaction begins where the last commit ended."""
    graph = hand.publish(one_task_graph())
    hand.submit("a", graph, params={"v": 1}, labels={"k": "v"}, idempotency_key="k")
    hand.commit()
    run_id = hand.claim("a")
    hand.submit("b", graph, idempotency_key="b")
    hand.complete("a", run_id, result={"x": 1})
    hand.tx.flush()
    hand.rollback()
    assert hand.tx.job("b") is None
    assert hand.tx.idempotent("ada", "b") is None
    assert hand.tx.job("a").state is JobState.QUEUED
    assert hand.tx.view("a").task("count").run_id is None
    assert hand.tx.running() == []
    assert hand.store.last_cursor() == 3
    applied = hand.submit("b", graph)
    assert (applied.cursor, len(applied.events)) == (6, 3)
    hand.complete("a", hand.claim("a"), result={"x": 2})
    hand.commit()
    assert hand.tx.view("a").result("count") == {"x": 2}
    assert hand.sql("SELECT count, state FROM job_counts WHERE count > 0 ORDER BY state") == [
        (1, "completed"),
        (1, "queued"),
    ]


def test_a_batch_without_the_failing_one_is_run_again(hand: Any, one_task_graph: GraphOf) -> None:
    """What the engine does with an unexpected fault: all back, then one by one, the failing one dropped."""
    graph = hand.publish(one_task_graph())
    hand.commit()

    def operation(name: str) -> None:
        hand.submit(name, graph)
        if name == "bad":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        for name in ("a", "bad", "c"):
            operation(name)
    hand.rollback()
    for name in ("a", "bad", "c"):
        try:
            operation(name)
        except ZeroDivisionError:
            hand.rollback()
        else:
            hand.commit()
    assert [row[0] for row in hand.sql("SELECT job_id FROM jobs ORDER BY job_no")] == ["a", "c"]
    assert [row[0] for row in hand.sql("SELECT cursor FROM events ORDER BY cursor")] == [1, 2, 3, 4, 5, 6]


def test_the_commit_may_run_in_another_thread(hand: Any, one_task_graph: GraphOf) -> None:
    graph = hand.publish(one_task_graph())
    hand.submit("a", graph)
    hand.tx.flush()
    thread = threading.Thread(target=hand.store.commit)
    thread.start()
    thread.join()
    hand.tx = hand.store.begin()
    assert hand.tx.job("a") is not None


def test_a_transaction_that_only_asked_has_nothing_to_commit(hand: Any, one_task_graph: GraphOf) -> None:
    graph = hand.publish(one_task_graph())
    hand.submit("a", graph)
    hand.commit()
    hand.tx.lanes()
    hand.tx.due_tasks(9e9, 9)
    assert hand.tx.view("a").task("count") is not None
    hand.tx.flush()
    assert not hand.tx.wrote
    hand.tell("a", f.PauseRequested())
    hand.tx.flush()
    assert hand.tx.wrote


def test_an_order_already_in_effect_writes_nothing(hand: Any, one_task_graph: GraphOf) -> None:
    graph = hand.publish(one_task_graph())
    hand.submit("a", graph)
    hand.tell("a", f.PauseRequested())
    hand.commit()
    hand.tell("a", f.PauseRequested())
    hand.tx.flush()
    assert not hand.tx.wrote


def test_a_failed_commit_is_an_error_of_its_own(
    hand: Any, one_task_graph: GraphOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller ends the process: whether it is on disk is unknown (R3)."""

    class Broken:
        def execute(self, statement: str) -> None:
            raise sqlite3.OperationalError("disk I/O error")

    graph = hand.publish(one_task_graph())
    hand.submit("a", graph)
    hand.tx.flush()
    monkeypatch.setattr(hand.store, "_connection", Broken())
    with pytest.raises(CommitFailed, match="disk"):
        hand.store.commit()
    monkeypatch.undo()


def test_a_checkpoint_lets_the_log_begin_anew(hand: Any, one_task_graph: GraphOf) -> None:
    """Beside an open transaction it copies what it can; between transactions it can empty the log."""
    graph = hand.publish(one_task_graph())
    for number in range(50):
        hand.submit(f"j{number}", graph)
        hand.commit()
    assert hand.store.wal_bytes() > 0
    pages, done = hand.store.checkpoint()
    assert pages == done > 0
    hand.store.rollback()
    hand.store.checkpoint(truncate=True)
    assert hand.store.wal_bytes() == 0
    assert count(hand.store, "jobs") == 50


def test_the_log_stays_short_under_steady_writing(hand: Any, one_task_graph: GraphOf) -> None:
    """Checkpoints beside a writer that never pauses: each lets the log begin anew, so its size does not follow the work."""
    graph = hand.publish(one_task_graph())
    stop = threading.Event()
    checkpoints = 0

    def check() -> None:
        nonlocal checkpoints
        while not stop.wait(0.01):
            if hand.store.wal_bytes() > 3 << 20:
                hand.store.checkpoint()
                checkpoints += 1

    thread = threading.Thread(target=check)
    thread.start()
    written = highest = 0
    try:
        while written < 60 or (checkpoints < 5 and written < 2_000):
            for number in range(40):
                hand.submit(f"{written}-{number}", graph, params={"text": "x" * 4_000})
            hand.commit()
            written += 1
            highest = max(highest, hand.store.wal_bytes())
    finally:
        stop.set()
        thread.join()
    assert checkpoints >= 3
    assert highest < 12 << 20, f"the log grew to {highest} bytes"
    assert count(hand.store, "jobs") == written * 40

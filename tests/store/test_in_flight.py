"""The next transaction is decided while those before it are written: what it has to know of them (ADR 0035)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orpheus.core.dispatch import Source
from orpheus.core.job import JobState
from orpheus.store import GuardFailed, Store
from orpheus.store.errors import CommitFailed
from orpheus.testing.simulation.later_writer import LaterWriter

from .conftest import Hand

GraphOf = Callable[..., dict[str, Any]]
COUNTS = Source("default", 3, "ada", "count@1", None)


@pytest.fixture
def hand(path: Path) -> Iterator[Hand]:
    store = Store.open(path, now=1_000.0, epoch="e", writer=LaterWriter(path, least_rows=1))
    yield Hand(store)
    store.close()


@pytest.fixture
def graph(hand: Hand, one_task_graph: GraphOf) -> Any:
    published = hand.publish(one_task_graph())
    hand.commit()
    return published


def hand_over(hand: Hand) -> None:
    hand.tx.flush()
    assert hand.tx.written_apart
    hand.store.hand_over()
    hand.tx = hand.store.begin()


def in_file(hand: Hand, statement: str) -> list[tuple[Any, ...]]:
    return hand.store.connection.execute(statement).fetchall()


def test_decisions_follow_upon_each_other_before_the_file_knows(hand: Hand, graph: Any) -> None:
    hand.submit("a", graph)
    hand_over(hand)
    run = hand.claim("a")
    hand_over(hand)
    hand.complete("a", run, result=7)
    hand_over(hand)
    assert in_file(hand, "SELECT count(*) FROM jobs") == [(0,)]
    for state in ("queued", "running", "completed"):
        hand.store.take_answer()
        assert in_file(hand, "SELECT state FROM jobs") == [(state,)]
    assert (hand.store.handed_over, hand.store.answered) == (3, 3)
    assert hand.sql("SELECT type FROM events ORDER BY cursor")[-1] == ("job.completed",)


def test_what_changed_again_is_remembered_until_the_file_knows(hand: Hand, graph: Any) -> None:
    """The answer to the first transaction must not have the memory drop what the second has made of its rows."""
    hand.submit("a", graph)
    run = hand.claim("a")
    hand_over(hand)
    hand.complete("a", run, result=7)
    hand_over(hand)
    hand.store.take_answer()
    hand.tx.flush()
    hand.store.commit()
    hand.tx = hand.store.begin()  # here the memory is kept to its bounds
    assert in_file(hand, "SELECT state FROM jobs") == [("running",)]
    assert hand.tx.view("a").job().state is JobState.COMPLETED
    task = hand.tx.task("a", "count")
    assert task is not None
    assert task.state == "completed"
    hand.store.take_answer()


def test_a_question_about_many_rows_waits_for_them(hand: Hand, graph: Any) -> None:
    hand.submit("a", graph)
    hand_over(hand)
    assert hand.tx.ready.lanes() == [(COUNTS, 1)]
    assert hand.store.answered == 1


def test_keys_on_their_way_are_known(hand: Hand, graph: Any) -> None:
    hand.submit("a", graph, idempotency_key="k", fingerprint="f")
    hand_over(hand)
    assert hand.tx.idempotent("ada", "k") == ("a", "f")
    assert hand.tx.any_idempotent("ada", ["other", "k"])
    assert hand.tx.idempotent("bob", "k") is None
    assert not hand.tx.any_idempotent("ada", ["other"])
    assert hand.store.answered == 0, "nobody had to wait for that"


def test_dependents_on_their_way_are_found(hand: Hand, graph: Any) -> None:
    hand.submit("a", graph)
    hand_over(hand)
    hand.submit("b", graph, dependencies=(("a", "success"),))
    hand_over(hand)
    assert hand.tx.dependents("a") == [("b", "success")]


def test_a_full_window_of_ready_tasks_waits_for_nobody(hand: Hand, graph: Any) -> None:
    for name in "abc":
        hand.submit(name, graph)
    hand_over(hand)
    hand.store.take_answer()
    hand.submit("d", graph)
    hand_over(hand)
    assert [row.job_id for row in hand.tx.ready_window(COUNTS, 0, 3)] == ["a", "b", "c"]
    assert hand.store.answered == 1
    assert [row.job_id for row in hand.tx.ready_window(COUNTS, 0, 4)] == ["a", "b", "c", "d"]
    assert hand.store.answered == 2


def test_a_window_that_holds_what_was_claimed_meanwhile_is_asked_for_again(hand: Hand, graph: Any) -> None:
    for name in "abc":
        hand.submit(name, graph)
    hand_over(hand)
    hand.store.take_answer()
    hand.claim("a")
    hand_over(hand)
    assert [row.job_id for row in hand.tx.ready_window(COUNTS, 0, 2)] == ["b", "c"]


def test_what_this_connection_writes_comes_behind_them(hand: Hand, graph: Any) -> None:
    hand.submit("a", graph)
    hand_over(hand)
    hand.submit("b", graph)
    hand.tx.put_queue_settings("default", {"paused": True}, 1.0)
    hand.tx.definitions.names(10)  # a question: it is written here
    hand.commit()
    assert hand.store.answered == 1
    assert in_file(hand, "SELECT job_no, job_id FROM jobs") == [(1, "a"), (2, "b")]


def test_a_rollback_leaves_what_was_handed_over(hand: Hand, graph: Any) -> None:
    hand.submit("a", graph)
    hand_over(hand)
    hand.claim("a")
    hand.submit("b", graph)
    hand.rollback()
    assert hand.tx.view("a").job().state is JobState.QUEUED
    assert hand.tx.job("b") is None
    hand.claim("a")
    hand.submit("b", graph)
    hand.commit()
    assert in_file(hand, "SELECT job_no, job_id, state FROM jobs") == [(1, "a", "running"), (2, "b", "queued")]
    assert hand.sql("SELECT cursor FROM events ORDER BY cursor") == [(n,) for n in range(1, 9)]


def test_what_cannot_be_sent_was_not_handed_over(hand: Hand, graph: Any) -> None:
    hand.submit("a", graph)
    hand_over(hand)
    hand.submit("b", graph, correlation_id="\ud800")
    hand.tx.flush()
    with pytest.raises(GuardFailed):
        hand.store.hand_over()
    hand.rollback()
    hand.submit("c", graph)
    hand.commit()
    assert in_file(hand, "SELECT job_no, job_id FROM jobs") == [(1, "a"), (2, "c")]


def test_one_that_is_refused_is_the_end(hand: Hand, graph: Any) -> None:
    """Others were decided on it: only the file says now what is true."""
    hand.submit("a", graph)
    hand.commit()
    hand.store.connection.execute("UPDATE jobs SET last_seq = 77")
    hand.claim("a")
    hand_over(hand)
    hand.submit("b", graph)
    hand_over(hand)
    with pytest.raises(CommitFailed, match="1 rows were decided on, 0 were as they had been read"):
        hand.store.take_answer()


def test_the_log_is_copied_when_all_are_answered(hand: Hand, graph: Any) -> None:
    """Under steady writing there is no instant with nothing on its way, unless one is made."""
    hand.submit("a", graph)
    hand_over(hand)
    hand.store.take_answer()
    hand.store.checkpoint()
    hand.submit("b", graph)
    hand_over(hand)
    assert hand.store.wants_rest
    hand.store.take_answer()
    assert not hand.store.wants_rest
    assert hand.store._copy_log("PASSIVE")[0] == hand.store._copy_log("PASSIVE")[1]

"""Runs are found without an index of them all (ADR 0034)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orpheus.core import facts as f
from orpheus.core.task import TaskState
from orpheus.store import Store, database

from .conftest import Hand, one_task


@pytest.fixture
def run_id(hand: Any) -> str:
    """Return the run of the only task of job `a`; a job `b` is queued."""
    graph = hand.publish(one_task())
    hand.submit("a", graph)
    hand.submit("b", graph)
    begun: str = hand.claim("a")
    hand.commit()
    return begun


def test_a_run_that_a_worker_holds_is_found_by_what_memory_knows_of_it(hand: Any, run_id: str) -> None:
    held = hand.tx.view("a").task("count")
    assert hand.tx.run_of_callback(run_id, held) == ("a", "count", -1, None)
    assert hand.tx.run_of_callback(run_id, None) is None, "the file alone tells of waiting runs only"
    hand.tell("a", f.RunWaiting(node="count", run_id=run_id, timeout_s=60.0))
    assert hand.tx.run_of_callback(run_id, held) == ("a", "count", -1, None), "memory follows after the commit"


def test_what_memory_knows_is_checked_against_the_row(hand: Any, run_id: str) -> None:
    """Earlier in the same transaction the run may have ended, and the next attempt begun."""
    held = hand.tx.view("a").task("count")
    hand.tell("a", f.RunReturned(node="count", run_id=run_id))
    assert hand.tx.run_of_callback(run_id, held) is None
    second = hand.claim("a")
    assert hand.tx.run_of_callback(run_id, held) is None
    hand.complete("a", second)
    assert hand.tx.run_of_callback(second, held) is None
    assert hand.tx.running() == []


def test_a_run_that_waits_for_a_callback_is_found_in_the_file(hand: Any, run_id: str) -> None:
    hand.tell("a", f.RunWaiting(node="count", run_id=run_id, timeout_s=60.0))
    hand.commit()
    assert hand.tx.run_of_callback(run_id, None) == ("a", "count", -1, None)
    assert hand.tx.running() == [], "no worker holds it"
    hand.tell("a", f.CallbackReceived(node="count", run_id=run_id, result=1))
    assert hand.tx.run_of_callback(run_id, None) == ("a", "count", -1, hand.now)


def test_runs_of_a_file_of_before_are_found(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 5 has no index of all runs any more."""
    known = database.migrations()
    monkeypatch.setattr(database, "migrations", lambda: known[:4])
    before = Hand(Store.open(path, now=0.0, epoch="e"))
    graph = before.publish(one_task())
    for job_id in ("a", "b", "c"):
        before.submit(job_id, graph)
    running, waiting = before.claim("a"), before.claim("b")
    before.tell("b", f.RunWaiting(node="count", run_id=waiting, timeout_s=60.0))
    before.commit()
    before.rollback()
    before.store.close()
    monkeypatch.undo()

    store = Store.open(path, now=0.0, epoch="e")
    assert store.migrated_from == 4
    hand = Hand(store)
    (task,) = hand.tx.running()
    assert (task.job_id, task.run_id, task.state) == ("a", running, TaskState.RUNNING)
    assert hand.tx.run_of_callback(waiting, None) == ("b", "count", -1, None)
    assert len(list(path.parent.glob("*.v4.*.backup.db"))) == 1
    store.close()

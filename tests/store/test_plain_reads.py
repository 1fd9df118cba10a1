"""Rows of a backlog are read by their few columns where nothing else is in them: what comes of it is what the general way reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orpheus.core import facts as f
from orpheus.core.dispatch import Source
from orpheus.store import Store, rows

from .conftest import START, Hand

GraphOf = Callable[..., dict[str, Any]]
COUNTS = Source("default", 3, "ada", "count@1", None)


@pytest.fixture
def backlog(store: Store, one_task_graph: GraphOf) -> Hand:
    """Jobs of all kinds whose task is ready, and none of them is remembered."""
    hand = Hand(store)
    graph = hand.publish(one_task_graph(retry={"max_retries": 3}))
    hand.submit("plain", graph, params={"n": 1})
    hand.submit("named", graph, idempotency_key="k", fingerprint="f", traceparent="00-1-2-01")
    hand.submit("labelled", graph, labels={"a": "b"})
    hand.submit("timed", graph, timeout_s=60.0)
    hand.submit("hooked", graph, webhook_url="https://a.example/")
    hand.submit("returned", graph)
    run = hand.claim("returned")
    hand.tell("returned", f.RunReturned(node="count", index=-1, run_id=run))
    hand.submit("tried", graph)
    run = hand.claim("tried")
    hand.fail("tried", run)
    hand.now = START + 1_000.0
    hand.tell("tried", f.TaskWoken(node="count", index=-1))
    hand.submit("paused", graph)
    hand.tell("paused", f.PauseRequested(actor="api"))
    hand.submit("last", graph)
    hand.commit()
    hand.rollback()  # nothing is open: the memory is emptied
    return hand


def at_length(hand: Hand) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the jobs and tasks as they are read column by column."""
    sql = hand.store.connection.execute
    jobs = {row[1]: rows.job_from_row(row) for row in sql(f"SELECT job_no, {rows.JOB_COLUMNS} FROM jobs")}
    tasks = sql(f"SELECT (SELECT job_id FROM jobs WHERE jobs.job_no = tasks.job_no), {rows.TASK_COLUMNS} FROM tasks")
    return jobs, {row[0]: rows.task_from_row(row[0], row) for row in tasks}


def test_what_is_remembered_of_a_window_is_what_is_there(backlog: Hand) -> None:
    jobs, tasks = at_length(backlog)
    window = backlog.tx.ready_window(COUNTS, 0, 20)
    seen = {row.job_id for row in window}
    assert seen == {"plain", "named", "labelled", "timed", "hooked", "returned", "tried", "last"}
    unit = backlog.tx._unit
    assert {key[0]: entry.task for key, entry in unit.tasks.items()} == {name: tasks[name] for name in seen}
    backlog.tx.foresee([row[:4] for row in window])
    assert {name: entry.job for name, entry in unit.jobs.items()} == {name: jobs[name] for name in seen}
    assert unit.jobs["plain"].stored_state == "queued"
    assert unit.jobs["plain"].stored_seq == jobs["plain"].last_seq
    assert jobs["tried"].state == "running"


def test_no_more_than_the_window_is_read(backlog: Hand) -> None:
    window = backlog.tx.ready_window(COUNTS, 0, 2)
    assert [row.job_id for row in window] == ["plain", "named"]
    assert {key[0] for key in backlog.tx._unit.tasks} == {"plain", "named"}


def test_plain_rows_are_read_by_the_short_way(backlog: Hand) -> None:
    said: list[str] = []
    backlog.store.connection.set_trace_callback(said.append)
    window = backlog.tx.ready_window(COUNTS, 0, 2)
    backlog.tx.foresee([row[:4] for row in window])
    backlog.store.connection.set_trace_callback(None)
    assert not [one for one in said if "heartbeat, tasks.items_total" in one or "cancel_reason, closing" in one]

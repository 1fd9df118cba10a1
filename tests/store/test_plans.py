"""The hot questions are answered from an index, whatever the backlog."""

from __future__ import annotations

import re
import sqlite3
from collections import defaultdict

import pytest

from orpheus.store.queries import is_question, names, query, with_events

WHOLE_TABLES = {
    # name of the query: why it may read a whole table or index
    "all_definitions", "all_keys", "all_queues", "all_task_specs", "all_workers", "definition_names",  # small tables
    "all_webhooks",  # a small table
    "forget_workers", "job_counts", "task_counts", "count_of_state", "count_of_workflow",  # small tables
    "all_tenants", "job_counts_by_tenant",  # small tables
    "all_rate_starts", "prune_rate_starts",  # what rates still count: at the start, and once a minute
    "single_events",  # a part of others (with_events)
    "known_results_by_task", "removals", "failure_groups",  # on request, in a reader; what is being removed now
    "unused_files", "forget_file", "unneeded_runs", "object_is_there", "file_is_removed",  # few schedules, few removals
    "needed_runs",  # once an hour, in a reader: attempts that left files
    "jobs_to_approve", "nodes_that_wait",  # partial indexes, bounded by a LIMIT; what waits for a person is sorted
    "worker_names",  # the list that was asked; the workers are found by their key
    "jobs_to_finalise", "jobs_to_publish", "running_tasks", "pending_destinations",  # start-up; partial indexes of what still moves
    "states_of_jobs", "jobs_by_no", "plain_jobs_by_no", "params_of_jobs",  # the list that was asked; the jobs are found by their key
    "similar_likenesses",  # the bands that are asked for; what is near them by index
    "first_lane", "any_dependency",  # one row from an end of an index
    "all_durations", "any_key", "last_audit_no", "first_audit_no", "newest_cursor", "oldest_cursor",  # likewise
    "last_cursor", "last_job_no", "last_log_no", "next_job_wake", "next_task_wake",  # likewise
}  # fmt: skip


def explained(connection: sqlite3.Connection, how: str, statement: str) -> sqlite3.Cursor:
    numbered = [int(number) for number in re.findall(r"\?(\d+)", statement)]
    count = max(numbered) if numbered else statement.count("?")
    parameters = (1,) * count or defaultdict(int)  # the latter for `:names`
    return connection.execute(f"{how} {statement}", parameters)


def plan(connection: sqlite3.Connection, statement: str) -> list[str]:
    return [row[3] for row in explained(connection, "EXPLAIN QUERY PLAN", statement)]


@pytest.mark.parametrize("name", names())
def test_a_query_seeks(connection: sqlite3.Connection, name: str) -> None:
    """No statement scans, sorts what an index could have ordered, or builds an index of its own."""
    steps = plan(connection, with_events(query(name)) if " events " in query(name) else query(name))
    for step in steps:
        assert "AUTOMATIC" not in step, steps
        if name not in WHOLE_TABLES:
            assert not re.match(r"SCAN (?!CONSTANT|one VIRTUAL)", step), steps


READY_PLACE = "tasks_ready (queue=? AND priority=? AND tenant=? AND handler=? AND concurrency_key=? AND ready_seq>?)"


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("ready_window", READY_PLACE),
        ("ready_rows", READY_PLACE),
        ("plain_jobs_by_no", "INTEGER PRIMARY KEY (rowid=?)"),
        ("jobs_by_no", "INTEGER PRIMARY KEY (rowid=?)"),
        ("next_lane", "tasks_ready ((queue,priority,tenant,handler,concurrency_key)>(?,?,?,?,?))"),
        ("due_jobs", "jobs_due (wake_at>? AND wake_at<?)"),
        ("due_tasks", "tasks_due (wake_at>? AND wake_at<?)"),
        ("waiting_task_of_run", "tasks_waiting (run_id=?)"),
        ("running_tasks", "jobs_by_state (state=?)"),
        ("running_tasks", "PRIMARY KEY (job_no=?)"),
        ("events_of_job", "events_of_job (job_no=? AND seq>?)"),
        ("idempotent_job", "jobs_by_idempotency_key (tenant=? AND idempotency_key=?)"),
        (
            "any_idempotent_job_between",
            "jobs_by_idempotency_key (tenant=? AND idempotency_key>? AND idempotency_key<?)",
        ),
        ("any_idempotent_job", "jobs_by_idempotency_key (tenant=? AND idempotency_key=?)"),
        ("has_artifact", "artifacts_by_name (job_no=? AND name=?)"),
        ("update_task", "PRIMARY KEY (job_no=? AND node=? AND index=? AND generation=?)"),
        ("current_task", "PRIMARY KEY (job_no=? AND node=? AND index=?)"),
        ("logs_of_job", "logs_of_job (job_no=? AND rowid>?)"),
    ],
)
def test_a_hot_query_uses_its_index_to_the_last_column(connection: sqlite3.Connection, name: str, index: str) -> None:
    steps = plan(connection, query(name))
    assert any(index in step for step in steps), steps


@pytest.mark.parametrize(
    "name",
    [
        "ready_window",
        "ready_rows",
        "due_jobs",
        "next_lane",
        "first_lane",
        "events_after",
        "events_of_job",
        "logs_of_job",
    ],
)
def test_an_order_comes_from_the_index(connection: sqlite3.Connection, name: str) -> None:
    """A window of a million ready tasks is not sorted."""
    assert not [step for step in plan(connection, query(name)) if "TEMP B-TREE" in step and "LAST" not in step]


def test_guards_do_not_tempt_the_planner(connection: sqlite3.Connection) -> None:
    """`state = ?` in an update would make SQLite prepare the statement anew for each value (see tasks.sql)."""
    for name in ("update_task", "update_task_result"):
        assert "+state = ?" in query(name)


@pytest.mark.parametrize("name", names())
def test_a_question_is_what_sqlite_takes_for_one(connection: sqlite3.Connection, name: str) -> None:
    """What writes begins a transaction; taken for a question, it would be on disk before what it belongs to."""
    statement = with_events(query(name)) if " events " in query(name) else query(name)
    writes = [row[3] for row in explained(connection, "EXPLAIN", statement) if row[1] == "Transaction"]
    assert is_question(query(name)) == (not any(writes))


def test_each_name_stands_once_and_alone() -> None:
    assert len(names()) == len(set(names()))
    with pytest.raises(KeyError):
        query("nothing")

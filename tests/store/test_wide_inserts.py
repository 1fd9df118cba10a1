"""Rows that go several to a statement are those that would have gone one by one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orpheus.core.job import Job, JobState
from orpheus.core.task import Task, TaskState
from orpheus.store import database, wide_inserts
from orpheus.store.queries import names, query
from orpheus.store.rows import ABSENT, ABSENT_REAL, Row, job_insert, task_insert


def a_job(n: int) -> Row:
    key = ABSENT if n % 3 else f"key-{n}"
    return (
        n, f"job-{n}", "ada", "media", 1, "d", 1000.0 + n / 3, "c", 3, 3, ABSENT, key, key, n % 2, '{"ready":1}' if n % 2 else "{}",
        1.0, 7, 1,
    )  # fmt: skip


def a_task(n: int) -> Row:
    state, seq, at = ("ready", n, 1000.0 + n / 3) if n % 2 else ("blocked", ABSENT, ABSENT_REAL)
    return (n // 3, "node", n % 3 - 1, 1, state, "ada", "default", "do@1", 3, n % 2, seq, at, at)


def any_job(n: int) -> Row:
    labels = {"n": str(n)} if n % 2 else {}
    return job_insert(
        n, Job(f"job-{n}", "ada", "media", 1, "d", JobState.PENDING, n / 3, "c", labels=labels, last_seq=1), None
    )


def any_task(n: int) -> Row:
    task = Task(
        f"job-{n}", "node", n, 1, TaskState.BLOCKED, "ada", "default", "do@1", 3, wake_at=n / 3 if n % 2 else None
    )
    return task_insert(n, task, False, None)


ROWS: dict[str, tuple[str, Callable[[int], Row]]] = {
    "insert_new_job": ("jobs", a_job),
    "insert_new_task": ("tasks", a_task),
    "insert_job": ("jobs", any_job),
    "insert_task": ("tasks", any_task),
    "insert_params": ("job_params", lambda n: (n, f'{{"n":{n}}}')),
    "insert_item": ("task_items", lambda n: (1, "each", n, 1, str(n))),
    "insert_events": ("event_groups", lambda n: (3 * n, n // 2, 1 + n % 2, "[]")),
}


@pytest.fixture
def empty(tmp_path: Path) -> Callable[[], sqlite3.Connection]:
    def make() -> sqlite3.Connection:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.db"
        database.migrate(opened := database.connect(path), path, now=0.0)
        return opened

    return make


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 31, 32, 33, 75])
@pytest.mark.parametrize("name", sorted(wide_inserts.WIDE))
def test_the_same_rows_are_in_the_file(empty: Callable[[], sqlite3.Connection], name: str, count: int) -> None:
    table, row = ROWS[name]
    rows = [row(n) for n in range(1, count + 1)]
    found: list[Any] = []
    for write in (wide_inserts.write, lambda to, which, these: to.executemany(query(which), these).rowcount):
        connection = empty()
        assert write(connection, name, rows) == count
        columns = [f'"{column[1]}"' for column in connection.execute(f"PRAGMA table_info({table})")]
        types = ", ".join(f"typeof({column})" for column in columns)
        found.append(connection.execute(f"SELECT *, {types} FROM {table} ORDER BY {', '.join(columns)}").fetchall())
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()
    assert found[0] == found[1]
    assert len(found[0]) == count


def test_many_rows_take_few_statements(empty: Callable[[], sqlite3.Connection]) -> None:
    connection = empty()
    said: list[str] = []
    connection.set_trace_callback(said.append)
    wide_inserts.write(connection, "insert_new_job", [a_job(n) for n in range(75)])
    assert len([one for one in said if "INSERT" in one]) == 2 + 1 + 3  # 32 and 32, 8, one by one
    connection.close()


def test_a_row_that_is_there_already_is_refused_as_ever(empty: Callable[[], sqlite3.Connection]) -> None:
    connection = empty()
    connection.execute("BEGIN")
    with pytest.raises(sqlite3.IntegrityError):
        wide_inserts.write(connection, "insert_new_job", [a_job(n % 60) for n in range(75)])
    connection.execute("ROLLBACK")
    connection.close()


def test_what_goes_wide_is_a_plain_insert() -> None:
    assert set(names()) >= wide_inserts.WIDE
    for name in wide_inserts.WIDE:
        assert query(name).startswith("INSERT INTO")
        assert query(name).count("VALUES") == 1
        assert query(name).endswith(")")
        assert "ON CONFLICT" not in query(name) and "SELECT" not in query(name)

"""What older files hold is still there after they were brought up to date."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from orpheus.core.decision import Event
from orpheus.store import Store, database
from orpheus.store.queries import with_events
from orpheus.store.rows import events_from_text

EVENTS: list[Event] = [
    Event(1, "job.submitted", 1_700_000_000.123456, "key:ada", data={"workflow": "one", "n": 0.1}),
    Event(2, "task.ready", 1_700_000_000.1234567, "engine", "step", 3, "run-1"),
]


def test_events_written_one_by_one_come_back_from_their_groups(tmp_path: Path, monkeypatch: Any) -> None:
    """Version 4 keeps a decision's events in one row; instants keep their last digit."""
    path = tmp_path / "orpheus.db"
    known = database.migrations()
    monkeypatch.setattr(database, "migrations", lambda: known[:3])
    database.migrate(old := database.connect(path), path, now=0.0)
    old.execute("PRAGMA foreign_keys = OFF")
    for cursor, (one, data) in enumerate(zip(EVENTS, ('{"workflow":"one","n":0.1}', None), strict=True), 11):
        row = (cursor, 7, one.seq, one.type, one.at, one.actor, one.task, one.index, one.run_id, data)
        old.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    old.close()
    monkeypatch.undo()

    store = Store.open(path, now=0.0, epoch="e")
    assert store.last_cursor() == 12
    store.close()
    now = sqlite3.connect(path)
    groups = now.execute("SELECT cursor, job_no, seq, events FROM event_groups ORDER BY cursor").fetchall()
    assert [row[:3] for row in groups] == [(11, 7, 1), (12, 7, 2)]
    assert [events_from_text(row[3]) for row in groups] == [[one] for one in EVENTS]
    assert now.execute(with_events("SELECT cursor, seq, type, data FROM events ORDER BY cursor")).fetchall() == [
        (11, 1, "job.submitted", '{"workflow":"one","n":0.1}'),
        (12, 2, "task.ready", None),
    ]
    now.close()

"""Opening the file: new, older, newer, somebody else's, damaged."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from orpheus.store import DataNewer, DataUnusable, Store, database
from orpheus.store.database import Migration


def tables(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    found = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    connection.close()
    return found


def test_a_new_file_gets_the_newest_schema(path: Path) -> None:
    Store.open(path, now=0.0, epoch="e").close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == len(database.migrations())
    assert connection.execute("PRAGMA application_id").fetchone()[0] == database.APPLICATION_ID
    strict = connection.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND type = 'table'")
    assert {name for name, is_strict in strict if not is_strict} == {"sqlite_schema"}
    assert not list(path.parent.glob("*.backup.db"))


def test_the_writer_waits_for_the_disk(path: Path) -> None:
    """Promise 1 stands on these settings."""
    store = Store.open(path, now=0.0, epoch="e")
    one = lambda name: store.connection.execute(f"PRAGMA {name}").fetchone()[0]  # noqa: E731
    assert (one("journal_mode"), one("synchronous"), one("wal_autocheckpoint")) == ("wal", 2, 0)
    store.close()
    store.close()


def test_a_newer_file_is_refused_and_left_alone(path: Path) -> None:
    """The error names both versions."""
    Store.open(path, now=0.0, epoch="e").close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(DataNewer, match=rf"99.*{len(database.migrations())}") as caught:
        Store.open(path, now=0.0, epoch="e")
    assert caught.value.code == "data_newer"
    assert path.read_bytes() == before


def test_an_older_file_is_copied_then_migrated(path: Path, hand: Any, one_task_graph: Any, monkeypatch: Any) -> None:
    """The copy beside it is whole and as it was, with what was still in the write-ahead log."""
    graph = hand.publish(one_task_graph())
    hand.submit("a", graph)
    hand.commit()
    hand.store.close()
    known = database.migrations()
    monkeypatch.setattr(
        database,
        "migrations",
        lambda: [*known, Migration(len(known) + 1, "later", "ALTER TABLE jobs ADD COLUMN later TEXT;")],
    )
    store = Store.open(path, now=1_700_000_000.0, epoch="e")
    assert store.migrated_from == len(known)
    store.connection.execute("SELECT later FROM jobs")
    store.close()
    (backup,) = path.parent.glob("*.backup.db")
    assert backup.name == f"orpheus.v{len(known)}.20231114T221320Z.backup.db"
    monkeypatch.undo()
    old = Store.open(backup, now=0.0, epoch="e")
    assert old.begin().job("a") is not None
    old.close()


def test_a_migration_that_fails_changes_nothing(path: Path, monkeypatch: Any) -> None:
    Store.open(path, now=0.0, epoch="e").close()
    known = database.migrations()
    bad = Migration(len(known) + 1, "bad", "CREATE TABLE half (x); INSERT INTO nowhere VALUES (1);")
    monkeypatch.setattr(database, "migrations", lambda: [*known, bad])
    with pytest.raises(DataUnusable, match="bad"):
        Store.open(path, now=0.0, epoch="e")
    monkeypatch.undo()
    assert "half" not in tables(path)
    Store.open(path, now=0.0, epoch="e").close()


def test_somebody_elses_database_is_refused(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(DataUnusable, match="not one of Orpheus"):
        Store.open(path, now=0.0, epoch="e")
    assert tables(path) == {"theirs"}


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"this is not a database, and long enough for a header of one" * 40)
    with pytest.raises(DataUnusable):
        Store.open(path, now=0.0, epoch="e")
    assert path.read_bytes().startswith(b"this is not")


def test_a_reader_cannot_write(path: Path) -> None:
    Store.open(path, now=0.0, epoch="e").close()
    reader = database.connect_reader(path)
    with pytest.raises(sqlite3.OperationalError):
        reader.execute("INSERT INTO meta VALUES ('a', 'b')")
    reader.close()

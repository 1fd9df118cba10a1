"""How far has the write-ahead log come, and what is in the way of its growth?"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orpheus.store import Store, database, write_ahead

from .conftest import Hand

GraphOf = Callable[..., dict[str, Any]]
ROOM = 1 << 20


def file_bytes(store: Store) -> int:
    return write_ahead.file_of(store.path).stat().st_size


def pages_in_log(store: Store) -> int:
    """Ask SQLite, which copies them."""
    other = sqlite3.connect(store.path)
    pages: int = other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
    other.close()
    return pages


def submit(hand: Any, graph: Any, *names: str) -> None:
    for name in names:
        hand.submit(name, graph)
        hand.commit()


def test_the_log_is_as_long_as_sqlite_says(hand: Any, one_task_graph: GraphOf) -> None:
    graph = hand.publish(one_task_graph())
    for number in range(20):
        submit(hand, graph, f"j{number}")
        before = hand.store.wal_bytes()
        assert before == 32 + pages_in_log(hand.store) * (24 + 4096)


def test_a_log_that_began_anew_is_short_in_a_file_that_is_not(hand: Any, one_task_graph: GraphOf) -> None:
    graph = hand.publish(one_task_graph())
    submit(hand, graph, *(f"j{number}" for number in range(20)))
    long, size = hand.store.wal_bytes(), file_bytes(hand.store)
    hand.store.checkpoint()
    submit(hand, graph, "copies the rest", "begins anew")
    assert 0 < hand.store.wal_bytes() < long / 4
    assert file_bytes(hand.store) >= size, "its file is written over"
    assert hand.store.wal_bytes() == 32 + pages_in_log(hand.store) * (24 + 4096)


def test_no_log_and_an_empty_one_have_no_length(tmp_path: Path) -> None:
    path = tmp_path / "orpheus.db"
    assert write_ahead.bytes_in_use(path) == 0
    write_ahead.lengthen(path, ROOM)
    assert not write_ahead.file_of(path).exists(), "only SQLite begins a log"
    for content in (b"", b"\0" * 10, b"\0" * 10_000):
        write_ahead.file_of(path).write_bytes(content)
        assert write_ahead.bytes_in_use(path) == 0


@pytest.mark.parametrize("used", [0, 5])
def test_commits_go_into_the_room_that_was_made(hand: Any, one_task_graph: GraphOf, used: int) -> None:
    graph = hand.publish(one_task_graph())
    hand.commit()
    submit(hand, graph, *(f"before {number}" for number in range(used)))
    in_use = hand.store.wal_bytes()
    hand.store.lengthen_log(ROOM)
    assert (hand.store.wal_bytes(), file_bytes(hand.store)) == (in_use, ROOM)
    submit(hand, graph, *(f"after {number}" for number in range(5)))
    assert hand.store.wal_bytes() > in_use
    assert file_bytes(hand.store) == ROOM


def test_a_crash_in_the_room_that_was_made_loses_nothing(hand: Any, one_task_graph: GraphOf, tmp_path: Path) -> None:
    """What stands on the disk at that instant is opened elsewhere, as after a crash."""
    graph = hand.publish(one_task_graph())
    hand.commit()
    hand.store.lengthen_log(ROOM)
    copies = []
    for number in range(5):
        submit(hand, graph, f"j{number}")
        folder = tmp_path / f"copy {number}"
        folder.mkdir()
        for file in (hand.store.path, write_ahead.file_of(hand.store.path)):
            shutil.copy(file, folder / file.name)
        copies.append(folder / hand.store.path.name)
    for number, copy in enumerate(copies):
        store = Store.open(copy, now=0.0, epoch="another")
        found = store.connection.execute("SELECT count(*) FROM jobs").fetchone()[0]
        store.close()
        assert found == number + 1


def test_a_disk_without_room_is_no_fault(hand: Any, one_task_graph: GraphOf, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = hand.publish(one_task_graph())
    hand.commit()

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.write", full)
    hand.store.lengthen_log(ROOM)
    monkeypatch.undo()
    submit(hand, graph, "a")
    assert hand.store.last_cursor() > 0


def test_so_much_of_a_log_that_grew_is_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch, one_task_graph: GraphOf
) -> None:
    """A long read lets it grow beyond any size; the disk gets that back."""
    monkeypatch.setattr(database, "WAL_KEPT_BYTES", ROOM)
    hand = Hand(Store.open(path, now=0.0, epoch="e"))
    graph = hand.publish(one_task_graph())
    hand.commit()
    hand.store.lengthen_log(3 * ROOM)
    submit(hand, graph, "a")
    assert file_bytes(hand.store) == 3 * ROOM
    hand.store.checkpoint()
    submit(hand, graph, "copies the rest", "begins anew")
    assert file_bytes(hand.store) == ROOM
    hand.store.close()

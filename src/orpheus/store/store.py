"""The store: one file, one writer, and what it remembers.

`begin`, the work, `Transaction.flush`, `commit`: all but `commit` on one thread. `commit` may be called in another while
the first one leaves the store alone, so that the fsync does not stop the event loop (R3).
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from orpheus.store import database, write_ahead
from orpheus.store.cache import PayloadCache, RowCache
from orpheus.store.definitions import GraphCache
from orpheus.store.errors import CommitFailed
from orpheus.store.queries import query
from orpheus.store.transaction import Transaction
from orpheus.store.unit import Counters, Unit


class Store:
    """The open file. Make it with `Store.open`; the caller holds the lock on the data directory (`lock.py`)."""

    def __init__(self, connection: sqlite3.Connection, path: Path, *, epoch: str, migrated_from: int) -> None:
        self.path = path
        self.epoch = epoch
        """Made with the file and kept with it: a stream cursor of another epoch is foreign (R2)."""
        self.migrated_from = migrated_from
        """Schema version the file had when it was opened; 0 for a new one."""
        self._connection = connection
        self._rows = RowCache()
        self._rows.dependencies = connection.execute(query("any_dependency")).fetchone() is not None
        self._payloads = PayloadCache()
        self._graphs = GraphCache()
        self._unit: Unit | None = None
        self._counters = self._read_counters()
        self._checkpointer: sqlite3.Connection | None = None
        self._checkpoint_lock = threading.Lock()
        self._copy_rest = False
        """A checkpoint was made; what was committed while it copied is for the next commit to copy."""
        self._closed = False

    @classmethod
    def open(cls, path: Path, *, now: float, epoch: str) -> Store:
        """Open the file, making or migrating it as needed.

        Args:
            now: stamp of a backup.
            epoch: used when the file is new; a random text.

        Raises:
            DataNewer, DataUnusable: the file is left as it is.
        """
        connection = database.connect(path)
        try:
            version = database.migrate(connection, path, now=now)
            connection.execute(query("keep_meta"), ("epoch", epoch))
            kept = connection.execute(query("meta"), ("epoch",)).fetchone()[0]
            return cls(connection, path, epoch=kept, migrated_from=version)
        except BaseException:
            connection.close()
            raise

    def _read_counters(self) -> Counters:
        def one(name: str, *parameters: str) -> int:
            row = self._connection.execute(query(name), parameters).fetchone()
            return 0 if row is None else int(row[0])

        reserved = one("meta", "ready_seq_end")
        return Counters(
            # The highest rows may have been pruned: their numbers are not given again.
            job_no=max(one("last_job_no"), one("meta", "last_job_no")),
            cursor=max(one("last_cursor"), one("meta", "last_cursor")),
            log_no=max(one("last_log_no"), one("meta", "last_log_no")),
            ready_seq=reserved,
            ready_seq_end=reserved,
        )

    @property
    def connection(self) -> sqlite3.Connection:
        """The writer's connection, for reads by the simulator and by tests. Nothing else may write through it."""
        return self._connection

    def stream_floor(self) -> int:
        """Return the cursor up to which events may be missing, because their jobs were pruned (R2)."""
        row = self._connection.execute(query("meta"), ("stream_floor",)).fetchone()
        return 0 if row is None else int(row[0])

    def last_cursor(self) -> int:
        """Return the cursor of the newest committed event."""
        return self._counters.cursor

    def begin(self) -> Transaction:
        """Begin a transaction; there is one at a time."""
        assert self._unit is None, "the last transaction was neither committed nor rolled back"
        self._connection.execute("BEGIN IMMEDIATE")
        self._unit = Unit(self._connection, self._rows, self._counters.copy())
        return Transaction(self._unit, payloads=self._payloads, graphs=self._graphs)

    def commit(self) -> None:
        """Make the transaction durable. The only call that waits for the disk.

        Raises:
            CommitFailed: whether it is on disk is unknown; the process must end (R3).
        """
        unit = self._unit
        assert unit is not None, "nothing was begun"
        unit.flush()
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise CommitFailed(f"COMMIT on {self.path} failed: {error}") from error
        self._counters = unit.counters
        unit.committed()
        self._unit = None
        if self._copy_rest:
            self._copy_rest = False
            self._copy_log("PASSIVE")

    def rollback(self) -> None:
        """Undo the transaction and forget what was remembered of it. Safe when there is none."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._unit = None
        self._rows.clear()
        self._payloads.clear()
        self._graphs.names.clear()

    def wal_bytes(self) -> int:
        """Return the size of the write-ahead log, which a checkpoint lets begin anew."""
        return write_ahead.bytes_in_use(self.path)

    def lengthen_log(self, to_bytes: int) -> None:
        """Make room in the log's file, so that commits write over what is there; before the first transaction."""
        write_ahead.lengthen(self.path, to_bytes)

    def checkpoint(self, *, truncate: bool = False) -> tuple[int, int]:
        """Copy the write-ahead log into the file; for a thread beside the writer (R3).

        Under steady writing a copy never catches up with the log, which would then grow for ever. So the next commit copies
        the little that came meanwhile itself, at an instant when nothing is being written: then all of the log is copied,
        and the commit after it begins the log anew.

        Args:
            truncate: also empty the log, which waits for readers and keeps the writer out: only between transactions.

        Returns:
            Pages in the log, and pages of it that are now in the file.
        """
        pages, done = self._copy_log("TRUNCATE" if truncate else "PASSIVE")
        self._copy_rest = pages > 0 and not truncate
        return pages, done

    def _copy_log(self, mode: str) -> tuple[int, int]:
        with self._checkpoint_lock:
            if self._closed:
                return (0, 0)
            if self._checkpointer is None:
                self._checkpointer = database.connect(self.path)
            _busy, pages, done = self._checkpointer.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
            return (pages, done)

    def close(self) -> None:
        """Close the file; an open transaction is undone. Safe to call twice."""
        with self._checkpoint_lock:
            if self._closed:
                return
            self._closed = True
            self.rollback()
            if self._checkpointer is not None:
                self._checkpointer.close()
            self._connection.close()

"""The store: one file, one writer, and what it remembers.

`begin`, the work, `Transaction.flush`, `commit`: all but `commit` on one thread. `commit` may be called in another while
the first one leaves the store alone, so that the fsync does not stop the event loop (R3).

Or, of a transaction that is `written_apart`, `hand_over` instead of `commit`: the next one may begin, and is decided on what this one
will have written. It is on the disk when `answered` has reached its number (in_flight.py, ADR 0035).
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

from orpheus.store import database, write_ahead
from orpheus.store.cache import PayloadCache, RowCache
from orpheus.store.definitions import GraphCache
from orpheus.store.errors import CommitFailed
from orpheus.store.in_flight import InFlight
from orpheus.store.queries import query
from orpheus.store.transaction import Transaction
from orpheus.store.unit import Counters, Unit
from orpheus.store.writer import Writer, wait_for_writer


class Store:
    """The open file. Make it with `Store.open`; the caller holds the lock on the data directory (`lock.py`)."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        *,
        epoch: str,
        migrated_from: int,
        writer: Writer | None = None,
        remembered: RowCache | None = None,
    ) -> None:
        self.path = path
        self.epoch = epoch
        """Made with the file and kept with it: a stream cursor of another epoch is foreign (R2)."""
        self.migrated_from = migrated_from
        """Schema version the file had when it was opened; 0 for a new one."""
        self._connection = connection
        self._in_flight = None if writer is None else InFlight(writer)
        self._rows = remembered or RowCache()
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
    def open(
        cls, path: Path, *, now: float, epoch: str, writer: Writer | None = None, remembered: RowCache | None = None
    ) -> Store:
        """Open the file, making or migrating it as needed.

        Args:
            now: stamp of a backup.
            epoch: used when the file is new; a random text.
            writer: writes large transactions; without it this process writes all. The store closes it.
            remembered: an empty memory with bounds of its own, given by the simulator.

        Raises:
            DataNewer, DataUnusable: the file is left as it is.
            DataInUse: the writer of an earlier server is still alive.
        """
        if writer is None:
            wait_for_writer(path)
        connection = database.connect(path)
        try:
            version = database.migrate(connection, path, now=now)
            connection.execute(query("keep_meta"), ("epoch", epoch))
            kept = connection.execute(query("meta"), ("epoch",)).fetchone()[0]
            return cls(connection, path, epoch=kept, migrated_from=version, writer=writer, remembered=remembered)
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
        """The connection that writes, for reads by the simulator and by tests. Nothing else may write through it."""
        return self._connection

    @property
    def writer(self) -> Writer | None:
        """What writes large transactions."""
        return None if self._in_flight is None else self._in_flight.writer

    @property
    def handed_over(self) -> int:
        """Return how many transactions were ever handed over."""
        return 0 if self._in_flight is None else self._in_flight.handed_over

    @property
    def answered(self) -> int:
        """Return how many of these are on the disk."""
        return 0 if self._in_flight is None else self._in_flight.answered

    @property
    def wants_rest(self) -> bool:
        """Tell whether nothing more should be handed over until everything is answered: the rest of the log is to be copied."""
        return self._copy_rest and bool(self._in_flight)

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
        if self._in_flight is not None:
            self._in_flight.forget_answered(self._rows)
        self._unit = Unit(self._connection, self._rows, self._counters.copy(), in_flight=self._in_flight)
        return Transaction(self._unit, payloads=self._payloads, graphs=self._graphs)

    def hand_over(self) -> int:
        """Have a transaction that is `written_apart` made durable while the next one is decided; return its number.

        Raises:
            GuardFailed: it holds what no column can hold; roll back.
            CommitFailed: the process that writes is gone; this one must end (R3).
        """
        unit = self._unit
        assert unit is not None and unit.apart is not None and self._in_flight is not None
        self._in_flight.hand_over(unit)
        self._counters = unit.counters
        self._unit = None
        return self._in_flight.handed_over

    def take_answer(self) -> None:
        """Wait until the oldest transaction that was handed over is on the disk.

        Raises:
            CommitFailed: whether it is, is unknown, or others were decided on it that cannot be; the process must end (R3).
        """
        assert self._in_flight is not None
        self._in_flight.take_answer()
        if not self._in_flight:
            self._copy_the_rest()

    def commit(self) -> None:
        """Make the transaction durable. The only call that waits for the disk, but for questions behind `hand_over`.

        Raises:
            CommitFailed: whether it is on disk is unknown; the process must end (R3).
        """
        unit = self._unit
        assert unit is not None, "nothing was begun"
        unit.flush()
        if unit.apart is not None:
            assert self._in_flight is not None
            self.hand_over()
            self._in_flight.settle()
        else:
            if unit.begun:
                try:
                    self._connection.execute("COMMIT")
                except sqlite3.Error as error:
                    raise CommitFailed(f"COMMIT on {self.path} failed: {error}") from error
            self._counters = unit.counters
            if self._in_flight:
                self._in_flight.keep(unit)  # it only asked; rows of those on their way must stay
            else:
                unit.committed()
            self._unit = None
        if not self._in_flight:
            self._copy_the_rest()

    def _copy_the_rest(self) -> None:
        if self._copy_rest:
            self._copy_rest = False
            self._copy_log("PASSIVE")

    def rollback(self) -> None:
        """Undo the transaction and forget what was remembered of it. Safe when there is none. What was handed over before it is
        waited for: the file has to know it, now that the memory does not."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._unit = None
        if self._in_flight is not None:
            self._in_flight.settle()
            self._in_flight.drop_answered()
        self._rows.clear()
        self._payloads.clear()
        self._graphs.names.clear()

    def wal_bytes(self) -> int:
        """Return how many bytes of the write-ahead log are in use; a checkpoint lets it begin anew. Its file may be longer."""
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
            with suppress(CommitFailed):  # who was to hear of it has
                self.rollback()
            if self._checkpointer is not None:
                self._checkpointer.close()
            if self._in_flight is not None:
                self._in_flight.writer.close()
            self._connection.close()

"""Opening the file: connections, their settings, and bringing an older file up to date.

The number of the newest migration a file has seen is its `user_version`. A file with a higher one than we know was written
by a newer Orpheus and is refused untouched; one with a lower one is copied beside itself and then migrated, each migration in a
transaction of its own.
"""

from __future__ import annotations

import os
import re
import sqlite3
import sys
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from orpheus.store.errors import DataNewer, DataUnusable

APPLICATION_ID = 0x4F525048
"""`ORPH`, at its fixed place in the header of every file of ours."""
BUSY_MS = 10_000
"""Only one of a server's processes writes at a time; only a checkpoint may hold the write lock, for milliseconds."""
CACHE_KIB = 65_536
WAL_KEPT_BYTES = 64 << 20
"""What is left at most of the write-ahead log's file when it begins anew, to be written over (`write_ahead.py`)."""


class Migration(NamedTuple):
    version: int
    name: str
    sql: str


def migrations() -> list[Migration]:
    """Return all migrations, in order, numbered without a gap from 1."""
    found = []
    for entry in files("orpheus.store").joinpath("migrations").iterdir():
        match = re.fullmatch(r"(\d{4})_(\w+)\.sql", entry.name)
        if match:
            found.append(Migration(int(match[1]), match[2], entry.read_text(encoding="utf-8")))
    found.sort()
    assert [one.version for one in found] == list(range(1, len(found) + 1)), "migrations are numbered without a gap"
    return found


def connect(path: Path) -> sqlite3.Connection:
    """Open a connection that writes. A commit is on disk when it returns (promise 1).

    `COMMIT` may be called in another thread while this one leaves the connection alone, hence `check_same_thread`.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
    try:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if sys.platform == "darwin":
            connection.execute("PRAGMA fullfsync = 1")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA trusted_schema = OFF")
        # REFERENCES in the schema say what belongs to what. Enforcing them would look up the parent at each insert, and rows
        # of one decision are written together anyway; whoever deletes jobs turns this on for the cascades.
        connection.execute("PRAGMA foreign_keys = OFF")
        # The CHECKs in the schema hold for whoever else writes to the file. What we write is checked before (rows.py), and asking them
        # at each change of a row was a quarter of what SQLite cost a job.
        connection.execute("PRAGMA ignore_check_constraints = ON")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise DataUnusable(
            f"{path} cannot be opened as a database: {error}",
            hint="is it a file of Orpheus? restore a backup if it is damaged",
        ) from error
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open a connection that can only read; each statement sees the newest commit."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA cache_size = -8192")
    return connection


def migrate(connection: sqlite3.Connection, path: Path, *, now: float) -> int:
    """Bring the file to the newest schema; return its version before (0 for a new file).

    A crash in the middle leaves the last finished migration and, for an older file, the backup.

    Raises:
        DataNewer: the file is ahead of us; it is left as it is.
        DataUnusable: it is somebody else's database.
    """
    known = migrations()
    try:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        application: int = connection.execute("PRAGMA application_id").fetchone()[0]
        empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    except sqlite3.DatabaseError as error:
        raise DataUnusable(f"{path} is not a database: {error}", hint="name another data directory") from error
    if not (empty and version == 0) and application != APPLICATION_ID:
        raise DataUnusable(f"{path} is a database, but not one of Orpheus", hint="name another data directory")
    if version > len(known):
        raise DataNewer(
            f"{path} has schema version {version}; this Orpheus knows versions up to {len(known)}",
            hint="start the newer Orpheus that wrote it, or another data directory",
        )
    if 0 < version < len(known):
        back_up(connection, path, version=version, now=now)
    for migration in known[version:]:
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE;\n{migration.sql}\n"
                f"PRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {migration.version};\nCOMMIT;"
            )
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise DataUnusable(
                f"{path} could not be migrated to version {migration.version} ({migration.name}): {error}",
                hint="it is as it was before this migration; the backup beside it is from before the first",
            ) from error
    return version


def back_up(connection: sqlite3.Connection, path: Path, *, version: int, now: float) -> Path:
    """Copy the file, as it stands, beside itself; return the copy, which is on disk."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    target = path.with_name(f"{path.stem}.v{version}.{stamp}.backup.db")
    partial = target.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    copy = sqlite3.connect(partial, isolation_level=None)
    try:
        connection.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
    finally:
        copy.close()
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(target)
    _sync_folder(path.parent)
    return target


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

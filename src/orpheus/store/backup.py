"""A copy of the data directory, and back (docs/backup.md).

    TARGET/orpheus.db      the database as of one instant, compact
    TARGET/objects/        every object its rows name, and perhaps some more
    TARGET/run.key         what tokens of runs are derived from: callbacks that are out stay good
    TARGET/backup.json     written last: a folder without it is no backup

The database is copied first. Objects are on disk before the rows that name them are committed (R10) and never change, so
all that the copy names are still there when they are copied afterwards, as long as nothing is removed meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orpheus.core.errors import InvalidRequest, OrpheusError
from orpheus.store import database
from orpheus.store.queries import query

DATABASE = "orpheus.db"
OBJECTS = "objects"
RUN_KEY = "run.key"
ABOUT = "backup.json"
FORMAT = 1
_NOT_COPIED = (".tmp",)


class BackupUnusable(OrpheusError):
    """What should be restored is no backup, or is damaged."""

    code = "backup_unusable"


@dataclass(frozen=True, slots=True)
class Copied:
    objects: int
    size_bytes: int


def back_up(data: Path, target: Path, *, now: float) -> Copied:
    """Copy a data directory, which may be in use, as long as no object is removed from it meanwhile.

    Args:
        target: a folder that does not exist or is empty.
        now: seconds since the epoch.

    Raises:
        InvalidRequest: the target cannot be used.
    """
    target = target.absolute()
    inside = data.absolute()
    if target == inside or inside in target.parents:
        raise InvalidRequest(f"{target} lies in the data directory", hint="Name a folder elsewhere.")
    try:
        target.mkdir(parents=True, exist_ok=True)
        occupied = any(target.iterdir())
    except OSError as error:
        raise InvalidRequest(f"{target} cannot be used: {error.strerror}", hint="Name another folder.") from None
    if occupied:
        raise InvalidRequest(f"{target} is not empty", hint="Each backup goes to a folder of its own.")
    copy = target / DATABASE
    _copy_database(data / DATABASE, copy)
    copied = _copy_objects(data / OBJECTS, target / OBJECTS)
    _copy_run_key(data, target)
    about = {
        "format": FORMAT,
        "created_at": now,
        "database_sha256": _sha256(copy),
        "objects": copied.objects,
        "size_bytes": copied.size_bytes + copy.stat().st_size,
    }
    _write(target / ABOUT, json.dumps(about, indent=2).encode())
    return copied


def _copy_database(source: Path, target: Path) -> None:
    # A reader's view of one instant, which neither waits for the writer nor keeps it waiting; `sqlite3.Connection.backup`
    # would begin anew at each commit of the writer.
    connection = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        connection.execute("PRAGMA busy_timeout = 10000")
        connection.execute("VACUUM INTO ?", (str(target),))
    finally:
        connection.close()
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _copy_run_key(source: Path, target: Path) -> None:
    if (source / RUN_KEY).is_file():
        shutil.copy2(source / RUN_KEY, target / RUN_KEY)  # its mode too: for its owner only
        with (target / RUN_KEY).open("rb") as file:
            os.fsync(file.fileno())


def _copy_objects(source: Path, target: Path) -> Copied:
    target.mkdir(exist_ok=True)
    count = size = 0
    seen: dict[tuple[int, int], Path] = {}
    for path in _files(source):
        there = target / path.relative_to(source)
        try:
            found = path.stat(follow_symlinks=False)
            there.parent.mkdir(parents=True, exist_ok=True)
            first = seen.get((found.st_dev, found.st_ino))
            if first is not None:
                os.link(first, there)  # published names stay links of what their runs wrote
                continue
            shutil.copy2(path, there, follow_symlinks=False)
        except FileNotFoundError:
            continue  # of an attempt that came to nothing meanwhile
        if found.st_nlink > 1:
            seen[found.st_dev, found.st_ino] = there
        with there.open("rb") as file:
            os.fsync(file.fileno())
        count += 1
        size += found.st_size
    return Copied(count, size)


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        if Path(folder) == root:
            folders[:] = [name for name in folders if name not in _NOT_COPIED]
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                yield path


def restore(source: Path, data: Path, *, epoch: str, deep: bool = False) -> Copied:
    """Make a data directory of a backup.

    Stream cursors of before are foreign to it, so that readers begin anew (R2).

    Args:
        data: a directory that does not exist or is empty.
        epoch: a random text.
        deep: read every object and compare its sha256.

    Raises:
        BackupUnusable: there is no backup, or it is damaged.
        InvalidRequest: the directory is not empty.
    """
    try:
        about = json.loads((source / ABOUT).read_bytes())
    except (OSError, ValueError) as error:
        raise BackupUnusable(
            f"{source} is no complete backup: {error}", hint=f"A backup has a file {ABOUT}, written last."
        ) from None
    if about.get("format") != FORMAT:
        raise BackupUnusable(f"{source} has format {about.get('format')}; this Orpheus knows {FORMAT}")
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise InvalidRequest(f"{data} is not empty", hint="Restore into a new directory, then start the server on it.")
    if _sha256(source / DATABASE) != about["database_sha256"]:
        raise BackupUnusable(f"{source / DATABASE} is not as it was written", hint="Use another backup.")
    faults = check(source, deep=deep)
    if faults:
        raise BackupUnusable(f"{source}: {faults[0]}", hint=f"{len(faults)} faults in all. Use another backup.")
    data.mkdir(parents=True, exist_ok=True)
    copied = _copy_objects(source / OBJECTS, data / OBJECTS)
    _copy_run_key(source, data)
    partial = data / f"{DATABASE}.partial"
    shutil.copy2(source / DATABASE, partial)
    connection = sqlite3.connect(partial, isolation_level=None)
    try:
        connection.execute(query("put_meta"), ("epoch", epoch))
    finally:
        connection.close()
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(data / DATABASE)
    return copied


def check(data: Path, *, deep: bool = False) -> list[str]:
    """Return what is wrong with a data directory or backup that no server works on; nothing is changed.

    Args:
        deep: read every object and compare its sha256.
    """
    faults: list[str] = []
    try:
        connection = database.connect_reader(data / DATABASE)
    except sqlite3.Error as error:
        return [f"{DATABASE} cannot be opened: {error}"]
    try:
        for (said,) in connection.execute("PRAGMA integrity_check(20)"):
            if said != "ok":
                faults.append(f"{DATABASE}: {said}")
        if not faults:
            faults += _check_objects(connection, data / OBJECTS, deep=deep)
    except sqlite3.Error as error:
        faults.append(f"{DATABASE}: {error}")
    finally:
        connection.close()
    return faults


def _check_objects(connection: sqlite3.Connection, objects: Path, *, deep: bool) -> Iterator[str]:
    rows: Iterator[Any] = connection.execute(
        "SELECT key, sha256, size_bytes FROM artifacts JOIN jobs USING (job_no) WHERE superseded = 0 "
        "UNION ALL SELECT key, sha256, size_bytes FROM files"
    )
    for key, sha256, size in rows:
        path = objects / key
        if not path.is_file():
            yield f"the object {key} is missing"
        elif path.stat().st_size != size:
            yield f"the object {key} has {path.stat().st_size} bytes, not {size}"
        elif deep and _sha256(path) != sha256:
            yield f"the object {key} is not what it was"


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BackupUnusable(f"{path} cannot be read: {error.strerror}") from None


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)

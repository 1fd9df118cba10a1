"""How long is the write-ahead log? Its file is kept and written over, so its size does not tell.

A commit that makes the file longer changes the file system's own records too, which go to its journal: for the twelve pages of a
small commit fdatasync took 260 to 360 µs, one in ten 0.5 to 1.4 ms; over pages that are there 170, one in ten 0.2 to 0.5. So the
file keeps its length when the log begins anew (`database.WAL_KEPT_BYTES`), and a server lengthens it before it begins to work.

The log's form is SQLite's promise: https://sqlite.org/fileformat2.html#the_write_ahead_log
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

_HEADER = struct.Struct(">IIII8s8s")
"""Magic number, version, page size, checkpoints so far, salt, checksum."""
_FRAME_HEAD_BYTES = 24
_SALT = slice(8, 16)
"""Where the salt stands in what a frame begins with; the page follows."""
_MAGIC = (0x377F0682, 0x377F0683)
_PIECE_BYTES = 4096


def file_of(database: Path) -> Path:
    return database.with_name(database.name + "-wal")


def bytes_in_use(database: Path) -> int:
    """Return how far the log has come since it last began anew: what a checkpoint has to read, and a start after a crash.

    Frames of the log carry its salt, behind them are those of logs before it, or zeros. This reads the log's own file, on which
    SQLite holds no locks: closing any file that it has locked would give its locks up.
    """
    try:
        log = os.open(file_of(database), os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        return 0
    try:
        head = _read(log, 0, _HEADER.size)
        if len(head) < _HEADER.size:
            return 0
        magic, _version, page_bytes, _checkpoints, salt, _checksum = _HEADER.unpack(head)
        if magic not in _MAGIC:
            return 0
        step: int = _FRAME_HEAD_BYTES + page_bytes
        low, high = 0, (os.fstat(log).st_size - _HEADER.size) // step
        while low < high:
            middle = (low + high) // 2
            frame = _read(log, _HEADER.size + middle * step, _FRAME_HEAD_BYTES)
            if frame[_SALT] == salt:
                low = middle + 1
            else:
                high = middle
        return _HEADER.size + low * step
    finally:
        os.close(log)


def lengthen(database: Path, to_bytes: int) -> None:
    """Make the log's file so long, with zeros at its end. Only while nobody writes to the database.

    Page by page: zeros that are written together stay together in the system's cache, where each change of a piece then costs
    three times as much. On a disk that is too full the log grows as it is used.
    """
    try:
        log = os.open(file_of(database), os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        return
    try:
        length = os.fstat(log).st_size
        zeros = bytes(_PIECE_BYTES)
        while length < to_bytes:
            length += os.write(log, zeros[length % _PIECE_BYTES :])
        os.fsync(log)
    except OSError:
        return
    finally:
        os.close(log)


def _read(file: int, place: int, length: int) -> bytes:
    os.lseek(file, place, os.SEEK_SET)
    return os.read(file, length)

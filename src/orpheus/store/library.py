"""What of SQLite itself can be set for a process only, and before its first connection.

SQLite counts the memory that it has in use, and takes a lock for that at each allocation and each release: hundreds of times for a
one-task job. Nobody asks for the count. Without it the statements of a job cost a tenth less (the same ones replayed, in turn).
"""

from __future__ import annotations

import ctypes
import importlib
import sqlite3
import sys

_CONFIG_MEMSTATUS = 9
"""`SQLITE_CONFIG_MEMSTATUS` of https://sqlite.org/c3ref/c_config_covering_index_scan.html"""
_OK = 0


def count_no_memory() -> bool:
    """Let SQLite allocate without counting, if nobody in this process has a database open.

    For the start of a server, while it has one thread. The connections that are opened later are as safe as ever: their own locks stay.

    Returns:
        Whether it counts no more. False where the library cannot be reached (it may be a part of Python itself), and where a
        connection is open.
    """
    if sys.platform != "linux":
        return False  # `sqlite3_config` takes as many arguments as it likes, which ctypes cannot call everywhere
    try:
        # What this module was linked with is found through it, however many SQLites there are.
        library = ctypes.CDLL(importlib.import_module("_sqlite3").__file__)
        in_use, shut_down, configure = library.sqlite3_memory_used, library.sqlite3_shutdown, library.sqlite3_config
        initialize = library.sqlite3_initialize
    except (AttributeError, OSError):
        return False
    in_use.restype = ctypes.c_int64
    probe = sqlite3.connect(":memory:")
    counts = in_use() > 0
    probe.close()
    if not counts:
        return True
    if in_use() > 0:
        return False
    shut_down()
    done: int = configure(_CONFIG_MEMSTATUS, 0)
    initialize()
    return done == _OK

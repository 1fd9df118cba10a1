"""SQLite counts no memory in a server, and works as before."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

ASKS = """
import ctypes, importlib, sqlite3
from orpheus.store.library import count_no_memory

def counted():
    probe = sqlite3.connect(":memory:")
    try:
        return ctypes.CDLL(importlib.import_module("_sqlite3").__file__).sqlite3_memory_used() > 0
    finally:
        probe.close()
"""


def said(program: str, *arguments: str) -> str:
    """Run a program of its own: what it sets holds for a whole process."""
    run = subprocess.run(
        [sys.executable, "-c", ASKS + program, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return run.stdout


def reachable() -> bool:
    return sys.platform == "linux" and said("print(count_no_memory())") == "True\n"


pytestmark = pytest.mark.skipif(not reachable(), reason="this Python's SQLite cannot be reached from outside")


def test_nothing_is_counted_from_then_on_and_a_second_call_changes_nothing() -> None:
    program = """
print(counted(), count_no_memory(), counted())
open_now = sqlite3.connect(":memory:")
open_now.execute("CREATE TABLE one (n)")
print(count_no_memory(), open_now.execute("SELECT count(*) FROM one").fetchone()[0])
"""
    assert said(program) == "True True False\nTrue 0\n"


def test_an_open_connection_keeps_the_library_as_it_is() -> None:
    program = """
open_now = sqlite3.connect(":memory:")
print(count_no_memory(), counted(), open_now.execute("SELECT 1").fetchone()[0])
open_now.close()
print(count_no_memory(), counted())
"""
    assert said(program) == "False True 1\nTrue False\n"


def test_a_store_works_as_ever_with_readers_beside_it(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from pathlib import Path
from orpheus.store import Store
from orpheus.store.reader import Reader
assert count_no_memory()
path = Path(sys.argv[1], "orpheus.db")
store = Store.open(path, now=0.0, epoch="e")
reader = Reader(path)

async def ask():
    return await asyncio.gather(*(reader.stats() for _ in range(20)))

print(len(asyncio.run(ask())), store.connection.execute("PRAGMA integrity_check").fetchone()[0], sqlite3.threadsafety)
reader.close()
store.close()
"""
    assert said(program, str(tmp_path)) == f"20 ok {sqlite3.threadsafety}\n"

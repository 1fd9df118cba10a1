"""What are the tokens of runs derived from? A key in a file of its own beside the database.

Not in the database, so that a copy of it (a backup, a file sent with a bug report) opens nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

NAME = "run.key"
BYTES = 32


def run_key(folder: Path, new: bytes) -> bytes:
    """Return the key kept in the folder; `new` becomes it where there is none.

    Raises:
        OSError: the file cannot be read or written.
    """
    path = folder / NAME
    try:
        known = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (FileNotFoundError, ValueError):
        known = b""
    if len(known) == BYTES:
        return known
    assert len(new) == BYTES, "a key has 256 bits"
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(new.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    return new

"""Pictures that look alike, as they are told on the wire."""

from __future__ import annotations

import msgspec


class Duplicate(msgspec.Struct, kw_only=True):
    """A picture of another job that looks like one of this job's."""

    job_id: str
    workflow: str
    created_at: str
    artifact: str
    """The file whose picture it is."""
    of: str
    """The asking job's file that it looks like."""
    phash: str
    """16 hexadecimal digits."""
    distance: int
    """Different bits of the two hashes: 0 for equal ones."""


class DuplicatePage(msgspec.Struct, kw_only=True):
    """The nearest first, then the newest."""

    items: list[Duplicate]
    next_cursor: str | None = None

"""One order to many jobs, seen from the list that it walks (what it does to jobs: tests/rules/test_bulk.py)."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from orpheus.engine import bulk
from orpheus.engine.base import BulkOrder, JobFilter, Reads


class EmptyPages:
    """A long list in which nothing fits: every page is empty and has a cursor."""

    def __init__(self) -> None:
        self.read = 0

    async def jobs(self, _filters: JobFilter, *, limit: int, cursor: str | None) -> tuple[list[Any], str]:
        assert limit >= 1
        assert cursor == (str(self.read) if self.read else None)
        self.read += 1
        return [], str(self.read)


def test_a_request_that_meets_nothing_for_long_answers_with_a_cursor() -> None:
    """Whoever asked would hear nothing until the whole history was looked through."""
    pages = EmptyPages()

    async def do(_operation: Any) -> None:
        raise AssertionError("there is nobody to tell")

    order = BulkOrder(action="cancel", filters=JobFilter(q="nowhere"), dry_run=False)
    result = asyncio.run(bulk.carry_out(order, cast(Reads, pages), do))
    assert (result.matched, result.next_cursor) == (0, str(bulk.PAGES))

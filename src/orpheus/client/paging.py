"""How are long lists read? Page by page, each fetched when the one before is used up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import msgspec

from orpheus.client.effects import Operation
from orpheus.client.requests import PAGE, Reply, decoder, get
from orpheus.client.retrying import Patience, send

T = TypeVar("T")


class _Page(msgspec.Struct, Generic[T]):
    items: list[T]
    next_cursor: str | None = None


class Pager(Generic[T]):
    """Where a reader of a list stands. A driver calls `next_page` until `finished`.

    Args:
        limit: how many items in all, None for every one.
        after: the cursor to begin after.
        whole: the list comes in one piece and takes no `limit`.
    """

    def __init__(
        self,
        kind: type[T],
        path: str,
        query: Mapping[str, Any],
        patience: Patience,
        *,
        limit: int | None = None,
        after: str | None = None,
        whole: bool = False,
    ) -> None:
        self._decode: Callable[[Reply], _Page[T]] = decoder(_Page[kind])  # type: ignore[valid-type]  # at run time it is
        self._path, self._query, self._patience = path, dict(query), patience
        self._left = limit
        self._cursor = after
        self._whole = whole
        self.finished = limit is not None and limit <= 0

    def next_page(self) -> Operation[list[T]]:
        size = PAGE if self._left is None else min(PAGE, self._left)
        query = self._query if self._whole else {**self._query, "limit": size, "cursor": self._cursor}
        page = self._decode((yield from send(get(self._path, query), self._patience)))
        items = page.items
        self._cursor = page.next_cursor
        if self._left is not None:
            items = items[: self._left]
            self._left -= len(items)
        self.finished = self._cursor is None or self._left == 0
        return items


def all_items(pager: Pager[T]) -> Operation[list[T]]:
    """Read every page."""
    found: list[T] = []
    while not pager.finished:
        found += yield from pager.next_page()
    return found

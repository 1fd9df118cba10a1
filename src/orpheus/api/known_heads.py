"""Heads of requests that a connection has sent before are not read again.

Workers and clients ask the same few things over a connection that stays open: their requests differ in the body and in what
is said of its length, and in nothing else. To read such a head took a call for each header and a fifth of a small request.

Only what llhttp has read here, byte by byte the same but for the digits of the length, is taken for known; whatever needs more
than its bytes (bodies in pieces, upgrades, `Expect`, connections that end) is read anew each time.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

Scope = dict[str, Any]

MOST_BYTES = 16 * 1024
"""Longer requests are read as ever: reading is not what they cost."""
_MOST_HEADS = 8
_MOST_HEAD_BYTES = 2048

_LENGTH = re.compile(rb"\r\ncontent-length: (0|[1-9][0-9]{0,5})\r\n", re.IGNORECASE)
_READ_ANEW = frozenset((b"expect", b"transfer-encoding", b"upgrade"))


class Known(NamedTuple):
    """What was read of a head."""

    scope: Scope
    """Without what differs from request to request."""
    length_at: int
    """Place of the body's length among the headers; -1 without one."""


class KnownHeads:
    """What one connection has asked before."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[bytes, Known] = {}
        """By the head without the digits of its length."""

    def read(self, data: bytes) -> tuple[Scope, bytes] | None:
        """Return scope and body of a request; None where `data` is not one whole request with a known head.

        The scope is the caller's, with everything but its `state`.
        """
        split = _split(data)
        if split is None:
            return None
        key, digits, body = split
        known = self._known.get(key)
        if known is None or (not digits and known.length_at >= 0):  # a length that is empty looks like one left out
            return None
        scope = known.scope.copy()
        headers = scope["headers"] = scope["headers"].copy()
        if digits:
            headers[known.length_at] = (b"content-length", digits)
        return scope, body

    def remember(self, data: bytes, scope: Scope) -> None:
        """Keep what was made of the head of one whole request; nothing of a kind that has to be read anew.

        Args:
            scope: as uvicorn made it, with nothing in it yet that the application puts there.
        """
        split = _split(data)
        if split is None or scope["http_version"] != "1.1" or scope["method"] == "CONNECT":
            return
        key, digits, _ = split
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        names = [name for name, _ in headers]
        if len(key) > _MOST_HEAD_BYTES or not _READ_ANEW.isdisjoint(names):
            return
        if [value for name, value in headers if name == b"content-length"] != ([digits] if digits else []):
            return  # written in a way of its own
        length_at = names.index(b"content-length") if digits else -1
        if len(self._known) >= _MOST_HEADS:
            self._known.clear()
        self._known[key] = Known(scope | {"headers": headers.copy()}, length_at)

    def forget(self) -> None:
        """Let go of everything: what is kept of a scope may hold its connection."""
        self._known.clear()


def _split(data: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Return the head without the digits of the body's length, these (b"" where it tells none), and the body; None where `data`
    is not one whole request."""
    end = data.find(b"\r\n\r\n") + 4
    length = _LENGTH.search(data, 0, end)
    if length is None:
        return (data, b"", b"") if len(data) == end else None
    digits = length[1]
    if len(data) - end != int(digits):
        return None
    start, stop = length.span(1)
    return data[:start] + data[stop:end], digits, data[end:]

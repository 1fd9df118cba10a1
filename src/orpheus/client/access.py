"""The operations on keys."""

from __future__ import annotations

from urllib.parse import quote

from orpheus.client.effects import Operation
from orpheus.client.paging import Pager
from orpheus.client.requests import Request, decoder, post
from orpheus.client.retrying import Patience, send
from orpheus.protocol.access import CreatedKey, CreateKey, KeyInfo, SessionInfo

_KEY = decoder(KeyInfo)
_CREATED = decoder(CreatedKey)
_SESSION = decoder(SessionInfo)


def create_key(body: CreateKey, patience: Patience) -> Operation[CreatedKey]:
    """Make a key. Not repeated when an answer was lost: that would leave one that nobody knows."""
    return _CREATED((yield from send(post("/keys", body, repeatable=False), patience)))


def revoke_key(key_id: str, patience: Patience) -> Operation[KeyInfo]:
    return _KEY((yield from send(Request("DELETE", f"/keys/{quote(key_id, safe='')}"), patience)))


def keys(patience: Patience) -> Pager[KeyInfo]:
    return Pager(KeyInfo, "/keys", {}, patience, whole=True)


def session(patience: Patience) -> Operation[SessionInfo]:
    return _SESSION((yield from send(Request("GET", "/session"), patience)))

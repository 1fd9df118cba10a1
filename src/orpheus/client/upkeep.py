"""The operations on what is kept: pruning, backups, the result cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from orpheus.client.effects import Operation
from orpheus.client.requests import Request, decoder, get, post
from orpheus.client.retrying import Patience, send
from orpheus.protocol.upkeep import BackupAnswer, CachedResults, CachePage, FailureGroup, FailurePage, PruneAnswer

_PRUNED = decoder(PruneAnswer)
_BACKUP = decoder(BackupAnswer)
_FAILURES = decoder(FailurePage)
_CACHE = decoder(CachePage)

LONG_S = 86_400.0
"""How long the server may take to copy or remove: a large disk takes hours."""


def prune(body: Mapping[str, Any], patience: Patience) -> Operation[PruneAnswer]:
    return _PRUNED((yield from send(_long("/prune", body), patience)))


def clear_cache(body: Mapping[str, Any], patience: Patience) -> Operation[PruneAnswer]:
    return _PRUNED((yield from send(_long("/cache/clear", body), patience)))


def backup(target: str, patience: Patience) -> Operation[BackupAnswer]:
    """Not repeated: the folder would not be empty the second time."""
    request = replace(_long("/backup", {"target": target}), repeatable=False)
    return _BACKUP((yield from send(request, patience)))


def failures(query: Mapping[str, Any], patience: Patience) -> Operation[list[FailureGroup]]:
    return _FAILURES((yield from send(get("/failures", query), patience))).items


def cache(patience: Patience) -> Operation[list[CachedResults]]:
    return _CACHE((yield from send(get("/cache"), patience))).items


def states(state: str | Sequence[str] | None) -> list[str] | None:
    return None if state is None else [state] if isinstance(state, str) else list(state)


def _long(path: str, body: Mapping[str, Any]) -> Request:
    said = {name: value for name, value in body.items() if value is not None}
    return replace(post(path, said), extra_wait_s=LONG_S)

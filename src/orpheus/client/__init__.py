"""The typed client: `Client` for ordinary code, `AsyncClient` for event loops, and the errors both raise.

Each part is loaded when it is first used: aiohttp alone takes half a second, and blocking code has no need of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orpheus.client.aio import AsyncClient
    from orpheus.client.downloads import CorruptDownload
    from orpheus.client.errors import (
        ClientError,
        Conflict,
        ConnectionLost,
        Forbidden,
        Invalid,
        InvalidInput,
        JobFailed,
        NotFound,
        OrpheusHTTPError,
        TooLarge,
        Unauthorized,
        Unavailable,
        WaitTimeout,
    )
    from orpheus.client.jobs import JobOptions, NewJob
    from orpheus.client.retrying import Patience
    from orpheus.client.sync import Client

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "Conflict",
    "ConnectionLost",
    "CorruptDownload",
    "Forbidden",
    "Invalid",
    "InvalidInput",
    "JobFailed",
    "JobOptions",
    "NewJob",
    "NotFound",
    "OrpheusHTTPError",
    "Patience",
    "TooLarge",
    "Unauthorized",
    "Unavailable",
    "WaitTimeout",
]

_ELSEWHERE = {
    "AsyncClient": "aio",
    "Client": "sync",
    "CorruptDownload": "downloads",
    "JobOptions": "jobs",
    "NewJob": "jobs",
    "Patience": "retrying",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'orpheus.client' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"orpheus.client.{_ELSEWHERE.get(name, 'errors')}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""The typed client: `Client` for ordinary code, `AsyncClient` for event loops, and the errors both raise."""

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

"""Which server does a command speak to? The one that was named, else the live one of the data directory, else the usual."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from orpheus.client import Client, ClientError, Patience
from orpheus.client.address import DEFAULT_URL
from orpheus.settings import Settings, load

LOCK_FILE = "orpheus.lock"
PATIENCE = Patience(reconnect_s=3.0)
"""A person waits at the prompt: a server that is restarting is met, one that is not there is told soon."""

ServerFlag = Annotated[
    str | None,
    typer.Option("--server", help="Server to speak to. [default: the live one of ./orpheus-data]", metavar="URL"),
]


@dataclass(frozen=True, slots=True)
class LiveServer:
    """The server that holds a data directory."""

    pid: int
    url: str


def live_server(data: Path) -> LiveServer | None:
    """Return the server that works in `data` now, or None.

    The lock file keeps what its last holder wrote, so the process must be alive and the address must answer.
    """
    try:
        said: Any = json.loads((data / LOCK_FILE).read_text(encoding="utf-8"))
        found = LiveServer(int(said["pid"]), str(said["url"]))
        os.kill(found.pid, 0)
    except PermissionError:
        pass  # alive, and somebody else's
    except (OSError, ValueError, KeyError, TypeError):
        return None
    try:
        with Client(found.url, timeout_s=2.0) as client:
            client.ready()
    except ClientError:
        return None
    return found


def server_url(settings: Settings) -> str:
    """Return the address to speak to."""
    if settings.url:
        return settings.url
    live = live_server(settings.data)
    return live.url if live else DEFAULT_URL


def connect(server: str | None, *, patience: Patience = PATIENCE) -> Client:
    """Return a client as the settings say.

    Raises:
        SettingsError: a setting is not usable.
    """
    settings = load({"url": server}).settings
    return Client(server_url(settings), api_key=settings.api_key, timeout_s=settings.timeout_s, patience=patience)

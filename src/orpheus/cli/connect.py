"""Which server does a command speak to? The one that was named, else the live one of the data directory, else the usual."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from orpheus.client import Client, Patience
from orpheus.client.address import DEFAULT_URL
from orpheus.settings import Settings, load

PATIENCE = Patience(reconnect_s=3.0)
"""A person waits at the prompt: a server that is restarting is met, one that is not there is told soon."""

ServerFlag = Annotated[
    str | None,
    typer.Option("--server", help="Server to speak to. (default: the live one of ./orpheus-data)", metavar="URL"),
]


@dataclass(frozen=True, slots=True)
class LiveServer:
    """The server that holds a data directory."""

    pid: int
    url: str


def live_server(data: Path) -> LiveServer | None:
    """Return the server that works in `data` now, or None. One that does not listen yet has no address."""
    try:
        from orpheus.store.lock import live_server as holder  # noqa: PLC0415 (not on Windows)
    except ImportError:
        return None
    said = holder(data)
    return None if said is None else LiveServer(int(said.get("pid", 0)), str(said.get("url") or ""))


def server_url(settings: Settings) -> str:
    """Return the address to speak to."""
    if settings.url:
        return settings.url
    live = live_server(settings.data)
    return live.url if live and live.url else DEFAULT_URL


def connect(server: str | None, *, patience: Patience = PATIENCE) -> Client:
    """Return a client as the settings say.

    Raises:
        SettingsError: a setting is not usable.
    """
    settings = load({"url": server}).settings
    return Client(server_url(settings), api_key=settings.api_key, timeout_s=settings.timeout_s, patience=patience)

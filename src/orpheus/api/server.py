"""Running the app: one process, one event loop, and an end in the right order.

Stopping: no new connections → waiting polls, long polls and streams are answered → requests under way finish → the
engine commits what is queued and closes the store. A second signal does not wait.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI

from orpheus.api.app import OrpheusApp
from orpheus.api.frames import FrameWriter
from orpheus.api.http1 import Http1

log = logging.getLogger("orpheus.api")

GRACE_S = 10
"""Longest wait for requests under way; streams and long polls are told at once."""


class _Server(uvicorn.Server):
    """uvicorn, which wakes those who wait before it waits for them."""

    def __init__(self, config: uvicorn.Config, app: OrpheusApp, on_ready: Callable[[str], None] | None) -> None:
        super().__init__(config)
        self._orpheus = app
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._on_ready is not None:
            self._on_ready(self._url())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        self._orpheus.services.stop()
        await super().shutdown(sockets)

    def _url(self) -> str:
        host, port = self.config.host, self.config.port
        for server in self.servers:
            for each in server.sockets:
                if each.family in (socket.AF_INET, socket.AF_INET6):
                    port = each.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        if host in ("0.0.0.0", "::"):  # noqa: S104 (compared, not bound)
            shown = "127.0.0.1"
        return f"http://{shown}:{port}{self._orpheus.services.options.root_path}"


def configured(app: OrpheusApp | FastAPI, **where: Any) -> uvicorn.Config:
    """Return how uvicorn serves the app: the same for the command line's server and for those who embed one.

    Args:
        where: what differs: `host`, `port`, `loop`, `access_log`; nothing where the socket is bound already.
    """
    settings: dict[str, Any] = {
        "http": Http1,
        "ws": FrameWriter,
        "ws_max_size": 64 * 1024,
        "ws_per_message_deflate": False,  # events are small, and a compressor per socket costs 300 kB
        "ws_ping_interval": 20.0,
        "ws_ping_timeout": 20.0,
        "lifespan": "on",
        "access_log": False,
        "log_config": None,
        "server_header": False,
        "date_header": False,
        "proxy_headers": False,
        "backlog": 2048,
        "timeout_keep_alive": 75,
        "timeout_graceful_shutdown": GRACE_S,
    }
    return uvicorn.Config(app, **(settings | where))


async def serve(
    app: OrpheusApp,
    *,
    host: str = "127.0.0.1",
    port: int = 8700,
    on_ready: Callable[[str], None] | None = None,
    stop: asyncio.Event | None = None,
    access_log: bool = False,
) -> None:
    """Serve until a signal (SIGINT, SIGTERM) or `stop`.

    Args:
        port: 0 takes a free one; `on_ready` is told the URL.
        on_ready: called once connections are taken and the engine runs.
        stop: ends the server when set, for those who embed it.

    Raises:
        RuntimeError: it could not start; the reason is in the log.
    """
    config = configured(app, host=host, port=port, access_log=access_log, loop="uvloop" if _has_uvloop() else "asyncio")
    server = _Server(config, app, on_ready)
    watcher = asyncio.create_task(_stop_when(stop, server)) if stop is not None else None
    try:
        await server.serve()
    finally:
        if watcher is not None:
            watcher.cancel()
    if not server.started:
        raise RuntimeError(f"the server could not start on {host}:{port}")


async def _stop_when(stop: asyncio.Event, server: uvicorn.Server) -> None:
    await stop.wait()
    server.should_exit = True


def run(
    app: OrpheusApp, *, host: str = "127.0.0.1", port: int = 8700, on_ready: Callable[[str], None] | None = None
) -> None:
    """Serve on a new event loop (uvloop where there is one) until a signal."""
    if _has_uvloop():
        import uvloop  # noqa: PLC0415 (not on Windows)

        uvloop.run(serve(app, host=host, port=port, on_ready=on_ready))
    else:
        asyncio.run(serve(app, host=host, port=port, on_ready=on_ready))


def _has_uvloop() -> bool:
    try:
        import uvloop  # noqa: F401, PLC0415
    except ImportError:
        return False
    return True

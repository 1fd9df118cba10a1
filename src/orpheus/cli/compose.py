"""The one place where concrete parts become a server: store and engine, object store, application, uvicorn."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version

import uvicorn
from fastapi import FastAPI

from orpheus import telemetry
from orpheus.api.app import create_app
from orpheus.api.options import ApiOptions
from orpheus.api.server import configured
from orpheus.artifacts import FolderStore, Publisher
from orpheus.cli.own_keys import lent
from orpheus.cli.sockets import own_names
from orpheus.core.webhook_signature import key_of
from orpheus.engine.embedded import EmbeddedEngine
from orpheus.engine.options import EngineOptions
from orpheus.settings import Settings, SettingsError
from orpheus.store.lock import DataLock

log = logging.getLogger("orpheus.server")

DATABASE = "orpheus.db"
OBJECTS = "objects"
WRITE_AHEAD_BYTES = 40 << 20
"""What the log comes to before a checkpoint lets it begin anew (`EngineOptions.checkpoint_bytes`), and a little more."""


@dataclass(frozen=True, slots=True)
class Served:
    """A server's parts, for as long as it holds the data directory."""

    app: FastAPI
    engine: EmbeddedEngine
    lock: DataLock


@contextmanager
def composed(settings: Settings, *, expect_workers: int) -> Iterator[Served]:
    """Take the data directory and put a server together over it.

    Args:
        expect_workers: supervised workers that `/readyz` waits for.

    Raises:
        DataInUse: another server holds the directory; the message names its pid.
    """
    with DataLock.acquire(settings.data) as lock:
        objects = FolderStore(settings.data / OBJECTS)
        tracing = telemetry.start("orpheus-server")
        try:
            engine = EmbeddedEngine(
                settings.data / DATABASE,
                publisher=Publisher(objects, env=settings.env),
                options=EngineOptions(
                    env=settings.env,
                    lease_s=settings.lease_s,
                    grace_s=settings.cancel_grace_s,
                    ageing_s=settings.ageing_s,
                    retention_s=settings.retention_s,
                    cache_retention_s=settings.cache_retention_s,
                    write_ahead_bytes=WRITE_AHEAD_BYTES,
                ),
            )
            options = ApiOptions(
                env=settings.env,
                version=version("orpheus-jobs"),
                allowed_hosts=(*settings.allowed_hosts, *own_names(settings.host)),
                allowed_origins=tuple(settings.allowed_origins),
                root_path=settings.root_path,
                require_keys=settings.require_keys,
                open_metrics=settings.open_metrics,
                max_body_bytes=settings.max_body_bytes,
                max_upload_bytes=settings.max_upload_bytes,
                lease_s=settings.lease_s,
                grace_s=settings.cancel_grace_s,
                supervised_workers=expect_workers,
                webhook_secrets=webhook_secrets(settings),
                tracing=tracing,
                webhook_allow_private=settings.webhook_allow_private,
            )
            for key in lent(settings.own_keys, time.time()):
                engine.lend(key)
            yield Served(create_app(engine, objects, options, manage_engine=False), engine, lock)
        finally:
            objects.close()
            if tracing is not None:
                tracing.stop()


def webhook_secrets(settings: Settings) -> tuple[str, ...]:
    """Return the secrets that sign webhooks to jobs' own URLs.

    Raises:
        SettingsError: one of them is not what Standard Webhooks takes.
    """
    found = tuple(re.split(r"[\s,]+", (settings.webhook_secret or "").strip())) if settings.webhook_secret else ()
    for secret in found:
        try:
            key_of(secret)
        except ValueError as error:
            raise SettingsError(
                f"webhook_secret does not fit: {error}", hint="`orpheus webhooks new-secret` prints one."
            ) from None
    return found


async def serve(served: Served, bound: socket.socket, url: str, *, supervised: bool) -> None:
    """Answer requests on the socket until SIGINT or SIGTERM, then end in order: no new requests, streams told, engine
    stopped, what was queued committed."""
    server = _Server(configured(served.app), lambda: _listening(served, url))
    if supervised:
        _end_with_supervisor(server)
    await served.engine.start()  # before uvicorn, so that a file it refuses is told as an error of its own
    try:
        await server.serve(sockets=[bound])
    finally:
        await served.engine.stop()
    log.info("stopped")


class _Server(uvicorn.Server):
    """Tells when it listens, and lets long answers know before it waits for them."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._listening()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM as uvicorn does, but do not raise them again once heeded: that would end the process
        before the engine has stopped."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        services = getattr(self.config.app, "services", None)
        if services is not None:
            services.stopping.set()  # the lifespan's end comes only after the open requests have ended
        await super().shutdown(sockets)


def _listening(served: Served, url: str) -> None:
    served.lock.update(url=url)
    log.info("listening on %s", url)


def _end_with_supervisor(server: uvicorn.Server) -> None:
    """A supervisor holds the other end of standard input: when it is gone, however that came about, the server ends."""
    loop = asyncio.get_running_loop()

    def watch() -> None:
        try:
            while os.read(0, 4096):
                pass
        except OSError:
            return  # there is no standard input: nobody supervises this way
        log.warning("the supervisor is gone")
        loop.call_soon_threadsafe(setattr, server, "should_exit", True)

    threading.Thread(target=watch, name="orpheus-supervisor-watch", daemon=True).start()


def event_loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's factory where there is one."""
    if sys.platform == "win32":
        return None
    try:
        import uvloop  # noqa: PLC0415 (not on every platform)
    except ImportError:
        return None
    return uvloop.new_event_loop

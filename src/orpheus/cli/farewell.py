"""Who tells the server that a worker is dead? Who started it, and sees it end: then its tasks begin anew at once instead of when their
leases lapse (R7, R9)."""

from __future__ import annotations

import asyncio
import platform

from orpheus.cli.own_keys import OwnKeys
from orpheus.client import AsyncClient, ClientError, Patience
from orpheus.protocol.worker import Bye
from orpheus.worker.link import Link, Refused, Unreachable

PATIENCE_S = 5.0
"""After that the lease does it."""


async def say_goodbye_for(pid: int, url: str, keys: OwnKeys) -> None:
    """End the sessions of a worker process of this machine that has died. If the server does not hear it, nothing is lost."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            async with AsyncClient(url, api_key=keys.admin, patience=Patience(reconnect_s=0.0)) as client:
                workers = [worker async for worker in client.workers()]
            async with Link(url, keys.worker) as link:
                for worker in workers:
                    if worker.alive and worker.pid == pid and worker.host == platform.node():
                        await link.bye(Bye(session_id=worker.session_id))
    except (ClientError, Unreachable, Refused, TimeoutError):
        return

"""What does a one-shot run need? The live server of the data directory, or a server and a worker of its own for the while.

The processes are supervised from a thread with an event loop of its own, so that the command itself stays ordinary code.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from orpheus.cli.cluster import Plan, failed_child, plan, wait_ready, with_imports, worker_child
from orpheus.cli.connect import live_server
from orpheus.cli.output import note
from orpheus.cli.supervise import Supervisor
from orpheus.client import Client
from orpheus.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backstage:
    """A client, and whoever works for it."""

    client: Client
    supervisor: Supervisor | None = None

    def check(self) -> None:
        """Raise when a process that this run started has ended for good.

        Raises:
            CommandError: with the last words of the process.
        """
        verdict = self.supervisor.failure() if self.supervisor else None
        if verdict is not None:
            raise failed_child(verdict)


@contextlib.contextmanager
def opened(settings: Settings, imports: Sequence[str], *, verbose: bool) -> Iterator[Backstage]:
    """Give a server to speak to, with workers that know `imports`; stop afterwards what was started here.

    Raises:
        CommandError: what is needed does not start.
    """
    wanted = msgspec.structs.replace(with_imports(settings, imports), host="127.0.0.1")  # ours is for nobody else
    live = live_server(settings.data)
    if live is not None:
        note(f"using the server at {live.url}")
    else:
        note(f"starting a server for {settings.data}")
    with _Loop() as loop:
        supervisor = loop.call(_new_supervisor(verbose=verbose))
        planned = None if live else plan(wanted, port=0, workers=1)
        url = live.url if live else planned.url if planned else ""
        key = planned.keys.admin if planned else settings.api_key
        client = Client(url, api_key=key, timeout_s=settings.timeout_s)
        try:
            loop.call(_start(supervisor, planned, wanted, url, extra_worker=bool(live and wanted.imports)))
            yield Backstage(client, supervisor)
        finally:
            client.close()
            loop.call(supervisor.stop())
            if planned is not None:
                planned.bound.close()


async def _new_supervisor(*, verbose: bool) -> Supervisor:
    return Supervisor(_show if verbose else lambda _name, _line: None, restart=True)


def _show(name: str, line: str) -> None:
    sys.stderr.write(f"{name:<6} │ {line}\n")


async def _start(
    supervisor: Supervisor, planned: Plan | None, wanted: Settings, url: str, *, extra_worker: bool
) -> None:
    if planned is not None:
        await supervisor.start(planned.server())
        await supervisor.start(planned.worker(1))
    elif extra_worker:
        await supervisor.start(worker_child(wanted, url, "run", env={}))
    await wait_ready(supervisor, url, api_key=wanted.api_key)


class _Loop:
    """An event loop in a thread of its own."""

    def __enter__(self) -> _Loop:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="orpheus-supervisor", daemon=True)
        self._thread.start()
        return self

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and wait for it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

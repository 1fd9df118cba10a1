"""One worker, put together: the parts that talk, the parts that work, and how they start and stop.

    hello ─→ poll loop ──tasks──→ attempts ──ends──→ outbox ─→ report loop
                 ↑                    ↑
                 └── cancellations ───┤
       heartbeat thread ──────────────┘ (also: contact lost, loop blocked)

Stopping, in order: no new tasks; running ones may finish within the drain time; then they are stopped and given back; what
is to be told is told; goodbye. A second request to stop ends it at once, whatever runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import platform
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from orpheus.protocol.version import PROTOCOL
from orpheus.protocol.worker import Bye, CancelNotice, Hello, Poll
from orpheus.telemetry import Tracing
from orpheus.worker.attempts import STOP_GRACE_S, Attempts
from orpheus.worker.capture import Redactor
from orpheus.worker.child_pool import ChildPool
from orpheus.worker.contact import Contact
from orpheus.worker.definitions import Definitions
from orpheus.worker.devices import DEVICE_RESOURCE, Devices, visible_devices
from orpheus.worker.frames import Setup
from orpheus.worker.heartbeat import HeartbeatThread
from orpheus.worker.link import Link, Refused, Unreachable
from orpheus.worker.markers import Secrets
from orpheus.worker.object_access import ObjectAccess
from orpheus.worker.options import WorkerOptions
from orpheus.worker.outbox import Outbox
from orpheus.worker.polling import Poller
from orpheus.worker.reaper import Reaper
from orpheus.worker.reporting import Reporter
from orpheus.worker.resources import Resources
from orpheus.worker.runs import Run, Runs, StopReason
from orpheus.worker.session import Session
from orpheus.worker.work_dir import WorkDir

logger = logging.getLogger("orpheus.worker")

TELL_S = 10.0
"""How long a stopping worker tries to tell what it has to tell, when the server does not answer."""


class Worker:
    """Run until asked to stop.

    Args:
        options: see WorkerOptions.
        definitions: the tasks and workflows it offers.
        tracing: makes spans of attempts; None makes none.
    """

    def __init__(self, options: WorkerOptions, definitions: Definitions, tracing: Tracing | None = None) -> None:
        self._options = options
        self._tracing = tracing
        self._definitions = definitions
        self._stop = asyncio.Event()
        prefetch = 0 if options.prefetch is None and options.resources else options.prefetch
        self._runs = Runs(slots=options.concurrency, prefetch=prefetch)
        self._contact = Contact()
        self._devices = Devices(options.resources)
        self._visible = visible_devices(options.resources)
        self._reaper = Reaper()
        self._redactor = Redactor()
        self._pool: ChildPool | None = None

    def drain(self) -> None:
        """Begin to stop. Safe to call twice."""
        if not self._stop.is_set():
            logger.info("draining: %d running, up to %g s", len(self._runs), self._options.drain_s)
        self._stop.set()

    def stop_hard(self) -> None:
        """End everything that was started, and do not wait. The process is to exit right after."""
        if self._pool is not None:
            self._pool.kill_all_now()
        self._reaper.kill_all()

    async def run(self) -> None:
        """Work until drained.

        Raises:
            Refused: the server does not take this worker at all.
        """
        options = self._options
        with WorkDir(options.work_dir) as work_dir:
            async with Link(options.server, options.api_key) as link:
                session = Session(link, self._contact, self._runs, introduce=self._introduce, margin_s=options.margin_s)
                opening = asyncio.create_task(session.open())
                if not await self._first(opening):
                    return  # asked to stop before there was a server
                welcome = opening.result()
                objects = ObjectAccess(options, welcome, work_dir.cache)
                logger.info(
                    "in contact with %s as %s: %d slots, %d tasks, files %s",
                    options.server,
                    options.display_name,
                    options.concurrency,
                    len(self._definitions.tasks),
                    "over HTTP" if objects.remote else "in a shared folder",
                )
                await self._work(session, objects, work_dir.path)

    async def _work(self, session: Session, objects: ObjectAccess, work_dir: Path) -> None:
        loop = asyncio.get_running_loop()
        options = self._options
        outbox = Outbox(loop)
        resources = Resources(lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result())
        pool = self._pool = ChildPool(
            self._setup(objects, work_dir),
            self._reaper,
            devices=self._visible if DEVICE_RESOURCE in options.resources else None,
            runs_max=options.child_max_runs,
        )
        attempts = Attempts(
            definitions=self._definitions,
            runs=self._runs,
            outbox=outbox,
            devices=self._devices,
            slots=options.concurrency,
            pool=pool,
            reaper=self._reaper,
            resources=resources,
            secrets=Secrets(options.secrets_file),
            redactor=self._redactor,
            work_dir=work_dir,
            log_bytes_max=options.log_bytes_max,
            objects_for=objects.of,
            downloads=objects.remote,
            tracing=self._tracing,
            inline_bytes=lambda: session.welcome.inline_bytes if session.welcome is not None else 65_536,
        )
        reporter = Reporter(session, outbox, self._runs)
        poller = Poller(
            session,
            self._runs,
            reporter,
            resources_free=lambda: self._devices.free,
            on_task=attempts.begin,
            on_cancel=self._on_cancel,
        )
        self._runs.on_room = poller.room_changed
        self._runs.on_given_back = poller.held_changed
        heartbeat = HeartbeatThread(
            options.server,
            options.api_key,
            session.session_id,
            runs=self._runs,
            contact=self._contact,
            on_cancel=self._on_cancel,
            on_unknown=session.disown,
            on_lost=self._on_lost,
            on_lost_now=self._on_lost_now,
            on_blocked=lambda task, silent_s, place: _on_blocked(attempts.run_of(task), silent_s, place),
        )
        heartbeat.start()
        polling = loop.create_task(_guarded(poller.run(), "poll loop"))
        reporting = loop.create_task(_guarded(reporter.run(), "report loop"))
        try:
            await self._stop.wait()
            self._runs.draining = True
            poller.room_changed()
            await self._finish(attempts)
            await _wait_idle(reporter)
            polling.cancel()
            await self._say_goodbye(session, poller)
        finally:
            for task in (polling, reporting):
                task.cancel()
            heartbeat.stop()
            await pool.close()
            await asyncio.to_thread(resources.close)
            attempts.close()
            self._reaper.close()

    def _setup(self, objects: ObjectAccess, work_dir: Path) -> Setup:
        return Setup(
            sys_path=list(sys.path),
            imports=list(self._options.imports),
            objects_root=None if objects.remote else str(objects.root),
            server=self._options.server,
            api_key=self._options.api_key if objects.remote else None,
            cache_dir=str(objects.cache_dir),
            cache_bytes=self._options.cache_bytes,
            memory_bytes=self._options.child_memory_bytes,
            parent_pid=os.getpid(),
        )

    def _introduce(self, session_id: str) -> Hello:
        options = self._options
        return Hello(
            protocol=PROTOCOL,
            session_id=session_id,
            worker=options.display_name,
            host=platform.node(),
            pid=os.getpid(),
            queues=list(options.queues),
            slots=options.concurrency,
            resources=dict(options.resources),
            tasks=self._definitions.tasks,
            workflows=self._definitions.workflows,
            supervised=options.supervised,
        )

    # What comes from outside -----------------------------------------------------------------------------------------

    def _on_cancel(self, notice: CancelNotice) -> None:
        run = self._runs.get(notice.run_id)
        if run is not None:
            run.stop(StopReason.CANCEL, notice.grace_s)

    def _on_lost(self) -> None:
        grace_s = self._contact.margin_s * 0.7
        for run in self._runs:
            run.stop(StopReason.LOST, grace_s)

    def _on_lost_now(self) -> None:
        """On the heartbeat thread: handlers learn of it even when the loop, which would stop them, is blocked."""
        for run in self._runs:
            run.stopping.set()

    # Stopping --------------------------------------------------------------------------------------------------------

    async def _first(self, opening: asyncio.Task[Any]) -> bool:
        """Wait for the session or for being asked to stop; tell whether there is a session."""
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait([opening, stop], return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not opening.done():
            opening.cancel()
            return False
        return True

    async def _finish(self, attempts: Attempts) -> None:
        """Let running attempts end; stop and give back what is left after the drain time."""
        ended = asyncio.create_task(attempts.ended())
        done, _ = await asyncio.wait([ended], timeout=self._options.drain_s)
        if done:
            return
        logger.warning("the drain time is over: stopping %d attempts", self._runs.occupied)
        for run in self._runs:
            run.stop(StopReason.DRAIN, STOP_GRACE_S)
        await asyncio.wait([ended], timeout=STOP_GRACE_S + 2)
        ended.cancel()  # handlers in threads that will not stop end with the process

    async def _say_goodbye(self, session: Session, poller: Poller) -> None:
        """Give back what was stopped unfinished: a run that is missing from a poll goes back unspent (R8)."""
        given_back = [run for run in self._runs if run.stop_reason is StopReason.DRAIN]
        with contextlib.suppress(Unreachable, Refused, TimeoutError):
            async with asyncio.timeout(5):
                if given_back:
                    for run in given_back:
                        self._runs.forget(run.run_id)
                    last = Poll(
                        session_id=session.session_id, seq=poller.next_seq(), held=list(self._runs.held), wait_s=0.0
                    )
                    await session.link.poll(last, wait_s=0.0)
                await session.link.bye(Bye(session_id=session.session_id))


async def _wait_idle(reporter: Reporter) -> None:
    until = time.monotonic() + TELL_S
    while not reporter.idle and time.monotonic() < until:  # noqa: ASYNC110 (once per life of a worker)
        await asyncio.sleep(0.01)
    if not reporter.idle:
        logger.error("the server could not be told everything; it will notice when the leases lapse")


async def _guarded(loop: Coroutine[Any, Any, None], name: str) -> None:
    """A loop that ends is a worker that only looks alive: end the process, so that a supervisor starts another."""
    try:
        await loop
    except asyncio.CancelledError:
        raise
    except BaseException:
        logger.critical("the %s failed; this worker cannot go on", name, exc_info=True)
        os._exit(70)


def _on_blocked(run: Run | None, silent_s: float, place: str) -> None:
    who = f"handler {run.assignment.handler} (run {run.run_id})" if run is not None else "something"
    message = (
        f"{who} blocked the event loop for {silent_s:.1f} s or more; every async handler of this worker stood still. "
        f"Make it a plain function (it then runs in a thread), or executor='process'.\n{place}"
    )
    logger.warning(message)
    if run is not None:
        run.log.add(message, level="warning")

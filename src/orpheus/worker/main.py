"""How a worker process begins and ends: loading, signals, exit status."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import sys
import threading
import time
from typing import Any

from orpheus import telemetry
from orpheus.worker import capture
from orpheus.worker.definitions import LoadFailed, load_definitions
from orpheus.worker.devices import visible_devices
from orpheus.worker.link import Refused
from orpheus.worker.options import WorkerOptions
from orpheus.worker.worker import Worker

logger = logging.getLogger("orpheus.worker")

EXIT_OK = 0
EXIT_REFUSED = 1
"""The server does not take this worker (unauthorized, protocol_unsupported, definition_conflict …)."""
EXIT_NOT_LOADED = 2
"""A module of `imports` could not be loaded, or is wrong."""
EXIT_HARD = 130

PARENT_EVERY_S = 1.0
COLLECT_AFTER = 10_000
"""Objects made and not freed until the youngest are looked through. What is held for short attempts is a few thousand and never
garbage; with Python's 700 the collector ran every forty attempts, an eighth of their CPU time. What handlers leave behind in cycles
waits little longer by it, unlike in a server, which runs nobody else's code."""


async def run_worker(options: WorkerOptions, *, own_process: bool = False) -> int:
    """Run a worker in the current loop until SIGTERM or SIGINT has drained it; return the exit status.

    The second signal ends the process at once (`os._exit`), with everything it started. Signals are only caught in the
    main thread; elsewhere (tests, embedding) cancel the coroutine: that drains nothing, but leaves nothing behind.

    Args:
        own_process: this process is for the worker alone.
    """
    try:
        visible_devices(options.resources)
        definitions = load_definitions(options.imports)
    except (LoadFailed, ValueError) as failed:
        logger.error("%s", failed)  # noqa: TRY400 (the message is for the author; it holds what matters)
        return EXIT_NOT_LOADED
    if own_process:
        _spare_the_collector()
    tracing = telemetry.start("orpheus-worker")
    worker = Worker(options, definitions, tracing)
    restore_output = capture.install()
    restore_signals = _catch_signals(worker)
    watching = asyncio.create_task(_drain_without_parent(worker)) if options.supervised else None
    try:
        await worker.run()
    except Refused as refused:
        logger.error("the server refused this worker: %s", refused)  # noqa: TRY400
        return EXIT_REFUSED
    except asyncio.CancelledError:
        worker.stop_hard()
        raise
    finally:
        if watching is not None:
            watching.cancel()
        restore_signals()
        restore_output()
        if tracing is not None:
            await asyncio.to_thread(tracing.stop)
    logger.info("stopped")
    return EXIT_OK


def start(options: WorkerOptions) -> int:
    """Run a worker in a new loop (uvloop where it is installed) and return the exit status: what a command line calls."""
    _log_to_stderr(options)
    try:
        import uvloop  # noqa: PLC0415 (not on every platform)

        loop_factory: Any = uvloop.new_event_loop
    except ImportError:
        loop_factory = None
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(run_worker(options, own_process=True))


def _spare_the_collector() -> None:
    """Spare the garbage collector what was loaded and lives as long as the process: looking through all of that again
    and again was a fifth of a short attempt; and let it look less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])


def _catch_signals(worker: Worker) -> Any:
    loop = asyncio.get_running_loop()
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    asked = False

    def on_signal() -> None:
        nonlocal asked
        if asked:
            logger.warning("asked to stop a second time: ending at once")
            worker.stop_hard()
            os._exit(EXIT_HARD)
        asked = True
        worker.drain()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)

    def restore() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    return restore


async def _drain_without_parent(worker: Worker) -> None:
    """A supervised worker ends with its supervisor, also when that was killed and could not say so."""
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110 (nothing tells of a parent's end but asking)
        await asyncio.sleep(PARENT_EVERY_S)
    logger.warning("the supervisor is gone")
    worker.drain()


_ABOUT = ("job_id", "run_id", "task", "attempt", "correlation_id")
"""What a record says it is about, passed as `extra`."""


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in _ABOUT if hasattr(record, name)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _log_to_stderr(options: WorkerOptions) -> None:
    handler = capture.outside_attempts(logging.StreamHandler(sys.stderr))
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    handler.setFormatter(_JsonLines() if options.log_json else text)
    root = logging.getLogger()
    level: int = logging.getLevelNamesMapping()[options.log_level.upper()]
    handler.setLevel(level)  # of the worker's own log only: what tasks log is theirs, and kept from INFO on
    root.addHandler(handler)
    root.setLevel(min(level, logging.INFO))

"""How does the server log? Lines for people on a terminal, JSON with `--log-json`; both carry the correlation id."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

_QUIET = ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio")


def configure(level: str, *, as_json: bool) -> None:
    """Send everything that is logged in this process to stderr, once, in one form.

    The rooms below log by the standard library and pass what they know as `extra`; it becomes fields here.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if as_json:
        shared.append(structlog.stdlib.add_logger_name)  # here the record is still at hand, below it is not
        final: list[Any] = [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(),
        ]
    else:
        final = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True

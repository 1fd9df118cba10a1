"""Orpheus: a durable job orchestrator for media work.

    from orpheus import Context, File, task, workflow

    @task
    def transcribe(ctx: Context, audio: File) -> str: ...

    @workflow
    def talk(source: File) -> str:
        return transcribe(source)

    orpheus.run(talk, source="talk.mp4")      # here and now; `orpheus up` and `orpheus submit talk` for real

Importing it configures nothing, and loads nothing until a name is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orpheus.authoring import (
        Cancelled,
        Context,
        DefinitionError,
        Failure,
        File,
        LocalContext,
        Permanent,
        ProcessFailed,
        ProcessResult,
        Resource,
        Retry,
        RetryAfter,
        Sensitive,
        Task,
        TraceError,
        Workflow,
        all_of,
        any_of,
        approval,
        child,
        first_of,
        is_none,
        not_,
        optional,
        secret,
        sleep,
        sleep_until,
        task,
        wait_for,
        wait_for_callback,
        workflow,
    )
    from orpheus.core.errors import OrpheusError
    from orpheus.testing.inline import run

__all__ = [
    "Cancelled",
    "Context",
    "DefinitionError",
    "Failure",
    "File",
    "LocalContext",
    "OrpheusError",
    "Permanent",
    "ProcessFailed",
    "ProcessResult",
    "Resource",
    "Retry",
    "RetryAfter",
    "Sensitive",
    "Task",
    "TraceError",
    "Workflow",
    "all_of",
    "any_of",
    "approval",
    "child",
    "first_of",
    "is_none",
    "not_",
    "optional",
    "run",
    "secret",
    "sleep",
    "sleep_until",
    "task",
    "wait_for",
    "wait_for_callback",
    "workflow",
]

_ELSEWHERE = {"OrpheusError": "orpheus.core.errors", "run": "orpheus.testing.inline"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'orpheus' has no attribute {name!r}")
    found = getattr(importlib.import_module(_ELSEWHERE.get(name, "orpheus.authoring")), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

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
        Cancelled as Cancelled,
    )
    from orpheus.authoring import (
        Context as Context,
    )
    from orpheus.authoring import (
        DefinitionError as DefinitionError,
    )
    from orpheus.authoring import (
        File as File,
    )
    from orpheus.authoring import (
        LocalContext as LocalContext,
    )
    from orpheus.authoring import (
        Permanent as Permanent,
    )
    from orpheus.authoring import (
        ProcessFailed as ProcessFailed,
    )
    from orpheus.authoring import (
        ProcessResult as ProcessResult,
    )
    from orpheus.authoring import (
        Resource as Resource,
    )
    from orpheus.authoring import (
        Retry as Retry,
    )
    from orpheus.authoring import (
        RetryAfter as RetryAfter,
    )
    from orpheus.authoring import (
        Sensitive as Sensitive,
    )
    from orpheus.authoring import (
        Task as Task,
    )
    from orpheus.authoring import (
        TraceError as TraceError,
    )
    from orpheus.authoring import (
        Workflow as Workflow,
    )
    from orpheus.authoring import (
        all_of as all_of,
    )
    from orpheus.authoring import (
        any_of as any_of,
    )
    from orpheus.authoring import (
        approval as approval,
    )
    from orpheus.authoring import (
        child as child,
    )
    from orpheus.authoring import (
        first_of as first_of,
    )
    from orpheus.authoring import (
        is_none as is_none,
    )
    from orpheus.authoring import (
        not_ as not_,
    )
    from orpheus.authoring import (
        optional as optional,
    )
    from orpheus.authoring import (
        secret as secret,
    )
    from orpheus.authoring import (
        sleep as sleep,
    )
    from orpheus.authoring import (
        sleep_until as sleep_until,
    )
    from orpheus.authoring import (
        task as task,
    )
    from orpheus.authoring import (
        wait_for as wait_for,
    )
    from orpheus.authoring import (
        wait_for_callback as wait_for_callback,
    )
    from orpheus.authoring import (
        workflow as workflow,
    )
    from orpheus.core.errors import OrpheusError as OrpheusError
    from orpheus.testing.inline import run as run

_AUTHORING = (
    "Cancelled",
    "Context",
    "DefinitionError",
    "File",
    "LocalContext",
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
    "secret",
    "sleep",
    "sleep_until",
    "task",
    "wait_for",
    "wait_for_callback",
    "workflow",
)
_ELSEWHERE = {"OrpheusError": "orpheus.core.errors", "run": "orpheus.testing.inline"}

__all__ = [  # noqa: PLE0604 (names, all of them texts)
    *_AUTHORING,
    *_ELSEWHERE,
]


def __getattr__(name: str) -> Any:
    if name in _AUTHORING:
        found = getattr(importlib.import_module("orpheus.authoring"), name)
    elif name in _ELSEWHERE:
        found = getattr(importlib.import_module(_ELSEWHERE[name]), name)
    else:
        raise AttributeError(f"module 'orpheus' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

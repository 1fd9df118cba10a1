"""What users import: tasks, workflows, and the words for their graphs (design.md, section 4).

A workflow function is traced (`workflow.py`): its params are references (`refs.py`), every task call adds a node
(`tracing.py`), and the result is checked by the core. `registry.py` collects definitions for a worker, `codec.py` says how
values travel, `context.py` what a handler sees.
"""

from __future__ import annotations

from orpheus.authoring.codec import Sensitive
from orpheus.authoring.conditions import all_of, any_of, first_of, is_none, not_, optional, secret
from orpheus.authoring.context import Context, ProcessFailed, ProcessResult, WaitForCallback, wait_for_callback
from orpheus.authoring.definition import TaskDefinition, WorkflowDefinition
from orpheus.authoring.errors import Cancelled, DefinitionError, Permanent, RetryAfter, TraceError
from orpheus.authoring.failure import Failure
from orpheus.authoring.file import File
from orpheus.authoring.local_context import LocalContext
from orpheus.authoring.nodes import approval, child, sleep, sleep_until, wait_for
from orpheus.authoring.options import Retry
from orpheus.authoring.registry import Registry, load
from orpheus.authoring.resources import Resource, ResourceSpec
from orpheus.authoring.task import Task, task
from orpheus.authoring.workflow import Workflow, workflow

__all__ = [
    "Cancelled",
    "Context",
    "DefinitionError",
    "Failure",
    "File",
    "LocalContext",
    "Permanent",
    "ProcessFailed",
    "ProcessResult",
    "Registry",
    "Resource",
    "ResourceSpec",
    "Retry",
    "RetryAfter",
    "Sensitive",
    "Task",
    "TaskDefinition",
    "TraceError",
    "WaitForCallback",
    "Workflow",
    "WorkflowDefinition",
    "all_of",
    "any_of",
    "approval",
    "child",
    "first_of",
    "is_none",
    "load",
    "not_",
    "optional",
    "secret",
    "sleep",
    "sleep_until",
    "task",
    "wait_for",
    "wait_for_callback",
    "workflow",
]

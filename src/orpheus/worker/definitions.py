"""What does this process offer, and how is one of its handlers called? Between the registry of authoring and the executors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from orpheus.authoring.context import Context, WaitForCallback
from orpheus.authoring.options import Executor
from orpheus.authoring.registry import Registry, load
from orpheus.authoring.registry import TaskDefinition as Task
from orpheus.authoring.resources import ResourceSpec
from orpheus.core.errors import OrpheusError
from orpheus.core.sensitive import holds_sensitive, sensitive_texts
from orpheus.core.suggest import did_you_mean
from orpheus.protocol.worker import TaskSpec
from orpheus.worker.failures import AttemptError, bounded_traceback

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
_SCALARS = frozenset({str, int, float, bool, type(None)})
"""Results that are JSON as they are (NaN becomes null, as anywhere in a result)."""


class LoadFailed(Exception):
    """A module could not be loaded, or a definition in it is wrong; the message is for its author."""


class Handler:
    """A task's function, from decoding its arguments to encoding its result."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.is_async = task.is_async
        self.takes_context = task.takes_context
        self.executor: Executor = task.executor
        self.resources: Mapping[str, ResourceSpec] = task.resources
        self._sensitive = task.params_schema if holds_sensitive(task.params_schema) else None
        self.hides = self._sensitive is not None
        """Whether any argument must not be shown."""
        self.is_ready = self.is_async and self.executor == "async" and not self.resources and not self.hides
        """Whether it runs in the loop, and needs nothing but its arguments."""

    def arguments(self, args: Mapping[str, Any]) -> Arguments:
        """Decode arguments from the wire.

        Raises:
            AttemptError: they do not fit the function: a permanent `binding_failed`.
        """
        try:
            return self._task.decode_args(args)
        except (ValueError, TypeError) as wrong:
            raise AttemptError(
                f"{self._task.handler}: {wrong}",
                code="binding_failed",
                hint=f"Compare what the workflow passes with the signature at {self._task.source}.",
                final=True,
                type_name=type(wrong).__name__,
            ) from wrong

    def hidden(self, args: Mapping[str, Any]) -> list[str]:
        """Return the texts in arguments from the wire that must not be shown."""
        return [] if self._sensitive is None else list(sensitive_texts(self._sensitive, args))

    def call(self, context: Context | None, arguments: Arguments, loaded: Mapping[str, Any]) -> Any:
        """Call the function; an async one returns its coroutine."""
        args, kwargs = arguments
        if self.takes_context:
            args = (context, *args)
        return self._task.fn(*args, **kwargs, **loaded)

    def encode(self, value: Any) -> bytes | WaitForCallback:
        """Encode a result as JSON; the promise of a callback stays what it is.

        Raises:
            AttemptError: it cannot be: final, since the next attempt would return the same type.
        """
        if isinstance(value, WaitForCallback):
            return value
        try:
            return msgspec.json.encode(value if type(value) in _SCALARS else self._task.encode_result(value))
        except (TypeError, ValueError, OverflowError, RecursionError) as wrong:
            raise AttemptError(
                f"{self._task.handler} returned a {type(value).__name__} that cannot be encoded: {wrong}",
                hint="Return JSON, a dataclass, an Enum, a datetime, a msgspec or pydantic model, or a File; "
                "save anything else with ctx.save().",
                final=True,
                type_name=type(wrong).__name__,
            ) from wrong


class Definitions:
    """Everything that was loaded."""

    def __init__(self, registry: Registry) -> None:
        self._handlers = {key: Handler(task) for key, task in registry.tasks.items()}
        self.tasks = [_spec(task) for task in registry.tasks.values()]
        self.workflows = [workflow.json for workflow in registry.workflows.values()]

    def handler(self, name: str, version: int) -> Handler:
        """Return a handler.

        Raises:
            AttemptError: this worker does not offer it; another may, so it is not final.
        """
        found = self._handlers.get((name, version))
        if found is None:
            known = [f"{known_name}@{known_version}" for known_name, known_version in self._handlers]
            raise AttemptError(
                f"this worker does not offer {name}@{version}", hint=did_you_mean(f"{name}@{version}", known)
            )
        return found


def load_definitions(imports: Sequence[str]) -> Definitions:
    """Import modules and collect what they define.

    Raises:
        LoadFailed: whatever is wrong; the message names module and line.
    """
    try:
        return Definitions(load(imports))
    except OrpheusError as wrong:
        raise LoadFailed(wrong.message + (f" {wrong.hint}" if wrong.hint else "")) from wrong
    except SystemExit as ended:
        raise LoadFailed(f"a module called exit({ended}) while it was imported") from ended
    except Exception as broken:
        raise LoadFailed(f"a module could not be imported:\n{bounded_traceback(broken)}") from broken


def _spec(task: Task) -> TaskSpec:
    return TaskSpec(
        name=task.name,
        version=task.version,
        content=task.content,
        made_with=task.made_with(),
        params=task.params_schema,
        result=task.result_schema,
        description=task.description,
        queue=task.queue,
        source=task.source,
    )

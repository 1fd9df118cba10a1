"""A task and a workflow as they are known to workers: named, versioned, with schemas and a content hash."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from orpheus.authoring import codec
from orpheus.authoring.context import Context
from orpheus.authoring.errors import DefinitionError
from orpheus.authoring.options import Executor, to_node
from orpheus.authoring.resources import ResourceSpec
from orpheus.authoring.signature import Signature
from orpheus.authoring.source import definition_line
from orpheus.core.graph import Graph
from orpheus.core.suggest import did_you_mean
from orpheus.core.validate_options import NAME, NAME_RULE

_EXECUTORS = ("async", "thread", "process")


class TaskDefinition:
    """What a worker needs to run a task.

    Args:
        fn: the author's function, untouched.
        name, version: its identity; another content under the same is `definition_conflict` (R24).
        executor: None picks `async` for coroutine functions and `thread` for plain ones.
        options: what `@task` was given, as `options.py` names it.
        made_with: says what this process makes it with, for the cache key (R23).
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        name: str,
        version: int,
        executor: Executor | None,
        options: Mapping[str, Any],
        made_with: Callable[[], str] | None = None,
    ) -> None:
        check_identity("task", name, version)
        if made_with is not None and not callable(made_with):
            raise DefinitionError(
                f"task {name!r}: made_with is a function that returns text, not {made_with!r:.80}",
                hint="What is known when the workflow is written goes into cache_extra.",
            )
        self.fn = fn
        self._made_with = made_with
        self.name = name
        self.version = version
        self.options = dict(options)
        self.source = definition_line(fn)
        self.description = first_line(fn)
        self.module = fn.__module__
        self.qualname = fn.__qualname__
        is_async = inspect.iscoroutinefunction(fn)
        if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
            raise DefinitionError(f"task {name!r} ({self.source}) is a generator", hint="Return a list.")
        if executor is not None and executor not in _EXECUTORS:
            raise DefinitionError(
                f"task {name!r} ({self.source}): there is no executor {executor!r}",
                hint=did_you_mean(executor, _EXECUTORS),
            )
        if executor == "async" and not is_async:
            raise DefinitionError(
                f"task {name!r} ({self.source}) is not async", hint='Leave executor out, or "thread".'
            )
        if executor == "thread" and is_async:
            raise DefinitionError(f"task {name!r} ({self.source}) is async", hint='Leave executor out, or "process".')
        self.executor: Executor = executor or ("async" if is_async else "thread")
        self.is_async = is_async
        self.signature = Signature(fn, f"task {name!r}", Context)

    @property
    def handler(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    @property
    def takes_context(self) -> bool:
        return self.signature.takes_context

    @property
    def resources(self) -> Mapping[str, ResourceSpec]:
        """Parameters that the worker fills with a loaded resource, by name."""
        return self.signature.resources

    @property
    def params_schema(self) -> dict[str, Any]:
        """JSON Schema of the arguments, as one object."""
        return self.signature.params_schema

    @property
    def result_schema(self) -> dict[str, Any] | None:
        """JSON Schema of the result; None where it may be anything."""
        return self.signature.result_schema

    @property
    def queue(self) -> str:
        return str(self.options.get("queue", "default"))

    def made_with(self) -> str:
        """Say what this process makes it with: a model, its weights, a service. Empty where that does not matter.

        Raises:
            DefinitionError: the author's function does not say it in text.
        """
        told = "" if self._made_with is None else self._made_with()
        if not isinstance(told, str) or len(told) > 1000:
            raise DefinitionError(
                f"task {self.name!r} ({self.source}): made_with returned {told!r:.80}",
                hint="Return text of at most 1,000 characters.",
            )
        return told

    @cached_property
    def node_options(self) -> dict[str, Any]:
        """The options in the form of a graph's node."""
        return to_node(self.options)

    @cached_property
    def content(self) -> str:
        """Hash of signature and options. The function's body is not in it: mending a fault needs no new version."""
        content = {
            "params": self.params_schema,
            "result": self.result_schema,
            "options": self.node_options,
            "executor": self.executor,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def decode_args(self, args: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Turn arguments from the wire into `(args, kwargs)`; context and resources are the caller's to add.

        Raises:
            ValueError: an argument is missing, unknown, or not of its type: a permanent `binding_failed`.
        """
        return self.signature.decode(args)

    def encode_result(self, value: Any) -> Any:
        """Turn what the function returned into JSON.

        Raises:
            TypeError: it cannot travel.
        """
        return codec.to_wire(value)

    def __repr__(self) -> str:
        return f"<task {self.handler} at {self.source}>"


class WorkflowDefinition:
    """A workflow as it is published: its graph, in JSON and checked.

    Args:
        json: the form that `core/graph.py` documents.
        graph: the same, checked.
        uses: tasks and workflows that its nodes run.
    """

    def __init__(self, json: dict[str, Any], graph: Graph, uses: tuple[Any, ...]) -> None:
        self.name = graph.name
        self.version = graph.version
        self.json = json
        self.graph = graph
        self.uses = uses

    @property
    def content(self) -> str:
        return self.graph.definition_id

    @property
    def source(self) -> str:
        return self.graph.source

    def __repr__(self) -> str:
        return f"<workflow {self.name}@{self.version} at {self.source}>"


def check_identity(what: str, name: str, version: int) -> None:
    """Check name and version.

    Raises:
        DefinitionError: they are not usable.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise DefinitionError(f"{what} {name!r}: this is not a name", hint=NAME_RULE)
    if type(version) is not int or not 1 <= version < 2**31:
        raise DefinitionError(f"{what} {name!r}: version is a whole number from 1, not {version!r}")


def first_line(function: Callable[..., Any]) -> str:
    """Return the first paragraph of a function's docstring, on one line."""
    return " ".join((inspect.getdoc(function) or "").split("\n\n", maxsplit=1)[0].split())

"""`@task`: a function that workers run. Called in a workflow it adds a node; called elsewhere it is the plain function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, Unpack, cast, overload

from orpheus.authoring import codec, tracing
from orpheus.authoring.context import Context
from orpheus.authoring.definition import TaskDefinition
from orpheus.authoring.errors import DefinitionError
from orpheus.authoring.local_context import LocalContext
from orpheus.authoring.options import (
    NODE_OPTIONS,
    TASK_OPTIONS,
    Executor,
    NodeOptions,
    TaskOptions,
    check_names,
    to_node,
)
from orpheus.authoring.refs import Ref, to_graph
from orpheus.authoring.source import author_line

SHIPPED = "orpheus."
"""Begins the names of the tasks that come with Orpheus, so that a user's `transcribe` is another one. Nodes do without it."""

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
X = TypeVar("X")


class Call(Generic[P, R]):
    """A task with the options of one node: what `task.using(…)` gives."""

    def __init__(self, definition: TaskDefinition, options: dict[str, Any]) -> None:
        self._definition = definition
        self._options = options

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Add a node to the workflow that is being traced; returns the reference to its result."""
        return cast(R, _add_node(self._definition, self._options, args, kwargs))

    def map(self: Callable[Concatenate[X, Q], R], items: Sequence[X], /, *args: Q.args, **kwargs: Q.kwargs) -> list[R]:
        """Add a map: one task per item, the item as first argument, the other arguments the same for all.

        The result is the list of results in the order of the items (R13).
        """
        call = cast("Call[..., R]", self)  # typed as a callable so that the item's type comes from the task
        return cast("list[R]", _add_map(call._definition, call._options, items, args, kwargs))

    def using(self, **options: Unpack[NodeOptions]) -> Call[P, R]:
        """Add more options; the later ones win."""
        check_names(options, NODE_OPTIONS, f"task {self._definition.name!r}")
        return Call(self._definition, {**self._options, **options})


class Task(Generic[P, R]):
    """A task, as its module shows it.

    `definition` has everything about it, `fn` is the author's function, untouched: `task.fn(…)` is how unit tests call it.
    """

    def __init__(self, definition: TaskDefinition) -> None:
        self.definition = definition
        self.__name__ = definition.fn.__name__
        self.__qualname__ = definition.qualname
        self.__module__ = definition.module
        self.__doc__ = definition.fn.__doc__
        self.__wrapped__ = definition.fn

    @property
    def fn(self) -> Callable[..., Any]:
        """The untouched function."""
        return self.definition.fn

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """In a workflow: add a node and return the reference to its result. Elsewhere: run the function here and now.

        Outside a workflow there is no queue, no retry and no record; a context is made up and resources are loaded where
        the function wants them. What an async function returns is to be awaited.
        """
        if tracing.current() is None:
            return cast(R, _run_plainly(self.definition, args, kwargs))
        return cast(R, _add_node(self.definition, {}, args, kwargs))

    def map(self: Callable[Concatenate[X, Q], R], items: Sequence[X], /, *args: Q.args, **kwargs: Q.kwargs) -> list[R]:
        """Add a map: one task per item. See `Call.map`."""
        own = cast("Task[..., R]", self)  # typed as a callable so that the item's type comes from the task
        return cast("list[R]", _add_map(own.definition, {}, items, args, kwargs))

    def using(self, **options: Unpack[NodeOptions]) -> Call[P, R]:
        """Return the task with options for one node: `render.using(max_concurrency=4).map(scenes)`."""
        check_names(options, NODE_OPTIONS, f"task {self.definition.name!r}")
        return Call(self.definition, dict(options))

    def __repr__(self) -> str:
        return repr(self.definition)

    def __reduce__(self) -> Any:
        return (_find, (self.__module__, self.__qualname__))


def _find(module: str, qualname: str) -> Any:
    import importlib  # noqa: PLC0415 (only unpickling needs it)

    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    return found


class _Decorator(Protocol):
    """What `@task(...)` with arguments returns. The context is no argument for callers."""

    @overload
    def __call__(self, fn: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[Context, P], R], /) -> Task[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(fn: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
@overload
def task(fn: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
@overload
def task(fn: Callable[Concatenate[Context, P], R], /) -> Task[P, R]: ...
@overload
def task(fn: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(
    *,
    name: str | None = None,
    version: int = 1,
    executor: Executor | None = None,
    made_with: Callable[[], str] | None = None,
    **options: Unpack[TaskOptions],
) -> _Decorator: ...
def task(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    version: int = 1,
    executor: Executor | None = None,
    made_with: Callable[[], str] | None = None,
    **options: Any,
) -> Any:
    """Make a task of a function.

    Args:
        name: the function's name when left out.
        version: raise it when arguments, result or options change: jobs finish with the version they began with (R24).
        executor: where it runs: `async` (in the worker's loop; async functions), `thread` (plain functions), `process`
            (CPU-bound ones).
        made_with: called where the task runs, when the worker starts; says what it would be made with beside its arguments
            (which model, which weights, which service). Part of the cache key, not of the definition (R23).
        options: queue, retry, limits, resources …: see `TaskOptions`.

    Raises:
        DefinitionError: an option does not exist, or the function cannot be a task.
    """

    def decorate(function: Callable[..., Any]) -> Task[..., Any]:
        if not inspect.isfunction(function):
            raise DefinitionError(
                f"@task ({author_line()}) stands on {function!r:.80}", hint="Put it on a plain def or async def."
            )
        chosen = function.__name__ if name is None else name
        check_names(options, TASK_OPTIONS, f"task {chosen!r} ({author_line()})")
        definition = TaskDefinition(
            function, name=chosen, version=version, executor=executor, options=options, made_with=made_with
        )
        return Task(definition)

    return decorate if fn is None else decorate(fn)


def _add_node(definition: TaskDefinition, options: dict[str, Any], args: Any, kwargs: Any) -> Ref:
    tracer = tracing.needed(f"task {definition.name!r} with options")
    for option in ("max_concurrency", "stagger_s"):
        if option in options:
            raise DefinitionError(
                f"task {definition.name!r} ({author_line()}): {option} is for maps",
                hint="Call .map(items, …), or leave it out.",
            )
    bound = definition.signature.bind(args, kwargs)
    node = {
        "kind": "task",
        "task": definition.name,
        "version": definition.version,
        "args": {name: _argument(definition, name, value) for name, value in bound.items()},
        **definition.node_options,
        **_merged(definition, options),
    }
    return _record(tracer, definition, options, node, definition.result_schema)


def _add_map(definition: TaskDefinition, options: dict[str, Any], items: Any, args: Any, kwargs: Any) -> Ref:
    tracer = tracing.needed(f"{definition.name}.map")
    parameters = definition.signature.arguments
    if not parameters or parameters[0].kind is parameters[0].KEYWORD_ONLY:
        raise DefinitionError(f"task {definition.name!r} ({definition.source}) has no positional argument to map over")
    first = parameters[0].name
    bound = definition.signature.bind((items, *args), kwargs)
    values = bound.pop(first)
    if not isinstance(values, Ref | list | tuple):
        raise DefinitionError(
            f"{definition.name}.map ({author_line()}): cannot map over {values!r:.80}",
            hint="Pass a list, or a reference to one.",
        )
    result = definition.result_schema
    node = {
        "kind": "map",
        "task": definition.name,
        "version": definition.version,
        "items": {first: to_graph(values)},
        "args": {name: _argument(definition, name, value) for name, value in bound.items()},
        **definition.node_options,
        **_merged(definition, options),
    }
    return _record(tracer, definition, options, node, list_schema(result))


def _merged(definition: TaskDefinition, options: dict[str, Any]) -> dict[str, Any]:
    """Return the node's own options; time limits of the task that it does not name stay."""
    own = to_node(options)
    if "timeouts" in own:
        own["timeouts"] = {**definition.node_options.get("timeouts", {}), **own["timeouts"]}
    return own


def _record(tracer: tracing.Tracer, definition: TaskDefinition, options: dict[str, Any], node: Any, schema: Any) -> Ref:
    tracer.used.append(definition)
    for source in (definition.options, options):
        if source.get("undo") is not None:
            tracer.used.append(source["undo"].definition)
    base = definition.name.removeprefix(SHIPPED)
    return tracer.add(node, base=base, name=options.get("name"), after=options.get("after"), schema=schema)


def _argument(definition: TaskDefinition, name: str, value: Any) -> Any:
    """Write an argument; one that is known already is checked against its annotation."""
    written = to_graph(value)
    if not _has_operator(written):
        try:
            codec.from_wire(written, definition.signature.hints.get(name, Any))
        except ValueError as error:
            raise DefinitionError(
                f"task {definition.name!r} ({author_line()}): argument {name!r}: {error}",
                hint="Compare it with the annotation.",
            ) from None
    return written


def _has_operator(value: Any) -> bool:
    if isinstance(value, dict):
        return any(key.startswith("$") for key in value) or any(_has_operator(inner) for inner in value.values())
    return isinstance(value, list) and any(_has_operator(inner) for inner in value)


def list_schema(schema: dict[str, Any] | None) -> dict[str, Any]:
    """Return the schema of a list of such values, `$defs` kept where references look for them."""
    if schema is None:
        return {"type": "array"}
    items = {key: inner for key, inner in schema.items() if key != "$defs"}
    found: dict[str, Any] = {"type": "array", "items": items}
    return {**found, "$defs": schema["$defs"]} if "$defs" in schema else found


def _run_plainly(definition: TaskDefinition, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    filled = dict(kwargs)
    for name, resource in definition.resources.items():
        if name not in filled:
            filled[name] = resource.factory()
    if definition.takes_context and not (args and isinstance(args[0], Context)):
        args = (LocalContext(task=definition.name), *args)
    return definition.fn(*args, **filled)

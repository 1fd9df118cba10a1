"""`@workflow`: a function that is run once, with references instead of values, to find out its graph."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Generic, NoReturn, ParamSpec, Protocol, TypeVar, overload

from orpheus.authoring import tracing
from orpheus.authoring.definition import WorkflowDefinition, check_identity, first_line
from orpheus.authoring.errors import DefinitionError
from orpheus.authoring.refs import Ref, to_graph
from orpheus.authoring.signature import Signature
from orpheus.authoring.source import author_line, definition_line
from orpheus.core.graph import FORMAT, Graph
from orpheus.core.validate import parse_graph

P = ParamSpec("P")
R = TypeVar("R")


class Workflow(Generic[P, R]):
    """A workflow, as its module shows it. `definition` traces it, once, when first asked."""

    def __init__(self, fn: Callable[P, R], *, name: str, version: int, requires_approval: bool = False) -> None:
        check_identity("workflow", name, version)
        self.requires_approval = requires_approval
        self.fn = fn
        self.name = name
        self.version = version
        self.source = definition_line(fn)
        self.__name__ = fn.__name__
        self.__qualname__ = fn.__qualname__
        self.__module__ = fn.__module__
        self.__doc__ = fn.__doc__
        if inspect.iscoroutinefunction(fn) or inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
            raise DefinitionError(
                f'workflow "{name}" ({self.source}) is async or a generator',
                hint="Write a plain def: it is run once, to trace the graph; its tasks may be async.",
            )
        self.signature = Signature(fn, f'workflow "{name}"', None)
        self._definition: WorkflowDefinition | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Refuse to be called: a workflow is submitted, run inline, or made a child.

        Raises:
            DefinitionError: always; the hint says what to write.
        """
        self._refuse_call()

    def _refuse_call(self) -> NoReturn:
        tracer = tracing.current()
        if tracer is not None:
            raise DefinitionError(
                f'workflow "{tracer.workflow}" ({author_line()}): workflow "{self.name}" was called like a task',
                hint=f"Write child({self.__name__}, …): it runs as a job of its own.",
            )
        raise DefinitionError(
            f'workflow "{self.name}" was called directly ({author_line()})',
            hint=f"Write orpheus.run({self.__name__}, …) to run it here, or submit it to a server.",
        )

    @property
    def definition(self) -> WorkflowDefinition:
        """The traced and checked definition.

        Raises:
            InvalidGraph: the function cannot be traced, or its graph is unusable.
        """
        if self._definition is None:
            self._definition = self._trace()
        return self._definition

    @property
    def graph(self) -> Graph:
        """The checked graph."""
        return self.definition.graph

    def to_json(self) -> dict[str, Any]:
        """Return the graph in the form that `POST /workflows` takes."""
        return self.definition.json

    def _trace(self) -> WorkflowDefinition:
        params = self.signature.params_schema
        tracer = tracing.Tracer(self.name, params)
        arguments: dict[str, Any] = {}
        positional: list[Any] = []
        for parameter in self.signature.arguments:
            reference = Ref({"$param": parameter.name})
            if parameter.kind is parameter.POSITIONAL_ONLY:
                positional.append(reference)
            else:
                arguments[parameter.name] = reference
        with tracing.tracing(tracer):
            output = self.fn(*positional, **arguments)
            written = to_graph(output)
        json: dict[str, Any] = {"format": FORMAT, "name": self.name, "version": self.version}
        description = first_line(self.fn)
        if description:
            json["description"] = description
        json |= {"params": params, "nodes": tracer.nodes, "output": written, "source": self.source}
        if self.signature.result_schema is not None:
            json["result"] = self.signature.result_schema
        if self.requires_approval:
            json["requires_approval"] = True
        if not tracer.nodes:
            raise DefinitionError(
                f'workflow "{self.name}" ({self.source}) calls no task', hint="A workflow has at least one node."
            )
        return WorkflowDefinition(json, parse_graph(json), tuple(tracer.used))

    def __repr__(self) -> str:
        return f"<workflow {self.name}@{self.version} at {self.source}>"


class _Decorator(Protocol):
    def __call__(self, fn: Callable[P, R], /) -> Workflow[P, R]: ...


@overload
def workflow(fn: Callable[P, R], /) -> Workflow[P, R]: ...
@overload
def workflow(*, name: str | None = None, version: int = 1, requires_approval: bool = False) -> _Decorator: ...
def workflow(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    version: int = 1,
    requires_approval: bool = False,
) -> Any:
    """Make a workflow of a function that calls tasks.

    The function runs once, when the workflow is published, with references in place of its params (`refs.py`).

    Args:
        name: the function's name when left out.
        version: raise it when the graph changes: jobs finish with the version they began with (R24).
        requires_approval: its jobs wait until a person approves, unless their submission says otherwise (R15). Child jobs
            are not asked about: their parent was.
    """

    def decorate(function: Callable[..., Any]) -> Workflow[..., Any]:
        if not inspect.isfunction(function):
            raise DefinitionError(
                f"@workflow ({author_line()}) stands on {function!r:.80}", hint="Put it on a plain def."
            )
        chosen = function.__name__ if name is None else name
        return Workflow(function, name=chosen, version=version, requires_approval=requires_approval)

    return decorate if fn is None else decorate(fn)

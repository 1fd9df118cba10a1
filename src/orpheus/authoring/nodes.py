"""Nodes that are not tasks: a person's approval, time, events, child jobs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, Unpack, cast, overload

from orpheus.authoring import codec, tracing
from orpheus.authoring.errors import DefinitionError
from orpheus.authoring.options import CHILD_OPTIONS, ChildOptions, check_names, to_node
from orpheus.authoring.refs import Ref, to_condition, to_graph
from orpheus.authoring.source import author_line
from orpheus.authoring.task import list_schema
from orpheus.authoring.workflow import Workflow

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
T = TypeVar("T")
X = TypeVar("X")


@overload
def approval(
    prompt: str,
    value: T,
    *,
    editable: bool = False,
    timeout_s: float | None = None,
    on_reject: Literal["fail", "skip", "continue"] = "fail",
    name: str | None = None,
    when: object = None,
    after: object = None,
) -> T: ...
@overload
def approval(
    prompt: str,
    *,
    timeout_s: float | None = None,
    on_reject: Literal["fail", "skip", "continue"] = "fail",
    name: str | None = None,
    when: object = None,
    after: object = None,
) -> Any: ...
def approval(
    prompt: str,
    value: Any = None,
    *,
    editable: bool = False,
    timeout_s: float | None = None,
    on_reject: str = "fail",
    name: str | None = None,
    when: object = None,
    after: object = None,
) -> Any:
    """Wait until a person agrees; gives the value, edited if they edited it (R14).

    Args:
        prompt: what the person is asked.
        value: what they are shown.
        editable: whether they may change it; an edit is checked against its type.
        timeout_s: how long to wait (30 days when left out); then the node has failed.
        on_reject: what a rejection means: the job fails, or the node counts as skipped.
        when: False lets the value pass through unasked.
        after: nodes to wait for beside the value.
    """
    tracer = tracing.needed("approval")
    written = to_graph(value)
    node: dict[str, Any] = {"kind": "approval", "prompt": prompt, "on_reject": on_reject, "editable": editable}
    if value is not None:
        node["args"] = {"value": written}
    if timeout_s is not None:
        node["timeout_s"] = timeout_s
    return tracer.add(node | _when(when), base="approval", name=name, after=after, schema=tracer.schema_of(written))


def sleep(seconds: float, *, name: str | None = None, when: object = None, after: object = None) -> Ref:
    """Wait that many seconds (a number, or a reference to one). Use what it returns in `after=`."""
    return _sleep(to_graph(seconds), name, when, after)


def sleep_until(instant: datetime | str, *, name: str | None = None, when: object = None, after: object = None) -> Ref:
    """Wait until an instant: a datetime with a time zone, RFC 3339 text, or a reference to either."""
    if isinstance(instant, datetime) and instant.tzinfo is None:
        raise DefinitionError(
            f"sleep_until ({author_line()}): {instant} has no time zone", hint="Use tzinfo=timezone.utc."
        )
    return _sleep({"until": to_graph(instant)}, name, when, after)


def _sleep(duration: Any, name: str | None, when: object, after: object) -> Ref:
    tracer = tracing.needed("sleep")
    node = {"kind": "sleep", "duration": duration, **_when(when)}
    return tracer.add(node, base="sleep", name=name, after=after, schema=None)


@overload
def wait_for(
    event: str,
    payload: type[T],
    *,
    timeout_s: float | None = None,
    name: str | None = None,
    when: object = None,
    after: object = None,
) -> T: ...
@overload
def wait_for(
    event: str, *, timeout_s: float | None = None, name: str | None = None, when: object = None, after: object = None
) -> Any: ...
def wait_for(
    event: str,
    payload: Any = Any,
    *,
    timeout_s: float | None = None,
    name: str | None = None,
    when: object = None,
    after: object = None,
) -> Any:
    """Wait for a signal sent to the job (`POST /jobs/{id}/signals/{name}`); gives its payload (R22).

    Args:
        event: the signal's name.
        payload: its type, for references to its fields.
        timeout_s: how long to wait (30 days when left out); then the node has failed.
    """
    tracer = tracing.needed("wait_for")
    try:
        schema = codec.schema_of(payload)
    except TypeError as error:
        raise DefinitionError(f"wait_for({event!r}) ({author_line()}): {error}") from None
    node: dict[str, Any] = {"kind": "wait_for", "signal": event, **_when(when)}
    if timeout_s is not None:
        node["timeout_s"] = timeout_s
    return tracer.add(node, base=event, name=name, after=after, schema=schema)


class Child:
    """`child(workflow, …)`: run a workflow as a job of its own and give its result."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options

    def __call__(self, workflow: Workflow[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Add a child job; its params are checked against the workflow's."""
        tracer = _checked("child", workflow)
        for option in ("max_concurrency", "stagger_s"):
            if option in self._options:
                raise DefinitionError(
                    f"child({workflow.name}) ({author_line()}): {option} is for maps",
                    hint="Call child.using(…).map(workflow, items), or leave it out.",
                )
        bound = workflow.signature.bind(args, kwargs)
        node = {
            "kind": "child",
            "workflow": workflow.name,
            "workflow_version": workflow.version,
            "args": {name: to_graph(value) for name, value in bound.items()},
        }
        return cast(R, self._add(tracer, workflow, node, workflow.signature.result_schema))

    def map(
        self, workflow: Workflow[Concatenate[X, Q], R], items: Sequence[X], /, *args: Q.args, **kwargs: Q.kwargs
    ) -> list[R]:
        """Add a map of child jobs: one per item, the item as first param."""
        tracer = _checked("child.map", workflow)
        parameters = workflow.signature.arguments
        if not parameters or parameters[0].kind is parameters[0].KEYWORD_ONLY:
            raise DefinitionError(f'workflow "{workflow.name}" has no positional param to map over')
        bound = workflow.signature.bind((items, *args), kwargs)
        first = parameters[0].name
        values = bound.pop(first)
        node = {
            "kind": "map",
            "workflow": workflow.name,
            "workflow_version": workflow.version,
            "items": {first: to_graph(values)},
            "args": {name: to_graph(value) for name, value in bound.items()},
        }
        return cast("list[R]", self._add(tracer, workflow, node, list_schema(workflow.signature.result_schema)))

    def using(self, **options: Unpack[ChildOptions]) -> Child:
        """Return `child` with options for the node."""
        check_names(options, CHILD_OPTIONS, "child")
        return Child({**self._options, **options})

    def _add(self, tracer: tracing.Tracer, workflow: Workflow[Any, Any], node: dict[str, Any], schema: Any) -> Ref:
        tracer.used.append(workflow)
        if self._options.get("undo") is not None:
            tracer.used.append(self._options["undo"].definition)
        return tracer.add(
            node | to_node(self._options),
            base=workflow.name,
            name=self._options.get("name"),
            after=self._options.get("after"),
            schema=schema,
        )


child = Child({})
"""Run a workflow as a job of its own: `page = child(talk, source)`."""


def _checked(what: str, workflow: object) -> tracing.Tracer:
    tracer = tracing.needed(what)
    if not isinstance(workflow, Workflow):
        raise DefinitionError(
            f'workflow "{tracer.workflow}" ({author_line()}): {what} takes a workflow, not {workflow!r:.80}',
            hint="Tasks are called directly.",
        )
    return tracer


def _when(when: object) -> dict[str, Any]:
    return {} if when is None or when is True else {"when": to_condition(when)}

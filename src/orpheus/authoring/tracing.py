"""A workflow function is being traced: calls add nodes here.

The tracer is a context variable, so that calls inside find it, and two threads may trace at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any

from orpheus.authoring.errors import DefinitionError
from orpheus.authoring.refs import Condition, Ref, to_condition, to_graph
from orpheus.authoring.source import author_line
from orpheus.core.schema import SchemaWalk
from orpheus.core.values import references

_current: ContextVar[Tracer | None] = ContextVar("orpheus_tracer", default=None)


class Tracer:
    """Collects the nodes of one workflow."""

    def __init__(self, workflow: str, params_schema: dict[str, Any]) -> None:
        self.workflow = workflow
        self.nodes: list[dict[str, Any]] = []
        self.used: list[Any] = []
        """Tasks and workflows that nodes run, in order of use; a registry collects them too."""
        self._lines: dict[str, str] = {}
        self._schemas: dict[str, Any] = {}
        self._params_schema = params_schema

    def add(self, node: dict[str, Any], *, base: str, name: str | None, after: object, schema: Any) -> Ref:
        """Add a node and return the reference to its value.

        Args:
            node: its JSON form without name, after and source.
            base: the name it gets when none is given, e.g. its task's.
            name: what `using(name=…)` said.
            after: what `using(after=…)` said.
            schema: JSON Schema of its value, or None.

        Raises:
            DefinitionError: the name is taken.
        """
        chosen = base if name is None else name
        line = author_line()
        if chosen in self._lines:
            how = f"{base}.using(name=…)(…)" if node.get("kind", "task") in ("task", "map") else f"{base}(…, name=…)"
            raise DefinitionError(
                f'workflow "{self.workflow}" ({line}): a node named {chosen!r} was added at {self._lines[chosen]} already',
                hint=f"What is used twice needs a name: {how}.",
            )
        written: dict[str, Any] = {"name": chosen, **node}
        before = self._after(after)
        if before:
            written["after"] = before
        if schema is not None:
            written["type_schema"] = schema
        written["source"] = line
        self.nodes.append(written)
        self._lines[chosen] = line
        self._schemas[chosen] = schema
        return Ref({"$ref": chosen})

    def schema_of(self, value: Any) -> Any:
        """Return the schema of a graph value, as far as it is known: for approvals, which check edits against it."""
        found = list(references(value))
        if len(found) != 1 or not isinstance(value, dict) or not {"$ref", "$param", "$get"} & set(value):
            return None
        operator, name, path = found[0]
        schema = self._schemas.get(name) if operator == "$ref" else self._params_schema
        if schema is None:
            return None
        if operator == "$param":
            path = (name, *path)
        if not path:
            return schema
        inner = SchemaWalk(schema).at(path)
        if not isinstance(inner, list) or len(inner) != 1:
            return None
        defs = schema.get("$defs")
        return {**inner[0], "$defs": defs} if defs else inner[0]

    def _after(self, after: object) -> list[str]:
        if after is None:
            return []
        several: Iterable[object] = after if isinstance(after, list | tuple) else [after]
        names: dict[str, None] = {}
        for one in several:
            if isinstance(one, str):
                names[one] = None
                continue
            if not isinstance(one, Ref | Condition):
                raise DefinitionError(
                    f'workflow "{self.workflow}" ({author_line()}): after= takes the results of nodes, not {one!r}',
                    hint="Pass what the task call returned, or a list of these.",
                )
            value = to_condition(one) if isinstance(one, Condition) else to_graph(one)
            names |= {name: None for operator, name, _ in references(value) if operator == "$ref"}
        return list(names)


def current() -> Tracer | None:
    """Return the tracer of the workflow function that is running, or None outside of any."""
    return _current.get()


def needed(what: str) -> Tracer:
    """Return the tracer.

    Raises:
        DefinitionError: no workflow is being traced.
    """
    tracer = _current.get()
    if tracer is None:
        raise DefinitionError(
            f"{what} was called outside a workflow ({author_line()})", hint="Call it in a @workflow function."
        )
    return tracer


class tracing:  # noqa: N801 (reads as a statement: with tracing(tracer))
    """Make a tracer the current one for a block."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def __enter__(self) -> Tracer:
        self._token = _current.set(self._tracer)
        return self._tracer

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)

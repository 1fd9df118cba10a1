"""Which schema do a workflow's params have? Remembered, because every submission with a file in it asks.

A definition never changes under its id and a version never changes its content (R24), so only "which is the newest"
can go stale; whoever publishes through this server calls `forget`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orpheus.core.graph import Graph
from orpheus.core.sensitive import holds_sensitive, redacted
from orpheus.core.task import NODE, Task
from orpheus.engine.base import Engine


@dataclass(frozen=True, slots=True)
class Redaction:
    """Shows what a job of one definition holds, without what is sensitive in it. A schema is None where nothing is."""

    params_schema: Any
    result_schema: Any
    task_schemas: Mapping[str, Any]

    def params(self, value: Any) -> Any:
        return value if self.params_schema is None else redacted(self.params_schema, value)

    def result(self, value: Any) -> Any:
        return value if self.result_schema is None else redacted(self.result_schema, value)

    def task_result(self, task: Task, value: Any) -> Any:
        """Hide in a task's result; an item of a map has its place in the schema of the map's list."""
        schema = self.task_schemas.get(task.node)
        if schema is None:
            return value
        return redacted(schema, value) if task.index == NODE else redacted(schema, [value])[0]


_NOTHING = Redaction(None, None, {})


def _redaction(graph: Graph) -> Redaction:
    def marked(schema: Any) -> Any:
        return schema if holds_sensitive(schema) else None

    tasks = {name: marked(node.type_schema) for name, node in graph.nodes.items()}
    return Redaction(
        marked(graph.params_schema),
        marked(graph.result_schema),
        {name: schema for name, schema in tasks.items() if schema is not None},
    )


class Catalog:
    """Params schemas of published workflows by name."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._newest: dict[str, Mapping[str, Any]] | None = None
        self._schemas: dict[str, Mapping[str, Any] | None] = {}
        self._redactions: dict[str, Redaction] = {}

    def forget(self) -> None:
        """Something was published: ask anew."""
        self._newest = None

    async def names(self) -> list[str]:
        return list(await self._by_reference())

    async def definition_id(self, reference: str) -> str | None:
        """Return the id of `name` (its newest version) or `name@version`; None when it is not published."""
        row = (await self._by_reference()).get(reference)
        return None if row is None else str(row["definition_id"])

    async def params_schema(self, workflow: str | Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the JSON Schema of a workflow's params, None when nothing is known of the workflow."""
        if not isinstance(workflow, str):
            schema = workflow.get("params")
            return schema if isinstance(schema, Mapping) else None
        found = await self.definition_id(workflow)
        return None if found is None else await self.schema_of(found)

    async def schema_of(self, definition_id: str) -> Mapping[str, Any] | None:
        if definition_id not in self._schemas:
            graph = await self._engine.reads.graph(definition_id)
            if len(self._schemas) > 1000:
                self._schemas.clear()
            self._schemas[definition_id] = None if graph is None else graph.params_schema
        return self._schemas[definition_id]

    async def redaction(self, definition_id: str) -> Redaction:
        """Return what hides the sensitive values of a definition's jobs."""
        known = self._redactions.get(definition_id)
        if known is None:
            graph = await self._engine.reads.graph(definition_id)
            if graph is None:
                return _NOTHING
            if len(self._redactions) > 1000:
                self._redactions.clear()
            known = self._redactions[definition_id] = _redaction(graph)
        return known

    async def _by_reference(self) -> dict[str, Mapping[str, Any]]:
        if self._newest is None:
            found: dict[str, Mapping[str, Any]] = {}
            for row in await self._engine.reads.workflows():
                name, version = str(row["name"]), int(row["version"])
                found[f"{name}@{version}"] = row
                if name not in found or int(found[name]["version"]) < version:
                    found[name] = row
            self._newest = found
        return self._newest

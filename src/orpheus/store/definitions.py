"""Which graph, and which task, is meant by a name? (R11, R24)

A definition is stored once under the hash of its content. Names point to it: what is published keeps its meaning, graphs
sent inline with a job have no name.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from orpheus.core.errors import DefinitionConflict
from orpheus.core.graph import Graph
from orpheus.core.validate import parse_graph
from orpheus.store import rows
from orpheus.store.unit import Unit

MAX_GRAPHS = 512
MAX_GRAPH_BYTES = 64 << 20


class GraphCache:
    """Parsed graphs by definition id, and what names mean; bounded. Content never changes under its id, so a rollback
    only concerns the names."""

    def __init__(self) -> None:
        self._graphs: OrderedDict[str, tuple[Graph, int]] = OrderedDict()
        self._bytes = 0
        self.names: dict[tuple[str, int | None], str] = {}

    def get(self, definition_id: str) -> Graph | None:
        found = self._graphs.get(definition_id)
        if found is None:
            return None
        self._graphs.move_to_end(definition_id)
        return found[0]

    def put(self, graph: Graph, size_bytes: int) -> None:
        if graph.definition_id in self._graphs:
            return
        self._graphs[graph.definition_id] = (graph, size_bytes)
        self._bytes += size_bytes
        while len(self._graphs) > 1 and (len(self._graphs) > MAX_GRAPHS or self._bytes > MAX_GRAPH_BYTES):
            _id, (_graph, gone) = self._graphs.popitem(last=False)
            self._bytes -= gone


class Definitions:
    """The questions about definitions, within one transaction."""

    def __init__(self, unit: Unit, cache: GraphCache) -> None:
        self._unit = unit
        self._cache = cache

    def graph(self, definition_id: str) -> Graph:
        """Return the graph of a job; it was checked when it came, and is parsed again at most once in a while.

        Raises:
            KeyError: nothing is stored under this id.
        """
        known = self._cache.get(definition_id)
        if known is not None:
            return known
        text = self._text(definition_id)
        if text is None:
            raise KeyError(definition_id)
        graph = parse_graph(rows.from_json(text))
        assert graph.definition_id == definition_id, f"definition {definition_id} reads back as {graph.definition_id}"
        self._cache.put(graph, len(text))
        return graph

    def by_name(self, name: str, version: int | None = None) -> str | None:
        """Return the definition id of `name@version`, or of the newest version."""
        known = self._cache.names.get((name, version))
        if known is not None:
            return known
        if version is None:
            row = self._unit.execute("newest_definition_of_name", (name,)).fetchone()
        else:
            row = self._unit.execute("definition_of_name", (name, version)).fetchone()
        if row is None:
            return None
        self._cache.names[name, version] = row[0]
        return str(row[0])

    def names(self, limit: int) -> list[tuple[str, int]]:
        """Return `(name, version)` of published workflows, for hints."""
        return [(row[0], row[1]) for row in self._unit.execute("definition_names", (limit,))]

    def check(self, definition: Mapping[str, Any], graph: Graph) -> str | None:
        """Return the id of the content that the name and version stand for, None when they are free.

        Raises:
            DefinitionConflict: they are published with another content (R24). A graph sent inline may not pass for it.
        """
        assert graph.definition_id, "a parsed graph has an id"
        known = self.by_name(graph.name, graph.version)
        if known is not None and known != graph.definition_id:
            raise DefinitionConflict(
                f"workflow {graph.name!r} version {graph.version} is published with another content: "
                + self._difference(known, definition),
                hint="give the changed workflow a new version",
            )
        return known

    def put(self, definition: Mapping[str, Any], graph: Graph, now: float, *, published: bool = True) -> bool:
        """Store a definition, under its name if it is published. The same content again changes nothing.

        Returns:
            Whether anything was new.

        Raises:
            DefinitionConflict: as `check`.
        """
        known = self.check(definition, graph)
        text = rows.to_json(definition)
        self._unit.wrote = True
        added = self._unit.execute(
            "insert_definition", (graph.definition_id, graph.name, graph.version, text, now)
        ).rowcount
        self._cache.put(graph, len(text))
        if published and known is None:
            self._unit.execute("name_definition", (graph.name, graph.version, graph.definition_id, now))
            self._cache.names.pop((graph.name, None), None)
            return True
        return added > 0

    def put_derived(self, definition: Mapping[str, Any], graph: Graph, now: float) -> None:
        """Store what a job makes of a workflow for itself: under the workflow's name, which keeps its own meaning."""
        text = rows.to_json(definition)
        self._unit.wrote = True
        self._unit.execute("insert_definition", (graph.definition_id, graph.name, graph.version, text, now))
        self._cache.put(graph, len(text))

    def put_task_spec(self, spec: Mapping[str, Any], now: float) -> bool:
        """Store what a worker says of a task it offers: `name`, `version`, `content` (hash) and the rest.

        Raises:
            DefinitionConflict: the name and version came with another content before.
        """
        name, version, content = spec["name"], spec.get("version", 1), spec.get("content", "")
        row = self._unit.execute("task_spec", (name, version)).fetchone()
        if row is not None:
            if row[0] != content:
                differing = _differing(rows.from_json(row[1]), dict(spec))
                raise DefinitionConflict(
                    f"task {name!r} version {version} is published with another content: {differing}",
                    hint="give the changed task a new version",
                )
            known = rows.from_json(row[1])
            if known.get("made_with", "") == spec.get("made_with", ""):
                return False
            self._unit.wrote = True
            known["made_with"] = spec.get("made_with", "")
            self._unit.execute("change_task_spec", (rows.to_json(known), name, version))
            return True
        self._unit.wrote = True
        self._unit.execute("put_task_spec", (name, version, content, rows.to_json(dict(spec)), now))
        return True

    def made_with(self, handler: str) -> str:
        """Return what the worker that offered `name@version` last makes it with; empty where that does not matter (R23)."""
        name, _, version = handler.rpartition("@")
        row = self._unit.execute("task_made_with", (name, int(version))).fetchone()
        return "" if row is None or row[0] is None else str(row[0])

    def _text(self, definition_id: str) -> str | None:
        row = self._unit.execute("definition_graph", (definition_id,)).fetchone()
        return None if row is None else row[0]

    def _difference(self, known: str, definition: Mapping[str, Any]) -> str:
        """Name the nodes and fields that differ, for people."""
        text = self._text(known)
        if text is None:
            return "unknown"
        old, new = rows.from_json(text), dict(definition)
        old_nodes = {node.get("name"): node for node in old.pop("nodes", [])}
        new_nodes = {node.get("name"): node for node in new.pop("nodes", [])}
        parts = []
        for name in sorted({*map(str, old_nodes), *map(str, new_nodes)}):
            before, after = old_nodes.get(name), new_nodes.get(name)
            if before is None or after is None:
                parts.append(f"node {name!r} ({'new' if before is None else 'gone'})")
            elif options := _differing(before, after):
                parts.append(f"node {name!r} ({options})")
        parts = parts[:5]
        fields = _differing(old, new)
        return ", ".join([*parts, fields] if fields else parts) or "order of nodes"


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    ignored = ("source", "description")
    names = sorted(name for name in {*old, *new} if name not in ignored and old.get(name) != new.get(name))
    return ", ".join(names[:8])

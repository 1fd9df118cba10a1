"""Is this graph usable? From the JSON form (documented at the top of graph.py) to a checked `Graph`.

    1. plain JSON of a bearable size and depth (plain.py)
    2. the workflow's own fields, its schemas (schema.py)
    3. every node's fields and options, kind by kind (validate_options.py)
    4. every reference: does it lead somewhere? (validate_values.py); who waits for whom comes out of it
    5. no circle

All of it is linear in the size of the JSON. Whatever is handed in, the answer is a `Graph` or an `InvalidGraph` that names
workflow, node, source line and remedy.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from orpheus.core import validate_options as options
from orpheus.core.errors import InvalidGraph, UnknownReference
from orpheus.core.graph import FORMAT, Graph, Node, NodeKind, undo_of
from orpheus.core.graph_json import definition_id, graph_schema, graph_to_json
from orpheus.core.place import Place
from orpheus.core.plain import NotPlain, check_plain
from orpheus.core.schema import SchemaFault, SchemaWalk, check_schema, holds_files
from orpheus.core.suggest import did_you_mean, quoted
from orpheus.core.validate_values import Known, Reading
from orpheus.core.values import Path, operator_of

__all__ = ["MAX_NODES", "WAIT_S", "graph_schema", "graph_to_json", "parse_graph"]

MAX_NODES = 10_000
WAIT_S = 30 * 86_400.0
"""How long an approval or event is waited for when nothing is said: every wait has a time-out (R22)."""

_FIELDS = (
    "format",
    "name",
    "version",
    "description",
    "params",
    "nodes",
    "output",
    "result",
    "requires_approval",
    "source",
)
_NO_PARAMS: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}


def parse_graph(definition: Any, *, known_tasks: Collection[str] | None = None) -> Graph:
    """Check a workflow definition and make it usable.

    Args:
        definition: the JSON form, decoded. It is not changed, and the graph shares its values: don't change it afterwards.
        known_tasks: `name@version` of every task that may be called; None does not ask.

    Returns:
        The graph with `predecessors`, `dependents`, `needed_paths` and `definition_id` filled in. The same content
        gives the same `definition_id`, whatever the order of keys, sources, descriptions, or defaults written out.

    Raises:
        UnknownReference: a node, param, field or task is mentioned that does not exist.
        InvalidGraph: anything else.
    """
    try:
        check_plain(definition)
    except NotPlain as fault:
        raise InvalidGraph(
            f"the workflow is {fault}",
            hint="Send plain JSON.",
            details=[{"path": fault.pointer, "message": str(fault)}],
        ) from None
    if not isinstance(definition, dict):
        raise InvalidGraph("a workflow is an object", hint='{"name": …, "nodes": […]}; see GET /workflows/schema.')
    return _Parse(definition, known_tasks).graph()


class _Parse:
    """One definition being read. Steps as in the module's docstring."""

    def __init__(self, definition: dict[str, Any], known_tasks: Collection[str] | None) -> None:
        self._json = definition
        self._known_tasks = known_tasks
        name = definition.get("name")
        self._top = Place(workflow=name if isinstance(name, str) else "")
        self._walks: dict[str, SchemaWalk] = {}

    def graph(self) -> Graph:
        top = self._top
        for key in self._json:
            if key not in _FIELDS:
                raise top.error(f"a workflow has no field {quoted(key)}", hint=did_you_mean(key, _FIELDS), at=(key,))
        if self._json.get("format", FORMAT) != FORMAT:
            raise top.error(
                f"format {quoted(self._json['format'])} is unknown", hint=f"This is format {FORMAT}.", at=("format",)
            )
        if "name" not in self._json:
            raise top.error("name is missing", hint=options.NAME_RULE, at=("name",))
        name = options.name(self._json["name"], top, "name")
        version = options.whole(1)(self._json.get("version", 1), top, "version")
        description = options.text(self._json.get("description", ""), top, "description")
        source = options.text(self._json.get("source", ""), top, "source")
        self._top = Place(workflow=name, source=source)

        params = self._params_schema()
        result = self._schema(self._json.get("result"), self._top, "result")
        nodes, places = self._nodes()
        known = Known(SchemaWalk(params), _declared(params), self._result_walks(nodes))
        predecessors, read_paths = self._edges(nodes, places, known)
        output_reading = Reading(self._top, known)
        output_reading.value(self._json.get("output"), "output", secrets=False)
        read_paths.update(output_reading.paths)
        _refuse_circles(predecessors, places)

        graph = Graph(
            name=name,
            version=version,
            nodes=nodes,
            params_schema=params,
            output=self._json.get("output"),
            result_schema=result,
            requires_approval=options.flag(self._json.get("requires_approval", False), self._top, "requires_approval"),
            description=description,
            source=source,
            predecessors=predecessors,
            dependents=_reverse(predecessors),
            needed_paths=_needed(nodes, read_paths),
            has_file_params=holds_files(params),
            undos=_undos(nodes),
        )
        # The hash is of the graph's own canonical form, so it is computed from a graph that lacks only the hash.
        object.__setattr__(graph, "definition_id", definition_id(graph))
        return graph

    def _params_schema(self) -> dict[str, Any]:
        if "params" not in self._json:
            return _NO_PARAMS
        schema = self._json["params"]
        self._schema(schema, self._top, "params")
        if not isinstance(schema, dict) or schema.get("type") != "object":
            raise self._top.error('params is a JSON Schema of an object: {"type": "object", …}', at=("params", "type"))
        return schema

    def _schema(self, schema: Any, place: Place, option: str) -> Any:
        """Check a schema, each distinct one once: thousands of nodes share a few."""
        if schema is None or schema is True:
            return schema
        key = json.dumps(schema, sort_keys=True)
        if key not in self._walks:
            try:
                check_schema(schema)
            except SchemaFault as fault:
                raise place.error(
                    f"{option} is not a usable JSON Schema: {fault}",
                    hint="JSON Schema 2020-12.",
                    at=(option, *fault.path),
                ) from None
            self._walks[key] = SchemaWalk(schema)
        return schema

    def _nodes(self) -> tuple[dict[str, Node], dict[str, Place]]:
        listed = self._json.get("nodes")
        if not isinstance(listed, list) or not listed:
            raise self._top.error(
                "nodes is a list of nodes, not empty", hint="A workflow has at least one node.", at=("nodes",)
            )
        if len(listed) > MAX_NODES:
            raise self._top.error(
                f"{len(listed)} nodes are more than {MAX_NODES}", hint="Use a map, or child jobs.", at=("nodes",)
            )
        nodes: dict[str, Node] = {}
        places: dict[str, Place] = {}
        for index, raw in enumerate(listed):
            node, place = self._node(raw, index)
            if node.name in nodes:
                raise place.error(
                    f"the name {quoted(node.name)} is taken by another node",
                    hint="Names are unique in a workflow.",
                    at=("name",),
                )
            nodes[node.name] = node
            places[node.name] = place
        return nodes, places

    def _node(self, raw: Any, index: int) -> tuple[Node, Place]:
        place = Place(self._top.workflow, f"#{index}", self._top.source, ("nodes", index))
        if not isinstance(raw, dict):
            raise place.error("a node is an object")
        name, source = raw.get("name"), raw.get("source")
        shown = name if isinstance(name, str) and name else f"#{index}"
        line = source if isinstance(source, str) and len(source) <= 500 else ""
        place = Place(self._top.workflow, shown, line, ("nodes", index))
        if "name" not in raw:
            raise place.error("name is missing", hint=options.NAME_RULE, at=("name",))
        kind = NodeKind(options.one_of(*NodeKind)(raw.get("kind", "task"), place, "kind"))
        read: dict[str, Any] = {}
        for key, value in raw.items():
            reader, kinds = options.OPTIONS.get(key) or _no_option(key, place)
            if kind not in kinds:
                raise place.error(
                    f"{key} is not an option of a node of kind {kind}",
                    hint=f"It belongs to {' and '.join(kinds)} nodes.",
                    at=(key,),
                )
            read[key] = reader(value, place, key)
        read["kind"] = kind
        _check_kind(read, kind, place)
        if kind in (NodeKind.APPROVAL, NodeKind.WAIT_FOR) and read.get("timeout_s") is None:
            read["timeout_s"] = WAIT_S
        self._schema(read.get("type_schema"), place, "type_schema")
        node = Node(**read)
        self._check_task(node, place)
        if node.workflow == self._top.workflow and node.workflow_version in (None, self._json.get("version", 1)):
            raise place.error(
                f"the workflow would run itself: {node.workflow} → {node.workflow}",
                hint="Child jobs form no circle; map over a list instead.",
                at=("workflow",),
            )
        return node, place

    def _check_task(self, node: Node, place: Place) -> None:
        if self._known_tasks is None:
            return
        undo = f"{node.undo}@{node.undo_version}" if node.undo else ""
        for option, handler in (("task", node.handler), ("undo", undo)):
            if handler and handler not in self._known_tasks:
                raise place.error(
                    f"there is no task {quoted(handler)}",
                    hint=did_you_mean(handler, self._known_tasks),
                    kind=UnknownReference,
                    at=(option,),
                )

    def _result_walks(self, nodes: Mapping[str, Node]) -> dict[str, SchemaWalk | None]:
        walks: dict[str, SchemaWalk | None] = {}
        for name, node in nodes.items():
            schema = node.type_schema
            known = schema is not None and schema is not True
            walks[name] = self._walks[json.dumps(schema, sort_keys=True)] if known else None
        return walks

    def _edges(
        self, nodes: Mapping[str, Node], places: Mapping[str, Place], known: Known
    ) -> tuple[dict[str, tuple[str, ...]], dict[tuple[str, Path], None]]:
        predecessors: dict[str, tuple[str, ...]] = {}
        paths: dict[tuple[str, Path], None] = {}
        for name, node in nodes.items():
            reading = _read_node(node, places[name], known)
            before = dict.fromkeys(reference for reference, _ in reading.paths)
            for other in node.after:
                if other not in nodes:
                    raise places[name].error(
                        f"after names {quoted(other)}, which is no node",
                        hint=did_you_mean(other, nodes),
                        kind=UnknownReference,
                        at=("after", node.after.index(other)),
                    )
                before[other] = None
            predecessors[name] = tuple(before)
            paths.update(reading.paths)
        return predecessors, paths


def _undos(nodes: Mapping[str, Node]) -> dict[str, Node]:
    """Return the nodes of the undo tasks, by name. Their weight is nothing: undoing is no progress."""
    return {
        undo_of(name): Node(
            name=undo_of(name),
            task=node.undo,
            version=node.undo_version,
            weight=0.0,
            extra={"undoes": name},
            source=node.source,
            **node.undo_options,
        )
        for name, node in nodes.items()
        if node.undo is not None
    }


def _declared(params: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the names of the params, or None where the schema leaves them open."""
    properties = params.get("properties")
    other = params.get("additionalProperties")
    if other is False or (properties is not None and other is None and "patternProperties" not in params):
        return tuple(properties or ())
    return None


def _no_option(key: str, place: Place) -> Any:
    for group, names in (("timeouts", options.TIMEOUT_NAMES), ("retry", options.RETRY_NAMES)):
        if key in names:
            raise place.error(f"{key} stands in {group}", hint=f'Write {{"{group}": {{"{key}": …}}}}.', at=(key,))
    raise place.error(f"a node has no option {quoted(key)}", hint=did_you_mean(key, options.OPTIONS), at=(key,))


def _check_kind(read: dict[str, Any], kind: NodeKind, place: Place) -> None:
    """Check what the kind of a node needs."""
    if kind is NodeKind.MAP:
        if bool(read.get("task")) == bool(read.get("workflow")):
            raise place.error("a map runs one task or one workflow", hint="Set task, or workflow.")
        for option in options.OF_A_TASK if read.get("workflow") else options.OF_A_CHILD:
            if option in read:
                raise place.error(
                    f"{option} is not an option of a map of {'child jobs' if read.get('workflow') else 'tasks'}",
                    hint="The tasks of the child have their own." if read.get("workflow") else "It is for child jobs.",
                    at=(option,),
                )
        items = read.get("items") or {}
        if len(items) != 1:
            raise place.error(
                "a map maps over one argument", hint='"items": {"scene": {"$param": "scenes"}}', at=("items",)
            )
        (argument, value) = next(iter(items.items()))
        if argument in read.get("args", {}):
            raise place.error(
                f"{quoted(argument)} stands in items and in args", hint="Leave it out of args.", at=("args", argument)
            )
        if not isinstance(value, list) and operator_of(value) is None:
            raise place.error("a map maps over a list", at=("items", argument))
        return
    needed = {
        NodeKind.TASK: "task",
        NodeKind.CHILD: "workflow",
        NodeKind.SLEEP: "duration",
        NodeKind.WAIT_FOR: "signal",
    }.get(kind)
    if needed is not None and read.get(needed) is None:
        raise place.error(f"{needed} is missing", hint=f"A node of kind {kind} needs it.", at=(needed,))
    if kind is NodeKind.APPROVAL:
        for argument in read.get("args", {}):
            if argument != "value":
                raise place.error(
                    f"an approval has no argument {quoted(argument)}",
                    hint='What is to be approved is "value".',
                    at=("args", argument),
                )
    if kind is NodeKind.SLEEP:
        _check_duration(read["duration"], place)


def _check_duration(duration: Any, place: Place) -> None:
    if isinstance(duration, dict) and operator_of(duration) is None:
        if list(duration) != ["until"]:
            raise place.error('duration is seconds, or {"until": instant}', at=("duration",))
        until = duration["until"]
        if not isinstance(until, str) and operator_of(until) is None:
            raise place.error(
                "until is an instant like 2026-01-31T09:00:00Z, or a reference to one", at=("duration", "until")
            )
    elif operator_of(duration) is None:
        options.seconds(duration, place, "duration")


def _read_node(node: Node, place: Place, known: Known) -> Reading:
    """Walk everything in a node that may hold references."""
    reading = Reading(place, known, is_map=node.kind is NodeKind.MAP)
    for argument, value in node.items.items():
        reading.value(value, "items", argument, secrets=False)
        reading.mapped(value, "items", argument)
    secrets = node.kind in (NodeKind.TASK, NodeKind.MAP) and not node.workflow
    for argument, value in node.args.items():
        reading.value(value, "args", argument, secrets=secrets, item=True)
    if node.when is not None:
        reading.condition(node.when, "when")
    if node.concurrency_key is not None:
        reading.value(node.concurrency_key, "concurrency_key", secrets=False, item=True)
    for option in ("max_concurrency", "stagger_s"):
        if operator_of(getattr(node, option)) is not None:
            reading.value(getattr(node, option), option, secrets=False)
    if node.duration is not None:
        reading.value(node.duration, "duration", secrets=False)
    if node.cache_extra is not None:
        reading.value(node.cache_extra, "cache_extra", secrets=False, item=True)
    return reading


def _reverse(predecessors: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {name: [] for name in predecessors}
    for name, before in predecessors.items():
        for other in before:
            found[other].append(name)
    return {name: tuple(after) for name, after in found.items()}


def _needed(nodes: Mapping[str, Node], paths: Mapping[tuple[str, Path], None]) -> dict[str, tuple[Path, ...]]:
    """Sort the paths by the node they read. Of a map a worker sees single items, so its paths are an item's."""
    found: dict[str, dict[Path, None]] = {}
    for name, path in paths:
        inner = path[1:] if nodes[name].kind is NodeKind.MAP else path
        if inner:
            found.setdefault(name, {})[inner] = None
    return {name: tuple(inner) for name, inner in found.items()}


def _refuse_circles(predecessors: Mapping[str, tuple[str, ...]], places: Mapping[str, Place]) -> None:
    """Take away what waits for nothing, again and again; what is left holds a circle, which is named."""
    unmet = {name: len(before) for name, before in predecessors.items()}
    dependents = _reverse(predecessors)
    free = [name for name, count in unmet.items() if not count]
    while free:
        name = free.pop()
        del unmet[name]
        for other in dependents[name]:
            unmet[other] -= 1
            if not unmet[other]:
                free.append(other)
    if not unmet:
        return
    trail: dict[str, None] = {}
    name = next(iter(unmet))
    while name not in trail:
        trail[name] = None
        name = next(other for other in predecessors[name] if other in unmet)
    circle = list(trail)[list(trail).index(name) :][::-1]
    if len(circle) == 1:
        raise places[name].error("the node waits for itself", hint="Remove the reference to its own result.")
    shown = circle if len(circle) <= 12 else [*circle[:10], "…", circle[-1]]
    raise places[name].error(
        f"nodes wait for each other in a circle: {' → '.join([*shown, circle[0]])}",
        hint="Remove one of these references.",
    )

"""Does a value from outside fit the graph? Approved values, signals' payloads and callbacks' results, checked before the
core hears of them.

The core knows what lies where in a schema and does not judge values; here they are judged, as params are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import jsonschema_rs
import msgspec

from orpheus.core.errors import InvalidParams
from orpheus.core.facts import CallbackReceived, Fact, SignalReceived, TaskApproved
from orpheus.core.graph import Graph, Node, NodeKind
from orpheus.core.plain import NotPlain, check_plain, pointer
from orpheus.core.task import NODE
from orpheus.engine.params import BACKTRACKS, MOST_ERRORS


def check_fact(graph: Graph, fact: Fact, *, max_bytes: int) -> Fact:
    """Return the fact if the value in it fits what the graph says of it.

    Raises:
        InvalidParams: it does not; `details` point into the request's body.
    """
    if isinstance(fact, TaskApproved) and fact.edited:
        node = graph.nodes.get(fact.node)
        if node is not None:
            _check(f"the value of {fact.node!r}", "value", fact.value, node.type_schema, max_bytes)
    elif isinstance(fact, SignalReceived):
        for name in graph.signals.get(fact.name, ()):
            schema = graph.nodes[name].type_schema
            _check(f"the payload of signal {fact.name!r}", "payload", fact.payload, schema, max_bytes)
    elif isinstance(fact, CallbackReceived) and fact.error is None:
        node = graph.all_nodes[fact.node]
        # The undo of a map's item has its item's index and is itself no map.
        of_item = fact.index != NODE and node.kind is NodeKind.MAP
        schema = _item_schema(node) if of_item else node.type_schema
        _check(f"the result of {fact.node!r}", "result", fact.result, schema, max_bytes)
    elif isinstance(fact, CallbackReceived) and fact.error is not None:
        return msgspec.structs.replace(fact, error=replace(fact.error, task=fact.node))
    return fact


def _item_schema(node: Node) -> Any:
    """Return the schema of one item's result; a map's own is that of the whole list."""
    whole = node.type_schema
    items = whole.get("items") if isinstance(whole, Mapping) else None
    if not isinstance(whole, Mapping) or not isinstance(items, Mapping):
        return None
    return {**items, "$defs": whole["$defs"]} if "$defs" in whole else items


def _check(what: str, field: str, value: Any, schema: Any, max_bytes: int) -> None:
    try:
        check_plain(value)
    except NotPlain as fault:
        path = f"/{field}{fault.pointer}"
        raise InvalidParams(f"{what}: {fault}", details=[{"path": path, "message": str(fault)}]) from None
    size = len(msgspec.json.encode(value))
    if size > max_bytes:
        message = f"it has {size} bytes; at most {max_bytes} can be kept"
        raise InvalidParams(
            f"{what}: {message}",
            hint="Save it as a file, and send where that is.",
            details=[{"path": f"/{field}", "message": message}],
        )
    if schema is None or schema is True:
        return
    # Compiled anew each time: a person or another system decides now and then, and nothing need be kept for it.
    try:
        validator = jsonschema_rs.validator_for(
            schema, offline=True, pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=BACKTRACKS)
        )
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise InvalidParams(f"{what}: its schema cannot be used: {error}") from None
    errors = [
        {"path": pointer(field, *error.instance_path), "message": str(error.message)[:500]}
        for error in islice(validator.iter_errors(value), MOST_ERRORS)
    ]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise InvalidParams(
            f"{what} at {errors[0]['path']}: {errors[0]['message']}{more}",
            hint="Its type stands in the graph: GET /jobs/{job_id}/graph, type_schema.",
            details=errors,
        )

"""Values from outside against what the graph says of them."""

import pytest

from orpheus.core.errors import InvalidParams
from orpheus.core.facts import CallbackReceived
from orpheus.core.validate import parse_graph
from orpheus.engine.typed import check_fact

GRAPH = parse_graph(
    {
        "format": 1,
        "name": "w",
        "version": 1,
        "params": {"type": "object", "properties": {"xs": {"type": "array"}}, "required": ["xs"]},
        "nodes": [
            {
                "name": "m",
                "kind": "map",
                "task": "step",
                "items": {"x": {"$param": "xs"}},
                "undo": "unstep",
                "type_schema": {"type": "array", "items": {"type": "integer"}},
            }
        ],
    }
)


def brought(node, result):
    return check_fact(GRAPH, CallbackReceived(node=node, index=2, run_id="r", result=result), max_bytes=1000)


def test_an_items_callback_is_checked_as_one_item():
    assert brought("m", 3).result == 3
    with pytest.raises(InvalidParams):
        brought("m", [3])


def test_the_undo_of_an_item_may_hand_over_too():
    """Seed 9 of the simulator: the undo has its item's index, and is no map."""
    assert brought("m:undo", {"anything": True}).result == {"anything": True}

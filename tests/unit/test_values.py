"""References: where a value comes from, and what happens when it is not there (R12)."""

from typing import Any

import pytest

from orpheus.core.conditions import holds
from orpheus.core.values import BindingError, Skipped, follow, missing, references, resolve, spread


class Scope:
    """Params and node results as dictionaries; a node without a result was skipped."""

    def __init__(self, params: dict[str, Any] | None = None, nodes: dict[str, Any] | None = None, item: Any = None):
        self.params, self.nodes, self.the_item = params or {}, nodes or {}, item

    def param(self, name: str) -> Any:
        return self.params[name]

    def node(self, name: str) -> Any:
        if name not in self.nodes:
            raise Skipped(name)
        return self.nodes[name]

    def item(self) -> Any:
        return self.the_item


SCOPE = Scope({"text": "hello", "n": 3}, {"meta": {"kind": "image", "sizes": [1, 2]}, "none": None}, item={"id": 7})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, 5),
        ([1, {"a": [2]}], [1, {"a": [2]}]),
        ({"$param": "text"}, "hello"),
        ({"$ref": "none"}, None),
        ({"$get": [{"$ref": "meta"}, "sizes", 1]}, 2),
        ({"deep": [{"x": {"$param": "n"}}]}, {"deep": [{"x": 3}]}),
        ({"$item": True}, {"id": 7}),
        ({"$get": [{"$item": True}, "id"]}, 7),
        ({"$optional": {"$ref": "gone"}}, None),
        ({"$optional": {"$ref": "meta"}}, {"kind": "image", "sizes": [1, 2]}),
        ({"$first_of": [{"$ref": "gone"}, {"$param": "n"}, {"$ref": "meta"}]}, 3),
        ({"$literal": {"$ref": "meta"}}, {"$ref": "meta"}),
        ({"$secret": "KEY"}, {"$secret": "KEY"}),
        ({"$ref": "meta", "other": 1}, {"$ref": "meta", "other": 1}),
    ],
)
def test_resolve(value: Any, expected: Any) -> None:
    """Each kind of reference gives what its documentation says; everything else is itself."""
    assert resolve(value, SCOPE) == expected


@pytest.mark.parametrize(
    "value", [{"$ref": "gone"}, [{"a": {"$get": [{"$ref": "gone"}, "x"]}}], {"$first_of": [{"$ref": "gone"}]}]
)
def test_a_skipped_node_has_no_value(value: Any) -> None:
    """What needs it outside optional and first_of cannot be resolved, and `missing` says so without resolving."""
    with pytest.raises(Skipped):
        resolve(value, SCOPE)
    assert missing(value, lambda name: name != "gone") == "gone"


@pytest.mark.parametrize("path", [["kinds"], ["sizes", 2], ["kind", "x"], ["sizes", "a"]])
def test_a_value_that_was_not_returned(path: list[Any]) -> None:
    """A field or index that the result does not have is a binding error that names it."""
    with pytest.raises(BindingError, match=r"the result of 'meta' has no"):
        resolve({"$get": [{"$ref": "meta"}, *path]}, SCOPE)


def test_missing_asks_no_more_than_needed() -> None:
    """optional() and is_none() never miss; first_of misses only when all do."""
    absent = {"$ref": "gone"}
    has = {"meta"}.__contains__
    assert missing({"a": {"$optional": absent}, "b": [{"$is_none": absent}]}, has) is None
    assert missing({"$first_of": [absent, {"$ref": "meta"}]}, has) is None
    assert missing({"$all": [{"$eq": [{"$get": [absent, "kind"]}, "x"]}]}, has) == "gone"


def test_spilled_values_are_followed_as_far_as_they_are_inline() -> None:
    """A field reported inline is used; any other path is kept for the worker to walk."""
    spill = {
        "$spill": {
            "key": "k",
            "size_bytes": 9,
            "path": [],
            "inline": [[["kind"], "video"]],
            "lengths": [[["parts"], 2]],
        }
    }
    assert follow(spill, ("kind",)) == "video"
    parts = follow(spill, ("parts",))
    assert parts["$spill"]["path"] == ["parts"]
    assert [item["$spill"]["path"] for item in spread(parts)] == [["parts", 0], ["parts", 1]]
    assert spread([1, 2]) == [1, 2]
    with pytest.raises(BindingError, match="can only map over a list, not str"):
        spread("ab")


def test_references_are_listed_in_order() -> None:
    """The graph's edges come from here."""
    value = {
        "a": {"$get": [{"$ref": "x"}, "f", 0]},
        "b": [{"$optional": {"$param": "p"}}, {"$literal": {"$ref": "no"}}],
    }
    assert list(references(value)) == [("$ref", "x", ("f", 0)), ("$param", "p", ())]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (None, True),
        ({"$eq": [{"$get": [{"$ref": "meta"}, "kind"]}, "image"]}, True),
        ({"$all": [{"$gt": [{"$param": "n"}, 2]}, {"$not": {"$lt": [{"$param": "n"}, 2]}}]}, True),
        ({"$any": [{"$ne": [1, 1]}, {"$le": [2, 1]}]}, False),
        ({"$in": [{"$param": "text"}, ["hello", "you"]]}, True),
        ({"$is_none": {"$ref": "none"}}, True),
        ({"$is_none": {"$ref": "gone"}}, True),
        ({"$is_none": {"$param": "n"}}, False),
        ({"$get": [{"$ref": "meta"}, "sizes"]}, True),
        ("", False),
    ],
)
def test_conditions(condition: Any, expected: bool) -> None:
    """Conditions are decided from inline values alone."""
    assert holds(condition, SCOPE) is expected


def test_conditions_that_cannot_be_decided() -> None:
    """A skipped input skips; values that cannot be compared are a binding error, not a crash."""
    with pytest.raises(Skipped):
        holds({"$eq": [{"$ref": "gone"}, 1]}, SCOPE)
    with pytest.raises(BindingError, match="cannot compare"):
        holds({"$lt": [{"$param": "text"}, 1]}, SCOPE)
    with pytest.raises(BindingError, match="cannot compare"):
        holds({"$in": [1, 2]}, SCOPE)

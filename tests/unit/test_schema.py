"""Walking JSON Schemas: what is known, what is missing, what is left open."""

from __future__ import annotations

from typing import Any

import pytest

from orpheus.core.schema import Missing, SchemaFault, SchemaWalk, check_schema, holds_files, with_defaults

PLAN: dict[str, Any] = {
    "$ref": "#/$defs/Plan",
    "$defs": {
        "Plan": {
            "type": "object",
            "properties": {
                "segments": {"type": "array", "items": {"$ref": "#/$defs/Segment"}},
                "next": {"anyOf": [{"$ref": "#/$defs/Plan"}, {"type": "null"}]},
                "meta": {"type": "object"},
                "names": {"type": "object", "additionalProperties": {"type": "string"}},
                "file": {"type": "object", "x-orpheus": "file"},
            },
        },
        "Segment": {"type": "object", "properties": {"start_s": {"type": "number"}}},
    },
}


@pytest.mark.parametrize(
    "path",
    [
        (),
        ("segments", 3, "start_s"),
        ("next", "next", "next", "segments", 0),
        ("meta", "anything", "at all"),
        ("names", "x"),
        ("file", "sha256"),
    ],
)
def test_known_or_open(path: tuple[str | int, ...]) -> None:
    """These lead somewhere, or into what a schema leaves open."""
    assert not isinstance(SchemaWalk(PLAN).at(path), Missing)


@pytest.mark.parametrize(
    ("path", "owner", "step", "reason"),
    [
        (("segmnts",), "Plan", "segmnts", "field"),
        (("segments", "start_s"), "", "start_s", "list"),
        (("segments", 0, "start"), "Segment", "start", "field"),
        (("segments", 0, "start_s", "x"), "", "x", "scalar"),
        (("next", "nxt"), "Plan", "nxt", "field"),
        (("names", "x", "y"), "", "y", "scalar"),
        (("file", "sha"), "File", "sha", "field"),
        ((0,), "Plan", 0, "scalar"),
    ],
)
def test_missing(path: tuple[str | int, ...], owner: str, step: str | int, reason: str) -> None:
    """These cannot exist; who lacks what is told, through references and alternatives."""
    answer = SchemaWalk(PLAN).at(path)
    assert isinstance(answer, Missing)
    assert (answer.owner, answer.step, answer.reason) == (owner, step, reason)


def test_circular_schemas_end() -> None:
    """Schemas that refer to themselves are walked to an end."""
    loop = {
        "$ref": "#/$defs/A",
        "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}]}, "B": {"$ref": "#/$defs/A"}},
    }
    check_schema(loop)
    assert not isinstance(SchemaWalk(loop).at(("x",) * 60), Missing)


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"type": "objet"}, ("type",)),
        ({"properties": {"a": 3}}, ("properties",)),
        ({"properties": {"a": {"$ref": "https://example.org/x"}}}, ("properties", "a", "$ref")),
        ({"$ref": "#/$defs/Nothing"}, ("$ref",)),
        ({"anyOf": []}, ("anyOf",)),
        ({"required": ["a", "a"]}, ("required",)),
        ({"items": {"minimum": "x"}}, ("items", "minimum")),
        ({"$id": "https://example.org"}, ("$id",)),
        ([], ()),
    ],
)
def test_unusable(schema: Any, path: tuple[str | int, ...]) -> None:
    """What cannot be compiled, or would fetch something, is refused with its place."""
    with pytest.raises(SchemaFault) as caught:
        check_schema(schema)
    assert caught.value.path == path


def test_files_and_defaults() -> None:
    """Files are found anywhere; defaults fill what was left out, as copies."""
    assert holds_files(PLAN)
    assert not holds_files({"type": "object", "properties": {"x-orpheus": {"const": "file"}}})
    schema = {"type": "object", "properties": {"a": {"default": [1]}, "b": {}}}
    filled = with_defaults(schema, {"b": 2})
    assert filled == {"a": [1], "b": 2}
    filled["a"].append(2)
    assert with_defaults(schema, {}) == {"a": [1]}

"""Values travel: references nested anywhere, and every kind of value there and back."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypedDict

import msgspec
import pydantic
import pytest

from orpheus import File, Resource, Sensitive, TraceError, first_of, optional, secret, task, workflow
from orpheus.authoring import codec
from orpheus.core.errors import InvalidGraph


class Colour(enum.Enum):
    RED = "red"


class Size(TypedDict):
    width: int


@dataclass
class Scene:
    id: str
    image: File | None = None
    tags: list[str] = field(default_factory=list)


class Point(msgspec.Struct):
    x: float
    at: datetime


class Inner(pydantic.BaseModel):
    n: int


class Model(pydantic.BaseModel):
    inner: Inner
    image: File


FILE = File(name="a.png", key="k", size_bytes=3, sha256="0" * 64, content_type="image/png")


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (Colour.RED, Colour),
        ({"width": 3}, Size),
        (Scene("a", FILE, ["x"]), Scene),
        ([Scene("a")], list[Scene]),
        (Point(1.5, datetime(2026, 1, 2, tzinfo=UTC)), Point),
        (FILE, File),
        ({"a": [FILE]}, dict[str, list[File]]),
        (Model(inner=Inner(n=1), image=FILE), Model),
        ([Model(inner=Inner(n=1), image=FILE)], list[Model]),
        ({1: "a"}, dict[int, str]),
        (b"\x00\xff", bytes),
        (None, int | None),
        ("text", Sensitive[str]),
    ],
)
def test_there_and_back(value: Any, annotation: Any) -> None:
    """A value on the wire is plain JSON and is read back equal by its annotation."""
    wired = codec.to_wire(value)
    assert msgspec.json.decode(msgspec.json.encode(wired)) == wired
    assert codec.from_wire(wired, annotation) == value


def test_schemas() -> None:
    """Schemas are self-contained; files and sensitive values are marked."""

    @task
    def take(scene: Scene, model: Model, token: Sensitive[str], maybe: Size | None = None) -> list[Model]:
        return [model]

    schema = take.definition.params_schema
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["scene", "model", "token"]
    assert schema["properties"]["token"] == {"type": "string", "x-orpheus": "sensitive"}
    assert schema["properties"]["maybe"]["default"] is None
    assert {"Scene", "Inner", "Size"} <= set(schema["$defs"])
    result = take.definition.result_schema
    assert result is not None and "Inner" in result["$defs"]

    @workflow
    def flow(scene: Scene, model: Model) -> Any:
        return take(scene, model, secret("TOKEN"))

    assert flow.graph.has_file_params


def test_nested_references() -> None:
    """References are found in lists, dicts, dataclasses and structs; the rest is written as JSON."""

    @task
    def one(text: str) -> str:
        return text

    @task
    def take(value: Any, more: Any = None) -> Any:
        return value

    @workflow
    def flow(text: str, when: datetime) -> Any:
        made = one(text)
        return {
            "result": take(
                [made, {"deep": (made, Colour.RED)}, Scene(made, tags=[made])],
                more=Point(1.0, when),
            )
        }

    node = flow.graph.nodes["take"]
    reference = {"$ref": "one"}
    assert node.args["value"] == [
        reference,
        {"deep": [reference, "red"]},
        {"id": reference, "image": None, "tags": [reference]},
    ]
    assert node.args["more"] == {"x": 1.0, "at": {"$param": "when"}}
    assert flow.graph.output == {"result": {"$ref": "take"}}
    assert flow.graph.predecessors["take"] == ("one",)


def test_dollar_keys_are_literals() -> None:
    """An author's own object with a `$` key is not taken for a reference; with a reference inside it is refused."""

    @task
    def take(value: Any) -> Any:
        return value

    @workflow
    def flow() -> Any:
        return take({"a": {"$ref": "nowhere"}})

    assert flow.graph.nodes["take"].args == {"value": {"a": {"$literal": {"$ref": "nowhere"}}}}

    @workflow
    def bad(text: str) -> Any:
        return take({"$x": text})

    with pytest.raises(TraceError, match="begins with"):
        _ = bad.graph

    @workflow
    def file() -> Any:
        return take({"a": FILE})

    with pytest.raises(InvalidGraph, match="File"):
        _ = file.graph


def test_helpers() -> None:
    """`optional`, `first_of` and `secret` write what the core reads; fields may be taken of them."""

    @task
    def one(text: str) -> Scene:
        return Scene(text)

    @task
    def take(a: Any, b: Any, c: Any) -> Any:
        return a

    @workflow
    def flow(text: str) -> Any:
        a = one(text)
        b = one.using(name="b")(text)
        return take(optional(a), first_of(a, b).id, secret("KEY"))

    assert flow.graph.nodes["take"].args == {
        "a": {"$optional": {"$ref": "one"}},
        "b": {"$get": [{"$first_of": [{"$ref": "one"}, {"$ref": "b"}]}, "id"]},
        "c": {"$secret": "KEY"},
    }


def test_decode_args() -> None:
    """Arguments are decoded by annotation, left-out ones take the function's default; faults name the argument."""

    class Model:
        pass

    @task
    async def work(scene: Scene, /, count: int = 2, *, model: Model = Resource(Model)) -> Scene:
        return scene

    definition = work.definition
    assert definition.executor == "async"
    assert list(definition.resources) == ["model"]
    assert definition.decode_args({"scene": {"id": "a"}}) == ((Scene("a"),), {})
    assert definition.decode_args({"scene": {"id": "a"}, "count": 3}) == ((Scene("a"),), {"count": 3})
    for wrong, named in [
        ({}, "scene"),
        ({"scene": {"id": 3}}, "scene"),
        ({"scene": {"id": "a"}, "count": "x"}, "count"),
        ({"scene": {"id": "a"}, "cout": 3}, "count"),
    ]:
        with pytest.raises(ValueError, match=named):
            definition.decode_args(wrong)
    assert definition.encode_result(Scene("a")) == {"id": "a", "image": None, "tags": []}


def test_context_is_no_argument() -> None:
    """The first parameter named ctx, or annotated Context, is the worker's to fill."""

    @task
    def bare(ctx, n):  # type: ignore[no-untyped-def]
        return n

    assert bare.definition.takes_context
    assert list(bare.definition.params_schema["properties"]) == ["n"]


def test_content_changes_with_signature_and_options() -> None:
    """The content hash sees arguments and options, not the body (R24)."""

    def make(**options: Any) -> str:
        @task(name="t", **options)
        def t(a: int) -> int:
            return a

        return t.definition.content

    @task(name="t")
    def other(a: str) -> int:
        return 1

    assert make() == make()
    assert len({make(), make(queue="gpu"), make(cache=True), other.definition.content}) == 4


def test_object_is_any_json() -> None:
    """Strict checkers have people write `dict[str, object]` for any JSON; it travels, and files in it are recognised."""
    annotation = dict[str, list[object]]
    value = {"a": [1, "x", None, {"b": [True]}]}
    assert codec.from_wire(codec.to_wire(value), annotation) == value
    assert codec.schema_of(dict[str, object]) == {"type": "object", "additionalProperties": {"title": "JSON"}}
    assert codec.from_wire(value, object) == value
    assert codec.schema_of(object) is None


def _general(definition: Any, args: dict[str, Any]) -> Any:
    """Decode without the short way for what is there and as it is to be."""
    definition.signature._all_by_name = None
    return definition.decode_args(args)


@task
def plain(a: int, b: str = "b", *, c: Any = None) -> int:
    return a


@task
def by_place(a: int = 1, /, b: str = "b") -> int:
    return a


@task
def nothing() -> int:
    return 0


@task
def made(a: Scene, b: float = 1.0) -> int:
    return 0


@pytest.mark.parametrize("definition", [plain, by_place, nothing, made], ids=lambda one: one.definition.name)
@pytest.mark.parametrize(
    "args",
    [
        {},
        {"a": 1},
        {"a": 1, "b": "x", "c": {"$file": 1}},
        {"c": [1], "b": "x", "a": 1},
        {"a": 1, "b": 2, "c": None},
        {"a": True, "b": "x", "c": None},
        {"a": 1, "b": "x"},
        {"a": {"id": "a"}, "b": 2},
        {"a": {"id": "a"}, "b": 2.5},
        {"a": 1, "b": "x", "d": None},
    ],
)
def test_the_short_way_decodes_as_the_general_one(definition: Any, args: dict[str, Any]) -> None:
    def outcome(decode: Any) -> Any:
        try:
            return decode()
        except ValueError as wrong:
            return str(wrong)

    definition = definition.definition
    definition.signature._plan = None
    short = [outcome(lambda: definition.decode_args(args)) for _ in range(2)]
    assert short == [outcome(lambda: _general(definition, args))] * 2

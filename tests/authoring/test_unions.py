"""Unions that JSON alone does not tell apart: the joins of branches need them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypedDict

import msgspec
import pytest

from orpheus import Context, Failure, File, Permanent, Sensitive, first_of, run, task, workflow
from orpheus.authoring import codec


@dataclass
class Labels:
    labels: list[str] = field(default_factory=list)


@dataclass
class Words:
    text: str = ""
    language: str = "en"


class Point(msgspec.Struct, rename="camel"):
    x_at: int
    other: File | str = "none"


class Box(TypedDict, total=False):
    inner: Labels | Words


@dataclass
class Holder:
    found: Labels | Words
    many: list[File | Labels] = field(default_factory=list)


FILE = File(name="a", key="k", size_bytes=1, sha256="0" * 64)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (Words("a"), Labels | Words),
        (Labels(["a"]), Words | Labels),
        (Words(), Words | Labels | None),
        (None, Words | Labels | None),
        (FILE, File | str),
        ("text", File | str),
        ([FILE, Labels()], list[File | Labels]),
        ((FILE, "a"), tuple[File | str, File | str]),
        ([FILE, Failure(code="task_failed", message="no", type="X", index=1), None], Sequence[File | Failure | None]),
        ({"a": Words("x"), "b": Labels()}, Mapping[str, Words | Labels]),
        (Holder(Words("a"), [FILE]), Holder),
        ([Holder(Labels())], list[Holder]),
        (Point(1, FILE), Point),
        (Point(1), Point | Labels),
        ({"inner": Labels(["x"])}, Box),
        ({}, Box),
    ],
)
def test_there_and_back(value: Any, annotation: Any) -> None:
    """Each member comes back as itself; the schema covers it."""
    wired = codec.to_wire(value)
    assert codec.from_wire(wired, annotation) == value
    schema = codec.schema_of(annotation)
    assert schema is not None
    msgspec.json.encode(schema)


def test_misfit_says_why() -> None:
    """A value that fits none says what each would have wanted, and where."""
    with pytest.raises(ValueError, match=r"as Labels: .* as Words: .*\(in 1\)"):
        codec.from_wire([{}, 3], list[Labels | Words])


def test_sensitive_keeps_its_mark() -> None:
    """The mark is not lost on the way through a union."""
    schema = codec.schema_of(Sensitive[File | str])  # type: ignore[arg-type]
    assert schema is not None and schema["x-orpheus"] == "sensitive"
    assert codec.schema_of(Annotated[int, {"unhashable": []}]) == {"type": "integer"}


def test_join_of_branches() -> None:
    """The design's join: whichever branch ran, the joining task gets its own type."""

    @task
    def left(n: int) -> Labels:
        return Labels([str(n)])

    @task
    def right(n: int) -> Words:
        return Words(str(n))

    @task
    def join(found: Labels | Words) -> str:
        return type(found).__name__

    @workflow
    def flow(n: int, side: str) -> str:
        return join(first_of(left.using(when=side == "left")(n), right.using(when=side == "right")(n)))

    assert run(flow, 1, "left") == "Labels"
    assert run(flow, 1, "right") == "Words"


def test_failed_items() -> None:
    """An item that failed under `continue` stands as a Failure at its index (R13)."""

    @task(on_failure="continue", retry=None)
    def maybe(ctx: Context, n: int) -> File:
        if n == 1:
            raise Permanent("odd")
        return ctx.save(f"{n}.txt", b"x")

    @task
    def collect(parts: Sequence[File | Failure]) -> list[str]:
        return [part.message if isinstance(part, Failure) else part.name for part in parts]

    @workflow
    def flow(numbers: list[int]) -> list[str]:
        return collect(maybe.map(numbers))

    assert run(flow, numbers=[0, 1, 2]) == ["0.txt", "odd", "2.txt"]

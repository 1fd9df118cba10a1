"""Using a reference as a value says where, and what to write instead."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from orpheus import DefinitionError, TraceError, approval, child, sleep, task, workflow
from orpheus.core.errors import UnknownReference


@dataclass
class Plan:
    segments: list[int]
    title: str


@task
def make(text: str) -> Plan:
    return Plan([1], text)


@task
def use(value: Any) -> int:
    return 1


def check(x: Any) -> None:
    if x:
        use(x)


MISUSES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "if": (check, "when="),
    "and": (lambda x: x and 1, "when="),
    "not": (lambda x: not x, "not_"),
    "condition in if": (lambda x: 1 if x == 3 else 2, "when="),
    "chained comparison": (lambda x: 1 < x < 3, "when="),
    "in": (lambda x: 3 in x, "any_of"),
    "in list": (lambda x: x in [1, 2], "when="),
    "iteration": (list, ".map("),
    "unpacking": (lambda x: [*x], ".map("),
    "len": (len, "task"),
    "add": (lambda x: x + 1, "task"),
    "radd": (lambda x: 1 + x, "task"),
    "minus": (lambda x: -x, "task"),
    "f-string": (lambda x: f"{x}", "task"),
    "str": (str, "task"),
    "percent": (lambda x: "%s" % x, "task"),  # noqa: UP031
    "int": (int, "task"),
    "floor": (math.floor, "task"),
    "hash": (lambda x: {x}, "list"),
    "dict key": (lambda x: {x: 1}, "list"),
    "slice": (lambda x: x[1:], "task"),
    "index by reference": (lambda x: x[x], "task"),
    "method": (lambda x: x.upper(), "task"),
    "await": (lambda x: x.__await__(), "await"),
    "assign": (lambda x: setattr(x, "title", 1), "task"),
    "and operator": (lambda x: (x == 1) & (x == 2), "all_of"),
    "or operator": (lambda x: x | x, "any_of"),
    "invert": (lambda x: ~(x == 1), "not_"),
    "condition as value": (lambda x: use(x == 1), "task"),
    "float index": (lambda x: x[1.5], "whole number"),
}


@pytest.mark.parametrize("name", MISUSES)
def test_misuse(name: str) -> None:
    """Each use of a value that is not known yet raises TraceError with file, line and remedy."""
    misuse, remedy = MISUSES[name]

    @workflow
    def flow(text: str) -> Any:
        return misuse(make(text))

    with pytest.raises(TraceError) as caught:
        _ = flow.graph
    assert "test_tracing_errors.py:" in caught.value.message
    assert remedy in caught.value.hint


def test_unknown_field() -> None:
    """A field that a result does not have is found when the workflow is traced, with the nearest match."""

    @workflow
    def talk(text: str) -> Any:
        return use.using(name="stitch")(make(text).segmnts)

    with pytest.raises(UnknownReference) as caught:
        _ = talk.graph
    message = str(caught.value)
    assert message.startswith('unknown_reference: workflow "talk", node "stitch" (test_tracing_errors.py:')
    assert message.endswith('Plan has no field "segmnts". Did you mean "segments"?')


def test_workflow_called_in_a_workflow() -> None:
    """A workflow inside another needs `child`."""

    @workflow
    def inner(text: str) -> int:
        return use(text)

    @workflow
    def outer(text: str) -> int:
        return inner(text)

    with pytest.raises(DefinitionError) as caught:
        _ = outer.graph
    assert "child(inner, …)" in caught.value.hint


def test_task_used_twice_needs_a_name() -> None:
    """The second use says where the first was."""

    @workflow
    def flow(text: str) -> int:
        use(text)
        return use(text)

    with pytest.raises(DefinitionError) as caught:
        _ = flow.graph
    assert "using(name=" in caught.value.hint

    @workflow
    def better(text: str) -> int:
        use(text)
        return use.using(name="again")(text)

    assert list(better.graph.nodes) == ["use", "again"]


FAULTS: dict[str, tuple[Callable[[], Any], str]] = {
    "no such option": (lambda: use.using(qeue="a"), "queue"),  # type: ignore[call-arg]
    "no such argument": (lambda: use(valu=3), "value"),  # type: ignore[call-arg]
    "missing argument": (make, "takes (text)"),  # type: ignore[call-arg]
    "wrong constant": (lambda: make(3), "annotation"),  # type: ignore[arg-type]
    "cap without map": (lambda: use.using(max_concurrency=2)(1), "map"),
    "map over a number": (lambda: use.map(3), "list"),  # type: ignore[arg-type]
    "after a number": (lambda: use.using(after=3)(1), "call returned"),
    "child of a task": (lambda: child(use, 3), "directly"),  # type: ignore[arg-type]
    "object that cannot travel": (lambda: use(object()), "JSON"),
    "undo with a name": (lambda: use.using(undo="other")(1), "undo=the_task"),
    "retry with a number": (lambda: use.using(retry=3)(1), "Retry("),  # type: ignore[typeddict-item]
}


@pytest.mark.parametrize("name", FAULTS)
def test_definition_fault(name: str) -> None:
    """A call that cannot be meant says what to write."""
    fault, remedy = FAULTS[name]

    @workflow
    def flow() -> Any:
        return fault()

    with pytest.raises(DefinitionError if name != "object that cannot travel" else TraceError) as caught:
        _ = flow.graph
    assert remedy in caught.value.hint


def test_outside_a_workflow() -> None:
    """Nodes need a workflow; a workflow is not called; a task runs plainly."""
    with pytest.raises(DefinitionError):
        approval("fine?", 3)
    with pytest.raises(DefinitionError):
        sleep(3)

    @workflow
    def flow(text: str) -> int:
        return use(text)

    with pytest.raises(DefinitionError, match="called directly"):
        flow("text")
    assert make("text") == Plan([1], "text")


def test_definitions_that_cannot_be() -> None:
    """Functions that cannot be tasks or workflows are refused where they stand."""
    with pytest.raises(DefinitionError, match="async"):

        @workflow
        async def flow(text: str) -> int:
            return 1

    with pytest.raises(DefinitionError, match="takes \\*texts"):

        @task
        def several(*texts: str) -> int:
            return 1

    with pytest.raises(DefinitionError, match="generator"):

        @task
        def lines() -> Any:
            yield 1

    with pytest.raises(DefinitionError, match="not async"):

        @task(executor="async")
        def plain() -> int:
            return 1

    with pytest.raises(DefinitionError, match="no option"):

        @task(queu="gpu")  # type: ignore[call-overload, untyped-decorator]
        def other() -> int:
            return 1

    @workflow
    def empty(text: str) -> str:
        return text

    with pytest.raises(DefinitionError, match="calls no task"):
        _ = empty.graph


def test_option_out_of_range() -> None:
    """Ranges are checked with the graph; the message names workflow, node and line."""

    @workflow
    def flow(text: str) -> int:
        return use.using(priority=9)(text)

    with pytest.raises(TraceError.__mro__[1]) as caught:
        _ = flow.graph
    assert 'workflow "flow", node "use" (test_tracing_errors.py:' in caught.value.message
    assert "priority is a whole number from 1 to 5, not 9" in caught.value.message

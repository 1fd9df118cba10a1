"""What stands in for a task's function: another function, a value, an exception, a worker that dies, a task that takes
its time."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orpheus.authoring.definition import TaskDefinition
from orpheus.authoring.task import Task
from orpheus.core.suggest import did_you_mean

NOTHING: Any = object()
"""No value was given (None is one)."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a task: what it was given."""

    task: str
    """Name of the node."""
    index: int | None
    attempt: int
    args: dict[str, Any]
    """By parameter, decoded, as the handler gets them; without context and resources."""


@dataclass(eq=False, slots=True)
class Fake:
    """What `Kit.fake` put in place. `calls` tells what it was called with."""

    name: str
    """Of the task or node it stands in for."""
    fn: Callable[..., Any] | None
    value: Any
    error: BaseException | type[BaseException] | None
    takes_s: float
    silent: bool
    lost: bool
    times: int | None
    calls: list[Call] = field(default_factory=list)

    @property
    def used_up(self) -> bool:
        return self.times is not None and len(self.calls) >= self.times

    @property
    def replaces(self) -> bool:
        """Whether the task's own function is left out."""
        return self.fn is not None or self.value is not NOTHING or self.error is not None

    def answer(self, context: Any, args: Mapping[str, Any]) -> Any:
        """Do what stands in for the function; an async one returns its coroutine.

        Args:
            args: by the task's parameters. A function whose parameters are called otherwise gets them in order.
        """
        if self.error is not None:
            raise self.error
        if self.fn is None:
            return self.value
        first = (context,) if _takes_context(self.fn) else ()
        if _takes_names(self.fn, args):
            return self.fn(*first, **args)
        return self.fn(*first, *args.values())


class Fakes:
    """Every fake of a kit; the one that was put last goes first."""

    def __init__(self) -> None:
        self._fakes: list[Fake] = []

    def __iter__(self) -> Iterator[Fake]:
        return iter(self._fakes)

    def put(self, fake: Fake) -> None:
        self._fakes.append(fake)

    def remove(self, fake: Fake) -> None:
        if fake in self._fakes:
            self._fakes.remove(fake)

    def find(self, node: str, task: str) -> Fake | None:
        """Return what stands in for a node's task now."""
        for fake in reversed(self._fakes):
            if fake.name in (node, task) and not fake.used_up:
                return fake
        return None


def fake_name(of: str | Task[Any, Any] | TaskDefinition) -> str:
    """Return the name that a fake goes by."""
    if isinstance(of, str):
        return of
    return of.name if isinstance(of, TaskDefinition) else of.definition.name


def check_name(name: str, known: Iterable[str]) -> None:
    """Refuse a fake that could never be used.

    Raises:
        LookupError: there is no such task or node.
    """
    names = sorted(set(known))
    if name not in names:
        hint = did_you_mean(name, names) or f"There are {', '.join(names)}."
        raise LookupError(f"fake({name!r}): the kit knows no task or node of that name. {hint}")


def _takes_context(fn: Callable[..., Any]) -> bool:
    """Whether the fake wants the context: its first parameter is called `ctx` or `context`, or says so."""
    try:
        first = next(iter(inspect.signature(fn).parameters.values()), None)
    except (TypeError, ValueError):
        return False
    if first is None:
        return False
    return first.name in ("ctx", "context") or "Context" in str(first.annotation)


def _takes_names(fn: Callable[..., Any], args: Iterable[str]) -> bool:
    """Whether the fake has the task's own parameters."""
    try:
        parameters = inspect.signature(fn).parameters
    except (TypeError, ValueError):
        return False
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return True
    named = {name for name, one in parameters.items() if one.kind is not one.POSITIONAL_ONLY}
    return named.issuperset(args)

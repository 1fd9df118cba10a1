"""Things that are loaded once and used by many attempts: models, pools, clients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

T = TypeVar("T")

Scope = Literal["worker", "process"]


@dataclass(frozen=True, slots=True, eq=False)
class ResourceSpec:
    """What `Resource(...)` leaves in a signature: the worker loads `factory()` lazily and closes it on drain.

    `factory` may be async. What it returns is closed with its `aclose()` or `close()`, when it has one.
    """

    factory: Callable[[], Any]
    scope: Scope = "worker"

    @property
    def key(self) -> tuple[Any, Scope]:
        """Parameters of one factory and scope share one value."""
        return (self.factory, self.scope)


def Resource(factory: Callable[[], T], *, scope: Scope = "worker") -> T:  # noqa: N802 (reads as a type in signatures)
    """Stand as the default of a task's parameter: `model: Whisper = Resource(load_whisper)`.

    Args:
        factory: called once, at the first attempt that needs it; a function without arguments (or a class).
        scope: `worker`: one for all attempts of a worker process; `process`: one in each process of the process executor.

    Returns:
        To a type checker, what the factory returns.
    """
    return cast(T, ResourceSpec(factory, scope))

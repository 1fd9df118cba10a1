"""What can be said about a task or node, and what it resolves to in the graph.

Options of `@task(...)` are defaults; `task.using(...)` overrides them for one node. Both are written into the node when the
workflow is traced, so a job needs nothing but its graph. Ranges are checked with the whole graph (core/validate.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from orpheus.authoring.errors import DefinitionError
from orpheus.authoring.refs import to_condition, to_graph
from orpheus.core.suggest import did_you_mean

Executor = Literal["async", "thread", "process"]
FailurePolicy = Literal["fail", "skip", "continue"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """When is a failed attempt followed by another? (R17)

    Args:
        max_retries: 3 means at most four attempts.
        initial_s: seconds before the second attempt.
        factor: growth from one wait to the next.
        max_s: upper bound of a wait.
        jitter: 0.1 spreads each wait evenly over ± 10 %.
        final_errors: exception classes (or their names) that are not retried, beside `Permanent`.
    """

    max_retries: int = 3
    initial_s: float = 1.0
    factor: float = 2.0
    max_s: float = 3600.0
    jitter: float = 0.1
    final_errors: Sequence[type[BaseException] | str] = ()

    def to_graph(self) -> dict[str, Any]:
        """Return the node's `retry`."""
        names = [error if isinstance(error, str) else error.__name__ for error in self.final_errors]
        found: dict[str, Any] = {
            "max_retries": self.max_retries,
            "initial_s": self.initial_s,
            "factor": self.factor,
            "max_s": self.max_s,
            "jitter": self.jitter,
        }
        return {**found, "final_errors": names} if names else found


class TaskOptions(TypedDict, total=False):
    """Options of a task; each can be overridden per node."""

    queue: str
    priority: int | None
    retry: Retry | None
    """None: no retries."""
    schedule_to_start_s: float | None
    start_to_close_s: float | None
    schedule_to_close_s: float | None
    heartbeat_s: float | None
    resources: Mapping[str, int]
    concurrency_key: Any
    concurrency_limit: int
    rate_limit: Mapping[str, float] | None
    """`{"limit": 10, "period_s": 60}`"""
    on_failure: FailurePolicy
    undo: Any
    """The task that compensates this one (R19)."""
    undo_unknown: bool
    """Undo also what may have happened: an attempt was lost, timed out, or was stopped."""
    cache: bool
    cache_extra: Any
    weight: float
    price: float | Mapping[str, float] | None
    """Of a completed run: a number, or `{"per_run": …, "per_mb": …}`, the latter by the size of its files."""


class NodeOptions(TaskOptions, total=False):
    """Options of one node, for `using(...)`."""

    name: str
    when: object
    after: object
    """A reference, or a list of them: waits for these without using their values."""
    max_concurrency: int | None
    """Maps: items released and not yet settled at any time."""
    stagger_s: float
    """Maps: least seconds between the starts of two items."""


class ChildOptions(TypedDict, total=False):
    """Options of a node that opens child jobs, for `child.using(...)`. How tasks run is for the child's own tasks to say."""

    name: str
    when: object
    after: object
    priority: int | None
    """Of the child job; that of the parent when left out."""
    timeout_s: float | None
    """Time limit of the child job (R5)."""
    on_failure: FailurePolicy
    undo: Any
    """The task that compensates the child's work (R19)."""
    weight: float
    max_concurrency: int | None
    """Maps: child jobs open at any time."""
    stagger_s: float
    """Maps: least seconds between the beginnings of two child jobs."""


TIMEOUTS = ("schedule_to_start_s", "start_to_close_s", "schedule_to_close_s", "heartbeat_s")
TASK_OPTIONS = tuple(TaskOptions.__annotations__)
NODE_OPTIONS = (*NodeOptions.__annotations__,)
UNDO_OPTIONS = ("queue", "priority", "retry", "timeouts", "resources", "rate_limit")
"""Options of the undo task that hold when it undoes, in the words of a node."""
CHILD_OPTIONS = (*ChildOptions.__annotations__,)


def check_names(options: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    """Refuse an option that does not exist.

    Raises:
        DefinitionError: the hint has the nearest match.
    """
    for name in options:
        if name not in known:
            raise DefinitionError(f"{where} has no option {name!r}", hint=did_you_mean(name, known))


def to_node(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options in the node's JSON form, without `name` and `after`, which the tracer knows about."""
    node: dict[str, Any] = {}
    timeouts = {name: options[name] for name in TIMEOUTS if name in options}
    if timeouts:
        node["timeouts"] = timeouts
    for name, value in options.items():
        if name in TIMEOUTS or name in ("name", "after"):
            continue
        writer = _WRITERS.get(name)
        node |= {name: value} if writer is None else writer(value)
    return node


def _retry(value: Any) -> dict[str, Any]:
    if value is not None and not isinstance(value, Retry):
        raise DefinitionError(
            f"retry is a Retry, not {value!r}", hint="Write retry=Retry(max_retries=…), or None for none."
        )
    return {"retry": Retry(max_retries=0).to_graph() if value is None else value.to_graph()}


def _undo(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    definition = getattr(value, "definition", None)
    if definition is None:
        raise DefinitionError(f"undo is a task, not {value!r}", hint="Write undo=the_task that takes it back.")
    arguments = definition.signature.arguments
    needed = [argument.name for argument in arguments if argument.default is argument.empty]
    if len(needed) > 1 or (arguments and arguments[0].kind is arguments[0].POSITIONAL_ONLY):
        raise DefinitionError(
            f"undo: task {definition.name!r} ({definition.source}) needs {', '.join(needed)}",
            hint="What undoes a task gets one argument, by its name: the result of what it undoes.",
        )
    options = definition.node_options
    return {
        "undo": definition.name,
        "undo_version": definition.version,
        "undo_argument": arguments[0].name if arguments else None,
        "undo_options": {name: options[name] for name in UNDO_OPTIONS if name in options},
    }


_WRITERS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "retry": _retry,
    "undo": _undo,
    "when": lambda value: {"when": None if value is True else to_condition(value)},
    "concurrency_key": lambda value: {"concurrency_key": to_graph(value)},
    "cache_extra": lambda value: {"cache_extra": to_graph(value)},
    "max_concurrency": lambda value: {"max_concurrency": to_graph(value)},
    "stagger_s": lambda value: {"stagger_s": to_graph(value)},
    "resources": lambda value: {"resources": dict(value)},
    "rate_limit": lambda value: {"rate_limit": None if value is None else dict(value)},
    "price": lambda value: {"price": dict(value) if isinstance(value, Mapping) else value},
}

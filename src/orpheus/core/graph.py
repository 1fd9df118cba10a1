"""What a workflow looks like: nodes, their options, and who waits for whom.

The JSON form (what `@workflow` serialises to and what may be posted to the API) is, whole:

    {"format": 1, "name": "talk", "version": 3, "description": "…",
     "params": <JSON Schema of an object>, "nodes": [<node>, …], "output": <value>, "result": <JSON Schema>,
     "requires_approval": true, "source": "flows.py:31"}

A node: `name`, `kind` ("task" | "map" | "approval" | "sleep" | "wait_for" | "child"), `task` and `version` (task nodes, and
maps whose body is a task), `workflow` and `workflow_version` (child nodes, and maps whose body is a child), `args`
(`{name: value}`), `items` (maps: `{name: value}` with the one argument mapped over), `when` (condition), `after` (node names), and the options below. `source`
is the `file:line` for messages; it is not part of the content that `definition_id` hashes.

A value is JSON in which an object with one `$` key is a reference (`values.py`); a condition is JSON too (`conditions.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from orpheus.core.price import Price
from orpheus.core.retry import RetryPolicy
from orpheus.core.usual_nodes import UsualNode, begins_alike, usual_nodes

if TYPE_CHECKING:
    from orpheus.core.decision import Decision

FORMAT = 1
NOT_APPROVED = ("rejected", "timeout_approval")
"""Error codes of an approval that nobody gave."""

UNDO = ":undo"
"""Ends the name of an undo's node; no node of an author can have a colon in its name."""


def undo_of(node: str) -> str:
    """Return the name of the node that undoes a node."""
    return node + UNDO


class NodeKind(StrEnum):
    TASK = "task"
    MAP = "map"
    """One task or one child job per item of a list."""
    APPROVAL = "approval"
    SLEEP = "sleep"
    WAIT_FOR = "wait_for"
    CHILD = "child"


class OnFailure(StrEnum):
    """What a task's final failure means to the rest."""

    FAIL = "fail"
    """The job fails (in a map: the map fails, and with it the job)."""
    SKIP = "skip"
    """The task counts as skipped, and so does what needs its value (R12, R13)."""
    CONTINUE = "continue"
    """The job goes on: in a map the typed failure stands at its index (R13); a single task counts as without a value."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The four time limits of a task, in seconds; None is no limit (R5)."""

    schedule_to_start_s: float | None = None
    start_to_close_s: float | None = 3600.0
    schedule_to_close_s: float | None = None
    heartbeat_s: float | None = None


@dataclass(frozen=True)
class Node:
    """One node of a graph, with every option resolved (defaults of its task already filled in by the authoring side)."""

    name: str
    kind: NodeKind = NodeKind.TASK
    task: str = ""
    version: int = 1
    workflow: str = ""
    workflow_version: int | None = None
    args: Mapping[str, Any] = field(default_factory=dict)
    items: Mapping[str, Any] = field(default_factory=dict)
    when: Any = None
    """A condition, or None for always."""
    after: tuple[str, ...] = ()
    queue: str = "default"
    priority: int | None = None
    """Overrides the job's."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeouts: Timeouts = field(default_factory=Timeouts)
    resources: Mapping[str, int] = field(default_factory=dict)
    concurrency_key: Any = None
    """A value (may hold references); at most `concurrency_limit` runs share one key at a time."""
    concurrency_limit: int = 1
    rate_limit: Mapping[str, float] | None = None
    """`{"limit": n, "period_s": s}`, per task name."""
    on_failure: OnFailure = OnFailure.FAIL
    undo: str | None = None
    """Name of the task that compensates this one (R19)."""
    undo_version: int = 1
    undo_argument: str | None = "result"
    """The argument of the undo task that gets the result of what it undoes; None: it takes none."""
    undo_options: Mapping[str, Any] = field(default_factory=dict)
    """How the undo task is run: `queue`, `priority`, `retry`, `timeouts`, `resources`, `rate_limit`, read like a node's own."""
    undo_unknown: bool = False
    """Undo also what may have happened: an attempt was lost, timed out or was stopped."""
    cache: bool = False
    cache_extra: Any = None
    max_concurrency: Any = None
    """Maps: items released and not yet settled at any time, a whole number or a value; None is no cap (`pace.py`)."""
    stagger_s: Any = 0.0
    """Maps: least seconds between the starts of two items, a number or a value."""
    weight: float = 1.0
    """Share of the job's progress."""
    price: Price | None = None
    """Of a run of it; None costs nothing."""
    prompt: str = ""
    editable: bool = False
    on_reject: str = "fail"
    timeout_s: float | None = None
    """Approval, wait_for: how long to wait."""
    duration: Any = None
    """Sleep: seconds (value), or `{"until": value}` with an RFC 3339 instant."""
    signal: str = ""
    """wait_for: the event's name."""
    type_schema: Any = None
    """JSON Schema of the node's value, where known; approvals check edits against it."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    def on_failure_of(self, code: str) -> OnFailure:
        """Return what this node's failure with an error of that code means to the rest. What a person decided, or did
        not decide in time, is for `on_reject` to judge where it says more than "fail" (R14)."""
        if code in NOT_APPROVED and self.kind is NodeKind.APPROVAL and self.on_reject != OnFailure.FAIL:
            return OnFailure(self.on_reject)
        return self.on_failure

    @property
    def handler(self) -> str:
        """`name@version` a worker must offer to run this node; empty where no worker is needed."""
        return f"{self.task}@{self.version}" if self.task else ""


@dataclass(frozen=True)
class Graph:
    """A checked workflow definition. Build it with `validate.parse_graph`, which refuses anything unusable."""

    name: str
    version: int
    nodes: Mapping[str, Node]
    """By name, in the order written, which is also the order in which equals are released."""
    params_schema: Mapping[str, Any]
    output: Any = None
    result_schema: Any = None
    requires_approval: bool = False
    """Its jobs wait for a person unless their submission says otherwise (R15)."""
    description: str = ""
    source: str = ""
    definition_id: str = ""
    predecessors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Distinct nodes each node waits for: through values, conditions and `after`."""
    dependents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The reverse, in node order."""
    needed_paths: Mapping[str, tuple[tuple[str | int, ...], ...]] = field(default_factory=dict)
    """Paths into each node's result that others read. A worker that spills a large result reports these inline, so that
    the core can decide without opening files. Of a map, whose worker sees single items, they are paths into an item's result."""
    has_file_params: bool = False
    undos: Mapping[str, Node] = field(default_factory=dict)
    """The nodes of undo tasks, `<name>:undo`. They are not among `nodes`: their rows come into being when a job ends badly."""

    @cached_property
    def all_nodes(self) -> Mapping[str, Node]:
        """What rows may be of: the nodes, then the undos."""
        return {**self.nodes, **self.undos} if self.undos else self.nodes

    @cached_property
    def usual(self) -> Mapping[str, UsualNode]:
        """The nodes about which nothing is special (`usual.py`)."""
        return usual_nodes(self.nodes, self.predecessors, self.dependents, self.output)

    @cached_property
    def begins_alike(self) -> bool:
        """Whether its jobs' first rows are the same but for names and instants (`usual_jobs.py`)."""
        return not self.children and begins_alike(self.roots, self.usual)

    @cached_property
    def beginnings(self) -> dict[int, Decision]:
        """How its jobs begin, by priority, for those that begin alike (`usual_jobs.py`)."""
        return {}

    @cached_property
    def undo_order(self) -> tuple[str, ...]:
        """The nodes with an undo, each before all that it depends on; the later ones first among equals (R19)."""
        unmet = {name: len(self.dependents[name]) for name in self.nodes}
        free = [name for name, count in unmet.items() if not count]
        order: list[str] = []
        while free:
            name = free.pop()
            order.append(name)
            for before in self.predecessors[name]:
                unmet[before] -= 1
                if not unmet[before]:
                    free.append(before)
        return tuple(name for name in order if self.nodes[name].undo is not None)

    @cached_property
    def weight_total(self) -> float:
        return sum(node.weight for node in self.nodes.values()) or 1.0

    @cached_property
    def children(self) -> tuple[Node, ...]:
        """The nodes that run workflows as jobs of their own."""
        return tuple(node for node in self.nodes.values() if node.workflow)

    @cached_property
    def signals(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the signals it waits for, each with its nodes, in node order (R22)."""
        found: dict[str, tuple[str, ...]] = {}
        for node in self.nodes.values():
            if node.kind is NodeKind.WAIT_FOR:
                found[node.signal] = (*found.get(node.signal, ()), node.name)
        return found

    @cached_property
    def roots(self) -> tuple[str, ...]:
        return tuple(name for name, before in self.predecessors.items() if not before)

"""What will a job cost, and how long will it take? From its graph, its tasks' prices and what the same tasks took before.

Nothing is invented. Each node runs for certain, perhaps, or not, as far as the params alone can say. `least` counts what runs for
certain and is not cached; `most` counts whatever may run, once each, and is None where something is not known before the job runs (the
items of a map, the size of a file). Durations are those of the critical path: the longest chain of nodes, each with the p50 (or p95) that
was recorded for its task and version with an input of this size. The p95 is that of every node on the path at once, so it
errs on the long side. What waits for a person, a signal or another job's time is not known; a node that may run and was never
recorded is left out, and said so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from orpheus.core.conditions import holds
from orpheus.core.graph import Graph, Node, NodeKind
from orpheus.core.price import MB, Price, file_bytes, total
from orpheus.core.values import BindingError, Skipped, missing, operator_of, resolve, spread

Runs = Literal["yes", "maybe", "no"]


@dataclass(frozen=True, slots=True)
class Sample:
    """What a task took before, in seconds."""

    p50_s: float
    p95_s: float
    count: int


class Known(Protocol):
    """What is known beside the graph."""

    def durations(self, handler: str, input_bytes: int) -> Sample | None: ...

    def price(self, handler: str, input_bytes: int) -> float | None:
        """Return what a run has usually cost by its own word; None where it never said."""

    def slots(self, queue: str) -> int | None:
        """Return how many tasks of a queue may run at a time; None is no limit."""

    def child(self, node: Node) -> Graph | None:
        """Return the graph that a child node runs now."""


@dataclass(slots=True)
class NodeEstimate:
    node: str
    task: str
    runs: Runs
    count: int | None
    """Runs of it; None is not known."""
    least: float
    most: float | None
    expected: float | None
    p50_s: float | None
    """Of the whole node: a map's items in their turns."""
    p95_s: float | None
    samples: int


@dataclass(slots=True)
class Estimate:
    """Of a whole job; times count from when it may begin."""

    least: float = 0.0
    most: float | None = 0.0
    expected: float | None = 0.0
    p50_s: float | None = None
    p95_s: float | None = None
    unknown: list[tuple[str, str]] = field(default_factory=list)
    """`(node, reason)` of everything that is None or left out."""
    nodes: list[NodeEstimate] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return it as it is kept and shown."""
        return {
            "price": {"least": self.least, "most": self.most, "expected": self.expected},
            "duration_s": {"p50": _shown(self.p50_s), "p95": _shown(self.p95_s)},
            "unknown": [{"node": node, "reason": reason} for node, reason in self.unknown],
            "nodes": [
                {
                    "node": each.node,
                    "task": each.task,
                    "runs": each.runs,
                    "count": each.count,
                    "price": {"least": each.least, "most": each.most, "expected": each.expected},
                    "duration_s": {"p50": _shown(each.p50_s), "p95": _shown(each.p95_s)},
                    "samples": each.samples,
                }
                for each in self.nodes
            ],
        }


def _shown(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


class _NotYet(Exception):
    """The value is made while the job runs."""


class _Params:
    """The scope of what is known before the job runs."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params

    def param(self, name: str) -> Any:
        if name not in self._params:
            raise _NotYet
        return self._params[name]

    def node(self, name: str) -> Any:
        raise _NotYet

    def item(self) -> Any:
        raise _NotYet


def estimate(graph: Graph, params: Mapping[str, Any], known: Known) -> Estimate:
    """Estimate a job.

    Args:
        params: with their defaults; those that are missing count as not known yet.
    """
    return _Reckoning(graph, params, known).done()


def least_price(graph: Graph, params: Mapping[str, Any]) -> float:
    """Return what the job costs at least."""
    return estimate(graph, params, _Nothing()).least


class _Nothing:
    def durations(self, handler: str, input_bytes: int) -> Sample | None:
        del handler, input_bytes
        return None

    def price(self, handler: str, input_bytes: int) -> float | None:
        del handler, input_bytes
        return None

    def slots(self, queue: str) -> int | None:
        del queue
        return None

    def child(self, node: Node) -> Graph | None:
        del node
        return None


class _Reckoning:
    def __init__(self, graph: Graph, params: Mapping[str, Any], known: Known) -> None:
        self._graph = graph
        self._known = known
        self._scope = _Params(params)
        self._input_bytes = file_bytes(dict(params))
        self._runs: dict[str, Runs] = {}
        self._counts: dict[str, int | None] = {}
        self._ends: dict[str, tuple[float, float] | None] = {}
        self._found = Estimate()

    def done(self) -> Estimate:
        found = self._found
        for node in _in_order(self._graph):
            self._node(node)
        found.least = total(*(each.least for each in found.nodes))
        mosts = [each.most for each in found.nodes]
        found.most = None if None in mosts else total(*(most for most in mosts if most is not None))
        usual = [each.expected for each in found.nodes]
        found.expected = None if None in usual else total(*(each for each in usual if each is not None))
        ends = list(self._ends.values())
        if None not in ends:
            found.p50_s = max((end[0] for end in ends if end is not None), default=0.0)
            found.p95_s = max((end[1] for end in ends if end is not None), default=0.0)
        return found

    def _node(self, node: Node) -> None:
        runs = self._runs[node.name] = self._may_run(node)
        count = self._counts[node.name] = self._count(node)
        least, most, expected = self._price(node, runs, count)
        length, samples = self._length(node, runs, count)
        before = [self._ends[name] for name in self._graph.predecessors[node.name]]
        if length is None or None in before:
            self._ends[node.name] = None
        else:
            starts = [end for end in before if end is not None]
            self._ends[node.name] = (
                max((start[0] for start in starts), default=0.0) + length[0],
                max((start[1] for start in starts), default=0.0) + length[1],
            )
        known = length is not None and (samples > 0 or not node.handler)
        shown = length if known and runs != "no" else None
        self._found.nodes.append(
            NodeEstimate(
                node=node.name,
                task=node.handler or node.workflow or str(node.kind),
                runs=runs,
                count=0 if runs == "no" else count,
                least=least,
                most=most,
                expected=expected,
                p50_s=None if shown is None else shown[0],
                p95_s=None if shown is None else shown[1],
                samples=samples,
            )
        )

    def _may_run(self, node: Node) -> Runs:
        values = [node.args, node.items, node.duration]
        if missing([*values, node.when], lambda name: self._runs[name] != "no") is not None:
            return "no"
        try:
            if not holds(node.when, self._scope):
                return "no"
        except (_NotYet, Skipped, BindingError):
            return "maybe"
        return "yes" if missing(values, lambda name: self._runs[name] == "yes") is None else "maybe"

    def _count(self, node: Node) -> int | None:
        if not node.items:
            return 1
        [value] = node.items.values()
        try:
            return len(spread(resolve(value, self._scope)))
        except BindingError:
            return 0
        except (_NotYet, Skipped):
            pass
        source = value.get("$ref") if operator_of(value) == "$ref" else None
        if isinstance(source, str) and self._graph.nodes[source].kind is NodeKind.MAP:
            return self._counts[source]  # a map's result has as many as the map
        return None

    # Price

    def _price(self, node: Node, runs: Runs, count: int | None) -> tuple[float, float | None, float | None]:
        """Return the least, the most, and what is expected of a node."""
        if runs == "no":
            return 0.0, 0.0, 0.0
        usually: float | None = None
        if node.workflow:
            child = self._child(node)
            unit: tuple[float, float | None] = (0.0, None) if child is None else (child.least, child.most)
            usually = None if child is None else child.expected
        elif (usual := self._known.price(node.handler, self._input_bytes)) is not None:
            self._say(node, "what it costs is told when it has run; expected is what it usually told")
            return 0.0, None, None if count is None else total(usual * count)
        elif node.price is None:
            return 0.0, 0.0, 0.0
        else:
            unit = self._unit(node, node.price)
        certain = runs == "yes" and not node.cache
        least = total(unit[0] * (count or 0)) if certain else 0.0
        if count is None:
            self._say(node, "how many items it has is known when it begins")
        most = None if count is None or unit[1] is None else total(unit[1] * count)
        expected = most if usually is None or count is None else total(usually * count)
        return least, most, expected

    def _unit(self, node: Node, price: Price) -> tuple[float, float | None]:
        if not price.per_mb:
            return price.per_run, price.per_run
        sizes, whole = 0, True
        for value in (*node.args.values(), *({"$item": True} for _ in node.items)):
            try:
                sizes += file_bytes(resolve(value, self._scope))
            except (_NotYet, Skipped, BindingError):
                whole = False
        least = total(price.per_run, price.per_mb * sizes / MB)
        if not whole:
            self._say(node, "the size of its files is known when it begins")
        return least, least if whole else None

    # Duration

    def _length(self, node: Node, runs: Runs, count: int | None) -> tuple[tuple[float, float] | None, int]:
        """Return p50 and p95 of the node, None when they are not known, and how many samples tell of it."""
        if runs == "no":
            return (0.0, 0.0), 0
        if node.kind is NodeKind.SLEEP:
            return self._sleep(node), 0
        if node.kind in (NodeKind.APPROVAL, NodeKind.WAIT_FOR):
            what = "a person" if node.kind is NodeKind.APPROVAL else f"the signal {node.signal!r}"
            self._say(node, f"it waits for {what}")
            return None, 0
        if node.workflow:
            child = self._child(node)
            unit = None if child is None or child.p50_s is None or child.p95_s is None else (child.p50_s, child.p95_s)
            samples = 0
            if unit is None:
                self._say(node, "how long its child job takes is not known")
        else:
            sample = self._known.durations(node.handler, self._input_bytes)
            unit, samples = (None, 0) if sample is None else ((sample.p50_s, sample.p95_s), sample.count)
            if unit is None:
                self._say(node, f"{node.handler} was never recorded with an input of this size")
        if unit is None:
            return ((0.0, 0.0) if runs == "maybe" else None), 0
        if node.kind is not NodeKind.MAP:
            return unit, samples
        if count is None:
            self._say(node, "how many items it has is known when it begins")
            return ((0.0, 0.0) if runs == "maybe" else None), 0
        try:
            cap, stagger_s = resolve(node.max_concurrency, self._scope), float(resolve(node.stagger_s, self._scope))
        except (_NotYet, Skipped, BindingError, TypeError, ValueError):
            self._say(node, "its cap or stagger is known when it begins")
            return ((0.0, 0.0) if runs == "maybe" else None), 0
        limits = [limit for limit in (cap, self._known.slots(node.queue)) if limit]
        turns = math.ceil(count / min(limits)) if limits else 1
        return (_map_s(count, turns, stagger_s, unit[0]), _map_s(count, turns, stagger_s, unit[1])), samples

    def _sleep(self, node: Node) -> tuple[float, float] | None:
        try:
            length = resolve(node.duration, self._scope)
        except (_NotYet, Skipped, BindingError):
            length = None
        if isinstance(length, int | float) and not isinstance(length, bool):
            return float(length), float(length)
        self._say(node, "it sleeps until a time that is known when it begins")
        return None

    def _child(self, node: Node) -> Estimate | None:
        graph = self._known.child(node)
        if graph is None:
            return None
        params = {}
        for name, value in node.args.items():
            try:
                params[name] = resolve(value, self._scope)
            except (_NotYet, Skipped, BindingError):
                continue
        return estimate(graph, params, self._known)

    def _say(self, node: Node, reason: str) -> None:
        if (node.name, reason) not in self._found.unknown:
            self._found.unknown.append((node.name, reason))


def _map_s(count: int, turns: int, stagger_s: float, each_s: float) -> float:
    """Return how long a map takes: its items in turns of as many as may run at a time, starts apart by the stagger."""
    return 0.0 if count == 0 else max(turns * each_s, (count - 1) * stagger_s + each_s)


def _in_order(graph: Graph) -> Iterator[Node]:
    """Yield the nodes so that each comes after those before it."""
    left = {name: len(before) for name, before in graph.predecessors.items()}
    ready = [name for name, count in left.items() if count == 0]
    for name in ready:  # grows while it is walked
        yield graph.nodes[name]
        for following in graph.dependents[name]:
            left[following] -= 1
            if left[following] == 0:
                ready.append(following)


__all__ = ["Estimate", "Known", "NodeEstimate", "Sample", "estimate", "least_price"]

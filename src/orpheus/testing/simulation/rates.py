"""Did ever more begin in a period than its rate allows? Counted from the events alone, across every restart (R25)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orpheus.core.decision import Event
from orpheus.core.graph import Node
from orpheus.testing.simulation.invariants import Broken

Rate = tuple[int, float]


@dataclass(slots=True)
class RateWindows:
    """Every start that some rate counts. A run whose grant never arrived was none, from when it is told (R8)."""

    rates: dict[str, Rate] = field(default_factory=dict)
    """In force, by scope: `queue:NAME`, `task:NAME`."""
    acknowledged: dict[str, Rate | None] = field(default_factory=dict)
    starts: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    """`(at, run_id)` by scope, in the order of commits."""

    def changing(self, scope: str) -> None:
        for kept in (self.rates, self.acknowledged, self.starts):
            kept.pop(scope, None)

    def settle(self) -> None:
        """The server has nothing to do: what was picked under older settings has begun by now."""
        for scope, rate in self.acknowledged.items():
            if rate is not None:
                self.rates[scope] = rate
        self.acknowledged.clear()

    def see(self, event: Event, node: Node, *, queue: str, task: str) -> None:
        """Take in an event about a task.

        Raises:
            Broken: one too many began.
        """
        if event.type == "task.ready" and event.data.get("reason") == "grant_not_received":
            for scope, starts in self.starts.items():
                self.starts[scope] = [start for start in starts if start[1] != event.run_id]
        if event.type != "task.started" or event.run_id is None or not node.task:
            return
        if node.rate_limit is not None:
            self._count(f"task:{task}", _rate(node.rate_limit), event)
        rate = self.rates.get(f"queue:{queue}")
        if rate is not None:
            self._count(f"queue:{queue}", rate, event)

    def _count(self, scope: str, rate: Rate, event: Event) -> None:
        limit, period_s = rate
        starts = self.starts.setdefault(scope, [])
        starts.append((event.at, str(event.run_id)))
        starts.sort()
        for first, last in zip(starts, starts[limit:], strict=False):
            if last[0] - first[0] < period_s - 1e-6:
                raise Broken(
                    f"{scope}: {limit + 1} began in {last[0] - first[0]} s, at most {limit} in {period_s} s (R25)"
                )
        del starts[: -4 * limit]


def _rate(said: Mapping[str, float]) -> Rate:
    return int(said["limit"]), float(said["period_s"])

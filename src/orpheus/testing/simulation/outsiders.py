"""People who decide and systems that answer: approvals, signals and callbacks, early, late, twice and wrong (R14, R22).

What was acknowledged is noted, and `check` holds it against the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from orpheus.core import facts as f
from orpheus.core.errors import OrpheusError, TaskError
from orpheus.core.graph import Graph
from orpheus.engine.callbacks import Brought
from orpheus.testing.simulation.inspector import Inspector
from orpheus.testing.simulation.invariants import Broken
from orpheus.testing.simulation.server import SimServer
from orpheus.testing.simulation.workers import Observed, result_of

Hear = Callable[[Callable[[Any], None]], Callable[[Any], None]]


def random_word(rng: Random, graph: Graph, serial: int) -> f.Fact:
    """Make a decision on some node, or a signal of some name: right ones and wrong ones."""
    nodes = list(graph.nodes)
    approvals = [name for name in nodes if name.startswith("approval")] or nodes
    names = [*graph.signals, *graph.signals, *graph.signals, "nobody"]
    return rng.choice(
        (
            f.TaskApproved(node=rng.choice(approvals), actor="ada", comment="go"),
            f.TaskApproved(node=rng.choice(approvals), actor="ada", value={"edited": serial}, edited=True),
            f.TaskRejected(node=rng.choice(approvals), actor="ada", reason="no"),
            f.SignalReceived(name=rng.choice(names), payload={"n": serial}, signal_id=f"s-{serial // 2}", actor="ada"),
            f.SignalReceived(name=rng.choice(names), payload={"n": serial}, signal_id=f"s-{serial // 2}", actor="ada"),
            f.SignalReceived(name=rng.choice(names), payload={"n": serial}, actor="ada"),
        )
    )


@dataclass(slots=True)
class Outsiders:
    """Everybody who answers jobs of the cluster."""

    server: SimServer
    rng: Random
    inspector: Inspector
    observed: Observed
    hear: Hear
    tell: Callable[[str, f.Fact], None]
    signals: dict[tuple[str, str, str], None] = field(default_factory=dict)
    """Acknowledged: job, name, id."""
    taken: dict[str, Any] = field(default_factory=dict)
    """First answers to callbacks, by run."""
    faults: list[str] = field(default_factory=list)
    serial: int = 0

    def step(self, order: float, job_ids: list[str]) -> None:
        """Say something to one of the jobs (`order` is the chance), and answer a task that has handed its work over."""
        if self.rng.random() < 0.15:
            self.call_back(self.rng.random() < 0.25)
        if self.rng.random() >= order:
            return
        job_id = self.rng.choice(job_ids)
        rows = self.inspector.job(self.inspector.job_no(job_id))
        self.serial += 1
        self.tell(job_id, random_word(self.rng, rows.graph, self.serial))

    def call_back(self, failing: bool) -> None:
        """Bring a result for one of the runs that were given away lately, whatever has become of it."""
        if not self.observed.tokens:
            return
        run_id = self.rng.choice(list(self.observed.tokens)[-8:])
        token, args = self.observed.tokens[run_id]
        error = None
        if failing:
            error = TaskError(code="task_failed", message="no luck", retryable=self.rng.random() < 0.8)
        result = None if failing else result_of(run_id, args)

        def heard(outcome: Any) -> None:
            if isinstance(outcome, OrpheusError):
                if outcome.code != "stale_run":
                    self.faults.append(f"the callback of {run_id} was refused: {outcome.code} {outcome}")
            elif self.taken.setdefault(run_id, outcome) != outcome:
                self.faults.append(f"a repeated callback of {run_id} got another answer (R22)")

        self.server.call_back(token, Brought(result, error), self.hear(heard))

    def told(self, job_id: str, fact: f.Fact, outcome: Any) -> None:
        """Note the answer to an order."""
        if isinstance(outcome, OrpheusError):
            return
        if isinstance(fact, f.SignalReceived) and fact.signal_id is not None:
            self.signals[job_id, fact.name, fact.signal_id] = None

    def check(self) -> None:
        """Check that every acknowledged signal is there, once.

        Raises:
            Broken: it is not.
        """
        if self.faults:
            raise Broken(self.faults[0])
        for job_id, name, signal_id in self.signals:
            found = [
                each for each, _at in self.inspector.signals(job_id) if (each.name, each.signal_id) == (name, signal_id)
            ]
            if len(found) != 1:
                raise Broken(
                    f"signal {signal_id} ({name}) of {job_id} was acknowledged, and is there {len(found)} times"
                )

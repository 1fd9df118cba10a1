"""How time passes: straight to the next instant at which something is due, and no further than asked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from orpheus.testing.kit.engine import FOREVER_S
from orpheus.testing.kit.hooks import KitHooks
from orpheus.testing.kit.jobs import KitJob
from orpheus.testing.kit.worker import KitWorker
from orpheus.testing.simulation.clock import ManualClock

MOST_STEPS = 200_000
"""Instants that one call skips to; more is a loop."""
NEVER_S = FOREVER_S / 1000


class Driver:
    """Moves the clock, and has the worker and its engine do what is due.

    Args:
        worker: its engine is another one after a restart.
        hooks: told what there is to tell after each instant.
    """

    def __init__(self, worker: KitWorker, hooks: KitHooks, clock: ManualClock) -> None:
        self._worker = worker
        self._hooks = hooks
        self._clock = clock

    def work(self) -> None:
        """Do everything that can be done without time passing."""
        self._worker.work()
        while self._hooks.deliver():
            self._worker.work()

    def advance(self, length_s: float) -> None:
        """Let time pass."""
        end = self._clock.monotonic() + length_s
        self.work()
        for _ in range(MOST_STEPS):
            left = end - self._clock.monotonic()
            if left <= 0:
                return
            self._leap(min(left, self._due_in()))
        raise AssertionError(f"more than {MOST_STEPS} things happened in {timedelta(seconds=length_s)}")

    def until_ended(self, job: KitJob[Any]) -> bool:
        """Go on until the job has ended; False when it waits for somebody's answer, or for nothing that will come."""
        seen = -1
        for _ in range(MOST_STEPS):
            self.work()
            changes = self._worker.engine.changes
            if changes != seen:  # else only leases were renewed
                seen = changes
                if job.ended:
                    return True
                if job.asks():
                    return False
            due_in = self._due_in()
            if due_in > NEVER_S:
                return False
            self._leap(due_in)
        raise AssertionError(f"{job!r} has not ended after {MOST_STEPS} instants; is it a loop?")

    def _leap(self, length_s: float) -> None:
        self._clock.advance(max(length_s, 1e-6))
        self._worker.beat()
        self.work()

    def _due_in(self) -> float:
        calls = self._hooks.next_due_in()
        due = min(self._worker.engine.next_due_in(), self._worker.next_due_in())
        return due if calls is None else min(due, calls)

"""The embedded engine without a loop of its own: whatever is asked of it is carried out, committed and answered before
anything else happens.

Everything but the driving is the server's: the machine, the store, the reads, the publisher. So limits, leases, timers and
whatever the engine learns behave here as they do there.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

from orpheus.artifacts.publisher import Publisher
from orpheus.engine.embedded import EmbeddedEngine
from orpheus.engine.options import EngineOptions
from orpheus.testing.simulation.clock import ManualClock

FOREVER_S = 1e11
"""For waits that are not to end by themselves; three thousand years."""
MOST_ROUNDS = 1_000_000


def kit_options(**changes: object) -> EngineOptions:
    """Return the engine's options for a clock that leaps: no stall, no idle session, no look at the clock without need."""
    defaults = {"tick_s": FOREVER_S, "stall_s": FOREVER_S, "session_idle_s": FOREVER_S, "poll_wait_s": FOREVER_S}
    # The kit's own connection waits for no disk; a process beside it would only take time.
    changes = {"write_apart_from": None, **changes}
    return EngineOptions(**{**defaults, **changes})  # type: ignore[arg-type]


class KitEngine(EmbeddedEngine):
    """Keeps `base.Engine`; its coroutines end without waiting for time.

    Args:
        path: the database file.
        publisher: real, so that artifacts and manifests lie where they would.
        clock: moved by the kit.
        rng: seeded, so that a test runs the same each time.
    """

    def __init__(
        self, path: Path, *, publisher: Publisher, options: EngineOptions, clock: ManualClock, rng: Random
    ) -> None:
        super().__init__(path, publisher=publisher, options=options, clock=clock, rng=rng, fatal=_raise)
        self._pumping = False
        self.changes = 0
        """Transactions that changed something."""

    async def start(self) -> None:
        self._open()
        assert self._store is not None
        # What a kit writes is thrown away; waiting for the disk would only make tests slow.
        self._store.connection.execute("PRAGMA synchronous = OFF")
        self.pump()

    async def stop(self) -> None:
        """Close the file without a word, as a crash would; safe to call twice."""
        if self._machine is None or self._stopping:
            return
        self._stopping = True
        assert self._store is not None and self._reads is not None
        self._reads.close()
        self._store.close()
        self._committing.close()
        for pool in (self._publishing, self._helpers):
            pool.shutdown(wait=True)

    def _wake(self) -> None:
        self.pump()

    def pump(self) -> None:
        """Carry out everything that can be without time passing."""
        if self._pumping:
            return
        self._pumping = True
        try:
            self._pump()
        finally:
            self._pumping = False

    def _pump(self) -> None:
        machine = self.machine
        for _ in range(MOST_ROUNDS):
            if machine.next_due_in() <= 0:
                machine.tick()
            batch = machine.run_batch()
            if batch is not None:
                machine.commit()
                machine.finish(batch)
                self.changes += batch.wrote
            for delivery in machine.outbox.take():
                self._publisher.deliver(delivery)
                machine.outbox.delivered(delivery)
            if not machine.has_work() and machine.next_due_in() > 0:
                return
        raise AssertionError("the engine does not come to rest")

    def next_due_in(self) -> float:
        """Return the seconds until the engine has something to do by itself; `FOREVER_S` or about that for never."""
        return self.machine.next_due_in()


def _raise(reason: str) -> None:
    raise AssertionError(f"the engine met a fault: {reason}")

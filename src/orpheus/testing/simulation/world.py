"""The whole: a server, its clients and workers under one seeded clock, faults for a while, then peace until all is done."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from orpheus.core.job import TERMINAL, JobState
from orpheus.core.validate import parse_graph
from orpheus.engine.options import EngineOptions
from orpheus.testing.simulation.clients import Clients
from orpheus.testing.simulation.clock import ManualClock
from orpheus.testing.simulation.graphs import HANDLERS, QUEUES, UNDO_HANDLER, random_workflow
from orpheus.testing.simulation.inspector import Inspector
from orpheus.testing.simulation.invariants import Broken, check_settled
from orpheus.testing.simulation.outsiders import Outsiders
from orpheus.testing.simulation.pruning import SimPruner
from orpheus.testing.simulation.receivers import Receivers
from orpheus.testing.simulation.schedules import SimSchedules
from orpheus.testing.simulation.server import Down, SimServer
from orpheus.testing.simulation.workers import CALM, Observed, SimWorker, Temper

PEACE_STEPS = 6_000
"""Steps within which everything has to end once nothing goes wrong any more."""


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad it gets; chances per step."""

    crash: float
    stall: float
    jump: float
    submit: float
    order: float
    publish_faults: float
    temper: Temper


@dataclass(slots=True)
class Outcome:
    """What a run came to."""

    seed: int
    trace_hash: str
    commits: int
    starts: int
    jobs: int
    states: Counter[str]
    events: Counter[str]
    refused: dict[str, int] = field(default_factory=dict)
    fired: int = 0
    """Looks at which a schedule had fired."""


def weather_of(rng: Random) -> Weather:
    """Draw a kind of day: from fair to foul, so that rare things also happen alone."""
    foul = rng.choice((0.0, 0.3, 1.0, 1.0, 3.0))
    base = Temper()
    temper = Temper(
        lose_answer=min(0.5, base.lose_answer * foul),
        repeat_poll=0.5,
        fail=base.fail,
        final=base.final,
        slow=min(0.3, base.slow * foul),
        silent=base.silent * foul,
        die=base.die * foul,
        artifacts=base.artifacts,
        clash=rng.choice((0.0, base.clash)),
    )
    return Weather(
        crash=rng.choice((0.0, 0.01, 0.04)) * foul,
        stall=rng.choice((0.0, 0.005)) * foul,
        jump=rng.choice((0.0, 0.0, 0.01)) * foul,
        submit=rng.choice((0.05, 0.15, 0.4)),
        order=rng.choice((0.0, 0.05, 0.2)),
        publish_faults=rng.choice((0.0, 0.2)),
        temper=temper,
    )


def _children() -> list[dict[str, Any]]:
    """Return the workflows that others open as child jobs; the last one has children itself."""
    rng = Random(1)  # noqa: S311 (the same for all seeds: what is around them differs enough)
    return [
        random_workflow(rng, "inner"),
        random_workflow(rng, "other"),
        random_workflow(rng, "middle", ("inner", "other")),
    ]


class World:
    """One simulated cluster.

    Args:
        seed: everything follows from it.
        folder: for the database file; it must not hold one.
    """

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed = seed
        self.rng = Random(seed)  # noqa: S311 (a seed is what it is for)
        self.weather = weather_of(self.rng)
        self.clock = ManualClock()
        options = EngineOptions(
            lease_s=self.rng.choice((10.0, 30.0)),
            window=self.rng.choice((2, 16, 256)),
            batch_operations=self.rng.choice((1, 3, 50)),
            due_limit=self.rng.choice((2, 500)),
            batches_ahead=self.rng.choice((1, 2, 5)),
        )
        self.server = SimServer(folder / "orpheus.db", self.clock, Random(self.rng.getrandbits(64)), options)  # noqa: S311
        self.server.publish_faults = self.weather.publish_faults
        self.published = _children()
        names = tuple(str(workflow["name"]) for workflow in self.published)
        workflows = [random_workflow(self.rng, f"flow-{number}", names) for number in range(6)]
        graphs = {graph.definition_id: graph for graph in map(parse_graph, [*workflows, *self.published])}
        self.observed = Observed()
        self.inspector = Inspector(
            self.server.path,
            graphs,
            self.observed,
            self.server.shelf,
            clock=self.clock,
            lease_s=options.lease_s,
            jumped=self.weather.jump > 0,
        )
        self.clients = Clients(self.server, self.clock, self.rng, self.inspector, workflows)
        self.schedules = SimSchedules(
            self.server,
            Random(seed ^ 0x5CED),  # noqa: S311 (a generator of its own: other draws stay as they were)
            workflows,
            jumps=self.weather.jump > 0,
        )
        self.receivers = Receivers(self.server, self.clock, Random(~seed), self.server.path)  # noqa: S311
        self.outsiders = Outsiders(
            self.server,
            Random(seed ^ 0x0CA11),  # noqa: S311 (a generator of its own, likewise)
            self.inspector,
            self.observed,
            self.clients.hear,
            self.clients.tell,
        )
        self.clients.heard = self.outsiders.told
        self.clients.webhook_url = self.receivers.url
        self.workers = [self._worker(number) for number in range(self.rng.choice((1, 2, 4)))]
        self.log: list[str] = []

    def _worker(self, number: int) -> SimWorker:
        rng = self.rng
        everything = number == 0
        return SimWorker(
            f"worker-{number}",
            self.server,
            self.clock,
            rng,
            handlers=tuple(sorted((*(HANDLERS if everything else rng.sample(HANDLERS, 2)), UNDO_HANDLER))),
            queues=() if everything else tuple(sorted(rng.sample(QUEUES, 2))),
            slots=rng.choice((1, 3, 8)),
            resources={"gpu": 2} if everything else {},
            observed=self.observed,
            temper=self.weather.temper,
        )

    # Running

    def run(self, ticks: int) -> Outcome:
        """Let faults happen for `ticks` steps, then wait in peace for everything to end.

        Raises:
            Broken: a promise is broken; the message begins with the seed.
        """
        try:
            for _ in range(ticks):
                self._step(self.weather)
            self._peace()
            outcome = self._outcome()
            SimPruner(self.server, self.clock, self.rng, crash=min(0.2, self.weather.crash)).run()
            return outcome
        except AssertionError as error:
            told = "\n".join(self.log[-15:])
            raise Broken(f"seed {self.seed}, commit {self.inspector.commits}: {error}\n{told}") from error
        finally:
            self.inspector.close()
            self.schedules.close()
            self.server.crash()

    def _step(self, weather: Weather) -> None:
        rng = self.rng
        self.clock.advance(rng.choice((0.01, 0.05, 0.2, 0.5, 1.0)))
        if rng.random() < weather.jump:
            self.clock.jump(rng.choice((-3600.0, -5.0, 5.0, 3600.0)))
            self.log.append("the wall clock jumped")
        if rng.random() < weather.stall:
            self.clock.advance(rng.choice((8.0, 45.0, 200.0)))
            self.observed.awake_since = self.clock.monotonic()
            self.log.append("everything stood still for a while")
        if not self.server.up and rng.random() < 0.3:
            self.server.start()
            self.observed.awake_since = self.clock.monotonic()
            self.log.append(f"{self.clock.monotonic():.2f} the server started")
            if self.server.starts == 1:
                for workflow in self.published:
                    self.server.publish(workflow)
        self.clients.step(weather.submit, weather.order)
        if weather.submit:  # not in peace
            self.schedules.step()
        for worker in self.workers:
            worker.step()
        self.receivers.step()
        self._serve(weather.crash)
        if weather.submit and self.clients.jobs and self.server.up:  # not in peace
            self.outsiders.step(weather.order, list(self.clients.jobs)[-15:])
        if self.clients.faults:
            raise Broken(f"a client saw: {self.clients.faults[0]}")

    def _serve(self, crash: float) -> None:
        """Let the server work, a little or until it has nothing to do; each commit is looked at."""
        rng = self.rng
        if not self.server.up:
            return
        self.server.tick()
        for _ in range(rng.choice((1, 3, 100))):
            how = rng.choice(("before", "after")) if rng.random() < crash else None
            before = self.server.commits
            worked = self.server.step(crash=how)
            if self.server.commits > before:
                self.inspector.look()
                self.schedules.check()
                self.inspector.check_published(self.server.published)
            if worked and how is not None and not self._is_up():
                self.inspector.look()  # what had been handed over may be on the disk: it is of before the next start
                self.log.append(f"{self.clock.monotonic():.2f} the server ended {how} a COMMIT")
                return
            if not worked:
                for limits in (self.inspector.limits, self.inspector.quotas, self.inspector.rates):
                    limits.settle()
                if self.server.machine is not None:
                    self.inspector.check_memory(self.server.machine)
                return

    def _is_up(self) -> bool:
        return self.server.up

    # The end

    def _peace(self) -> None:
        """Stop all faults; everything that was begun has to end (nothing is stuck)."""
        self.server.publish_faults = 0.0
        calm = Weather(crash=0.0, stall=0.0, jump=0.0, submit=0.0, order=0.0, publish_faults=0.0, temper=CALM)
        for worker in self.workers:
            worker.temper = CALM
            worker.silent_until = 0.0
        self.workers[0].slots = max(4, self.workers[0].slots)
        quiet, cursor = 0, 0
        for step in range(PEACE_STEPS):
            if step % 50 == 0:
                if self.server.up:
                    self.clients.calm()
                    self.schedules.calm()
                if not self.clients.open and self._all_ended():
                    break
            quiet = quiet + 1 if self.inspector.cursor == cursor else 0
            cursor = self.inspector.cursor
            if quiet > 30:
                self._pass_time(20.0)  # all wait for their time, perhaps after a jump of the wall clock
            self._step(calm)
        self.inspector.look_at_all()
        for job in self.inspector.jobs():
            check_settled(job)
        self._check_cancels()
        self.outsiders.check()
        self.receivers.settle()

    def _pass_time(self, length_s: float) -> None:
        """Let time pass faster, but tick by tick: a longer gap would be a stall of the server (R7)."""
        for _ in range(int(length_s / 4.0)):
            self.clock.advance(4.0)
            if self.server.up:
                self.server.tick()

    def _all_ended(self) -> bool:
        return self.server.up and all(job.state in TERMINAL for job in self.inspector.jobs())

    def _check_cancels(self) -> None:
        for job in self.inspector.jobs():
            generation = self.clients.cancelled.get(job.job_id)
            # An undo that failed for good is the one other end there is (R18).
            undone = job.error is None or job.error.code != "compensation_failed"
            if generation == job.generation and job.state is not JobState.CANCELLED and undone:
                raise Broken(f"the cancel of {job.job_id} was acknowledged, and it ended as {job.state} (R18)")

    def _outcome(self) -> Outcome:
        digest = hashlib.sha256("\n".join(self.inspector.digest).encode()).hexdigest()
        jobs = self.inspector.jobs()
        return Outcome(
            seed=self.seed,
            trace_hash=digest[:16],
            commits=self.inspector.commits,
            starts=self.server.starts,
            jobs=len(jobs),
            states=Counter(str(job.state) for job in jobs),
            events=self.inspector.kinds,
            refused=dict(sorted(self.clients.refused.items())),
            fired=self.schedules.fired,
        )


def simulate(seed: int, ticks: int = 400) -> Outcome:
    """Run one simulated cluster in a folder of its own.

    Args:
        seed: the same seed and code give the same outcome, to the trace's hash.
        ticks: steps with faults; peace follows.

    Raises:
        Broken: a promise is broken.
    """
    with tempfile.TemporaryDirectory(prefix="orpheus-sim-") as folder:
        return World(seed, Path(folder)).run(ticks)


__all__ = ["Down", "Outcome", "World", "simulate"]

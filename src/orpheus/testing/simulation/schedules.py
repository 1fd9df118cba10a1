"""Schedules in the simulated cluster: people make, change, pause, run and delete them, and each slot is held against R27.

exactly once    no slot has two firings or two jobs, and no job lacks its firing, whatever crashes between
none is lost    a schedule that was left alone and catches up with everything has fired each slot up to where it stands
overlap         but for `allow`, at most one job of a schedule has been let begin and has not ended
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any

from orpheus.core.errors import OrpheusError
from orpheus.core.schedule import Missed, Overlap
from orpheus.engine.base import Submission
from orpheus.store.database import connect_reader
from orpheus.store.schedules import schedule_from_row
from orpheus.testing.simulation.graphs import random_params
from orpheus.testing.simulation.invariants import Broken
from orpheus.testing.simulation.server import Down, SimServer

MOST = 4
_SCHEDULES = (
    "SELECT schedule_id, tenant, name, spec, paused, seen_until, next_run_at, created_at, created_by, updated_at, updated_by"
    " FROM schedules ORDER BY schedule_no"
)
_FIRINGS = """
SELECT scheduled_for, "trigger", outcome, job_id FROM firings JOIN schedules USING (schedule_no)
WHERE schedule_id = ? ORDER BY firing_no
"""
_JOBS = """
SELECT job_id, state, generation, json_extract(extra, '$.scheduled_for') FROM jobs
WHERE json_extract(extra, '$.schedule') = ? ORDER BY job_no
"""


@dataclass(slots=True)
class SimSchedules:
    """The people who keep schedules.

    Args:
        jumps: the wall clock is moved, so many slots may be due at once.
    """

    server: SimServer
    rng: Random
    workflows: list[dict[str, Any]]
    jumps: bool
    chance: float | None = None
    made: int = 0
    left_alone: dict[str, bool] = field(default_factory=dict)
    """By name: whether nobody has changed it since it was made."""
    fired: int = 0
    _seen: int = 0
    _connection: sqlite3.Connection | None = None

    def step(self) -> None:
        """Do something to a schedule now and then; some clusters have none."""
        if self.chance is None:
            self.chance = self.rng.choice((0.0, 0.03, 0.15))
        try:
            if self.rng.random() < self.chance:
                self._act()
        except Down:
            pass

    def calm(self) -> None:
        """Let no schedule make further jobs: what is open has to end now."""
        try:
            for name in self.left_alone:
                self._change(name, {"paused": True})
        except Down:
            pass

    def _act(self) -> None:
        rng = self.rng
        if self.made < MOST and rng.random() < 0.5:
            self._create()
        elif self.left_alone:
            name = rng.choice(list(self.left_alone))
            action = rng.choice(("run", "pause", "resume", "overlap", "delete", "nothing", "nothing"))
            if action == "run":
                self._ask(lambda machine: machine.scheduling.run_now("ada", name, actor="ada"))
            elif action == "delete":
                self._ask(lambda machine: machine.scheduling.delete("ada", name, actor="ada"))
            elif action == "overlap":
                self._change(name, {"overlap": Overlap.ALLOW})
            elif action != "nothing":
                self._change(name, {"paused": action == "pause"})

    def _create(self) -> None:
        rng = self.rng
        name = f"schedule-{self.made}"
        self.made += 1
        self.left_alone[name] = True
        spec = {
            "every_s": rng.choice((300.0, 900.0) if self.jumps else (5.0, 20.0)),
            "missed": rng.choice((Missed.RUN_ALL, *Missed)),
            "max_missed": rng.choice((2, 1000)),
            "overlap": rng.choice(list(Overlap)),
        }
        job = Submission(workflow=rng.choice(self.workflows), params=random_params(rng), tenant="ada")
        self._ask(lambda machine: machine.scheduling.create(name, job, spec, actor="ada"))

    def _change(self, name: str, changes: dict[str, Any]) -> None:
        self.left_alone[name] = False
        self._ask(lambda machine: machine.scheduling.change("ada", name, changes, job=None, actor="ada"))

    def _ask(self, order: Any) -> None:
        machine = self.server.machine
        if machine is None:
            raise Down
        machine.call("schedule", order(machine), _heard)

    # What must hold

    def check(self) -> None:
        """Look at what was committed.

        Raises:
            Broken: a slot was fired twice, was lost, or runs beside another against the overlap rule.
        """
        if self._connection is None:
            self._connection = connect_reader(self.server.path)
        newest = self._rows("SELECT max(firing_no) FROM firings")[0][0] or 0
        if newest != self._seen:
            self.fired += 1
            for row in self._rows(_SCHEDULES):
                self._check(row)
        self._seen = newest

    def _check(self, row: tuple[Any, ...]) -> None:
        schedule = schedule_from_row(row)
        firings = self._rows(_FIRINGS, schedule.schedule_id)
        by_time = [slot for slot, trigger, *_ in firings if trigger == "time"]
        told = f"schedule {schedule.name}"
        if any(later <= earlier for earlier, later in pairwise(by_time)) and not self.jumps:
            raise Broken(f"{told} fired backwards or twice: {by_time} (R27)")
        assert schedule.every_s is not None
        for slot in by_time:
            place = (slot - schedule.anchor_at) / schedule.every_s
            if place < 1 or abs(place - round(place)) > 1e-6:
                raise Broken(f"{told} fired at {slot}, which is none of its slots (R27)")
        jobs = self._rows(_JOBS, schedule.name)
        made = {job_id: slot for job_id, *_, slot in jobs}
        submitted = {job_id: slot for slot, _trigger, outcome, job_id in firings if outcome == "submitted"}
        # Somebody may order a run in the very instant of a slot, so only slots of one kind are distinct.
        if len(set(by_time)) < len(by_time) or submitted != made:
            raise Broken(f"{told}: firings {firings} made jobs for {made} (R27)")
        if self.left_alone.get(schedule.name):
            self._check_left_alone(schedule, by_time)
            begun = [
                job_id for job_id, state, generation, _ in jobs if state in ("queued", "running") and generation == 1
            ]
            if schedule.overlap is not Overlap.ALLOW and len(begun) > 1:
                raise Broken(f"{told} with overlap {schedule.overlap} has {len(begun)} jobs under way (R27)")

    def _check_left_alone(self, schedule: Any, by_time: list[float]) -> None:
        """Nobody has changed it: it fired all there is up to where it stands, if it was to catch up with all."""
        if schedule.missed is Missed.RUN_ALL and schedule.max_missed >= 1000:
            count = round((schedule.seen_until - schedule.anchor_at) / schedule.every_s)
            if len(by_time) != count:
                raise Broken(f"schedule {schedule.name} passed {count} slots and fired {len(by_time)} (R27)")

    def _rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        assert self._connection is not None
        return self._connection.execute(statement, parameters).fetchall()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


def _heard(outcome: Any) -> None:
    if isinstance(outcome, Exception) and not (isinstance(outcome, OrpheusError) and outcome.status < 500):
        raise Broken(f"an order to a schedule met {outcome!r}")

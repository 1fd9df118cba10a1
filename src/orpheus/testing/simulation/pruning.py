"""Days later: jobs are pruned by random filters, piece by piece, with crashes in between, until none is left.

After every round: what was pruned is wholly gone, and whatever is left still has every object it names (R23).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from orpheus.core.cache_key import owner_of
from orpheus.core.job import TERMINAL
from orpheus.engine.work import Work
from orpheus.store.known_results import StaleResults
from orpheus.store.pruning import KEY_KEPT_S, START, Candidate, Prunable, candidate_parameters
from orpheus.store.queries import query
from orpheus.testing.simulation.clock import ManualClock
from orpheus.testing.simulation.invariants import Broken
from orpheus.testing.simulation.server import SimServer

ROUNDS = 8


class SimPruner:
    """Prunes through the same steps as the engine's upkeep, with a folder of runs that is only a list.

    Args:
        crash: chance that the server ends between two steps.
    """

    def __init__(self, server: SimServer, clock: ManualClock, rng: Random, *, crash: float) -> None:
        self.server = server
        self.clock = clock
        self.rng = rng
        self.crash = crash
        self.discarded: dict[str, None] = {}
        self.pruned: dict[str, int] = {}
        """Jobs out of sight, with their numbers."""

    def run(self) -> None:
        """Prune in rounds, the last of them everything."""
        self.clock.advance(5 * KEY_KEPT_S)  # more than the wall clock was ever set back
        for number in range(ROUNDS):
            last = number == ROUNDS - 1
            wanted = Prunable(ended_before=self.clock.now()) if last else self._some()
            if last or self.rng.random() < 0.5:
                self._do(_forget_some)
            while self._remove(wanted):
                if last or self.rng.random() < 0.5:
                    continue
                break
            self._finish()
            self._check()
        left = self._rows("SELECT count(*) FROM jobs")[0][0]
        if left:
            raise Broken(f"{left} ended jobs can never be pruned")

    def _some(self) -> Prunable:
        states = tuple(str(state) for state in TERMINAL)
        return Prunable(
            ended_before=self.clock.now(),
            states=self.rng.choice(((states[0],), (states[1],), states)),
            tenant=self.rng.choice((None, "ada", "bob")),
        )

    def _remove(self, wanted: Prunable) -> int:
        count = 0
        for state in wanted.states:
            parameters = candidate_parameters(wanted, state, START, now=self.clock.now(), limit=5)
            found = [Candidate(*row) for row in self._rows(query("prunable_jobs"), *parameters)]
            numbers = {one.job_id: one.job_no for one in found}
            removed, _floor = self._do(
                lambda work, found=found: work.tx.pruning.remove_jobs(wanted, found, now=work.now)  # type: ignore[misc]
            )
            self.pruned |= {job_id: numbers[job_id] for job_id in removed}
            count += len(removed)
            self._perhaps_crash()
        return count

    def _finish(self) -> None:
        while removals := self._do(lambda work: work.tx.pruning.removals("job", 10)):
            for removal in removals:
                runs = self._do(lambda work, n=removal.number: work.tx.pruning.unneeded_runs(n))  # type: ignore[misc]
                self.discarded |= dict.fromkeys(runs)
                self.server.shelf.published.pop(removal.id, None)
                self.server.shelf.manifests.pop(removal.id, None)
                self._perhaps_crash()
                while self._do(lambda work, n=removal.number: work.tx.pruning.forget_rows(n, 7)):  # type: ignore[misc]
                    self._perhaps_crash()
                self._do(lambda work, n=removal.removal_no: work.tx.pruning.removal_done(n))  # type: ignore[misc]

    def _perhaps_crash(self) -> None:
        if self.rng.random() < self.crash:
            self.server.crash()
            self.server.start()

    def _do(self, do: Callable[[Work], Any]) -> Any:
        machine = self.server.machine
        assert machine is not None, "the server is up"
        answers: list[Any] = []
        machine.call("prune", do, answers.append)
        while not answers:
            assert self.server.step(), "the order is carried out"
        if isinstance(answers[0], Exception):
            raise answers[0]
        return answers[0]

    def _rows(self, sql: str, *parameters: Any) -> list[Any]:
        machine = self.server.machine
        assert machine is not None, "the server is up"
        return machine.store.connection.execute(sql, parameters).fetchall()

    def _check(self) -> None:
        for (table,) in self._rows(
            "SELECT m.name FROM sqlite_schema AS m JOIN pragma_table_info(m.name) AS c ON c.name = 'job_no' "
            "WHERE m.type = 'table'"
        ):
            orphans = f"SELECT count(*) FROM {table} WHERE job_no NOT IN (SELECT job_no FROM jobs)"  # noqa: S608
            if self._rows(orphans)[0][0]:
                raise Broken(f"{table} keeps rows of jobs that were pruned")
        for table, parent in (("job_counts", "jobs"), ("task_counts", "tasks WHERE superseded = 0")):
            counted = self._rows(f"SELECT coalesce(sum(count), 0) FROM {table}")[0][0]  # noqa: S608
            there = self._rows(f"SELECT count(*) FROM {parent}")[0][0]  # noqa: S608
            if counted != there:
                raise Broken(f"{table} counts {counted}, there are {there}")
        needed = self._rows(
            "SELECT job_id, key FROM artifacts JOIN jobs USING (job_no) WHERE superseded = 0 "
            "UNION ALL SELECT key, object FROM known_result_objects "
            "UNION ALL SELECT job_no, object FROM object_uses"
        )
        for whose, key in needed:
            owner = owner_of(key) or key
            if owner in self.discarded:
                raise Broken(f"{whose} needs an object of {owner}, which was removed (R23)")


def _forget_some(work: Work) -> None:
    known = work.tx.known_results
    known.forget(known.stale(StaleResults(before=work.now), 1000))

"""People and programs: they submit, cancel, pause, retry and rewind, and ask again when no answer came.

What was acknowledged is noted for the world to check; what was not may or may not have happened, once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from msgspec.structs import replace

from orpheus.core import facts as f
from orpheus.core.errors import OrpheusError
from orpheus.core.job import TERMINAL
from orpheus.engine.base import Submission, Submitted
from orpheus.testing.simulation.clock import ManualClock
from orpheus.testing.simulation.graphs import QUEUES, random_params
from orpheus.testing.simulation.inspector import Inspector
from orpheus.testing.simulation.limits import LimitOrders, random_update
from orpheus.testing.simulation.server import Down, SimServer

TENANTS = ("ada", "bob", "cyd")


@dataclass(slots=True)
class Request:
    """A submission under way: asked again, with the same key, until an answer comes."""

    submissions: list[Submission]
    broken: bool = False
    """One of them cannot be accepted, so none may be."""
    asked_at: float | None = None
    starts: int = 0


@dataclass(slots=True)
class Clients:
    """Everybody outside, and what they were told."""

    server: SimServer
    clock: ManualClock
    rng: Random
    inspector: Inspector
    workflows: list[dict[str, Any]]
    open: list[Request] = field(default_factory=list)
    jobs: dict[str, Submission] = field(default_factory=dict)
    """Acknowledged, by id."""
    keys: dict[tuple[str, str], str] = field(default_factory=dict)
    """Which job a key stands for."""
    cancelled: dict[str, int] = field(default_factory=dict)
    """Cancels that were acknowledged, with the job's generation."""
    refused: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    heard: Callable[[str, f.Fact, Any], None] = lambda _job_id, _fact, _outcome: None
    """Told the answer to each order."""
    serial: int = 0
    webhook_url: Callable[[], str | None] = lambda: None
    """Gives the next job its webhook."""
    limit_orders: LimitOrders = field(init=False)

    def __post_init__(self) -> None:
        self.limit_orders = LimitOrders(self.server, self.inspector, self.rng, self.hear, self.faults)

    def step(self, submit: float, order: float) -> None:
        """Do something now and then; `submit` and `order` are chances."""
        try:
            if self.rng.random() < submit:
                self.open.append(self._request())
            if self.jobs and self.rng.random() < order:
                self._order()
            if self.rng.random() < order / 4:
                self.limit_orders.step(QUEUES, TENANTS)
            self._ask()
        except Down:
            pass

    def calm(self) -> None:
        """Undo everything that holds work back: what is open has to finish now."""
        try:
            self.limit_orders.lift(QUEUES, TENANTS)
            for job in self.inspector.jobs():
                if job.state in TERMINAL or job.closing is not None:
                    continue
                if job.paused:
                    self.tell(job.job_id, f.ResumeRequested())
                if job.requires_approval and job.approved_at is None:
                    self.tell(job.job_id, f.JobApproved())
        except Down:
            pass

    def _ask(self) -> None:
        now = self.clock.monotonic()
        for request in list(self.open) if self.server.up else ():
            lost = request.starts != self.server.starts
            if request.asked_at is None or (lost and now - request.asked_at > 1.0):
                request.asked_at, request.starts = now, self.server.starts
                self.server.submit(request.submissions, self.hear(partial(self._submitted, request)))

    def _request(self) -> Request:
        count = self.rng.choice((1, 1, 1, 2, 4))
        submissions = [self._submission() for _ in range(count)]
        broken = False
        if self.rng.random() < 0.05:
            broken = True
            submissions[-1] = replace(submissions[-1], params={"n": "many"})
        elif self.keys and self.rng.random() < 0.1:
            (tenant, key), job_id = self.rng.choice(list(self.keys.items()))
            again = self.jobs[job_id]
            if self.rng.random() < 0.3:
                again, broken = replace(again, priority=again.priority % 5 + 1), True  # another body: a conflict (R21)
            assert (again.tenant, again.idempotency_key) == (tenant, key)
            submissions[-1] = again
        return Request(submissions, broken)

    def _submission(self) -> Submission:
        rng = self.rng
        self.serial += 1
        tenant = rng.choice(TENANTS)
        mine = [job_id for job_id, asked in self.jobs.items() if asked.tenant == tenant]
        depends_on: tuple[tuple[str, str], ...] = ()
        if mine and rng.random() < 0.3:
            chosen = rng.sample(mine[-8:], min(len(mine[-8:]), rng.choice((1, 2, 2, 3))))
            depends_on = tuple((job_id, rng.choice(("success", "end"))) for job_id in chosen)
        return Submission(
            workflow=rng.choice(self.workflows),
            params=random_params(rng),
            tenant=tenant,
            priority=rng.choice((1, 3, 3, 3, 5)),
            delay_s=rng.choice((2.0, 30.0)) if rng.random() < 0.15 else None,
            depends_on=depends_on,
            requires_approval=rng.random() < 0.08,
            idempotency_key=f"key-{self.serial}",
            timeout_s=rng.choice((20.0, 300.0)) if rng.random() < 0.1 else None,
            webhook_url=self.webhook_url(),
        )

    def _submitted(self, request: Request, outcome: Any) -> None:
        if request not in self.open:
            return
        self.open.remove(request)
        if isinstance(outcome, OrpheusError):
            self._note(outcome)
            if not request.broken:
                self.faults.append(f"a sound submission was refused: {outcome.code} {outcome}")
            self._check_nothing(request)
            return
        if request.broken:
            self.faults.append("a submission that cannot be accepted was accepted")
        for asked, submitted in zip(request.submissions, outcome, strict=True):
            self._acknowledge(asked, submitted)

    def _acknowledge(self, asked: Submission, submitted: Submitted) -> None:
        job_id = submitted.job.job_id
        assert asked.idempotency_key is not None
        key = (asked.tenant, asked.idempotency_key)
        if self.keys.setdefault(key, job_id) != job_id:
            self.faults.append(f"key {key} stands for two jobs (R21)")
        self.jobs.setdefault(job_id, asked)
        self.inspector.acknowledged[job_id] = None
        self.inspector.dependencies[job_id] = asked.depends_on

    def _check_nothing(self, request: Request) -> None:
        """A refused batch creates nothing (R21)."""
        for asked in request.submissions:
            assert asked.idempotency_key is not None
            key = (asked.tenant, asked.idempotency_key)
            if key not in self.keys and self.inspector.job_of_key(*key) is not None:
                self.faults.append(f"a refused request created the job of key {key} (R21)")

    # Orders

    def _order(self) -> None:
        rng = self.rng
        job_id = rng.choice(list(self.jobs)[-15:])
        waited_for = [before for asked in list(self.jobs.values())[-15:] for before, _on in asked.depends_on]
        if waited_for and rng.random() < 0.3:
            job_id = rng.choice(waited_for)  # its dependents hear of its end once, whatever is done to it
        rows = self.inspector.job(self.inspector.job_no(job_id))
        nodes = list(rows.graph.nodes)
        fact: f.Fact = rng.choice(
            (
                f.CancelRequested(reason="enough", actor="ada"),
                f.CancelRequested(actor="ada"),
                f.PauseRequested(actor="ada"),
                f.ResumeRequested(actor="ada"),
                f.ResumeRequested(actor="ada"),
                f.RetryRequested(actor="ada"),
                f.RetryRequested(actor="ada"),
                f.RetryRequested(from_task=rng.choice(nodes), actor="ada"),
                random_update(rng),
                random_update(rng),
                f.RetryRequested(from_task="nobody", actor="ada"),
                f.JobApproved(actor="ada"),
                f.JobApproved(actor="ada", params=random_params(rng)),
                f.JobRejected(reason="no", actor="ada"),
            )
        )
        self.tell(job_id, fact)

    def tell(self, job_id: str, fact: f.Fact) -> None:
        self.server.tell(job_id, fact, self.hear(lambda outcome: self._told(job_id, fact, outcome)))

    def _told(self, job_id: str, fact: f.Fact, outcome: Any) -> None:
        self.heard(job_id, fact, outcome)
        if isinstance(outcome, OrpheusError):
            self._note(outcome)
            if outcome.code not in ("invalid_transition", "unknown_task", "invalid_params", "unknown_signal"):
                self.faults.append(f"{fact} for {job_id} was refused: {outcome.code} {outcome}")
        elif isinstance(fact, f.CancelRequested) and outcome.cancel_requested_at is not None:
            self.cancelled[job_id] = outcome.generation

    def _note(self, error: OrpheusError) -> None:
        self.refused[error.code] = self.refused.get(error.code, 0) + 1
        if error.status >= 500:
            self.faults.append(f"a client met {error.code}: {error}")

    def hear(self, heard: Callable[[Any], None]) -> Callable[[Any], None]:
        """Wrap a callback: an answer of a process that ended is lost."""
        starts = self.server.starts

        def hear(outcome: Any) -> None:
            if self.server.starts == starts and self.server.up:
                heard(outcome)

        return hear

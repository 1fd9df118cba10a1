"""The kit's worker: one task after the other, in the test's thread, in the order the dispatcher gives them.

An attempt takes no time on the kit's clock, unless a fake says so (`takes_s`): then the run is held, its lease renewed,
until the clock has come that far. A worker that is lost (`lost=True`) says nothing more about its run: the lease lapses and
the attempt counts (R9). Other runs are not touched, as if each had a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from orpheus.authoring.registry import Registry
from orpheus.core.errors import OrpheusError, TaskError
from orpheus.engine.assignments import assignment
from orpheus.engine.base import Grant, PollAnswer, RunReport, WorkerHello
from orpheus.engine.workers import HelloAnswer
from orpheus.protocol.worker import TaskSpec
from orpheus.testing.kit.attempt import AttemptMaker, Made
from orpheus.testing.kit.engine import FOREVER_S, KitEngine
from orpheus.testing.simulation.clock import ManualClock
from orpheus.worker.definitions import Definitions
from orpheus.worker.devices import DEVICE_RESOURCE, Devices

BEAT_S = 10.0
"""So often a held run's lease is renewed: a third of its length."""
ROUNDING_S = 1e-3
"""Instants of the wall clock are exact to less than this."""
PLENTY = 1_000_000
PLENTY_OF_DEVICES = 64


@dataclass(slots=True)
class Held:
    """A run that takes its time."""

    grant: Grant
    session_id: str
    made: Made
    ends_at: float
    devices: tuple[int, ...]


@dataclass(slots=True)
class _Session:
    session_id: str
    seq: int = 0
    answer: PollAnswer | OrpheusError | None = None
    waiting: bool = False
    resting: bool = True
    answered: Callable[[PollAnswer | OrpheusError], None] | None = None
    held: dict[str, None] = field(default_factory=dict)


class KitWorker:
    """Claims, makes and reports.

    Args:
        slots: how many runs may be held at a time.
        resources: what the worker has; None is plenty of everything.
        env: first part of the objects' paths.
    """

    def __init__(
        self,
        registry: Registry,
        maker: AttemptMaker,
        clock: ManualClock,
        *,
        slots: int,
        resources: Mapping[str, int] | None,
        env: str,
    ) -> None:
        self._registry = registry
        self._maker = maker
        self._clock = clock
        self._slots = slots
        self._totals = dict(resources) if resources is not None else None
        self._plenty: dict[str, int] = {}
        self._devices = Devices(self._totals or {})
        self._env = env
        self._sessions = 0
        self._session: _Session | None = None
        self._others: dict[str, _Session] = {}
        """Sessions of lost processes, kept for the runs beside the lost one."""
        self._held: dict[str, Held] = {}
        self._resting = True
        self.alive = True
        self.causes: dict[tuple[str, str], BaseException] = {}
        """What handlers raised last, by job and node."""
        self.engine: KitEngine
        """Set by the kit; another one after a restart."""

    # Conversation

    def hello(self) -> None:
        """Offer what the registry holds; again whenever it has grown, and to an engine that has just started.

        Raises:
            OrpheusError: a definition is refused.
        """
        if self._session is None:
            self._sessions += 1
            self._session = _Session(f"kit-{self._sessions:016d}")
        for session in self._others.values():
            self._say_hello(session)
        if self._totals is None:
            self._offer_plenty()
        self._say_hello(self._session)
        self._poll()

    def _say_hello(self, session: _Session) -> None:
        definitions = Definitions(self._registry)
        hello = WorkerHello(
            session_id=session.session_id,
            worker="kit",
            slots=self._slots,
            resources=self._resources(),
            handlers=self._registry.handlers,
            task_specs=tuple(_spec(spec) for spec in definitions.tasks),
            workflows=tuple(definitions.workflows),
            held=tuple(session.held),
        )
        outcome: list[Any] = []
        self.engine.machine.workers.hello(hello, outcome.append)
        self.engine.pump()
        if outcome and isinstance(outcome[0], Exception):
            raise outcome[0]
        if outcome and isinstance(outcome[0], HelloAnswer):
            self._forget(outcome[0].unknown)
        session.waiting = False

    def _resources(self) -> dict[str, int]:
        return dict(self._totals) if self._totals is not None else self._plenty

    def _offer_plenty(self) -> None:
        wanted = {name for task in self._registry.tasks.values() for name in task.node_options.get("resources") or {}}
        for workflow in self._registry.workflows.values():
            wanted |= {name for node in workflow.graph.nodes.values() for name in node.resources}
        self._plenty = {name: PLENTY_OF_DEVICES if name == DEVICE_RESOURCE else PLENTY for name in sorted(wanted)}
        if not self._held:
            self._devices = Devices(self._plenty)

    def _poll(self) -> None:
        """Ask for one task; for news alone while resting, or with every slot taken."""
        session = self._session
        if session is None or session.waiting or session.answer is not None or not self.alive:
            return
        session.seq += 1
        session.waiting = True
        session.resting = self._resting

        def answered(given: PollAnswer | OrpheusError, seq: int = session.seq) -> None:
            if seq == session.seq:  # a poll that was overtaken has nothing to say
                session.answer = given
                session.waiting = False

        session.answered = answered
        self.engine.machine.workers.poll(
            session.session_id,
            session.seq,
            held=list(session.held),
            free=0 if self._resting else min(1, max(0, self._slots - len(self._held))),
            resources_free=self._devices.free,
            wait_s=FOREVER_S,
            answer=answered,
        )
        self.engine.pump()

    def work(self) -> None:
        """Do everything there is to do now, then rest: whatever is submitted meanwhile is not begun before the next
        call, so a test can set its stage in any order."""
        self._resting = False
        while self._step() or self._step_after_pump():
            pass
        self._resting = True
        self._step()

    # Work

    def _step_after_pump(self) -> bool:
        self.engine.pump()
        return self._step()

    def _step(self) -> bool:
        """Do one thing: end a run whose time has come, or take what a poll brought. Tell whether there was one."""
        if not self.alive:
            return False
        if self._end_due():
            return True
        session = self._session
        if session is None:
            return False
        answer, session.answer = session.answer, None
        if answer is None:
            if session.resting != self._resting:
                session.waiting = False  # the poll that waits was another kind of question
            self._poll()
            return session.answer is not None
        if isinstance(answer, OrpheusError):
            raise answer
        for order in answer.cancel:
            self._stop(order.run_id)
        self._forget(answer.unknown)
        for grant in answer.grants:
            self._begin(session, grant)
        self._poll()
        return True

    def _end_due(self) -> bool:
        """End the runs whose time has come; tell whether there were any."""
        due = [held for held in self._held.values() if held.ends_at <= self._clock.monotonic() + ROUNDING_S]
        self._forget([held.grant.run_id for held in due])
        self._report([held.made.end for held in due])
        return bool(due)

    def _begin(self, session: _Session, grant: Grant) -> None:
        session.held[grant.run_id] = None
        devices = self._devices.lease(grant.resources) or ()
        made = self._maker.make(assignment(grant, self._env), devices)
        if made.error is not None:
            self.causes[grant.job.job_id, grant.task.node] = made.error
        held = Held(grant, session.session_id, made, self._clock.monotonic(), devices)
        self._held[grant.run_id] = held
        self._report(made.words)
        if made.fake is not None and made.fake.lost:
            self._lose(session, held)
            return
        held.ends_at += made.fake.takes_s if made.fake is not None else 0.0
        self._end_due()

    def _stop(self, run_id: str) -> None:
        """Stop a run as a well-behaved handler would: at once."""
        if run_id in self._held:
            self._forget([run_id])
            self._report([RunReport(run_id=run_id, kind="cancelled")])

    def _report(self, reports: list[RunReport]) -> None:
        if not reports or self._session is None:
            return
        told: list[OrpheusError | None] = []
        machine = self.engine.machine
        machine.workers.report(self._session.session_id, reports, told.extend)
        self.engine.pump()
        for report, outcome in zip(reports, told, strict=False):
            if isinstance(outcome, OrpheusError) and outcome.code != "stale_run" and report.kind == "completed":
                self._report([_refused(report, outcome)])

    def _forget(self, run_ids: Any) -> None:
        for run_id in run_ids:
            held = self._held.pop(run_id, None)
            if held is not None:
                self._devices.give_back(held.grant.resources, held.devices)
            for session in [*self._others.values(), *([self._session] if self._session else [])]:
                session.held.pop(run_id, None)
        for session_id in [key for key, session in self._others.items() if not session.held]:
            del self._others[session_id]

    # Death

    def _lose(self, session: _Session, lost: Held) -> None:
        """End the process that made one run: nothing more is heard of it."""
        self._forget([lost.grant.run_id])
        self._hang_up(session)
        if session.held:
            self._others[session.session_id] = session
        self._session = None
        self.hello()

    def _hang_up(self, session: _Session) -> None:
        """Let go of the poll that waits: nothing may be granted to it any more."""
        if session.waiting and session.answered is not None:
            self.engine.machine.sessions.hang_up(session.session_id, session.seq, session.answered)

    def kill(self) -> None:
        """End the worker with everything it holds, without a word."""
        if self._session is not None:
            self._hang_up(self._session)
        self._forget(list(self._held))
        self._others.clear()
        self._session = None
        self.alive = False

    def revive(self) -> None:
        """Start another in its place."""
        if not self.alive:
            self.alive = True
            self.hello()

    # Time

    def next_due_in(self) -> float:
        """Return the seconds until a held run ends, or its lease is to be renewed; `FOREVER_S` for never."""
        if not self._held or not self.alive:
            return FOREVER_S
        now = self._clock.monotonic()
        return max(0.0, min(BEAT_S, min(held.ends_at for held in self._held.values()) - now))

    def beat(self) -> None:
        """Renew the leases of what is held, and let the handlers be heard. What ends at this very instant ends first: a
        limit of the same length is kept."""
        if not self._held or not self.alive:
            return
        self._end_due()
        workers = self.engine.machine.workers
        for session in [*self._others.values(), *([self._session] if self._session else [])]:
            if session.held:
                orders, unknown = workers.heartbeat(session.session_id, list(session.held), 0)
                for order in orders:
                    self._stop(order.run_id)
                self._forget(unknown)
        for held in list(self._held.values()):
            if held.grant.heartbeat_s is not None and not (held.made.fake is not None and held.made.fake.silent):
                self._report([RunReport(run_id=held.grant.run_id, kind="progress")])


def _refused(report: RunReport, outcome: OrpheusError) -> RunReport:
    """Say of a result that the server refuses what a worker would: the attempt has failed, for good."""
    error = TaskError(code=outcome.code, message=f"the server refused the result: {outcome.message}")
    return RunReport(run_id=report.run_id, kind="failed", error=error, final=True)


def _spec(spec: TaskSpec) -> Mapping[str, Any]:
    wired: Mapping[str, Any] = msgspec.to_builtins(spec)
    return wired

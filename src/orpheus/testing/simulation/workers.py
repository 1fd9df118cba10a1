"""Workers that are late, lose answers, die, and come back: R6 to R10 from the other side.

What a run returns is computed from its `run_id`, so whoever looks at the rows later can tell what was reported.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from orpheus.core.errors import OrpheusError, TaskError
from orpheus.core.facts import ArtifactRef
from orpheus.engine.base import Grant, PollAnswer, RunReport, UnknownSession, WorkerHello
from orpheus.testing.simulation.clock import ManualClock
from orpheus.testing.simulation.server import Down, SimServer


@dataclass(frozen=True, slots=True)
class Temper:
    """How badly workers and their network behave; chances per occasion."""

    lose_answer: float = 0.05
    repeat_poll: float = 0.1
    """Of the polls after a lost answer, those that use the old number again."""
    fail: float = 0.15
    final: float = 0.2
    """Of the failures."""
    slow: float = 0.05
    """Runs that take far longer than they should."""
    silent: float = 0.01
    """Per step: no contact for a while, work goes on."""
    die: float = 0.005
    artifacts: float = 0.2
    clash: float = 0.02
    """Artifacts whose name another task may have taken."""
    hand_over: float = 0.06
    """Handlers that give their token away and wait for a callback."""


CALM = Temper(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.2, 0.0, 0.0)


@dataclass(slots=True)
class HeldRun:
    """A run as its worker sees it."""

    grant: Grant
    done_at: float
    """Monotonic instant at which the handler returns."""
    progress: float = 0.0
    hands_over: bool = False
    stop: bool = False
    """Told to stop."""
    report: RunReport | None = None
    sent_at: float | None = None


Said = tuple[HeldRun, RunReport]


@dataclass(slots=True)
class Asked:
    """A poll, with what has been heard of it."""

    seq: int
    free: int
    resources: dict[str, int]
    carried: list[Said]
    answer: PollAnswer | OrpheusError | None = None
    outcomes: Sequence[OrpheusError | None] | None = None

    def __post_init__(self) -> None:
        if not self.carried:
            self.outcomes = ()


def result_of(run_id: str, args: Any) -> dict[str, Any]:
    """Return what the simulated handler returns for a run."""
    number = int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:4], "big")
    return {
        "n": number % 10,
        "flag": number % 3 != 0,
        "items": [(number >> shift) % 10 for shift in range(number % 5)],
        "echo": sorted(args),
    }


@dataclass(slots=True)
class Observed:
    """What workers saw and did, for the world to check."""

    completed: dict[str, Any] = field(default_factory=dict)
    """Results that were sent, by run."""
    artifacts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Names that were sent, by run."""
    accepted: dict[str, str] = field(default_factory=dict)
    """Runs whose end was acknowledged, with its kind."""
    tokens: dict[str, tuple[str, Any]] = field(default_factory=dict)
    """Of runs that were given away, with their arguments: another system may bring the result."""
    granted: dict[str, str] = field(default_factory=dict)
    """Runs that reached a worker, and which session."""
    contact: dict[str, float] = field(default_factory=dict)
    """When the server last heard of a run from its worker (monotonic)."""
    confirmed: dict[str, None] = field(default_factory=dict)
    """Runs that were named as held by a poll the server heard: they cannot be returned as never received (R8)."""
    awake_since: float = 0.0
    """Since when the server runs without a stall: no lease is older (R7)."""
    faults: list[str] = field(default_factory=list)


class SimWorker:
    """One worker process and its conversation with the server."""

    def __init__(
        self,
        name: str,
        server: SimServer,
        clock: ManualClock,
        rng: Random,
        *,
        handlers: tuple[str, ...],
        queues: tuple[str, ...],
        slots: int,
        resources: dict[str, int],
        observed: Observed,
        temper: Temper,
    ) -> None:
        self.name = name
        self.server = server
        self.clock = clock
        self.rng = rng
        self.handlers = handlers
        self.queues = queues
        self.slots = slots
        self.resources = resources
        self.observed = observed
        self.temper = temper
        self.session_id = ""
        self.held: dict[str, HeldRun] = {}
        self.seq = 0
        self.greeted = False
        self.greeting_since: float | None = None
        self.polling_since: float | None = None
        self.silent_until = 0.0
        self.beat_at = 0.0
        self._same_seq = False
        self._held_at_poll = 0
        self.restart()

    def restart(self) -> None:
        """Begin a new process: everything it held is forgotten."""
        self.session_id = f"{self.name}-{self.rng.getrandbits(64):016x}"
        self.held = {}
        self.seq = 0
        self._same_seq = False
        self._disconnected()

    def _disconnected(self) -> None:
        self.greeted = False
        self.greeting_since = None
        self.polling_since = None

    # One step

    def step(self) -> None:
        """Do what is due: finish runs, talk to the server. A server that is down answers nothing."""
        now = self.clock.monotonic()
        if self._chance(self.temper.die):
            self.restart()
        if self._chance(self.temper.silent):
            self.silent_until = now + self.rng.choice((5.0, 20.0, 60.0, 150.0))
        self._work(now)
        if now < self.silent_until:
            return
        try:
            self._talk(now)
        except Down:
            self.polling_since = self.greeting_since = None
            for run in self.held.values():
                run.sent_at = None

    def _work(self, now: float) -> None:
        for run in self.held.values():
            if run.report is not None:
                continue
            if run.stop and self.rng.random() < 0.5:
                run.report = RunReport(run_id=run.grant.run_id, kind="cancelled")
            elif now >= run.done_at:
                run.report = self._handed_over(run.grant) if run.hands_over else self._outcome(run.grant)

    def _handed_over(self, grant: Grant) -> RunReport:
        timeout_s = self.rng.choice((2.0, 10.0, 60.0))
        return RunReport(run_id=grant.run_id, kind="waiting", timeout_s=timeout_s)

    def _outcome(self, grant: Grant) -> RunReport:
        run_id = grant.run_id
        if self._chance(self.temper.fail):
            error = TaskError(
                code="task_failed",
                message="it did not work",
                retryable=True,
                type=self.rng.choice(("ValueError", "OSError")),
            )
            wait = 3.0 if self._chance(0.2) else None
            return RunReport(
                run_id=run_id, kind="failed", error=error, final=self._chance(self.temper.final), retry_after_s=wait
            )
        names: tuple[str, ...] = ()
        if self._chance(self.temper.artifacts):
            names = (f"{grant.task.node}/{max(grant.task.index, 0)}.txt",)
            if self._chance(self.temper.clash):
                names = ("same.txt",)
        result = result_of(run_id, grant.args)
        self.observed.completed[run_id] = result
        self.observed.artifacts[run_id] = names
        refs = tuple(
            ArtifactRef(
                name=name, key=f".runs/{run_id}/{name}", sha256="0" * 64, size_bytes=1, content_type="text/plain"
            )
            for name in names
        )
        return RunReport(run_id=run_id, kind="completed", result=result, artifacts=refs)

    # Talking

    def _talk(self, now: float) -> None:
        if not self.greeted:
            self._greet(now)
            return
        carries = self.rng.random() < 0.5  # the next poll takes along what there is to report
        if not carries:
            self._report(now)
        if self.held and now >= self.beat_at:
            self._beat(now)
        if self.polling_since is not None and now - self.polling_since > self.server.options.poll_wait_s + 5.0:
            self.polling_since = None  # the connection is given up
            self._same_seq = self._chance(0.5)
        if self.polling_since is not None and len(self.held) < self._held_at_poll and self._chance(0.7):
            self.polling_since = None  # there is more room than the poll that waits has said
        if self.polling_since is None:
            self._poll(now, self._to_say(now) if carries else [])

    def _greet(self, now: float) -> None:
        if self.greeting_since is not None and now - self.greeting_since < 10.0:
            return
        self.greeting_since = now
        hello = WorkerHello(
            session_id=self.session_id,
            worker=self.name,
            queues=self.queues,
            slots=self.slots,
            resources=self.resources,
            handlers=self.handlers,
            held=tuple(self.held),
        )
        self.server.hello(hello, self._heard_by(self._welcomed))

    def _welcomed(self, outcome: Any) -> None:
        if isinstance(outcome, OrpheusError):
            self.observed.faults.append(f"hello was refused: {outcome.code} {outcome}")
            return
        self.greeted = True
        for run_id in outcome:
            self.held.pop(run_id, None)

    def _poll(self, now: float, carried: list[Said]) -> None:
        if not self._same_seq:
            self.seq += 1
        self._same_seq = False
        self._held_at_poll = len(self.held)
        self.polling_since = now
        named = tuple(self.held)
        free = self.slots - len(named)
        resources = dict(self.resources)
        for run in self.held.values():
            for name, amount in run.grant.resources.items():
                resources[name] -= amount
        asked = Asked(self.seq, free, resources, carried)
        self.server.poll(
            self.session_id,
            self.seq,
            held=named,
            free=free,
            resources_free=resources,
            wait_s=self.rng.choice((0.0, 5.0, 20.0)),
            answer=self._heard_by(partial(self._given, asked)),
            reports=[item for _run, item in carried],
            reported=self._heard_by(partial(self._reported, asked)),
        )
        if self.greeted:  # a refusal came at once
            self._contacted(named, now, confirmed=True)

    def _contacted(self, named: Iterable[str], now: float, *, confirmed: bool = False) -> None:
        for run_id in named:
            self.observed.contact[run_id] = now
            if confirmed:
                self.observed.confirmed[run_id] = None

    def _given(self, asked: Asked, answer: PollAnswer | OrpheusError) -> None:
        asked.answer = answer
        if isinstance(answer, OrpheusError):
            for run, _item in asked.carried:
                run.sent_at = None  # nothing of the request was carried out
            self._refused(answer)
        else:
            self._answered(asked)

    def _reported(self, asked: Asked, outcomes: Sequence[OrpheusError | None]) -> None:
        asked.outcomes = outcomes
        self._answered(asked)

    def _answered(self, asked: Asked) -> None:
        """Hear the answer to a poll: it goes out once what it carried has its outcomes, too."""
        answer, outcomes = asked.answer, asked.outcomes
        if not isinstance(answer, PollAnswer) or outcomes is None:
            return
        is_lost = self._chance(self.temper.lose_answer)
        for (run, item), outcome in zip(asked.carried, outcomes, strict=True):
            self._acknowledged(run, item, outcome, is_lost=is_lost)
        if answer.superseded or asked.seq != self.seq:
            return
        self.polling_since = None
        if is_lost:
            self._same_seq = self._chance(self.temper.repeat_poll)
            return
        free, resources = asked.free, asked.resources
        if len(answer.grants) > max(0, free):
            self.observed.faults.append(f"{len(answer.grants)} grants for {free} free slots")
        for grant in answer.grants:
            for name, amount in grant.resources.items():
                resources[name] = resources.get(name, 0) - amount
                if resources[name] < 0:
                    self.observed.faults.append(f"run {grant.run_id} was granted without enough {name} (R25)")
            self._begin(grant)
        for order in answer.cancel:
            if order.run_id in self.held:
                self.held[order.run_id].stop = True
        for run_id in answer.unknown:
            self.held.pop(run_id, None)

    def _begin(self, grant: Grant) -> None:
        other = self.observed.granted.setdefault(grant.run_id, self.session_id)
        if other != self.session_id:
            self.observed.faults.append(f"run {grant.run_id} was given to two workers")
        if f"{grant.task.handler}" not in self.handlers:
            self.observed.faults.append(f"{grant.task.handler} was given to a worker without it")
        if self.queues and grant.task.queue not in self.queues:
            self.observed.faults.append(f"a task of queue {grant.task.queue} was given to a worker of {self.queues}")
        if grant.run_id in self.held:
            return  # the answer was repeated
        takes = self.rng.choice((0.0, 0.2, 1.0, 3.0))
        if self._chance(self.temper.slow):
            takes = self.rng.choice((20.0, 60.0))
        run = self.held[grant.run_id] = HeldRun(grant, self.clock.monotonic() + takes)
        if self._chance(self.temper.hand_over):
            run.hands_over = True
            proof = hmac.new(grant.run_token.encode(), b"callback", hashlib.sha256).hexdigest()
            self.observed.tokens[grant.run_id] = (f"{grant.run_id}.{proof}", grant.args)
            self.observed.completed[grant.run_id] = result_of(grant.run_id, grant.args)

    def _to_say(self, now: float) -> list[Said]:
        said: list[Said] = []
        for run in self.held.values():
            if run.report is None and self._chance(0.1):
                run.progress = max(run.progress, self.rng.random())
                beat = {"at": now}
                item = RunReport(run_id=run.grant.run_id, kind="progress", fraction=run.progress, heartbeat=beat)
                said.append((run, item))
            elif run.report is not None and (run.sent_at is None or now - run.sent_at > 10.0):
                run.sent_at = now
                said.append((run, run.report))
        return said

    def _report(self, now: float) -> None:
        said = self._to_say(now)
        if said:
            heard = self._heard_by(partial(self._all_acknowledged, said))
            self.server.report(self.session_id, [item for _run, item in said], heard)

    def _all_acknowledged(self, said: Sequence[Said], outcomes: Sequence[OrpheusError | None]) -> None:
        is_lost = self._chance(self.temper.lose_answer)
        for (run, item), outcome in zip(said, outcomes, strict=True):
            self._acknowledged(run, item, outcome, is_lost=is_lost)

    def _acknowledged(self, run: HeldRun, item: RunReport, outcome: Any, *, is_lost: bool) -> None:
        run_id = run.grant.run_id
        if item.kind not in ("completed", "failed", "cancelled", "waiting"):
            if isinstance(outcome, OrpheusError) and outcome.code == "stale_run":
                self.held.pop(run_id, None)
            return
        if outcome is None:
            if run_id in self.observed.accepted:
                self.observed.faults.append(f"run {run_id} was accepted twice (promise 2)")
            self.observed.accepted[run_id] = item.kind
        elif outcome.code != "stale_run":
            self.observed.faults.append(f"the report of {run_id} was refused: {outcome.code} {outcome}")
        if is_lost:
            run.sent_at = None  # it will report once more
        else:
            self.held.pop(run_id, None)

    def _beat(self, now: float) -> None:
        self.beat_at = now + 8.0
        answer = self.server.heartbeat(self.session_id, tuple(self.held))
        if isinstance(answer, OrpheusError):
            self._refused(answer)
            return
        self._contacted(tuple(self.held), now)
        cancel, unknown = answer
        for order in cancel:
            if order.run_id in self.held:
                self.held[order.run_id].stop = True
        for run_id in unknown:
            run = self.held.get(run_id)
            if run is not None and run.report is None:
                del self.held[run_id]

    def _refused(self, error: OrpheusError) -> None:
        if isinstance(error, UnknownSession):
            self._disconnected()
        else:
            self.observed.faults.append(f"a worker was refused: {error.code} {error}")

    def _heard_by(self, heard: Callable[[Any], None]) -> Callable[[Any], None]:
        """Wrap a callback: only the process that asked hears the answer, and only once."""
        session_id = self.session_id
        starts = self.server.starts
        called = False

        def hear(answer: Any) -> None:
            nonlocal called
            if called:
                self.observed.faults.append("an answer was given twice")
            called = True
            if self.session_id == session_id and self.server.starts == starts and self.server.up:
                heard(answer)

        return hear

    def _chance(self, chance: float) -> bool:
        return chance > 0 and self.rng.random() < chance

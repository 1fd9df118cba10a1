"""What do workers say, and what do they hear? hello, poll, report, heartbeat, bye, on top of the machine.

Everything a worker says renews the leases of the runs it names; nothing it says is believed without looking at the table
of current runs. The rules are R6 to R9; the conversation's memory is in `sessions.py`, the limits in `leases.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from orpheus.core.errors import DefinitionConflict, InvalidGraph, InvalidRequest, OrpheusError
from orpheus.core.graph import Graph
from orpheus.core.task import NODE
from orpheus.core.validate import parse_graph
from orpheus.engine.base import CancelOrder, LiveMessage, RunReport, WorkerHello
from orpheus.engine.leases import Limit, Run
from orpheus.engine.orders import publish_definition
from orpheus.engine.reports import (
    ENDS,
    MOST_ENDS,
    EndRuns,
    Outcomes,
    WriteLogs,
    WriteProgress,
    check_end,
    check_kind,
    stale,
)
from orpheus.engine.rescues import Expire, Return
from orpheus.engine.sessions import Answer, Session, Waiter
from orpheus.engine.work import Operation, Reply, Undo, Work

if TYPE_CHECKING:
    from orpheus.engine.machine import Machine

MOST_HANDLERS = 10_000
LEAST_SESSION_ID = 16
MOST_STAGE = 200
TIDY_S = 60.0
REMEMBERED_S = 3600.0
"""How long a worker that left is still shown."""


class Workers:
    """The worker's side of the engine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._last_tick: float | None = None
        self._tidied: float | None = None

    # hello

    def hello(self, hello: WorkerHello, reply: Reply) -> None:
        """Register a session and publish what it offers; the reply gets the runs of `held` that are not current.

        The same session again (after a restart of the server, or because its answer was lost) goes on with the runs it
        holds; runs that are its by the rows and that it does not hold never arrived, and go back (R8).
        """
        try:
            _check_hello(hello)
            graphs = [(definition, parse_graph(dict(definition))) for definition in hello.workflows]
        except OrpheusError as error:
            reply(error)
            return
        self._machine.queue(Hello(self, hello, graphs), reply)

    def registered(self, hello: WorkerHello) -> tuple[str, ...]:
        """After the commit: the session exists, and holds what it says it holds."""
        machine = self._machine
        now = machine.clock.monotonic()
        session = machine.sessions.register(hello, now=now, wall=machine.clock.now())
        for run in machine.runs:
            if run.session_id == hello.session_id and not run.adopted:
                # Known from the rows only. Whether it arrived is for `held` to say, so it counts as carried before.
                session.runs.setdefault(run.run_id, -1)
        unknown = self._compare(session, hello.held, now)
        for run_id in session.runs:
            run_found = machine.runs.get(run_id)
            if run_found is not None and run_found.fence_at is not None:
                session.tell_cancel(run_found)
        machine.feed.stirred = True
        return unknown

    # poll

    def poll(
        self,
        session_id: str,
        seq: int,
        *,
        held: Sequence[str],
        free: int,
        resources_free: Mapping[str, int],
        wait_s: float,
        answer: Answer,
        reports: Sequence[RunReport] = (),
        reported: Callable[[Sequence[OrpheusError | None]], None] = lambda _outcomes: None,
    ) -> None:
        """Take part in the round `seq`; `answer` is called once, at once or when there is something to say (R8).

        `reports` are carried out first, whatever the number means, and `reported` gets their outcomes; of a session that is
        not known nothing is. The poll waits on while they are committed, so that tasks which they make ready can go out with
        its answer; from then on it waits `acknowledged_s` at most.
        """
        machine = self._machine
        now = machine.clock.monotonic()
        try:
            session = machine.sessions.get(session_id)
        except OrpheusError as error:
            answer(error)
            return
        machine.sessions.heard(session, now=now, wall=machine.clock.now())
        are_told = False

        def told(outcomes: Sequence[OrpheusError | None]) -> None:
            nonlocal are_told
            are_told = True
            self._acknowledge_soon(session, seq)
            reported(outcomes)

        if reports:
            self.report(session_id, reports, told)
        given = machine.sessions.begin_round(session, seq)
        if given is not None:
            if not given.superseded:
                self._renew(session, held, now)
            machine.once_durable(partial(answer, given))
            return
        for run_id in self._compare(session, held, now):
            session.abandoned[run_id] = None
        wait_s = min(max(0.0, wait_s), machine.options.poll_wait_s)
        machine.sessions.wait(session, Waiter(seq, max(0, free), dict(resources_free), now + wait_s, answer))
        if are_told:
            self._acknowledge_soon(session, seq)
        machine.claims.match_one(session, now)
        if session.claiming == 0 and (session.has_news() or wait_s == 0):
            machine.sessions.answer(session)

    def _acknowledge_soon(self, session: Session, seq: int) -> None:
        """The reports that a poll brought are on disk, or refused: it must not keep its worker waiting to hear so."""
        waiter = session.waiter
        if waiter is not None and waiter.seq == seq:
            waiter.until = min(waiter.until, self._machine.clock.monotonic() + self._machine.options.acknowledged_s)

    def _compare(self, session: Session, held: Sequence[str], now: float) -> tuple[str, ...]:
        """Renew what is held, send back what never arrived, return what is not current."""
        machine = self._machine
        told = machine.sessions.compare(session, held, current=lambda run_id: self._adopt(session, run_id))
        for run_id in told.missing:
            self.never_arrives(run_id)
        self._renew(session, held, now)
        return told.unknown

    def never_arrives(self, run_id: str) -> None:
        """No answer that its worker got carried the run: its task goes back, without an attempt."""
        run = self._machine.runs.get(run_id)
        if run is not None and not run.expiring:
            run.expiring = True
            self._machine.queue(Return(self, run))

    def _adopt(self, session: Session, run_id: str) -> bool:
        """Take over a run that is this session's by its row: it was granted before the server's last start."""
        run = self._machine.runs.get(run_id)
        if run is None or run.session_id != session.session_id:
            return False
        session.runs[run_id] = -1
        return True

    def _renew(self, session: Session, held: Sequence[str], now: float) -> None:
        self._machine.runs.renew_all(session.runs.keys() & held, now)

    # report

    def report(self, session_id: str, reports: Sequence[RunReport], reply: Reply) -> None:
        """Carry out each item; the reply gets for each of them None, or the error that refused it.

        The session need not be known: what fences a report is its `run_id` (R6).
        """
        machine = self._machine
        now = machine.clock.monotonic()
        session = machine.sessions.find(session_id)
        if session is not None:
            machine.sessions.heard(session, now=now, wall=machine.clock.now())
        outcomes = Outcomes(len(reports), reply)
        ends: list[tuple[int, RunReport]] = []
        find, renew = machine.runs.get, machine.runs.renew
        for place, report in enumerate(reports):
            run, kind = find(report.run_id), report.kind
            if kind == "completed" and run is not None and not report.artifacts:
                renew(run, now)
                ends.append((place, report))
                continue
            try:
                if run is None:
                    check_kind(report)
                    raise stale(report.run_id)
                if kind in ENDS:
                    renew(run, now)
                    check_end(report)
                    ends.append((place, report))
                else:
                    self._end_runs(ends, outcomes)  # what was said before it is done before it
                    ends = []
                    self._say_of(run, report, partial(outcomes.put, place), now)
            except OrpheusError as error:
                machine.once_durable(partial(outcomes.put, place, error))
        self._end_runs(ends, outcomes)

    def _end_runs(self, ends: Sequence[tuple[int, RunReport]], outcomes: Outcomes) -> None:
        machine = self._machine
        for first in range(0, len(ends), MOST_ENDS):
            operation = EndRuns(
                ends[first : first + MOST_ENDS],
                outcomes,
                find=machine.runs.get,
                progress=machine.progress,
                options=machine.options,
                durations=machine.durations,
            )
            machine.queue(operation, operation.answer)

    def _say_of(self, run: Run, report: RunReport, reply: Reply, now: float) -> None:
        """Take in what is said of a run that goes on."""
        machine = self._machine
        check_kind(report)
        machine.runs.renew(run, now)
        if report.kind == "log":
            operation_log = WriteLogs(report, find=machine.runs.get, books=machine.logs)
            machine.queue(operation_log, lambda outcome: self._logged(run, outcome, reply))
        else:
            machine.runs.beat(report.run_id, now)
            stage = None if report.stage is None else report.stage[:MOST_STAGE]
            fraction = report.fraction if report.fraction is None or math.isfinite(report.fraction) else None
            machine.progress.say(report.run_id, fraction, stage, report.heartbeat)
            if machine.progress.is_due(report.run_id, now):
                self._write_progress(report.run_id, now)  # at once: what the run says next is told after it
            reply(None)

    def _write_progress(self, run_id: str, now: float) -> None:
        machine = self._machine
        machine.queue(WriteProgress(run_id, find=machine.runs.get, progress=machine.progress, say=self._say))
        machine.progress.hold(run_id, now)

    def _logged(self, run: Run, outcome: Any, reply: Reply) -> None:
        if isinstance(outcome, Exception):
            reply(outcome)
            return
        if outcome:
            self._say(run, "log", {"lines": outcome, "attempt": run.task.attempt})
        reply(None)

    def _say(self, run: Run, kind: str, data: Mapping[str, Any]) -> None:
        stream = self._machine.stream
        if not stream.wants_live():
            return
        task = run.task
        index = None if task.index == NODE else task.index
        at = self._machine.clock.now()
        stream.say(LiveMessage(kind, task.job_id, task.tenant, task.node, index, run.run_id, at, data))

    # heartbeat, bye

    def heartbeat(
        self, session_id: str, held: Sequence[str], memory_bytes: int
    ) -> tuple[tuple[CancelOrder, ...], tuple[str, ...]]:
        """Renew leases; return what to stop and what is not current. Sends nothing back: only a poll compares (R8).

        Raises:
            UnknownSession: the worker has to say hello again.
        """
        machine = self._machine
        now = machine.clock.monotonic()
        session = machine.sessions.get(session_id)
        machine.sessions.heard(session, now=now, wall=machine.clock.now())
        session.memory_bytes = memory_bytes
        unknown = []
        orders = []
        for run_id in held:
            if run_id not in session.runs and not self._adopt(session, run_id):
                unknown.append(run_id)
                continue
            run = machine.runs.get(run_id)
            if run is None:
                continue
            machine.runs.renew(run, now)
            if run.fence_at is not None:
                orders.append(CancelOrder(run_id, run.cancel_reason or "", run.grace_s))
        return tuple(orders), tuple(unknown)

    def bye(self, session_id: str, reply: Reply) -> None:
        """End a session. What it still holds is given up: its leases lapse now instead of later."""
        machine = self._machine
        session = machine.sessions.remove(session_id)
        if session is None:
            reply(None)
            return
        now = machine.clock.monotonic()
        for run_id, carried in session.runs.items():
            if carried is None:
                self.never_arrives(run_id)
            else:
                machine.runs.give_up(run_id, now)
        machine.call("bye", lambda work: work.tx.end_worker(session_id, work.now), lambda _outcome: reply(None))

    # The clock

    def tick(self, now: float) -> None:
        """Look at limits, waits and held-back progress. A gap since the last look that is too long was our own (R7)."""
        machine = self._machine
        last, self._last_tick = self._last_tick, now
        if last is not None and now - last > machine.options.stall_s + machine.options.tick_s:
            machine.meter.stalls += 1
            machine.runs.resume_after_stall(now)
        for run, limit in machine.runs.passed(now):
            machine.queue(self._end(run, limit))
        for session in machine.sessions.over(now):
            if session.claiming == 0:
                machine.sessions.answer(session)
        for run_id in machine.progress.due(now):
            self._write_progress(run_id, now)
        self._tidy(now)
        for session in machine.sessions.idle(now, idle_s=machine.options.session_idle_s):
            machine.sessions.remove(session.session_id)
            machine.call("forget_session", lambda work, s=session: work.tx.end_worker(s.session_id, work.now))  # type: ignore[misc]

    def _tidy(self, now: float) -> None:
        """Once a minute: close the records of workers that never came back, forget those that left long ago."""
        if self._tidied is None:
            self._tidied = now
        if now - self._tidied < TIDY_S:
            return
        self._tidied = now
        self._machine.call("tidy_workers", self._tidy_records)

    def _tidy_records(self, work: Work) -> None:
        self._machine.feed.prune_starts(work)
        records = work.tx.records
        gone = work.now - self._machine.options.session_idle_s
        for record in records.workers():
            known = self._machine.sessions.find(record["session_id"]) is not None
            if record["ended_at"] is None and not known and record["last_seen_at"] < gone:
                records.end_worker(record["session_id"], work.now)
            elif record["ended_at"] is not None and record["ended_at"] < work.now - REMEMBERED_S:
                records.forget_workers(work.now - REMEMBERED_S)
                return

    def next_look(self) -> float | None:
        """Return when the clocks have to be looked at again, so that a stall can be told from quiet."""
        return None if self._last_tick is None else self._last_tick + self._machine.options.tick_s

    def _end(self, run: Run, limit: Limit) -> Operation:
        session = self._machine.sessions.find(run.session_id)
        if limit is Limit.LEASE and session is not None and session.runs.get(run.run_id, -1) is None:
            return Return(self, run, check=True)  # no answer ever carried it: no attempt was made
        return Expire(self, run, limit)

    def retry(self, run: Run) -> None:
        """An operation on a run's limit was refused or dropped: look again in a while."""
        self._machine.runs.retry(run.run_id, not_before=self._machine.clock.monotonic() + 1.0)

    @property
    def machine(self) -> Machine:
        return self._machine


class Hello(Operation):
    """Publish what a worker offers, and remember that it came."""

    name = "hello"

    def __init__(self, workers: Workers, hello: WorkerHello, graphs: Sequence[tuple[Mapping[str, Any], Graph]]) -> None:
        self._workers = workers
        self._hello = hello
        self._graphs = graphs

    def run(self, work: Work) -> HelloAnswer:
        hello = self._hello
        try:
            for spec in hello.task_specs:
                work.tx.put_task_spec(spec, work.now)
            for definition, graph in self._graphs:
                publish_definition(definition, graph, work, actor="worker", worker=hello.worker)
        except (DefinitionConflict, InvalidGraph) as refusal:
            raise Undo(refusal) from None  # what came before it is written already, and a refused hello changes nothing
        work.tx.record_worker(hello.session_id, hello.worker, _kept(hello), work.now)
        answer = HelloAnswer()
        work.after_commit(lambda: answer.set(self._workers.registered(hello)))
        return answer


class HelloAnswer:
    """What `registered` finds after the commit."""

    def __init__(self) -> None:
        self.unknown: tuple[str, ...] = ()

    def set(self, unknown: tuple[str, ...]) -> None:
        self.unknown = unknown


def _kept(hello: WorkerHello) -> dict[str, Any]:
    kept = asdict(hello)
    for name in ("session_id", "worker", "task_specs", "workflows", "held"):
        del kept[name]
    return kept


def _check_hello(hello: WorkerHello) -> None:
    if len(hello.session_id) < LEAST_SESSION_ID or len(hello.session_id) > 200:
        raise InvalidRequest("session_id has to have 16 to 200 characters", details=[{"path": "/session_id"}])
    if hello.slots < 0:
        raise InvalidRequest("slots must not be negative", details=[{"path": "/slots"}])
    if len(hello.handlers) > MOST_HANDLERS:
        raise InvalidRequest(f"a worker may offer {MOST_HANDLERS} tasks", details=[{"path": "/tasks"}])
    for name, amount in hello.resources.items():
        if amount < 0:
            raise InvalidRequest(f"resource {name!r} must not be negative", details=[{"path": f"/resources/{name}"}])

"""What fires, and when is it looked at again? Schedules: made, changed, deleted by people, moved on by time (R27).

A firing creates its job and moves the schedule to its next slot in one transaction, so a crash leaves both or neither: no
slot is lost, none fires twice. As with the timers of rows, only the earliest slot of all is kept in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from random import Random
from typing import Any

import msgspec

from orpheus.core.errors import OrpheusError, QuotaExceeded, ScheduleConflict, UnknownSchedule
from orpheus.core.facts import CancelRequested
from orpheus.core.ids import RANDOM_BITS, uuid7
from orpheus.core.schedule import Firing, Schedule, begins_at, due, next_run, overlapping
from orpheus.core.suggest import quoted
from orpheus.engine.base import Submission
from orpheus.engine.cron import slots_of
from orpheus.engine.params import ParamsChecker
from orpheus.engine.schedule_checks import TIMING, check_schedule
from orpheus.engine.submissions import Submit, prepare
from orpheus.engine.tenants import Tenants
from orpheus.engine.work import Operation, Work

RETRY_S = 2.0
"""Wait before looking again after a firing that met a fault of ours."""
_LABEL = "schedule"


class Scheduling:
    """The schedules of an engine: what people do to them, and the earliest slot of all."""

    def __init__(
        self,
        *,
        queue: Callable[[Operation], None],
        checker: ParamsChecker,
        rng: Random,
        params_max_bytes: int,
        tenants: Tenants,
        limit: int,
    ) -> None:
        self._queue = queue
        self._checker = checker
        self._rng = rng
        self._params_max_bytes = params_max_bytes
        self._tenants = tenants
        self._limit = limit
        self._next = -math.inf
        """Look at once: after a start nobody knows."""
        self._finding = False
        self._firing = 0

    # Time

    def next_due(self) -> float | None:
        """Return when `tick` has something to do, or None."""
        return None if self._finding or self._firing or self._next == math.inf else self._next

    def tick(self, now: float) -> None:
        at = self.next_due()
        if at is not None and at <= now:
            self._finding = True
            self._queue(FindDue(self))

    def note(self, next_run_at: float | None) -> None:
        """Follow a committed change: this schedule may be due earlier than any other."""
        if next_run_at is not None:
            self._next = min(self._next, next_run_at)

    def find(self, work: Work) -> None:
        """Ask the rows which schedules are due, and have each of them fire in an operation of its own."""
        found, earliest = work.tx.schedules.due(work.now, self._limit), work.tx.schedules.next_due()

        def follow() -> None:
            self._finding = False
            self._firing = len(found)
            self._next = math.inf if earliest is None else earliest
            for schedule_id in found:
                self._queue(Fire(self, schedule_id))

        work.after_commit(follow)

    def not_found(self) -> None:
        """`FindDue` was dropped: look again."""
        self._finding = False

    def fired(self, *, again_at: float) -> None:
        """One of those that were due is done; the last of them has the rows asked again."""
        self._firing -= 1
        if self._firing == 0:
            self._next = again_at

    # Firing

    def fire(self, work: Work, schedule_id: str) -> None:
        """Make the jobs of the slots that have come, and move on to the next."""
        schedules = work.tx.schedules
        schedule = schedules.by_id(schedule_id)
        if schedule is None:
            return
        try:
            decided = due(schedule, work.now, slots_of(schedule))
        except OrpheusError as error:  # its time zone is gone from this machine
            assert schedule.next_run_at is not None, "what is due waits for a slot"
            firing = _firing(work, schedule.next_run_at, "time", "failed", reason=_told(error))
            if not schedules.fired(schedule_id, firing.scheduled_for):
                schedules.add_firing(schedule_id, firing)
            schedules.move(schedule_id, seen_until=schedule.seen_until, next_run_at=None)
            return
        if decided.missed_from is not None and not schedules.fired(schedule_id, decided.missed_from):
            count = f"{'at least ' if decided.missed_at_least else ''}{decided.missed}"
            reason = f"missed: {count} passed over, to {_rfc3339(decided.missed_to or decided.missed_from)}"
            schedules.add_firing(schedule_id, _firing(work, decided.missed_from, "time", "skipped", reason=reason))
        for slot in decided.run:
            if not schedules.fired(schedule_id, slot):
                self._submit(work, schedule, slot, trigger="time", actor="")
        if (decided.seen_until, decided.next_run_at) != (schedule.seen_until, schedule.next_run_at):
            schedules.move(schedule_id, seen_until=decided.seen_until, next_run_at=decided.next_run_at)
        if decided.run or decided.missed:
            schedules.forget_firings(schedule_id)

    def _submit(self, work: Work, schedule: Schedule, slot: float, *, trigger: str, actor: str) -> Firing:
        """Make the job of a slot as the overlap rule allows, and write down what came of it."""
        schedules = work.tx.schedules
        start = overlapping(schedule.overlap, schedules.open_jobs(schedule.schedule_id))
        if start.runs:
            by_time = trigger == "time"
            submission = msgspec.structs.replace(
                submission_of(schedule),
                run_at=begins_at(schedule, slot) if by_time else None,
                depends_on=tuple((job_id, "end") for job_id in start.wait_for),
                idempotency_key=f"schedule:{schedule.schedule_id}:{slot:.3f}" if by_time else None,
                actor=actor or f"schedule:{schedule.name}",
                schedule=schedule.name,
                scheduled_for=slot,
            )
            try:
                [submitted] = self._submitting(submission).run(work)
            except OrpheusError as error:
                firing = _firing(work, slot, trigger, "failed", reason=_told(error), actor=actor)
            else:
                firing = _firing(work, slot, trigger, "submitted", job_id=submitted.job.job_id, actor=actor)
                for older in start.cancel:  # after the new job was made, whose place they give way to
                    self._cancel(work, older, schedule)
        else:
            firing = _firing(work, slot, trigger, "skipped", reason=start.reason, actor=actor)
        schedules.add_firing(schedule.schedule_id, firing)
        return firing

    def _cancel(self, work: Work, job_id: str, schedule: Schedule) -> None:
        reason = f"a newer run of schedule {schedule.name} takes its place"
        try:
            work.tell(job_id, CancelRequested(reason=reason, actor=f"schedule:{schedule.name}"))
        except OrpheusError as error:  # it has come to its end meanwhile
            work.on_fault(job_id, error)

    def _try(self, work: Work, job: Submission) -> None:
        """Refuse a job that could not be created now; a later run may still find things changed."""
        try:
            self._submitting(job).decide(work)
        except QuotaExceeded:
            return  # the tenant has much to do just now; what becomes of a later run is told with it
        except OrpheusError as error:
            error.details = [{**each, "path": f"/job{each.get('path', '')}"} for each in error.details]
            raise

    def _submitting(self, submission: Submission) -> Submit:
        return Submit(
            prepare([submission]),
            checker=self._checker,
            rng=self._rng,
            params_max_bytes=self._params_max_bytes,
            tenants=self._tenants,
        )

    # People

    def create(
        self, name: str, job: Submission, spec: Mapping[str, Any], *, actor: str
    ) -> Callable[[Work], tuple[Schedule, bool]]:
        """Return the transaction's function that makes a schedule: the same again is the same one (False).

        Raises:
            InvalidParams, InvalidRequest: when or what cannot be.
        """
        template = _template(job)

        def make(work: Work) -> tuple[Schedule, bool]:
            made = Schedule(
                schedule_id=uuid7(work.now, self._rng.getrandbits(RANDOM_BITS)),
                tenant=job.tenant,
                name=name,
                job=template,
                anchor_at=work.now,
                seen_until=work.now,
                created_at=work.now,
                created_by=actor,
                updated_at=work.now,
                updated_by=actor,
                **spec,
            )
            check_schedule(made)
            known = work.tx.schedules.get(job.tenant, name)
            if known is not None:
                if _content(known) != _content(made):
                    raise ScheduleConflict(
                        f"there is a schedule {quoted(name)} already, with another content",
                        hint=f"Change it with PATCH /schedules/{name}, or take another name.",
                        details=[{"path": "/name", "message": "in use"}],
                    )
                return known, False
            self._try(work, job)
            made = _anchored(made, work.now)
            work.tx.schedules.add(made)
            work.audit("schedule.created", name, actor=actor, tenant=made.tenant, when=made.cron or made.every_s)
            work.after_commit(lambda: self.note(made.next_run_at))
            return made, True

        return make

    def change(
        self, tenant: str, name: str, changes: Mapping[str, Any], *, job: Submission | None, actor: str
    ) -> Callable[[Work], Schedule]:
        """Return the transaction's function that changes a schedule; new times count from now on."""

        def alter(work: Work) -> Schedule:
            before = _known(work, tenant, name)
            told = dict(changes)
            for one, other in (("cron", "every_s"), ("every_s", "cron")):
                if told.get(one) is not None:
                    told.setdefault(other, None)
            if job is not None:
                told["job"] = _template(job)
            after = replace(before, **told)
            if _content(after) == _content(before) and after.paused == before.paused:
                return before
            check_schedule(after)
            if job is not None:
                self._try(work, job)
            after = replace(after, updated_at=work.now, updated_by=actor)
            if any(getattr(after, field) != getattr(before, field) for field in TIMING):
                after = _anchored(after, work.now)
            elif after.paused != before.paused:  # what passes during a pause is not missed
                after = _waiting(after, work.now)
            work.tx.schedules.change(after)
            work.audit("schedule.updated", name, actor=actor, tenant=tenant, fields=sorted(told))
            work.after_commit(lambda: self.note(after.next_run_at))
            return after

        return alter

    def delete(self, tenant: str, name: str, *, actor: str) -> Callable[[Work], None]:
        """Return the transaction's function that deletes a schedule; the jobs it made stay."""

        def remove(work: Work) -> None:
            if not work.tx.schedules.remove(tenant, name):
                raise _unknown(name)
            work.audit("schedule.deleted", name, actor=actor, tenant=tenant)

        return remove

    def run_now(self, tenant: str, name: str, *, actor: str) -> Callable[[Work], Firing]:
        """Return the transaction's function that fires a schedule now, paused or not, under its overlap rule."""

        def run(work: Work) -> Firing:
            schedule = _known(work, tenant, name)
            firing = self._submit(work, schedule, work.now, trigger="manual", actor=actor)
            work.tx.schedules.forget_firings(schedule.schedule_id)
            work.audit("schedule.run", name, actor=actor, tenant=tenant, outcome=firing.outcome, job_id=firing.job_id)
            return firing

        return run


class FindDue(Operation):
    """Ask which schedules are due. Reads only."""

    name = "find_due_schedules"

    def __init__(self, scheduling: Scheduling) -> None:
        self._scheduling = scheduling

    def run(self, work: Work) -> None:
        self._scheduling.find(work)

    def failed(self, error: BaseException) -> None:
        self._scheduling.not_found()


class Fire(Operation):
    """Let one schedule that is due do what it does now."""

    name = "fire_schedule"

    def __init__(self, scheduling: Scheduling, schedule_id: str) -> None:
        self._scheduling = scheduling
        self._schedule_id = schedule_id
        self._now = 0.0

    def run(self, work: Work) -> None:
        self._now = work.now
        self._scheduling.fire(work, self._schedule_id)
        work.after_commit(lambda: self._scheduling.fired(again_at=-math.inf))

    def failed(self, error: BaseException) -> None:
        self._scheduling.fired(again_at=self._now + RETRY_S)


def submission_of(schedule: Schedule) -> Submission:
    """Return the submission a schedule makes, as its tenant, labelled with its name."""
    job = dict(schedule.job)
    labels = {_LABEL: schedule.name, **job.pop("labels", {})}
    return Submission(tenant=schedule.tenant, labels=labels, **job)


def _template(job: Submission) -> dict[str, Any]:
    """Return what of a submission differs from the defaults: fields that come later are kept without being named here."""
    told: dict[str, Any] = {}
    for field in msgspec.structs.fields(job):
        value = getattr(job, field.name)
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        if field.name not in _NOT_KEPT and value != default:
            told[field.name] = value
    return told


_NOT_KEPT = frozenset({"tenant", "actor", "correlation_id", "traceparent", "fingerprint", "idempotency_key"})


def _content(schedule: Schedule) -> dict[str, Any]:
    return {field.name: getattr(schedule, field.name) for field in fields(schedule) if field.name not in _CIRCUMSTANCES}


_CIRCUMSTANCES = frozenset(
    {
        *("schedule_id", "anchor_at", "paused", "seen_until", "next_run_at"),
        *("created_at", "created_by", "updated_at", "updated_by"),
    }
)


def _anchored(schedule: Schedule, now: float) -> Schedule:
    """Begin to count from now on."""
    return _waiting(replace(schedule, anchor_at=now if schedule.start_at is None else schedule.start_at), now)


def _waiting(schedule: Schedule, now: float) -> Schedule:
    schedule = replace(schedule, seen_until=now)
    return replace(schedule, next_run_at=next_run(schedule, now, slots_of(schedule)))


def _known(work: Work, tenant: str, name: str) -> Schedule:
    found = work.tx.schedules.get(tenant, name)
    if found is None:
        raise _unknown(name)
    return found


def _unknown(name: str) -> UnknownSchedule:
    return UnknownSchedule(f"there is no schedule {quoted(name)}", hint="See GET /schedules.")


def _firing(
    work: Work, slot: float, trigger: str, outcome: str, *, job_id: str | None = None, reason: str = "", actor: str = ""
) -> Firing:
    return Firing(
        scheduled_for=slot,
        at=work.now,
        trigger=trigger,
        outcome=outcome,
        job_id=job_id,
        reason=reason[:2000],
        actor=actor,
    )


def _told(error: OrpheusError) -> str:
    return f"{error.code}: {error.message}"


def _rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

"""Schedules: jobs by the clock (R27)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from orpheus.api import render
from orpheus.api.calls import NO_CONTENT, Answer, Call, json_answer
from orpheus.api.errors import Forbidden, MalformedBody, UnsupportedBody
from orpheus.api.query import Cursor, Limit, Place, bad_cursor, instant, whole_number
from orpheus.api.route import Routes
from orpheus.api.submissions import tenant_of, to_submission
from orpheus.core.errors import (
    InvalidGraph,
    InvalidParams,
    InvalidRequest,
    OrpheusError,
    ScheduleConflict,
    UnknownSchedule,
    UnknownWorkflow,
)
from orpheus.core.schedule import Firing, Missed, Overlap, Schedule
from orpheus.core.sensitive import holds_sensitive, redacted
from orpheus.core.suggest import quoted
from orpheus.engine.base import Submission
from orpheus.protocol.jobs import TENANT, SubmitJob
from orpheus.protocol.schedules import (
    SCHEDULE,
    CreateSchedule,
    FiringInfo,
    FiringPage,
    PatchSchedule,
    ScheduleInfo,
    SchedulePage,
)

routes = Routes("schedules", "Jobs by the clock: cron expressions and intervals, in a time zone.")

NEXT_RUNS = 5
NEWEST_FIRINGS = 20
_PATTERN = {"name": SCHEDULE}
_CREATE_ERRORS = (
    *(MalformedBody, InvalidRequest, UnsupportedBody, InvalidParams, InvalidGraph, UnknownWorkflow, Forbidden),
)
_Tenant = Annotated[
    str, msgspec.Meta(pattern=TENANT, description="Whose schedule; `default` when left out, or the key's own tenant.")
]
_KINDS: dict[str, type[Missed | Overlap]] = {"missed": Missed, "overlap": Overlap}


class ScheduleQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    tenant: _Tenant | None = None


class ShowQuery(ScheduleQuery, kw_only=True, forbid_unknown_fields=True):
    next: Annotated[int, msgspec.Meta(ge=0, le=1000)] = NEXT_RUNS
    """How many of the next runs to show."""


class SchedulesQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    tenant: Annotated[str, msgspec.Meta(pattern=TENANT)] | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


class FiringsQuery(ScheduleQuery, kw_only=True, forbid_unknown_fields=True):
    limit: Limit = 50
    cursor: Place | None = None


@routes.post(
    "/schedules",
    role="submit",
    body=CreateSchedule,
    answers={201: ScheduleInfo, 200: ScheduleInfo},
    errors=(*_CREATE_ERRORS, ScheduleConflict),
    answer_headers={"Location": "Where the schedule is."},
    examples={
        "nightly": {
            "name": "nightly",
            "cron": "0 3 * * *",
            "timezone": "Europe/Berlin",
            "job": {"workflow": "wordcount", "params": {"text": "good night"}},
        }
    },
)
async def create_schedule(call: Call) -> Answer:
    """Create a schedule.

    Its job is checked now, and again at each run. The same schedule again answers 200.
    """
    body: CreateSchedule = call.body
    submission = await _submission(call, body.job)
    spec = _spec(msgspec.structs.asdict(body))
    schedule, created = await call.services.engine.schedules.create(
        body.name, submission, spec, actor=call.identity.actor
    )
    location = f"{call.root_path}/schedules/{schedule.name}".encode("ascii", "replace")
    return json_answer(await _shown(call, schedule), status=201 if created else 200, headers=[(b"location", location)])


@routes.get("/schedules", role="read", query=SchedulesQuery, answers={200: SchedulePage}, errors=(InvalidRequest,))
async def list_schedules(call: Call) -> Answer:
    """List schedules, by tenant and name."""
    query: SchedulesQuery = call.query
    found = await call.services.engine.reads.schedules(
        tenant=call.identity.tenant or query.tenant, after=_after(query.cursor), limit=query.limit
    )
    cursor = f"{found[-1].tenant}/{found[-1].name}" if len(found) == query.limit else None
    return json_answer(SchedulePage(items=[await _shown(call, each) for each in found], next_cursor=cursor))


def _after(cursor: str | None) -> tuple[str, str]:
    if cursor is None:
        return "", ""
    tenant, slash, name = cursor.partition("/")
    if not slash:
        raise bad_cursor(cursor)
    return tenant, name


@routes.get(
    "/schedules/{name}",
    role="read",
    query=ShowQuery,
    answers={200: ScheduleInfo},
    errors=(UnknownSchedule, InvalidRequest),
    path_patterns=_PATTERN,
)
async def show_schedule(call: Call) -> Answer:
    """Show a schedule, its next runs, and what became of the latest."""
    query: ShowQuery = call.query
    schedule = await _find(call, query.tenant)
    shown = await _shown(call, schedule, count=query.next)
    rows = await call.services.engine.reads.firings(schedule.schedule_id, before=None, limit=NEWEST_FIRINGS)
    shown.firings = [_firing(firing) for _number, firing in rows]
    return json_answer(shown)


@routes.get(
    "/schedules/{name}/firings",
    role="read",
    query=FiringsQuery,
    answers={200: FiringPage},
    errors=(UnknownSchedule, InvalidRequest),
    path_patterns=_PATTERN,
)
async def list_firings(call: Call) -> Answer:
    """List what became of a schedule's runs, the newest first."""
    query: FiringsQuery = call.query
    schedule = await _find(call, query.tenant)
    before = None if query.cursor is None else whole_number(query.cursor)
    rows = await call.services.engine.reads.firings(schedule.schedule_id, before=before, limit=query.limit)
    cursor = str(rows[-1][0]) if len(rows) == query.limit else None
    return json_answer(FiringPage(items=[_firing(firing) for _number, firing in rows], next_cursor=cursor))


@routes.patch(
    "/schedules/{name}",
    role="submit",
    query=ScheduleQuery,
    body=PatchSchedule,
    answers={200: ScheduleInfo},
    errors=(*_CREATE_ERRORS, UnknownSchedule),
    path_patterns=_PATTERN,
)
async def change_schedule(call: Call) -> Answer:
    """Change a schedule. What is left out stays; new times count from now on."""
    body: PatchSchedule = call.body
    tenant = _tenant(call, call.query.tenant)
    given = {name: value for name, value in msgspec.structs.asdict(body).items() if value is not msgspec.UNSET}
    job = None
    if not isinstance(body.job, msgspec.UnsetType):
        job = await _submission(call, body.job, tenant=tenant)
    schedule = await call.services.engine.schedules.change(
        tenant, call.path["name"], _spec(given), job=job, actor=call.identity.actor
    )
    return json_answer(await _shown(call, schedule))


@routes.delete(
    "/schedules/{name}",
    role="submit",
    query=ScheduleQuery,
    answers={204: None},
    errors=(UnknownSchedule, InvalidRequest),
    path_patterns=_PATTERN,
)
async def delete_schedule(call: Call) -> Answer:
    """Delete a schedule. The jobs it made stay."""
    await call.services.engine.schedules.delete(
        _tenant(call, call.query.tenant), call.path["name"], actor=call.identity.actor
    )
    return NO_CONTENT


@routes.post(
    "/schedules/{name}/pause",
    role="operate",
    query=ScheduleQuery,
    answers={200: ScheduleInfo},
    errors=(UnknownSchedule, InvalidRequest),
    path_patterns=_PATTERN,
)
async def pause_schedule(call: Call) -> Answer:
    """Let a schedule make no more jobs; those it made go on."""
    return await _set_paused(call, True)


@routes.post(
    "/schedules/{name}/resume",
    role="operate",
    query=ScheduleQuery,
    answers={200: ScheduleInfo},
    errors=(UnknownSchedule, InvalidRequest),
    path_patterns=_PATTERN,
)
async def resume_schedule(call: Call) -> Answer:
    """Let a schedule go on from now; runs that fell into the pause are not missed ones."""
    return await _set_paused(call, False)


async def _set_paused(call: Call, paused: bool) -> Answer:
    schedule = await call.services.engine.schedules.change(
        _tenant(call, call.query.tenant), call.path["name"], {"paused": paused}, actor=call.identity.actor
    )
    return json_answer(await _shown(call, schedule))


@routes.post(
    "/schedules/{name}/run",
    role="operate",
    query=ScheduleQuery,
    answers={201: FiringInfo, 200: FiringInfo},
    errors=(UnknownSchedule, InvalidRequest),
    path_patterns=_PATTERN,
)
async def run_schedule(call: Call) -> Answer:
    """Fire a schedule now, paused or not.

    201 with the job it made; 200 with the reason when it made none (overlap, or a job that cannot be created).
    """
    firing = await call.services.engine.schedules.run_now(
        _tenant(call, call.query.tenant), call.path["name"], actor=call.identity.actor
    )
    return json_answer(_firing(firing), status=200 if firing.job_id is None else 201)


def _tenant(call: Call, asked: str | None) -> str:
    return call.identity.tenant or asked or "default"


async def _find(call: Call, asked: str | None) -> Schedule:
    name = call.path["name"]
    found = await call.services.engine.reads.schedule(_tenant(call, asked), name)
    if found is None:
        raise UnknownSchedule(f"there is no schedule {quoted(name)}", hint="See GET /schedules.")
    return found


async def _submission(call: Call, job: SubmitJob, *, tenant: str | None = None) -> Submission:
    """Make the submission of a schedule's job. What is wrong with it is told at `/job/…`."""
    if tenant is not None:
        if job.tenant not in (None, tenant):
            raise InvalidRequest(
                "body: a schedule keeps its tenant",
                details=[{"path": "/job/tenant", "message": "a schedule keeps its tenant", "in": "body"}],
            )
        job = msgspec.structs.replace(job, tenant=tenant)
    tenant_of(call, job.tenant)
    if job.idempotency_key is not None:
        raise InvalidRequest(
            "body: the job of a schedule has no idempotency_key",
            hint="Each run has its own, made of the schedule and its time.",
            details=[{"path": "/job/idempotency_key", "message": "not for a schedule", "in": "body"}],
        )
    try:
        return await to_submission(call, job, in_batch=True)
    except OrpheusError as error:
        error.details = [{**each, "path": f"/job{each.get('path', '')}"} for each in error.details]
        raise


def _spec(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that say when, as the engine takes them."""
    spec = {name: value for name, value in given.items() if name not in ("name", "job")}
    for name in ("start_at", "end_at"):
        if name in spec:
            spec[name] = instant(spec[name], name, where="body")
    for name, kind in _KINDS.items():
        if name in spec:
            spec[name] = kind(spec[name])
    return spec


async def _shown(call: Call, schedule: Schedule, *, count: int = NEXT_RUNS) -> ScheduleInfo:
    job = dict(schedule.job)
    if job.get("params"):
        schema = await call.services.catalog.params_schema(job["workflow"])
        if holds_sensitive(schema):
            job["params"] = redacted(schema, job["params"])
    return ScheduleInfo(
        name=schedule.name,
        tenant=schedule.tenant,
        description=schedule.description,
        cron=schedule.cron,
        every_s=schedule.every_s,
        timezone=schedule.timezone,
        job=job,
        missed=schedule.missed.value,
        max_missed=schedule.max_missed,
        grace_s=schedule.grace_s,
        overlap=schedule.overlap.value,
        jitter_s=schedule.jitter_s,
        start_at=render.instant(schedule.start_at),
        end_at=render.instant(schedule.end_at),
        paused=schedule.paused,
        next_run_at=render.instant(schedule.next_run_at),
        next_runs=[_at(at) for at in call.services.engine.reads.next_runs(schedule, count)],
        created_at=_at(schedule.created_at),
        created_by=schedule.created_by,
        updated_at=_at(schedule.updated_at),
        updated_by=schedule.updated_by,
    )


def _firing(firing: Firing) -> FiringInfo:
    return FiringInfo(
        scheduled_for=_at(firing.scheduled_for),
        at=_at(firing.at),
        trigger=firing.trigger,
        outcome=firing.outcome,
        job_id=firing.job_id,
        reason=firing.reason,
        actor=firing.actor,
    )


def _at(at: float) -> str:
    shown = render.instant(at)
    assert shown is not None, "an instant has a form"
    return shown

"""The operations on schedules (R27)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict
from urllib.parse import quote

from orpheus.client.effects import Operation
from orpheus.client.errors import InvalidInput
from orpheus.client.jobs import build, rfc3339
from orpheus.client.requests import Request, decoder, encode, get, pairs, post
from orpheus.client.retrying import Patience, send
from orpheus.protocol.jobs import SubmitJob
from orpheus.protocol.schedules import CreateSchedule, FiringInfo, PatchSchedule, ScheduleInfo

_SCHEDULE = decoder(ScheduleInfo)
_FIRING = decoder(FiringInfo)
_JSON = {"content-type": "application/json"}


class ScheduleOptions(TypedDict, total=False):
    """When a schedule fires, and by which rules."""

    cron: str
    every_s: float
    timezone: str
    missed: str
    max_missed: int
    grace_s: float
    overlap: str
    jitter_s: float
    start_at: datetime | str | None
    end_at: datetime | str | None
    paused: bool
    description: str


def create(
    name: str, job: SubmitJob | Mapping[str, Any], options: Mapping[str, Any], patience: Patience
) -> Operation[ScheduleInfo]:
    """Upload the job's files, then make the schedule. The same again is the same one, so it may be repeated."""
    body = yield from _job(job, patience)
    request = post("/schedules", _checked(CreateSchedule, {"name": name, "job": body, **_times(options)}))
    return _SCHEDULE((yield from send(request, patience)))


def change(
    name: str,
    job: SubmitJob | Mapping[str, Any] | None,
    options: Mapping[str, Any],
    tenant: str | None,
    patience: Patience,
) -> Operation[ScheduleInfo]:
    """Change what is given."""
    given = _times(options)
    if job is not None:
        given["job"] = yield from _job(job, patience)
    request = Request(
        "PATCH", schedule_path(name), pairs({"tenant": tenant}), _JSON, encode(_checked(PatchSchedule, given))
    )
    return _SCHEDULE((yield from send(request, patience)))


def fetch(name: str, tenant: str | None, upcoming: int | None, patience: Patience) -> Operation[ScheduleInfo]:
    return _SCHEDULE((yield from send(get(schedule_path(name), {"tenant": tenant, "next": upcoming}), patience)))


def delete(name: str, tenant: str | None, patience: Patience) -> Operation[None]:
    """Not repeated: the second would be told that there is no such schedule."""
    request = Request("DELETE", schedule_path(name), pairs({"tenant": tenant}), repeatable=False)
    yield from send(request, patience)


def set_paused(name: str, paused: bool, tenant: str | None, patience: Patience) -> Operation[ScheduleInfo]:
    path = schedule_path(name, "pause" if paused else "resume")
    return _SCHEDULE((yield from send(Request("POST", path, pairs({"tenant": tenant}), _JSON, encode({})), patience)))


def run_now(name: str, tenant: str | None, patience: Patience) -> Operation[FiringInfo]:
    """Not repeated: twice would make two jobs."""
    request = Request(
        "POST", schedule_path(name, "run"), pairs({"tenant": tenant}), _JSON, encode({}), repeatable=False
    )
    return _FIRING((yield from send(request, patience)))


def schedule_path(name: str, *rest: str) -> str:
    """Return `/schedules/{name}/…`."""
    return "/".join(["/schedules", quote(name, safe=""), *rest])


def _job(job: SubmitJob | Mapping[str, Any], patience: Patience) -> Operation[SubmitJob]:
    body = yield from build(job, "", patience)
    body.idempotency_key = None
    return body


def _times(options: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in options.items() if value is not None or name in ("start_at", "end_at")}
    for name in ("start_at", "end_at"):
        if isinstance(given.get(name), datetime):
            given[name] = rfc3339(given[name], name)
    return given


def _checked(kind: type[CreateSchedule] | type[PatchSchedule], given: dict[str, Any]) -> Any:
    try:
        return kind(**given)
    except TypeError as error:
        raise InvalidInput(f"a schedule has no such option: {error}") from None

"""Pictures that look alike."""

from __future__ import annotations

from typing import Annotated

import msgspec

from orpheus.api import render
from orpheus.api.calls import Answer, Call, json_answer
from orpheus.api.query import NoQuery
from orpheus.api.route import Routes
from orpheus.api.routers._find import find_job
from orpheus.core.errors import InvalidRequest, UnknownJob
from orpheus.protocol.duplicates import Duplicate, DuplicatePage

routes = Routes("duplicates", "Pictures that look alike.")


class DuplicatesQuery(NoQuery, kw_only=True, forbid_unknown_fields=True):
    distance: Annotated[int, msgspec.Meta(ge=0, le=11)] = 6
    """Different bits of the two hashes, of 64. Files of one picture are within 6."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 50


@routes.get(
    "/jobs/{job_id}/duplicates",
    role="read",
    query=DuplicatesQuery,
    answers={200: DuplicatePage},
    errors=(InvalidRequest, UnknownJob),
)
async def list_duplicates(call: Call) -> Answer:
    """Find the tenant's other jobs with a picture that looks like one of this job's, the nearest first."""
    job = await find_job(call)
    query: DuplicatesQuery = call.query
    found = await call.services.engine.reads.duplicates(job.job_id, distance=query.distance, limit=query.limit)
    items = [
        Duplicate(
            job_id=one["job_id"],
            workflow=one["workflow"],
            created_at=render.instant(one["created_at"]) or "",
            artifact=one["name"],
            of=one["of"],
            phash=one["phash"],
            distance=one["distance"],
        )
        for one in found
    ]
    return json_answer(DuplicatePage(items=items))

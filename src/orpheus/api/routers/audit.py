"""Who did what, when?"""

from __future__ import annotations

from typing import Annotated

import msgspec

from orpheus.api import render
from orpheus.api.calls import Answer, Call, json_answer
from orpheus.api.query import Cursor, Instant, Limit, instant
from orpheus.api.route import Routes
from orpheus.core.errors import InvalidRequest
from orpheus.engine.audit import AuditEntry, AuditFilter
from orpheus.protocol.access import AuditInfo, AuditPage

routes = Routes("audit", "Who did what, when.")


class AuditQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """All of what is given applies."""

    actor: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    """A key's name; `local` without keys."""
    type: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    """`key.created`, `queue.updated`, `job.approved` …"""
    tenant: str | None = None
    after: Instant | None = None
    before: Instant | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


@routes.get("/audit", role="operate", query=AuditQuery, answers={200: AuditPage}, errors=(InvalidRequest,))
async def show_audit(call: Call) -> Answer:
    """List what people and programs did, newest first.

    Orders that belong to no job (keys, queues, schedules, definitions) and the orders among the events of jobs. What workers and
    the server did is in each job's events. A key of one tenant sees what was done to that tenant's things.
    """
    query: AuditQuery = call.query
    bound = call.identity.tenant
    if bound is not None and query.tenant not in (None, bound):
        return json_answer(AuditPage(items=[], next_cursor=None))
    filters = AuditFilter(
        actor=query.actor,
        type=query.type,
        tenant=bound or query.tenant,
        after=instant(query.after, "after"),
        before=instant(query.before, "before"),
    )
    entries, cursor = await call.services.engine.reads.audit(filters, limit=query.limit, cursor=query.cursor)
    return json_answer(AuditPage(items=[_info(entry) for entry in entries], next_cursor=cursor))


def _info(entry: AuditEntry) -> AuditInfo:
    return AuditInfo(
        at=render.instant(entry.at) or "",
        type=entry.type,
        actor=entry.actor,
        subject=entry.subject,
        tenant=entry.tenant,
        correlation_id=entry.correlation_id,
        job_id=entry.job_id,
        seq=entry.seq,
        task=entry.task,
        index=entry.index,
        run_id=entry.run_id,
        data=dict(entry.data),
    )

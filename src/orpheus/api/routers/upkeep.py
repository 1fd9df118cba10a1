"""What is kept and what goes: pruning, backups, the result cache, failures grouped."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated

import msgspec

from orpheus.api import render
from orpheus.api.calls import Answer, Call, json_answer
from orpheus.api.errors import MalformedBody, UnsupportedBody
from orpheus.api.query import NoQuery, instant
from orpheus.api.route import Routes
from orpheus.core.errors import InvalidRequest
from orpheus.engine.upkeep_contract import FailureFilter, Pruned, PruneOrder
from orpheus.protocol.jobs import Instant, Tenant
from orpheus.protocol.upkeep import (
    BackupAnswer,
    BackupBody,
    CachedResults,
    CachePage,
    ClearCacheBody,
    FailureGroup,
    FailurePage,
    Name,
    PruneAnswer,
    PruneBody,
)

routes = Routes("upkeep", "What is kept, and what went wrong.")

_ERRORS = (MalformedBody, InvalidRequest, UnsupportedBody)


@routes.post("/prune", role="admin", body=PruneBody, answers={200: PruneAnswer}, errors=_ERRORS, timed=False)
async def prune(call: Call) -> Answer:
    """Remove ended jobs: rows, events, logs, files. Answers when they are gone.

    Jobs that open jobs need stay, and so do files that other jobs or cached results use.
    """
    body: PruneBody = call.body
    if body.older_than_s is None and body.cache_older_than_s is None:
        raise InvalidRequest(
            "body: neither older_than_s nor cache_older_than_s is given",
            hint="older_than_s=0 means every ended job.",
            details=[{"path": "/older_than_s", "message": "missing", "in": "body"}],
        )
    order = PruneOrder(
        jobs_older_than_s=body.older_than_s,
        states=tuple(body.state),
        workflow=body.workflow,
        tenant=call.identity.tenant or body.tenant,
        cache_older_than_s=body.cache_older_than_s,
        dry_run=body.dry_run,
    )
    return json_answer(_pruned(await call.services.engine.upkeep.prune(order), dry_run=body.dry_run))


def _pruned(pruned: Pruned, *, dry_run: bool) -> PruneAnswer:
    by_state = {state: count for state, count in pruned.jobs.items() if count}
    return PruneAnswer(jobs=sum(by_state.values()), by_state=by_state, cached_results=pruned.results, dry_run=dry_run)


@routes.post(
    "/backup", role="admin", shared=True, body=BackupBody, answers={201: BackupAnswer}, errors=_ERRORS, timed=False
)
async def backup(call: Call) -> Answer:
    """Copy database and objects to a new folder on the server's machine, while everything goes on.

    Answers when the copy is complete and on disk.
    """
    target = call.body.target
    if not PurePath(target).is_absolute() or "\x00" in target:
        raise InvalidRequest(
            f"body: {target[:200]!r} is not an absolute path",
            hint="Name a folder on the server's machine.",
            details=[{"path": "/target", "message": "not an absolute path", "in": "body"}],
        )
    done = await call.services.engine.upkeep.backup(target)
    answer = BackupAnswer(
        target=done.target, objects=done.objects, size_bytes=done.size_bytes, took_s=round(done.took_s, 3)
    )
    return json_answer(answer, status=201)


@routes.get("/cache", role="read", answers={200: CachePage})
async def show_cache(call: Call) -> Answer:
    """Show what the result cache holds, by task and tenant."""
    rows = await call.services.engine.upkeep.known_results(tenant=call.identity.tenant)
    items = [
        CachedResults(
            **{**row, "oldest_at": render.instant(row["oldest_at"]), "used_at": render.instant(row["used_at"])}
        )
        for row in rows
    ]
    return json_answer(CachePage(items=items))


@routes.post(
    "/cache/clear",
    role="admin",
    body=ClearCacheBody,
    body_optional=True,
    answers={200: PruneAnswer},
    errors=_ERRORS,
    timed=False,
)
async def clear_cache(call: Call) -> Answer:
    """Forget cached results: equal tasks run again. Files that nothing else needs go with the next sweep."""
    body: ClearCacheBody = call.body or ClearCacheBody()
    order = PruneOrder(
        cache_older_than_s=body.older_than_s,
        cache_task=body.task,
        tenant=call.identity.tenant or body.tenant,
        dry_run=body.dry_run,
    )
    return json_answer(_pruned(await call.services.engine.upkeep.prune(order), dry_run=body.dry_run))


class FailuresQuery(NoQuery, kw_only=True, forbid_unknown_fields=True):
    workflow: Name | None = None
    tenant: Tenant | None = None
    code: Name | None = None
    """An error code."""
    after: Instant | None = None
    """Failed then or later."""
    before: Instant | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 50


@routes.get("/failures", role="read", query=FailuresQuery, answers={200: FailurePage}, errors=(InvalidRequest,))
async def list_failures(call: Call) -> Answer:
    """Group the jobs that are failed now by what went wrong; the largest groups first.

    A job that is retried leaves its group. Of very many, the newest 50,000 are grouped.
    """
    query: FailuresQuery = call.query
    bound = call.identity.tenant
    if bound is not None and query.tenant not in (None, bound):
        return json_answer(FailurePage(items=[]))
    tenant = bound or query.tenant
    wanted = FailureFilter(
        workflow=query.workflow,
        tenant=tenant,
        code=query.code,
        after=instant(query.after, "after"),
        before=instant(query.before, "before"),
    )
    groups = await call.services.engine.upkeep.failures(wanted, limit=query.limit)
    scope = {} if tenant is None else {"tenant": tenant}
    items = [
        FailureGroup(
            failure=group.failure,
            workflow=group.workflow,
            task=group.task or None,
            code=group.code,
            type=group.type or None,
            message=group.message,
            jobs=group.jobs,
            first_at=render.instant(group.first_at) or "",
            last_at=render.instant(group.last_at) or "",
            sample=list(group.sample),
            retry={"action": "retry", "filter": {"state": "failed", "failure": group.failure, **scope}},
        )
        for group in groups
    ]
    return json_answer(FailurePage(items=items))

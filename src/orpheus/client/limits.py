"""The operations on queues, tenants and many jobs at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from orpheus.client.effects import Operation
from orpheus.client.requests import Request, decoder, encode, job_path, post
from orpheus.client.retrying import Patience, send
from orpheus.protocol.jobs import JobInfo
from orpheus.protocol.limits import BulkAnswer, QueueInfo, TenantInfo

KEEP = msgspec.UNSET
"""Leave a setting as it is; None takes a limit away."""

_JOB = decoder(JobInfo)
_QUEUE = decoder(QueueInfo)
_TENANT = decoder(TenantInfo)
_BULK = decoder(BulkAnswer)


def _patch(path: str, changes: Mapping[str, Any]) -> Request:
    said = {name: value for name, value in changes.items() if value is not KEEP}
    return Request("PATCH", path, headers={"content-type": "application/json"}, body=encode(said))


def set_queue(name: str, changes: Mapping[str, Any], patience: Patience) -> Operation[QueueInfo]:
    return _QUEUE((yield from send(_patch(f"/queues/{quote(name, safe='')}", changes), patience)))


def set_tenant(name: str, changes: Mapping[str, Any], patience: Patience) -> Operation[TenantInfo]:
    return _TENANT((yield from send(_patch(f"/tenants/{quote(name, safe='')}", changes), patience)))


def update(
    job_id: str, labels: Mapping[str, str | None] | None, priority: int | None, patience: Patience
) -> Operation[JobInfo]:
    """Change a job's labels (None takes one away) and priority."""
    changes = {"labels": dict(labels) if labels else KEEP, "priority": KEEP if priority is None else priority}
    return _JOB((yield from send(_patch(job_path(job_id), changes), patience)))


def rate_limit(rate: Any) -> Any:
    """Return a rate as it is sent: `(limit, period_s)`, a mapping with these two, or None."""
    if rate is None or rate is KEEP or isinstance(rate, Mapping):
        return rate
    limit, period_s = rate
    return {"limit": limit, "period_s": period_s}


def bulk(
    action: str,
    filters: Mapping[str, Any],
    *,
    dry_run: bool,
    limit: int | None,
    reason: str,
    patience: Patience,
) -> Operation[BulkAnswer]:
    """Bring an order to every job that the filter meets, request by request, and return what came of all of them."""
    said = {name: value for name, value in filters.items() if value not in (None, [], {})}
    outcomes: Counter[str] = Counter()
    matched, cursor, first = 0, None, None
    while True:
        size = 1000 if limit is None else min(1000, limit - matched)
        body = {
            "action": action,
            "filter": said,
            "dry_run": dry_run,
            "limit": size,
            **({"reason": reason} if reason else {}),
            **({"cursor": cursor} if cursor else {}),
        }
        # A lost answer to a retry is not repeated: what has failed again since would be tried once more.
        answer = _BULK((yield from send(post("/jobs/bulk", body, repeatable=action != "retry" or dry_run), patience)))
        first = first or answer
        matched += answer.matched
        outcomes.update(answer.outcomes)
        first.sample += answer.sample[: max(0, 20 - len(first.sample))] if answer is not first else []
        first.errors += answer.errors[: max(0, 20 - len(first.errors))] if answer is not first else []
        cursor = answer.next_cursor
        if cursor is None or (limit is not None and matched >= limit):
            break
    return msgspec.structs.replace(first, matched=matched, outcomes=dict(outcomes), next_cursor=cursor)


def bulk_filter(
    *,
    state: str | Sequence[str] | None,
    workflow: str | None,
    tenant: str | None,
    label: Mapping[str, str] | None,
    q: str | None,
    created_after: str | None,
    created_before: str | None,
    failure: str | None,
) -> dict[str, Any]:
    return {
        "state": [state] if isinstance(state, str) else list(state or ()),
        "workflow": workflow,
        "tenant": tenant,
        "label": dict(label or {}),
        "q": q,
        "created_after": created_after,
        "created_before": created_before,
        "failure": failure,
    }

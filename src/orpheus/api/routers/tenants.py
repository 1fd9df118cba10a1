"""Tenants: whose turn weighs how much, and how much each may have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from orpheus.api.calls import Answer, Call, json_answer
from orpheus.api.errors import MalformedBody, UnsupportedBody
from orpheus.api.route import Routes
from orpheus.core.errors import InvalidRequest
from orpheus.protocol.jobs import TENANT
from orpheus.protocol.limits import PatchTenant, TenantInfo, TenantPage

routes = Routes("tenants", "Whose jobs they are: weights between tenants, and quotas.")


def _tenant(row: Mapping[str, Any]) -> TenantInfo:
    return TenantInfo(
        name=row["name"],
        weight=row["weight"],
        max_running=row["max_running"],
        max_open_jobs=row["max_open_jobs"],
        max_priority=row["max_priority"],
        open_jobs=row["open_jobs"],
        running=row["running"],
        jobs=dict(row["jobs"]),
    )


@routes.get("/tenants", role="read", answers={200: TenantPage})
async def list_tenants(call: Call) -> Answer:
    """List the tenants that have jobs or settings; with the key of one tenant, only that one."""
    mine = call.identity.tenant
    rows = await call.services.engine.reads.tenants()
    return json_answer(TenantPage(items=[_tenant(row) for row in rows if mine is None or row["name"] == mine]))


@routes.patch(
    "/tenants/{name}",
    role="admin",
    shared=True,
    body=PatchTenant,
    answers={200: TenantInfo},
    errors=(MalformedBody, InvalidRequest, UnsupportedBody),
    path_patterns={"name": TENANT},
)
async def change_tenant(call: Call) -> Answer:
    """Change a tenant's weight or quotas.

    A lower `max_running` stops nothing that runs; a lower `max_open_jobs` ends nothing that is open.
    """
    changes = msgspec.to_builtins(call.body)
    changed = await call.services.engine.update_tenant(call.path["name"], changes, actor=call.identity.actor)
    return json_answer(_tenant(changed))

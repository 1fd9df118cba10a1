"""Health, metrics, and what describes the API."""

from __future__ import annotations

from typing import Any

import msgspec
from prometheus_client.exposition import choose_encoder

from orpheus.api.auth import authorise
from orpheus.api.calls import Answer, Call, json_answer
from orpheus.api.exposition import EngineStats, Everything
from orpheus.api.route import Media, Routes
from orpheus.protocol.jobs import Stats

routes = Routes("system", "Health and metrics.")


class Health(msgspec.Struct, kw_only=True):
    status: str
    version: str


class Readiness(msgspec.Struct, kw_only=True):
    ready: bool
    version: str
    workers: int
    """Supervised workers that have published."""
    workers_expected: int


@routes.get("/healthz", role="open", answers={200: Health})
async def health(call: Call) -> Answer:
    """Tell that the process answers."""
    return json_answer(Health(status="ok", version=call.services.options.version))


@routes.get("/readyz", role="open", answers={200: Readiness, 503: Readiness})
async def ready(call: Call) -> Answer:
    """Tell whether work can be taken: the store is open, and the supervised workers have published."""
    services = call.services
    expected = services.options.supervised_workers
    workers = 0
    if expected:
        rows = await services.engine.reads.workers()
        workers = sum(1 for row in rows if row.get("supervised") and row.get("alive", row.get("ended_at") is None))
    is_ready = workers >= expected and not services.stopping.is_set()
    body = Readiness(ready=is_ready, version=services.options.version, workers=workers, workers_expected=expected)
    return json_answer(body, status=200 if is_ready else 503)


@routes.get("/stats", role="read", answers={200: Stats})
async def stats(call: Call) -> Answer:
    """Count jobs and tasks by state: those of the key's tenant, or all."""
    if call.identity.tenant is not None:
        jobs = await call.services.engine.reads.jobs_of_tenant(call.identity.tenant)
        return json_answer(Stats(jobs=dict(jobs), tasks={}))  # tasks are counted by queue, which tenants share
    counted = await call.services.engine.reads.stats()
    return json_answer(Stats(jobs=dict(counted.get("jobs") or {}), tasks=dict(counted.get("tasks") or {})))


@routes.get(
    "/metrics",
    role="token",
    answers={
        200: (
            Media("text/plain", "Prometheus text format 0.0.4.", {"type": "string"}),
            Media("application/openmetrics-text", "Where `Accept` asks for it.", {"type": "string"}),
        )
    },
)
async def metrics(call: Call) -> Answer:
    """Show metrics for Prometheus. Needs a key of all tenants with the role `read`, unless the setting `open_metrics` is on."""
    services = call.services
    if not services.options.open_metrics:
        authorise(call.identity, "read", shared=True)
    counted: dict[str, Any] = dict(await services.engine.reads.stats())
    encode, content_type = choose_encoder(call.header(b"accept") or "")
    text = encode(Everything(services.metrics.registry, EngineStats(counted)))
    return Answer(text, content_type=content_type.encode())

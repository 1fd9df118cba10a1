"""Workflows: which there are, and publishing one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from orpheus.api import render
from orpheus.api.calls import Answer, Call, json_answer
from orpheus.api.errors import MalformedBody, TooLarge, UnsupportedBody
from orpheus.api.query import NoQuery
from orpheus.api.route import Media, Routes
from orpheus.core.errors import (
    DefinitionConflict,
    InvalidGraph,
    InvalidRequest,
    UnknownReference,
    UnknownWorkflow,
)
from orpheus.core.graph_json import graph_schema
from orpheus.core.suggest import did_you_mean
from orpheus.protocol.jobs import WorkflowInfo, WorkflowPage

routes = Routes("workflows", "Named, versioned graphs of tasks.")


@routes.get("/workflows", role="read", answers={200: WorkflowPage})
async def list_workflows(call: Call) -> Answer:
    """List the published workflows, each with its newest version."""
    reads = call.services.engine.reads
    versions: dict[str, list[Mapping[str, Any]]] = {}
    for row in await reads.workflows():
        versions.setdefault(str(row["name"]), []).append(row)
    items = [await _info(call, rows) for _, rows in sorted(versions.items())]
    return json_answer(WorkflowPage(items=items))


async def _info(call: Call, rows: list[Mapping[str, Any]], *, whole: bool = False) -> WorkflowInfo:
    """Show the first of `rows`, all of which are versions of one workflow."""
    newest = max(rows, key=lambda row: int(row["version"])) if not whole else rows[0]
    reads = call.services.engine.reads
    definition_id = str(newest["definition_id"])
    definition = await reads.definition(definition_id) or {}
    published_at = newest.get("published_at")
    return WorkflowInfo(
        name=str(newest["name"]),
        version=int(newest["version"]),
        versions=sorted((int(row["version"]) for row in rows), reverse=True),
        definition_id=definition_id,
        description=str(definition.get("description") or ""),
        published_at=render.instant(published_at),
        params=definition.get("params") or {"type": "object"},
        result=definition.get("result"),
        graph=definition if whole else msgspec.UNSET,
    )


@routes.get(
    "/workflows/schema",
    role="read",
    answers={200: Media("application/json", "A JSON Schema.", {"type": "object"})},
)
async def show_schema(call: Call) -> Answer:
    """Show the JSON Schema of a workflow definition: what `POST /workflows` takes."""
    del call
    return json_answer(graph_schema())


class VersionQuery(NoQuery, kw_only=True, forbid_unknown_fields=True):
    version: int | None = None
    """Left out: the newest."""


@routes.get(
    "/workflows/{name}",
    role="read",
    query=VersionQuery,
    answers={200: WorkflowInfo},
    errors=(UnknownWorkflow, InvalidRequest),
)
async def show_workflow(call: Call) -> Answer:
    """Show a workflow: the schema of its params, its graph, its versions."""
    name = call.path["name"]
    wanted: int | None = call.query.version
    everything = await call.services.engine.reads.workflows()
    rows = [row for row in everything if row["name"] == name]
    rows.sort(key=lambda row: -int(row["version"]))
    if not rows:
        names = sorted({str(row["name"]) for row in everything})
        raise UnknownWorkflow(
            f"there is no workflow {name[:80]!r}", hint=did_you_mean(name, names, otherwise="GET /workflows lists them")
        )
    if wanted is not None:
        rows.sort(key=lambda row: int(row["version"]) != wanted)
        if int(rows[0]["version"]) != wanted:
            raise UnknownWorkflow(f"workflow {name!r} has no version {wanted}", hint="see `versions` of the newest")
    return json_answer(await _info(call, rows, whole=True))


@routes.post(
    "/workflows",
    role="operate",
    shared=True,
    body=dict[str, Any],
    body_schema="Workflow",
    answers={201: WorkflowInfo},
    errors=(
        MalformedBody,
        InvalidGraph,
        UnknownReference,
        DefinitionConflict,
        InvalidRequest,
        TooLarge,
        UnsupportedBody,
    ),
    answer_headers={"Location": "Where the workflow is."},
)
async def publish(call: Call) -> Answer:
    """Publish a workflow definition. The same again changes nothing."""
    definition: dict[str, Any] = call.body
    graph = await call.services.engine.publish(definition, actor=call.identity.actor)
    call.services.catalog.forget()
    rows = [row for row in await call.services.engine.reads.workflows() if row["name"] == graph.name]
    rows.sort(key=lambda row: int(row["version"]) != graph.version)
    location = f"{call.root_path}/workflows/{quote(graph.name)}".encode("ascii", "replace")
    return json_answer(await _info(call, rows, whole=True), status=201, headers=[(b"location", location)])

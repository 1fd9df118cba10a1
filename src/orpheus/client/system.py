"""The operations on everything but jobs: workflows, manifests, health."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from orpheus.client.effects import Operation
from orpheus.client.errors import OrpheusHTTPError
from orpheus.client.params import workflow_body
from orpheus.client.requests import Reply, Request, decoder, get, job_path, post
from orpheus.client.retrying import Patience, send
from orpheus.protocol.jobs import Manifest, WorkflowInfo

_WORKFLOW = decoder(WorkflowInfo)
_MANIFEST = decoder(Manifest)
_OBJECT = decoder(dict[str, Any])


def manifest(job_id: str, patience: Patience) -> Operation[Manifest]:
    return _MANIFEST((yield from send(get(job_path(job_id, "manifest")), patience)))


def workflow(name: str, version: int | None, patience: Patience) -> Operation[WorkflowInfo]:
    return _WORKFLOW((yield from send(get(f"/workflows/{quote(name, safe='')}", {"version": version}), patience)))


def publish(definition: Any, patience: Patience) -> Operation[WorkflowInfo]:
    """Store a definition; the same again changes nothing (R24)."""
    return _WORKFLOW((yield from send(post("/workflows", workflow_body(definition)), patience)))


def ready() -> Operation[tuple[bool, dict[str, Any]]]:
    """Ask once whether the server is ready. An answer of "not yet" is no error; no answer is `ConnectionLost`."""
    reply: Reply = yield Request("GET", "/readyz")
    try:
        return reply.ok, _OBJECT(reply)
    except OrpheusHTTPError:  # whatever a half-started server or a proxy says
        return reply.ok, {}

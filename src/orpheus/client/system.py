"""The operations on everything but jobs: workflows, queues, workers, health."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from orpheus.client.effects import Operation
from orpheus.client.params import workflow_body
from orpheus.client.requests import Reply, Request, decoder, get, post
from orpheus.client.retrying import Patience, send

_ANY = decoder(dict[str, Any])


def show(path: str, patience: Patience) -> Operation[dict[str, Any]]:
    return _ANY((yield from send(get(path), patience)))


def workflow_path(name: str, *, version: int | None = None) -> str:
    return f"/workflows/{quote(name, safe='')}" + (f"?version={version}" if version is not None else "")


def publish(workflow: Any, patience: Patience) -> Operation[dict[str, Any]]:
    """Store a definition; the same again changes nothing (R24)."""
    return _ANY((yield from send(post("/workflows", workflow_body(workflow)), patience)))


def ready() -> Operation[tuple[bool, dict[str, Any]]]:
    """Ask once whether the server is ready. An answer of "not yet" is no error; no answer is `ConnectionLost`."""
    reply: Reply = yield Request("GET", "/readyz")
    try:
        return reply.ok, _ANY(reply)
    except Exception:
        return reply.ok, {}

"""When is a task the same as one that has run before? The key of the result cache (R23).

    sha256 of {tenant, task, version, args, extra}

Arguments count by what is in them: a `File` by its sha256, whatever it is called and wherever it lies; a large result that
travels by reference by the sha256 of its text. `extra` is the node's `cache_extra`: the model, its weights, whatever
else the outcome depends on. A `secret` counts by its name, since its value is known on the worker only.

What only the worker knows (which weights it has, which service it asks) is published with the task as `made_with` and made part of
the key by `made`: for a look-up as the worker that said hello last would make it, for a result as the one that made it did.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from orpheus.core.decision import LookUpResult
from orpheus.core.draft import Draft, JobScope
from orpheus.core.graph import Node
from orpheus.core.task import NODE, Task
from orpheus.core.values import BindingError, Skipped, operator_of, resolve

KEY = "cache_key"
NO_CACHE = "no_cache"
MADE_WITH = "made_with"
"""In `Task.extra`: its key, the mark of a task that was rewound by name (R20), and what its attempt is made with."""


class NotCacheable(Exception):
    """The arguments hold something whose content is not known."""


def note_key(draft: Draft, task: Task, node: Node) -> None:
    """Give a task that becomes ready its key, and have the cache asked before anybody can claim it."""
    try:
        scope = JobScope(draft, task)
        args = {name: resolve(value, scope) for name, value in node.args.items()}
        if task.index != NODE:
            args |= {name: scope.item() for name in node.items}
        key = cache_key(task.tenant, node.handler, args, resolve(node.cache_extra, scope))
    except (BindingError, Skipped, NotCacheable):
        return  # it runs as if it had no cache; a claim says what is wrong with its arguments
    task.extra = {**task.extra, KEY: key}
    if not draft.task(task.node).extra.get(NO_CACHE):  # of a map, the map's own row has the mark
        draft.command(LookUpResult(task.node, task.index, key, node.handler))


def cache_key(tenant: str, handler: str, args: Any, extra: Any) -> str:
    """Return the key, 64 hexadecimal characters.

    Raises:
        NotCacheable: a file or spilled result without its sha256.
    """
    whole = {"tenant": tenant, "task": handler, "args": _by_content(args), "extra": _by_content(extra)}
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def made(key: str, made_with: str) -> str:
    """Return the key of what a worker makes with this; its own where it does not matter."""
    return hashlib.sha256(f"{key} {made_with}".encode()).hexdigest() if made_with else key


def _by_content(value: Any) -> Any:
    operator = operator_of(value)
    if operator in ("$file", "$spill"):
        body = value[operator]
        sha256 = body.get("sha256")
        if not sha256:
            raise NotCacheable(operator)
        return {operator: [sha256, body.get("path", [])] if operator == "$spill" else sha256}
    if isinstance(value, dict):
        return {key: _by_content(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_by_content(inner) for inner in value]
    return value


def renamed(value: Any, source_job: str, job_id: str) -> Any:
    """Return a result as another job has it: names of its files that hold the first job's id hold the other's. Where the
    bytes lie stays the same."""
    if operator_of(value) == "$file":
        body = value["$file"]
        return {"$file": {**body, "name": str(body.get("name", "")).replace(source_job, job_id)}}
    if isinstance(value, dict):
        return {key: renamed(inner, source_job, job_id) for key, inner in value.items()}
    if isinstance(value, list):
        return [renamed(inner, source_job, job_id) for inner in value]
    return value


def stored_parts(value: Any) -> Iterator[tuple[str, str, int]]:
    """Yield `(key, sha256, size_bytes)` of every object that a value refers to; sha256 may be empty."""
    operator = operator_of(value)
    if operator in ("$file", "$spill"):
        body = value[operator]
        if isinstance(body, dict) and isinstance(body.get("key"), str):
            yield body["key"], str(body.get("sha256") or ""), int(body.get("size_bytes") or 0)
    elif isinstance(value, dict):
        for inner in value.values():
            yield from stored_parts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from stored_parts(inner)


def owner_of(key: str) -> str | None:
    """Return the id under which an object lives and dies: of the run that wrote it, of the upload, or of the job whose
    stable name it is. None for a key of another form."""
    parts = key.split("/")
    if parts[0] == ".runs" and len(parts) > 2:
        return parts[1]
    if len(parts) > 4 and parts[2] == ".files":
        return parts[3]
    return parts[2] if len(parts) > 3 else None

"""What a body asks for, as the engine takes it: JSON and multipart become a `Submission`."""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import msgspec

from orpheus.api import body as bodies
from orpheus.api.calls import Call
from orpheus.api.errors import Forbidden
from orpheus.api.file_params import file_param, resolve_files, stands_for_itself
from orpheus.api.multipart import Part, Parts
from orpheus.api.query import instant
from orpheus.api.render import file_value
from orpheus.artifacts.errors import UnsafeKey
from orpheus.artifacts.keys import check_tenant, file_key
from orpheus.artifacts.sniff import HEAD_BYTES, sniff
from orpheus.core.errors import IdempotencyConflict, InvalidRequest, OrpheusError
from orpheus.core.ids import RANDOM_BITS, uuid7
from orpheus.core.suggest import did_you_mean
from orpheus.core.values import operator_of
from orpheus.core.webhooks import check_url
from orpheus.engine.base import Submission
from orpheus.protocol.jobs import DependsOn, SubmitJob

MEDIA = "media"
"""The workflow of a multipart body that names none."""
_MOST_FIELD_BYTES = 4 * 1024 * 1024
_JSON_FIELDS = ("params", "labels", "depends_on")
_NUMBER_FIELDS = ("priority", "delay_s", "timeout_s", "requires_approval", "budget")
_MOST_FILES = 100
_NO_PARAMS: dict[str, Any] = {}
_canonical = msgspec.json.Encoder(order="sorted").encode


def tenant_of(call: Call, asked: str | None, *, where: str = "body") -> str:
    """Return whose the new thing is.

    Raises:
        InvalidRequest: no tenant's name.
        Forbidden: the key is another tenant's.
    """
    bound = call.identity.tenant
    if bound is not None and asked not in (None, bound):
        raise Forbidden(
            f"{where}: the key {call.identity.name!r} is for the tenant {bound}", hint="leave the tenant out"
        )
    tenant = bound or ("default" if asked is None else asked)
    try:
        return check_tenant(tenant)
    except UnsafeKey as error:
        raise InvalidRequest(
            f"{where}: {error.message}",
            hint=error.hint,
            details=[{"path": "/tenant", "message": error.message, "in": where}],
        ) from None


async def to_submission(call: Call, body: SubmitJob, *, in_batch: bool = False) -> Submission:
    """Make a submission of a decoded body."""
    tenant = tenant_of(call, body.tenant)
    params = await _resolved(call, body, tenant)
    return build(call, body, params, tenant, key=None if in_batch else call.header(b"idempotency-key"))


async def to_submissions(call: Call, batch: Sequence[SubmitJob]) -> list[Submission]:
    """Make submissions of the jobs of a batch.

    Raises:
        OrpheusError: the first fault, with its job's place.
    """
    submissions: list[Submission] = []
    tenants: dict[str | None, str] = {}
    words: SubmitJob | None = None
    """What most bodies of a batch say: everything but params and key."""
    like: Submission | None = None
    """What was made of a body that said it."""
    for place, body in enumerate(batch):
        try:
            params = body.params
            plain = stands_for_itself(params)
            said = msgspec.structs.replace(body, params=_NO_PARAMS, idempotency_key=None)
            if like is not None and plain and said == words:
                submissions.append(_beside(like, body, said))
                continue
            tenant = tenants.get(body.tenant)
            if tenant is None:
                tenant = tenants[body.tenant] = tenant_of(call, body.tenant)
            if not plain:
                params = await _resolved(call, body, tenant)
            submissions.append(build(call, body, params, tenant, key=None))
            if type(body.workflow) is str:  # of definitions it does not say enough that Python takes them for equal
                words, like = said, submissions[-1]
        except OrpheusError as error:
            raise placed(error, place) from None
    return submissions


def _beside(like: Submission, body: SubmitJob, said: SubmitJob) -> Submission:
    """Return what `build` makes of a body that says the same as the one of `like`, but for its params, in which no file stands, and
    its key.

    Args:
        said: the same without these two; to be used up.
    """
    params, key = body.params, body.idempotency_key
    _check_key(key)
    if key is None:
        known = None
    elif params:
        said.params = params
        known = _hash(said)
    else:
        known = fingerprint(body, params)
    return msgspec.structs.replace(like, params=params, idempotency_key=key, fingerprint=known)


async def _resolved(call: Call, body: SubmitJob, tenant: str) -> dict[str, Any]:
    """Return the params as the engine takes them: those of the body themselves where nothing in them is a file."""
    params = await resolve_files(call, body.params, body.workflow, tenant)
    return body.params if params == body.params else params


def placed(error: OrpheusError, place: int) -> OrpheusError:
    """Say in which job of a batch a fault is."""
    error.message = f"job {place} of the batch: {error.message}"
    error.details = [{**entry, "path": f"/jobs/{place}{entry.get('path', '')}"} for entry in error.details] or [
        {"path": f"/jobs/{place}", "message": error.message}
    ]
    return error


def build(call: Call, body: SubmitJob, params: dict[str, Any], tenant: str, *, key: str | None) -> Submission:
    """Put a submission together.

    Args:
        key: the `Idempotency-Key` header.

    Raises:
        InvalidRequest: fields that cannot stand together.
    """
    if body.webhook_url is not None:
        check_url(body.webhook_url, allow_private=call.services.options.webhook_allow_private, field_name="webhook_url")
    if body.run_at is not None and body.delay_s is not None:
        raise _refused("delay_s", "run_at and delay_s cannot both be given")
    if body.idempotency_key is not None and key is not None and body.idempotency_key != key:
        raise IdempotencyConflict(
            "the header Idempotency-Key and the field idempotency_key differ", hint="send one of them"
        )
    key = body.idempotency_key if body.idempotency_key is not None else key
    _check_key(key)
    labels, identity, depends_on = body.labels, call.identity, body.depends_on
    priority = 3 if body.priority is None else body.priority
    for name, text in labels.items() if labels else ():
        if not name.isprintable() or "\x00" in text:
            raise _refused("labels", f"label {name[:80]!r} holds control characters")
    return Submission(
        workflow=body.workflow,
        params=params,
        tenant=tenant,
        priority=priority if identity.key is None else capped(call, priority),
        run_at=None if body.run_at is None else instant(body.run_at, "run_at", where="body"),
        delay_s=body.delay_s,
        depends_on=_dependencies(depends_on) if depends_on else (),
        requires_approval=body.requires_approval,
        idempotency_key=key,
        fingerprint=None if key is None else fingerprint(body, params),
        timeout_s=body.timeout_s,
        labels=labels,
        webhook_url=body.webhook_url,
        budget=body.budget,
        correlation_id=call.correlation_id,
        traceparent=call.traceparent,
        actor=identity.name,
    )


def _check_key(key: str | None) -> None:
    if key is not None and not (0 < len(key) <= 255 and key.isascii() and key.isprintable()):
        raise _refused("idempotency_key", "it is not 1 to 255 printable ASCII characters")


def _dependencies(asked: Iterable[str | DependsOn]) -> tuple[tuple[str, str], ...]:
    return tuple((each, "success") if isinstance(each, str) else (each.job, each.on) for each in asked)


def capped(call: Call, priority: int) -> int:
    """Return the priority, no better than the caller's key allows (R25)."""
    cap = call.identity.priority_cap
    return priority if cap is None else max(priority, cap)


def fingerprint(body: SubmitJob, params: dict[str, Any]) -> str:
    """Return the canonical hash of a submission: key order does not matter, and of a file its content counts, not where
    it was uploaded (R21)."""
    if params is body.params and params:  # no file was put into them, so the body says it all
        return _hash(msgspec.structs.replace(body, idempotency_key=None))
    content = msgspec.to_builtins(body)
    content.pop("idempotency_key", None)
    content["params"] = _by_content(params)
    return _hash(content)


def _hash(content: Any) -> str:
    return hashlib.sha256(_canonical(content)).hexdigest()


def _by_content(value: Any) -> Any:
    if operator_of(value) == "$file":
        return {"$file": {name: value["$file"].get(name) for name in ("name", "sha256")}}
    if isinstance(value, dict):
        return {key: _by_content(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_by_content(inner) for inner in value]
    return value


def _refused(field: str, message: str) -> InvalidRequest:
    return InvalidRequest(f"body: {message}", details=[{"path": f"/{field}", "message": message, "in": "body"}])


# Multipart
# -------------------------------------------------------------------------------------------------------------


async def from_multipart(call: Call, parts: Parts, uploads: list[str], records: list[dict[str, Any]]) -> Submission:
    """Read a multipart body: fields first, then files, which are stored as they come.

    Args:
        uploads: gets the object keys of what was stored, so that the caller can remove it if the job is not created.
        records: gets the rows of these files, for the caller to add once it is.
    """
    fields: dict[str, Any] = {}
    files: list[tuple[str, dict[str, Any]]] = []
    async for part in parts:
        if part.filename is None:
            if part.name in fields:
                raise _refused(part.name[:80], f"the field {part.name[:80]!r} is given twice")
            fields[part.name] = await part.text(_MOST_FIELD_BYTES)
            continue
        if len(files) >= _MOST_FILES:
            raise _refused("file", f"more than {_MOST_FILES} files")
        tenant = tenant_of(call, fields.get("tenant"))
        record = await store_upload(
            call, part.stream(), part.filename, part.content_type, tenant=tenant, uploads=uploads
        )
        files.append((part.name, record))
    body = _body_of(fields)
    tenant = tenant_of(call, body.tenant)
    for _, record in files:
        if record["tenant"] != tenant:
            raise _refused("tenant", "the field tenant has to come before the file")
    params = await resolve_files(call, body.params, body.workflow, tenant)
    schema = await call.services.catalog.params_schema(body.workflow)
    for name, record in files:
        target = file_param(schema, name)
        if target is None and name == "file" and schema is None:
            continue  # the engine says that the workflow is unknown, which helps more
        if target is None:
            raise _refused(name[:80], f"the workflow has no file param for the part {name[:80]!r}")
        records.append(record)
        param, many = target
        if many:
            params.setdefault(param, []).append(file_value(record))
        elif param in params:
            raise _refused(f"params/{param}", f"more than one file for the param {param!r}")
        else:
            params[param] = file_value(record)
    return build(call, body, params, tenant, key=call.header(b"idempotency-key"))


def _body_of(fields: dict[str, Any]) -> SubmitJob:
    values: dict[str, Any] = {"workflow": MEDIA}
    known = SubmitJob.__struct_fields__
    for name, text in fields.items():
        if name not in known:
            hint = did_you_mean(name, (*known, "file"))
            raise InvalidRequest(
                f"body: there is no field {name[:80]!r}",
                hint=hint,
                details=[{"path": f"/{name[:80]}", "message": "unknown field", "in": "body", "hint": hint}],
            )
        if name in _JSON_FIELDS or (name == "workflow" and text.lstrip().startswith("{")):
            values[name] = bodies.decode(msgspec.json.Decoder(), text.encode())
        elif name in _NUMBER_FIELDS:
            values[name] = _plain_value(text)
        else:
            values[name] = text
    try:
        return msgspec.convert(values, SubmitJob)
    except msgspec.ValidationError as error:
        raise bodies.invalid(error, SubmitJob) from None


def _plain_value(text: str) -> Any:
    """Read a number or truth value of a form; anything else stays text and is refused by its type."""
    words = {"true": True, "false": False, "1": 1, "0": 0}
    if text.strip().lower() in words:
        return words[text.strip().lower()]
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number):
        return text
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


async def store_upload(
    call: Call,
    stream: AsyncIterator[bytes],
    name: str,
    declared: str | None,
    *,
    tenant: str,
    uploads: list[str],
) -> dict[str, Any]:
    """Stream an upload to the object store and return its record; recording it is the caller's."""
    services = call.services
    now = services.now()
    file_id = uuid7(now, secrets.randbits(RANDOM_BITS))
    key = file_key(services.options.env, tenant, file_id)
    head = bytearray()

    async def watched() -> AsyncIterator[bytes]:
        async for piece in stream:
            if len(head) < HEAD_BYTES:
                head.extend(piece[: HEAD_BYTES - len(head)])
            yield piece

    stored = await services.objects.put_stream(key, watched(), max_bytes=services.options.max_upload_bytes)
    uploads.append(key)
    services.metrics.uploaded.inc(stored.size_bytes)
    return {
        "file_id": file_id,
        "tenant": tenant,
        "name": name,
        "key": key,
        "size_bytes": stored.size_bytes,
        "sha256": stored.sha256,
        "content_type": sniff(bytes(head), declared),
        "created_at": now,
    }


__all__ = [
    "MEDIA",
    "Part",
    "build",
    "fingerprint",
    "from_multipart",
    "placed",
    "store_upload",
    "tenant_of",
    "to_submission",
    "to_submissions",
]

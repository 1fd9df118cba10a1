"""The worker protocol (docs/worker-protocol.md): hello, poll, report, heartbeat, bye, and the files of runs.

Lean on purpose: a worker's every task passes here twice. The rules are the engine's (R6 to R9).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from orpheus.api import body as bodies
from orpheus.api.calls import Answer, Call, ClientGone, json_answer
from orpheus.api.errors import MalformedBody, TooLarge, Unauthorized, UnsupportedBody
from orpheus.api.probe import PROBE_KEY
from orpheus.api.route import Media, Routes, Sendable
from orpheus.api.serving import serve
from orpheus.artifacts.errors import MissingObject, UnsafeKey
from orpheus.artifacts.keys import RUNS, check_artifact_name, check_key, run_key
from orpheus.core.errors import DefinitionConflict, InvalidGraph, InvalidRequest, OrpheusError, StaleRun, TaskError
from orpheus.core.facts import ArtifactRef
from orpheus.core.plain import NotPlain, check_plain
from orpheus.core.task import Task
from orpheus.engine.assignments import assignments
from orpheus.engine.base import CancelOrder, EngineStopping, PollAnswer, RunReport, UnknownSession, WorkerHello
from orpheus.protocol import worker as wire
from orpheus.protocol.version import OLDEST_PROTOCOL, PROTOCOL

routes = Routes("worker protocol", "What worker processes speak; a worker may be written in any language.")

_ERRORS = (MalformedBody, InvalidRequest, UnsupportedBody, TooLarge, UnknownSession, EngineStopping)


class ProtocolUnsupported(OrpheusError):
    """The worker speaks a protocol this server does not: server N serves workers of N and N-1."""

    code = "protocol_unsupported"
    status = 409


class Nothing(msgspec.Struct):
    """An empty object."""


@routes.post(
    "/worker/hello",
    role="worker",
    body=wire.Hello,
    answers={200: wire.Welcome},
    errors=(*_ERRORS, ProtocolUnsupported, DefinitionConflict, InvalidGraph),
)
async def hello(call: Call) -> Answer:
    """Begin a session: say what is offered, publish definitions, learn the server's terms."""
    said: wire.Hello = call.body
    if not OLDEST_PROTOCOL <= said.protocol <= PROTOCOL:
        raise ProtocolUnsupported(
            f"the worker speaks protocol {said.protocol}, this server {OLDEST_PROTOCOL} to {PROTOCOL}",
            hint="install the same version on both sides",
        )
    _check_hello(said)
    services = call.services
    unknown = await services.engine.hello(
        WorkerHello(
            session_id=said.session_id,
            worker=said.worker,
            host=said.host,
            pid=said.pid,
            queues=tuple(said.queues),
            slots=said.slots,
            resources=said.resources,
            handlers=tuple(f"{spec.name}@{spec.version}" for spec in said.tasks),
            task_specs=tuple(msgspec.to_builtins(spec) for spec in said.tasks),
            workflows=tuple(said.workflows),
            held=tuple(said.held),
            supervised=said.supervised,
        )
    )
    services.catalog.forget()
    options = services.options
    welcome = wire.Welcome(
        protocol=said.protocol,
        server=options.version,
        env=options.env,
        lease_s=options.lease_s,
        poll_wait_s=options.poll_wait_s,
        grace_s=options.grace_s,
        inline_bytes=options.inline_bytes,
        unknown=list(unknown),
        poll_reports=True,
    )
    root = services.objects.root
    if root is not None:
        text = await services.probe.text(services.objects)
        welcome.objects_root, welcome.objects_probe, welcome.objects_probe_text = root, PROBE_KEY, text
    return json_answer(welcome)


def _check_hello(said: wire.Hello) -> None:
    for spec in said.tasks:
        if not spec.name.isprintable():
            raise InvalidRequest(f"body: {spec.name[:80]!r}@{spec.version} is not a task", details=[{"path": "/tasks"}])
    for value, path in ((msgspec.to_builtins(said.tasks), "/tasks"), (said.workflows, "/workflows")):
        try:
            check_plain(value)
        except NotPlain as fault:
            raise InvalidRequest(
                f"body: {fault}", details=[{"path": f"{path}{fault.pointer}", "message": str(fault)}]
            ) from None


@routes.post("/worker/poll", role="worker", body=wire.Poll, answers={200: wire.PollReply}, errors=_ERRORS, timed=False)
async def poll(call: Call) -> Answer:
    """Ask for tasks; waits while there is nothing to say (R8).

    `reports` are carried out first, as by `/worker/report`; `reported` answers them.
    """
    asked: wire.Poll = call.body
    told = await _read_reports(call, asked.reports) if asked.reports else _NO_REPORTS
    services = call.services
    wait_s = services.options.poll_wait_s
    if asked.wait_s is not None:
        wait_s = max(0.0, min(asked.wait_s, wait_s))
    polling = services.engine.poll(
        asked.session_id,
        asked.seq,
        held=asked.held,
        free=asked.free,
        resources_free=asked.resources_free,
        wait_s=0.0 if services.stopping.is_set() else wait_s,
        reports=told.reports,
    )
    answer = await _unless_gone(call, polling)
    reply = _reply(answer, services.options.env)
    if asked.reports:
        reply.reported = told.answered(answer.reported)
    return json_answer(reply)


async def _unless_gone(call: Call, polling: asyncio.Future[PollAnswer]) -> PollAnswer:
    """Wait for the engine, but let go when the worker hangs up: nothing must be granted to a connection that is
    dead."""
    is_gone = False

    def gone() -> None:
        nonlocal is_gone
        is_gone = True
        polling.cancel()

    stop = call.when_gone(gone)
    try:
        answer = await call.services.unless_stopping(polling)
    except asyncio.CancelledError:
        if is_gone and polling.cancelled():
            raise ClientGone from None
        raise
    finally:
        stop()
    if answer is None:
        raise EngineStopping("the server is going down", hint="poll again in a moment")
    return answer


def _reply(answer: PollAnswer, env: str) -> wire.PollReply:
    return wire.PollReply(
        seq=answer.seq,
        tasks=assignments(answer.grants, env),
        cancel=_cancels(answer.cancel),
        unknown=list(answer.unknown),
        superseded=answer.superseded,
    )


def _cancels(orders: Sequence[CancelOrder]) -> list[wire.CancelNotice]:
    return [wire.CancelNotice(run_id=each.run_id, reason=each.reason, grace_s=each.grace_s) for each in orders]


@routes.post("/worker/report", role="worker", body=wire.Report, answers={200: wire.ReportReply}, errors=_ERRORS)
async def report(call: Call) -> Answer:
    """Tell what became of runs, item by item; never waits for more than the commit (R8)."""
    said: wire.Report = call.body
    told = await _read_reports(call, said.items)
    outcomes = await call.services.engine.report(said.session_id, told.reports) if told.reports else []
    return json_answer(wire.ReportReply(items=told.answered(outcomes)))


@dataclass(frozen=True, slots=True)
class Told:
    """The reports of one request: those for the engine, and for each item why it is not among them, or None."""

    reports: Sequence[RunReport]
    refusals: Sequence[OrpheusError | None]

    def answered(self, outcomes: Sequence[OrpheusError | None]) -> list[wire.ReportResult]:
        """Return an answer to each item, given the engine's to those that it got."""
        engines = iter(outcomes)
        return [
            _OK if (error := next(engines) if refusal is None else refusal) is None else _refused(error)
            for refusal in self.refusals
        ]


_CONTAINERS = (dict, list)
_NO_REPORTS = Told((), ())


async def _read_reports(call: Call, items: Sequence[wire.ReportItem]) -> Told:
    reports: list[RunReport] = []
    refusals: list[OrpheusError | None] = []
    for item in items:
        try:
            reports.append(_bare_completion(item) or await _run_report(call, item))
            refusals.append(None)
        except OrpheusError as error:
            refusals.append(error)
    return Told(reports, refusals)


_OK = wire.ReportResult(ok=True)


def _refused(error: OrpheusError) -> wire.ReportResult:
    return wire.ReportResult(ok=False, code=error.code, message=error.message)


def _bare_completion(item: wire.ReportItem) -> RunReport | None:
    """Take in a completion that tells a result and nothing else, as nearly all reports are; None: see `_run_report`."""
    if (
        item.kind != "completed"
        or item.error is not None
        or item.artifacts
        or item.lines
        or item.heartbeat is not None
        or item.fraction is not None
        or item.stage is not None
        or item.timeout_s is not None
    ):
        return None
    result = item.result
    if isinstance(result, _CONTAINERS):
        _check_value(result)
    return RunReport(run_id=item.run_id, kind="completed", result=result, price=item.price)


async def _run_report(call: Call, item: wire.ReportItem) -> RunReport:
    for value in (item.result, item.heartbeat, *(line.fields for line in item.lines)):
        if isinstance(value, dict | list):
            _check_value(value)
    for number in (item.fraction, item.timeout_s, item.error.retry_after_s if item.error else None):
        if number is not None and not -1e12 < number < 1e12:
            raise InvalidRequest(f"{number} is out of range")
    error = None
    if item.error is not None:
        told = item.error
        error = TaskError(
            code=told.code or "task_failed",
            message=told.message,
            hint=told.hint,
            retryable=not told.final,
            type=told.type or None,
            details={"traceback": told.traceback} if told.traceback else {},
        )
    elif item.kind in ("completed", "waiting") and item.artifacts:
        missing = await _missing_artifact(call, item)
        if missing is not None:
            return RunReport(run_id=item.run_id, kind="failed", error=missing)
    return RunReport(
        run_id=item.run_id,
        kind=item.kind,
        result=item.result,
        artifacts=tuple(_artifact(item.run_id, each) for each in item.artifacts),
        error=error,
        final=item.error.final if item.error is not None else False,
        retry_after_s=item.error.retry_after_s if item.error is not None else None,
        price=item.price,
        timeout_s=item.timeout_s,
        fraction=item.fraction,
        stage=item.stage,
        heartbeat=item.heartbeat,
        lines=tuple(msgspec.structs.asdict(line) for line in item.lines),
    )


def _check_value(value: Any) -> None:
    try:
        check_plain(value)
    except NotPlain as fault:
        raise InvalidRequest(f"the report holds {fault}") from None


def _artifact(run_id: str, said: wire.ReportedArtifact) -> ArtifactRef:
    check_artifact_name(said.name)
    return ArtifactRef(
        name=said.name,
        key=run_key(run_id, said.name),
        sha256=said.sha256,
        size_bytes=said.size_bytes,
        content_type=said.content_type,
        metadata=said.metadata,
    )


async def _missing_artifact(call: Call, item: wire.ReportItem) -> TaskError | None:
    """Tell which reported file does not lie where it should. Found here, it costs an attempt; found later, it would
    keep the job from ever ending."""
    for said in item.artifacts:
        info = await call.services.objects.stat(run_key(item.run_id, check_artifact_name(said.name)))
        fault = None
        if info is None:
            fault = "is not in the object store"
        elif info.size_bytes != said.size_bytes:
            fault = f"has {info.size_bytes} bytes there, not {said.size_bytes}"
        if fault is not None:
            return TaskError(
                code="task_failed",
                message=f"the artifact {said.name!r} was reported but {fault}",
                hint="write (or upload) files before reporting them (R10)",
                retryable=True,
            )
    return None


@routes.post(
    "/worker/heartbeat", role="worker", body=wire.Heartbeat, answers={200: wire.HeartbeatReply}, errors=_ERRORS
)
async def heartbeat(call: Call) -> Answer:
    """Renew the leases of what is held; hear what to stop."""
    said: wire.Heartbeat = call.body
    cancel, unknown = await call.services.engine.heartbeat(said.session_id, said.held, said.memory_bytes)
    return json_answer(wire.HeartbeatReply(cancel=_cancels(cancel), unknown=list(unknown)))


@routes.post("/worker/bye", role="worker", body=wire.Bye, answers={200: Nothing}, errors=_ERRORS)
async def bye(call: Call) -> Answer:
    """End a session: the drain is over."""
    said: wire.Bye = call.body
    await call.services.engine.bye(said.session_id)
    return Answer(b"{}")


_TOKEN = {"X-Run-Token": "`run_token` of the assignment."}


async def _authorise(call: Call, run_id: str) -> Task:
    """Return the task whose current run the token was made for."""
    token = call.header(b"x-run-token") or ""
    task = await call.services.engine.run_of_token(run_id, token) if token else None
    if task is None:
        raise Unauthorized(
            f"the token does not fit run {run_id[:80]!r}, or the run is no longer current",
            hint="send the headers X-Run-Id and X-Run-Token with what the assignment says",
        )
    return task


class StoredObject(msgspec.Struct, kw_only=True):
    """What an upload became."""

    key: str
    size_bytes: int
    sha256: str


@routes.put(
    "/worker/runs/{run_id}/files/{name:path}",
    role="worker",
    raw_body=(Media("application/octet-stream", "The file. Any content type is taken."),),
    body_optional=True,
    answers={200: StoredObject},
    errors=(Unauthorized, UnsafeKey, TooLarge),
    request_headers=_TOKEN,
    timed=False,
)
async def upload(call: Call) -> Answer:
    """Upload a file of a run, for workers that do not share the object store's folder. Replaces an earlier one."""
    run_id = call.path["run_id"]
    await _authorise(call, run_id)
    key = run_key(run_id, call.path["name"])
    limit = call.services.options.max_upload_bytes
    bodies.check_length(call, limit)
    stored = await call.services.objects.put_stream(key, bodies.chunks(call), max_bytes=limit)
    return json_answer(StoredObject(key=key, size_bytes=stored.size_bytes, sha256=stored.sha256 or ""))


@routes.get(
    "/worker/objects/{key:path}",
    role="worker",
    answers={
        200: Media("application/octet-stream", "The object."),
        206: Media("application/octet-stream", "A part of it."),
    },
    errors=(Unauthorized, UnsafeKey, MissingObject, StaleRun),
    request_headers={**_TOKEN, "X-Run-Id": "The run the token is of.", "Range": "`bytes=start-end`"},
    timed=False,
)
async def download(call: Call) -> Sendable:
    """Download an object that a run's arguments name."""
    task = await _authorise(call, call.header(b"x-run-id") or "")
    key = check_key(call.path["key"])
    if not key.startswith((f"{RUNS}/", f"{call.services.options.env}/{task.tenant}/")):
        raise MissingObject(f"there is no object {key[:200]!r} for tenant {task.tenant}")
    return await serve(
        call, key, name=key.rsplit("/", 1)[-1], content_type="application/octet-stream", etag=key, download=True
    )

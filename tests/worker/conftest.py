"""A small server that speaks the worker protocol, scripted by the tests, and a worker beside it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from orpheus.authoring.registry import Registry
from orpheus.protocol import worker as wire
from orpheus.worker import capture
from orpheus.worker.definitions import Definitions
from orpheus.worker.options import WorkerOptions
from orpheus.worker.worker import Worker

TIMEOUT_S = 20.0


class FakeServer:
    """Speak the protocol the way the real server does, and remember everything that was said."""

    def __init__(self, objects: Path) -> None:
        self.objects = objects
        self.share = True
        self.lease_s = 30.0
        self.grace_s = 2.0
        self.poll_wait_s = 5.0
        self.inline_bytes = 65_536
        self.poll_reports = True
        self.down = False
        """Answer nothing: every connection is cut."""
        self.refuse: dict[str, tuple[int, dict[str, Any]]] = {}
        """Path → an error to answer with."""
        self.hellos: list[wire.Hello] = []
        self.polls: list[wire.Poll] = []
        self.reports: list[wire.ReportItem] = []
        self.report_batches: list[int] = []
        self.report_requests = 0
        self.refuse_carried = False
        """Polls that carry reports are bad requests."""
        self.heartbeats: list[wire.Heartbeat] = []
        self.byes: list[wire.Bye] = []
        self.downloads: list[str] = []
        self.known = False
        self.ready: list[wire.Assignment] = []
        self.cancels: list[wire.CancelNotice] = []
        self.unknown: list[str] = []
        self.beat_cancels: list[wire.CancelNotice] = []
        self.answers: dict[str, wire.ReportResult] = {}
        """run_id → how to answer its end, once."""
        self.returned: list[str] = []
        self.lose_answers = 0
        """So many answers of polls are made and then lost on the way."""
        self.url = ""
        self._seq: int | None = None
        self._given: wire.PollReply | None = None
        self._carried: dict[str, int] = {}
        self._poll_number = itertools.count()
        self._latest = -1
        self._changed = asyncio.Condition()
        self._runs = itertools.count(1)

    # Scripting -------------------------------------------------------------------------------------------------------

    def assignment(self, handler: str, **fields: Any) -> wire.Assignment:
        number = next(self._runs)
        whole: dict[str, Any] = {
            "run_id": f"run-{number}",
            "run_token": f"token-{number}",
            "job_id": f"job-{number}",
            "task": handler,
            "index": None,
            "handler": handler,
            "version": 1,
            "attempt": 1,
            "max_retries": 3,
            "tenant": "default",
            "correlation_id": f"corr-{number}",
        } | fields
        return wire.Assignment(**whole)

    async def give(self, handler: str, **fields: Any) -> str:
        """Make a task ready; return its run_id."""
        assignment = self.assignment(handler, **fields)
        async with self._changed:
            self.ready.append(assignment)
            self._changed.notify_all()
        return assignment.run_id

    async def give_many(self, handler: str, args: list[dict[str, Any]]) -> list[str]:
        """Make tasks ready all at once; return their run_ids."""
        assignments = [self.assignment(handler, args=one) for one in args]
        async with self._changed:
            self.ready.extend(assignments)
            self._changed.notify_all()
        return [assignment.run_id for assignment in assignments]

    async def cancel(self, run_id: str, grace_s: float | None = None) -> None:
        async with self._changed:
            self.cancels.append(wire.CancelNotice(run_id=run_id, grace_s=self.grace_s if grace_s is None else grace_s))
            self._changed.notify_all()

    async def until(self, condition: Callable[[], Any], timeout_s: float = TIMEOUT_S) -> Any:
        """Wait until something the worker said makes `condition` true."""
        async with asyncio.timeout(timeout_s):
            async with self._changed:
                while not condition():
                    await self._changed.wait()
        return condition()

    async def end_of(self, run_id: str) -> wire.ReportItem:
        """Wait for the end of a run."""

        def found() -> wire.ReportItem | None:
            ends = ("completed", "failed", "cancelled")
            return next((item for item in self.reports if item.run_id == run_id and item.kind in ends), None)

        return await self.until(found)

    def said(self, run_id: str, kind: str) -> list[wire.ReportItem]:
        return [item for item in self.reports if item.run_id == run_id and item.kind == kind]

    def log_of(self, run_id: str) -> list[wire.LogLine]:
        return [line for item in self.said(run_id, "log") for line in item.lines]

    def put(self, key: str, content: bytes) -> dict[str, Any]:
        """Put an object; return its `$file`."""
        path = self.objects / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return {
            "$file": {
                "name": path.name,
                "key": key,
                "size_bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "content_type": "application/octet-stream",
            }
        }

    def forget_session(self) -> None:
        """As after a restart: sessions are gone, what was stored is not."""
        self.known = False
        self._seq = self._given = None

    # Speaking --------------------------------------------------------------------------------------------------------

    async def start(self) -> web.AppRunner:
        app = web.Application(client_max_size=1 << 26, middlewares=[self._gate])
        app.router.add_post("/worker/hello", self._hello)
        app.router.add_post("/worker/poll", self._poll)
        app.router.add_post("/worker/report", self._report)
        app.router.add_post("/worker/heartbeat", self._heartbeat)
        app.router.add_post("/worker/bye", self._bye)
        app.router.add_get("/worker/objects/{key:.+}", self._download)
        app.router.add_put("/worker/runs/{run_id}/files/{name:.+}", self._upload)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = "http://{}:{}".format(*runner.addresses[0][:2])
        return runner

    @web.middleware
    async def _gate(self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Any:
        if self.down:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if request.path in self.refuse:
            status, body = self.refuse[request.path]
            return web.json_response(body, status=status)
        if request.path in ("/worker/poll", "/worker/report", "/worker/heartbeat") and not self.known:
            return web.json_response({"code": "unknown_session", "message": "who?"}, status=409)
        response = await handler(request)
        async with self._changed:
            self._changed.notify_all()
        return response

    async def _hello(self, request: web.Request) -> web.Response:
        hello = msgspec.json.decode(await request.read(), type=wire.Hello)
        self.hellos.append(hello)
        self.known = True
        probe = ".probe"
        (self.objects / probe).write_text("it is me")
        return _json(
            wire.Welcome(
                protocol=1,
                server="0",
                env="dev",
                lease_s=self.lease_s,
                poll_wait_s=self.poll_wait_s,
                grace_s=self.grace_s,
                objects_root=str(self.objects) if self.share else "/nowhere",
                objects_probe=probe,
                objects_probe_text="it is me",
                inline_bytes=self.inline_bytes,
                poll_reports=self.poll_reports,
            )
        )

    async def _poll(self, request: web.Request) -> web.StreamResponse:
        poll = msgspec.json.decode(await request.read(), type=wire.Poll)
        self.polls.append(poll)
        if poll.reports and self.refuse_carried:
            return web.json_response({"code": "invalid_request", "message": "what is that?"}, status=400)
        assert self.poll_reports or not poll.reports
        reported = self._hear(poll.reports) if poll.reports else []
        if reported and poll.wait_s is None:
            poll.wait_s = 0.05
        mine = next(self._poll_number)
        async with self._changed:
            if self._seq is not None and poll.seq < self._seq:
                return _json(wire.PollReply(seq=poll.seq, superseded=True, reported=reported))
            if poll.seq == self._seq and self._given is not None:
                return _json(msgspec.structs.replace(self._given, reported=reported))
            self._latest = mine
            self._changed.notify_all()
            carried = [run_id for run_id, seq in self._carried.items() if seq != poll.seq]
            for run_id in [run_id for run_id in carried if run_id not in poll.held]:
                del self._carried[run_id]
                self.returned.append(run_id)
            self._seq, self._given = poll.seq, None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.poll_wait_s if poll.wait_s is None else poll.wait_s):
                    while self._latest == mine and not (self.cancels or self.unknown or (self.ready and poll.free)):
                        await self._changed.wait()
            if self._latest != mine:
                return _json(wire.PollReply(seq=poll.seq, superseded=True, reported=reported))
            tasks, self.ready = self.ready[: poll.free], self.ready[poll.free :]
            reply = wire.PollReply(seq=poll.seq, tasks=tasks, cancel=self.cancels, unknown=self.unknown)
            self.cancels, self.unknown = [], []
            self._given = reply
            for task in tasks:
                self._carried[task.run_id] = poll.seq
        if self.lose_answers:
            self.lose_answers -= 1
            assert request.transport is not None
            request.transport.abort()
        return _json(msgspec.structs.replace(reply, reported=reported))

    async def _report(self, request: web.Request) -> web.Response:
        report = msgspec.json.decode(await request.read(), type=wire.Report)
        self.report_requests += 1
        return _json(wire.ReportReply(items=self._hear(report.items)))

    def _hear(self, items: list[wire.ReportItem]) -> list[wire.ReportResult]:
        self.report_batches.append(len(items))
        results = []
        for item in items:
            if item.kind in ("completed", "failed", "cancelled"):
                answer = self.answers.pop(item.run_id, wire.ReportResult(ok=True))
                if answer.ok or answer.code == "stale_run":
                    self._carried.pop(item.run_id, None)
            else:
                answer = wire.ReportResult(ok=True)
            self.reports.append(item)
            results.append(answer)
        return results

    async def _heartbeat(self, request: web.Request) -> web.Response:
        self.heartbeats.append(msgspec.json.decode(await request.read(), type=wire.Heartbeat))
        cancels, self.beat_cancels = self.beat_cancels, []
        return _json(wire.HeartbeatReply(cancel=cancels))

    async def _bye(self, request: web.Request) -> web.Response:
        self.byes.append(msgspec.json.decode(await request.read(), type=wire.Bye))
        return web.json_response({})

    async def _download(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["X-Run-Token"].startswith("token-")
        self.downloads.append(request.match_info["key"])
        return web.FileResponse(self.objects / request.match_info["key"])

    async def _upload(self, request: web.Request) -> web.Response:
        path = self.objects / ".runs" / request.match_info["run_id"] / request.match_info["name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(await request.read())
        return web.json_response({})


def _json(message: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(message), content_type="application/json")


class Running:
    """A worker that runs in the test's loop."""

    def __init__(self, worker: Worker, task: asyncio.Task[None]) -> None:
        self.worker = worker
        self.task = task

    async def drain(self) -> None:
        self.worker.drain()
        await asyncio.wait_for(self.task, TIMEOUT_S)


@pytest.fixture
def run_async() -> Callable[[Callable[[], Awaitable[None]]], None]:
    """Run a test's coroutine; no plugin needed."""

    def run(body: Callable[[], Awaitable[None]]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(60):
                await body()

        asyncio.run(bounded())

    return run


@pytest.fixture
def stage(tmp_path: Path) -> Callable[..., contextlib.AbstractAsyncContextManager[tuple[FakeServer, Running]]]:
    """Return a context manager with a fake server and a worker that offers the given tasks."""

    @contextlib.asynccontextmanager
    async def make(
        *offered: Any, prepare: Callable[[FakeServer], None] = lambda server: None, **options: Any
    ) -> AsyncIterator[tuple[FakeServer, Running]]:
        objects = tmp_path / "objects"
        objects.mkdir(exist_ok=True)
        server = FakeServer(objects)
        prepare(server)
        runner = await server.start()
        registry = Registry()
        for one in offered:
            registry.add(one)
        chosen = {"concurrency": 4, "work_dir": tmp_path / "work", "drain_s": 5.0} | options
        worker = Worker(WorkerOptions(server=server.url, **chosen), Definitions(registry))
        restore = capture.install()
        task = asyncio.create_task(worker.run())
        try:
            yield server, Running(worker, task)
        finally:
            server.down = False
            if not task.done():
                worker.stop_hard()
                task.cancel()
                await asyncio.wait([task], timeout=10)
            restore()
            await runner.cleanup()

    return make


@pytest.fixture
def module(tmp_path: Path) -> Callable[[str], Any]:
    """Write a module, as users write them, and return its path: child processes load it by that."""

    def write(text: str) -> Any:
        path = tmp_path / f"flows_{tmp_path.name.replace('-', '_')}.py"
        path.write_text(
            "from orpheus.authoring.codec import Sensitive\nfrom orpheus.authoring.context import Context\nfrom orpheus.authoring.file import File\n"
            "from orpheus.authoring.task import task\n" + textwrap.dedent(text)
        )
        return path

    return write

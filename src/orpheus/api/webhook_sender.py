"""Who sends what the outbox holds? A loop beside the commit path, with a runner for each destination (R28).

    commit ─► on_due ─► a runner for the destination, if none works ─► take, sign, call, settle ─► none left: it ends

Destinations know nothing of one another: one that is slow or dead keeps its own runner busy and nobody else's. A runner makes
a few calls at a time, and one at a time once calls fail. What is stopped in the middle is sent again after the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from orpheus.api import render
from orpheus.api.webhook_calls import Answered, Caller
from orpheus.core import webhook_signature as signature
from orpheus.core.job import JobState
from orpheus.core.task import NODE
from orpheus.core.webhooks import Called, Delivery
from orpheus.engine.base import EngineStopping
from orpheus.protocol.jobs import JobInfo
from orpheus.protocol.webhooks import WebhookBody

if TYPE_CHECKING:
    from orpheus.api.services import Services
    from orpheus.core.job import Job

log = logging.getLogger("orpheus.webhooks")

CALLS = 4
"""At a time, to one destination that answers."""
RUNNERS = 256
TAKEN = 50
"""Deliveries read at once; they wait in memory for their turn."""
FORGET_EVERY_S = 3600.0
FAULT_PAUSE_S = 5.0


class WebhookSender:
    """Sends deliveries from `start` to `stop`. Safe to stop twice."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._desk = services.engine.webhooks
        self._woken = asyncio.Event()
        self._runners: dict[str, asyncio.Task[None]] = {}
        self._failing: set[str] = set()
        self._loop: asyncio.Task[None] | None = None
        self._caller: Caller | None = None
        self._own: tuple[str, ...] = services.options.webhook_secrets

    def start(self) -> None:
        options = self._services.options
        self._caller = Caller(allow_private=options.webhook_allow_private, user_agent=f"Orpheus/{options.version}")
        self._desk.on_due(self._woken.set)
        self._loop = asyncio.create_task(self._run(), name="orpheus-webhooks")

    async def stop(self) -> None:
        """Stop sending. Calls under way are broken off: what they told is sent again, under the same id."""
        if self._loop is None or self._caller is None:
            return
        self._desk.on_due(lambda: None)
        tasks = [self._loop, *self._runners.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._caller.close()
        self._loop = None

    async def _run(self) -> None:
        forget_at = time.monotonic()
        while True:
            self._woken.clear()
            if len(self._runners) < RUNNERS:
                for destination in self._desk.due_now(skip=self._runners):
                    if len(self._runners) >= RUNNERS:
                        break
                    self._runners[destination] = asyncio.create_task(self._serve(destination))
            if time.monotonic() >= forget_at:
                forget_at = time.monotonic() + FORGET_EVERY_S
                await self._forget()
            due_in = self._desk.next_due_in(skip=self._runners)
            wait_s = FORGET_EVERY_S if due_in is None or len(self._runners) >= RUNNERS else min(FORGET_EVERY_S, due_in)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()

    async def _forget(self) -> None:
        keep_s = self._services.options.webhook_keep_s
        with contextlib.suppress(EngineStopping):
            while await self._desk.forget(keep_s):  # a bounded number at a time
                pass

    async def _serve(self, destination: str) -> None:
        """Send what is due of one destination."""
        try:
            await self._drain(destination)
        except EngineStopping:
            pass
        except Exception:
            log.exception("webhooks to %s could not be sent; trying again", _shown(destination))
            await asyncio.sleep(FAULT_PAUSE_S)
        finally:
            del self._runners[destination]
            self._woken.set()

    async def _drain(self, destination: str) -> None:
        waiting: deque[Delivery] = deque()
        calls: dict[asyncio.Task[Called], Delivery] = {}
        try:
            while True:
                if not waiting:
                    skip = frozenset(each.delivery_no for each in calls.values())
                    waiting.extend(await self._desk.take(destination, TAKEN, skip=skip))
                room = (1 if destination in self._failing else CALLS) - len(calls)
                while waiting and room > 0:
                    delivery = waiting.popleft()
                    calls[asyncio.create_task(self._send(delivery))] = delivery
                    room -= 1
                if not calls:
                    return
                done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    del calls[task]
                went = [task.result() for task in done]
                self._note(destination, ok=went[-1].ok)
                await self._desk.settle(went)
        finally:
            for task in calls:
                task.cancel()

    def _note(self, destination: str, *, ok: bool) -> None:
        if ok:
            self._failing.discard(destination)
        else:
            self._failing.add(destination)

    async def _send(self, delivery: Delivery) -> Called:
        target = await self._target(delivery)
        if target is None:
            return Called(delivery, ok=False, status=None, error="the webhook was deleted or disabled")
        url, keys = target
        body = msgspec.json.encode(await self._body(delivery))
        now = self._services.now()
        headers = signature.headers(keys, delivery_id=delivery.delivery_id, timestamp=int(now), body=body)
        headers["content-type"] = "application/json"
        if delivery.job is not None:
            headers["x-correlation-id"] = delivery.job.correlation_id
            if delivery.job.traceparent is not None:
                headers["traceparent"] = delivery.job.traceparent
        assert self._caller is not None
        answered = await self._caller.call(url, body, headers)
        self._log(delivery, answered)
        return Called(delivery, answered.ok, answered.status, answered.error, answered.retry_after_s)

    async def _target(self, delivery: Delivery) -> tuple[str, tuple[str, ...]] | None:
        """Return URL and secrets."""
        if delivery.webhook_id is None:
            assert delivery.url is not None, "a delivery goes to a webhook or to a job's own URL"
            if not self._own:
                self._own = (await self._desk.own_secret(new_secret),)
            return delivery.url, self._own
        found = {each.webhook_id: each for each in self._desk.subscriptions(None)}.get(delivery.webhook_id)
        if found is None or not found.enabled:
            return None
        return found.url, found.signing(self._services.now())

    async def _body(self, delivery: Delivery) -> WebhookBody:
        event = delivery.event
        body = WebhookBody(type=delivery.type, timestamp=render.instant(delivery.at) or "", data={})
        if delivery.job is not None:
            body.data = await self._job(delivery.job)
        if event is not None:
            body.seq, body.actor = event.seq, event.actor
            if event.task is not None:
                body.task = event.task
            if event.index is not None and event.index != NODE:
                body.index = event.index
            if event.run_id is not None:
                body.run_id = event.run_id
        return body

    async def _job(self, job: Job) -> JobInfo:
        """Show the job as it stood, with what lies beside its row: params, and the result of this generation."""
        services = self._services
        reads = services.engine.reads
        params, result, rows = await reads.job_parts(job.job_id, artifacts=job.has_files)
        current = await reads.job(job.job_id)
        if job.state is not JobState.COMPLETED or current is None or current.generation != job.generation:
            result = None
        redaction = await services.catalog.redaction(job.definition_id)
        shown = redaction.result(result)
        return render.job_info(
            job,
            params=redaction.params(params),
            result=render.shown_result(job, shown, large_bytes=services.options.large_result_bytes),
            artifacts=[render.artifact_info(job.job_id, row) for row in rows],
        )

    def _log(self, delivery: Delivery, answered: Answered) -> None:
        told: Mapping[str, object] = {
            "delivery_id": delivery.delivery_id,
            "job_id": delivery.job_id,
            "correlation_id": delivery.job.correlation_id if delivery.job is not None else "",
        }
        where = _shown(delivery.destination)
        if answered.ok:
            log.debug("told %s of %s", where, delivery.type, extra=told)
        else:
            log.info("could not tell %s of %s: %s", where, delivery.type, answered.error, extra=told)


def new_secret() -> str:
    return signature.make_secret(secrets.token_bytes(signature.MADE_BYTES))


def _shown(destination: str) -> str:
    """Name a destination in a log: a webhook's id, or a host without what may be secret in a URL."""
    return urlsplit(destination).netloc or destination

"""How do ends reach the server? The report loop: one report in flight, tried until it is answered, settled item by item.

A question of the poll loop that is about to go out takes them along instead (`carry`): one request less for each handful of
short tasks. What it could not deliver comes back here.

An end that the server refuses is not dropped in silence: it would leave the task running until its lease lapses. Only
`stale_run` is final (the run belongs to another now); any other refusal of a completion is turned into a failure that
carries the server's words, and is reported once more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from orpheus.protocol.worker import Report, ReportedError, ReportItem, ReportReply, ReportResult
from orpheus.worker.link import Backoff, Refused, Unreachable
from orpheus.worker.outbox import Outbox
from orpheus.worker.runs import Runs
from orpheus.worker.session import Session

logger = logging.getLogger("orpheus.worker")

ENDS = frozenset({"completed", "failed", "cancelled", "waiting"})
RETRIED_CODES = ("internal", "internal_error", "unavailable")
"""The server's own trouble: the same item again may go well."""
RETRIES_MAX = 5


class Reporter:
    """Send what the outbox holds."""

    def __init__(self, session: Session, outbox: Outbox, runs: Runs) -> None:
        self._session = session
        self._outbox = outbox
        self._runs = runs
        self._refusals: dict[str, int] = {}
        self._in_flight = 0
        self._carried = 0
        self._must_report = False
        """A question was refused with what it carried: the report loop finds out why."""

    @property
    def idle(self) -> bool:
        """Nothing waits to be told."""
        return not self._in_flight and not self._carried and not len(self._outbox)

    @property
    def may_carry(self) -> bool:
        """Tell whether a question could take ends along now. Not while a report is in flight: it may hold words of the same
        runs, which must not come after their ends."""
        welcome = self._session.welcome
        return welcome is not None and welcome.poll_reports and not self._in_flight and not self._must_report

    def leave_to(self, carrier: Callable[[], None] | None) -> None:
        """Send no ends while a question waits to take them along; `carrier` is called for each. None: it has."""
        self._outbox.leave_to(carrier)

    def carry(self) -> list[ReportItem]:
        """Hand over what a question is to take along; `delivered` or `undelivered` has to follow."""
        if not self.may_carry:
            self._outbox.leave_to(None)
            return []
        batch = self._outbox.carried()
        self._carried += len(batch)
        return batch

    def delivered(self, batch: list[ReportItem], results: list[ReportResult]) -> None:
        """The question was answered."""
        self._carried -= len(batch)
        self._settle(batch, results)

    def undelivered(self, batch: list[ReportItem], *, refused: bool) -> None:
        """The question was refused, or nobody knows whether it arrived."""
        self._carried -= len(batch)
        if batch:
            self._must_report = self._must_report or refused
            self._outbox.put_back(batch)

    async def run(self) -> None:
        """Send for ever; cancel to end."""
        while True:
            await self._outbox.wait()
            batch = self._outbox.gather()
            if not batch:
                continue
            self._in_flight = len(batch)
            try:
                reply = await self._send(batch)
                self._settle(batch, reply.items)
                self._must_report = False
            finally:
                self._in_flight = 0

    async def _send(self, batch: list[ReportItem]) -> ReportReply:
        backoff = Backoff("report")
        while True:
            generation = self._session.generation
            asked_at = time.monotonic()
            try:
                reply = await self._session.link.report(Report(session_id=self._session.session_id, items=batch))
            except Unreachable as broken:
                await backoff.pause(broken)
            except Refused as refused:
                if not await self._session.renew_if_unknown(refused, generation):
                    if len(batch) == 1:
                        return ReportReply(items=[ReportResult(ok=False, code=refused.code, message=str(refused))])
                    # One item spoils the whole: find it by sending each alone.
                    replies = [await self._send([item]) for item in batch]
                    return ReportReply(items=[reply.items[0] for reply in replies])
            else:
                self._session.contact.heard(asked_at)
                backoff.reset()
                return reply

    def _settle(self, batch: list[ReportItem], results: list[ReportResult]) -> None:
        again: list[ReportItem] = []
        refusals, forget = self._refusals, self._runs.forget
        for item, result in zip(batch, results, strict=False):
            if result.ok and not refusals:
                if item.kind in ENDS:
                    forget(item.run_id)
            elif result.ok or result.code == "stale_run":
                if not result.ok and item.kind in ENDS:
                    logger.warning(
                        "run %s: its %s came too late: %s", item.run_id, item.kind, result.message or result.code
                    )
                self._done(item)
            elif item.kind in ENDS:
                again += self._after_refusal(item, result)
            else:
                logger.warning("run %s: %s refused: %s %s", item.run_id, item.kind, result.code, result.message)
        again += batch[len(results) :]  # a server that answered too few has not spoken about the rest
        if again:
            self._outbox.put_back(again)

    def _done(self, item: ReportItem) -> None:
        if item.kind in ENDS:
            self._refusals.pop(item.run_id, None)
            self._runs.forget(item.run_id)

    def _after_refusal(self, item: ReportItem, result: ReportResult) -> list[ReportItem]:
        count = self._refusals[item.run_id] = self._refusals.get(item.run_id, 0) + 1
        logger.error("run %s: its %s was refused: %s %s", item.run_id, item.kind, result.code, result.message)
        if result.code in RETRIED_CODES and count < RETRIES_MAX:
            return [item]
        if item.kind in ("completed", "waiting"):
            error = ReportedError(
                code=result.code or "task_failed",
                message=f"the server refused the result: {result.message or result.code}",
                final=True,
            )
            return [ReportItem(run_id=item.run_id, kind="failed", error=error)]
        self._done(item)
        return []

"""Who are we to the server? Saying hello, and saying it again when the server has forgotten us.

The session id is chosen once per start of the process and kept through every hello: the runs it holds are its own, also
after the server restarted.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable

from orpheus.protocol.worker import Hello, Welcome
from orpheus.worker.contact import Contact
from orpheus.worker.link import Backoff, Link, Refused, UnknownSession, Unreachable
from orpheus.worker.runs import Runs, StopReason

logger = logging.getLogger("orpheus.worker")


class Session:
    """The worker's standing with the server."""

    def __init__(
        self, link: Link, contact: Contact, runs: Runs, *, introduce: Callable[[str], Hello], margin_s: float | None
    ) -> None:
        self.link = link
        self.contact = contact
        self.session_id = secrets.token_urlsafe(24)
        self.welcome: Welcome | None = None
        self.generation = 0
        """Counts the hellos that were answered: whoever was told `unknown_session` says which one it relied on."""
        self._runs = runs
        self._introduce = introduce
        self._margin_s = margin_s
        self._lock = asyncio.Lock()

    async def open(self) -> Welcome:
        """Say hello until it is answered.

        Raises:
            Refused: the server will never take this worker as it is (`unauthorized`, `protocol_unsupported`,
                `definition_conflict` …).
        """
        backoff = Backoff("hello")
        while True:
            hello = self._introduce(self.session_id)
            hello.held = list(self._runs.held)
            asked_at = time.monotonic()
            try:
                welcome = await self.link.hello(hello)
            except Unreachable as broken:
                await backoff.pause(broken)
                continue
            backoff.reset()
            self.contact.agree(welcome.lease_s, self._margin_s)
            self.contact.heard(asked_at)
            for run_id in welcome.unknown:
                self.disown(run_id)
            self.welcome = welcome
            self.generation += 1
            return welcome

    async def renew_if_unknown(self, refused: Refused, generation: int) -> bool:
        """Say hello again after `unknown_session`; several callers at once make one hello.

        Returns:
            False when the refusal means something else.
        """
        if not isinstance(refused, UnknownSession):
            return False
        async with self._lock:
            if self.generation == generation:
                logger.info("the server does not know this session; saying hello again with %d held", len(self._runs))
                backoff = Backoff("hello again")
                while True:
                    try:
                        await self.open()
                        break
                    except Refused as again:
                        # Unlike at the start, there is work to keep: an operator may yet put the key or server right.
                        await backoff.pause(again)
        return True

    def disown(self, run_id: str) -> None:
        """Stop and forget a run that is no longer current; its report would be `stale_run` (R6)."""
        run = self._runs.get(run_id)
        if run is not None:
            if not run.finished:  # else its report has just been accepted, and overtaken by this answer
                logger.warning("run %s is no longer current: abandoned", run_id)
            run.stop(StopReason.UNKNOWN, 0.0)
            self._runs.forget(run_id)

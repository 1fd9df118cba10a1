"""How does a worker with a blocked loop keep its leases? Heartbeats come from a thread of their own (urllib3).

The same thread watches two clocks: contact with the server (R7: work stops at lease minus margin) and the loop's own tick
(a handler that blocks the loop is named in the log, with the line it stands at).
"""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import sys
import threading
import time
import traceback
from collections.abc import Callable

import msgspec
import urllib3

from orpheus.protocol.worker import CancelNotice, Heartbeat, HeartbeatReply
from orpheus.worker.contact import Contact
from orpheus.worker.runs import Runs

logger = logging.getLogger("orpheus.worker")

TICK_S = 0.25
BLOCKED_AFTER_S = 1.0
REST_AFTER_COMPLAINT_S = 10.0


class HeartbeatThread:
    """Keep the leases of held runs. Start on the loop; stop from anywhere, also twice.

    Args:
        on_cancel, on_unknown: called on the loop with what the answers bring.
        on_lost: called on the loop when contact is lost for too long, once until it is back.
        on_lost_now: called on this thread at that moment, for what must not wait for a blocked loop.
        on_blocked: called on this thread, while the loop is blocked, with the task that blocks it, seconds, and the place.
    """

    def __init__(
        self,
        server: str,
        api_key: str | None,
        session_id: str,
        *,
        runs: Runs,
        contact: Contact,
        on_cancel: Callable[[CancelNotice], None],
        on_unknown: Callable[[str], None],
        on_lost: Callable[[], None],
        on_lost_now: Callable[[], None],
        on_blocked: Callable[[asyncio.Task[object] | None, float, str], None],
    ) -> None:
        self._url = server.rstrip("/") + "/worker/heartbeat"
        self._headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {api_key}"} if api_key else {}
        )
        self._session_id = session_id
        self._runs = runs
        self._contact = contact
        self._on_cancel = on_cancel
        self._on_unknown = on_unknown
        self._on_lost = on_lost
        self._on_lost_now = on_lost_now
        self._on_blocked = on_blocked
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._ticked_at = time.monotonic()
        self._tick_handle: asyncio.TimerHandle | None = None
        self._lost = False
        self._complained_at = 0.0
        self._end = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="orpheus-watch", daemon=True)
        self._beater = threading.Thread(target=self._beat_for_ever, name="orpheus-heartbeat", daemon=True)

    def start(self) -> None:
        self._tick()
        self._watcher.start()
        self._beater.start()

    def stop(self) -> None:
        self._end.set()
        if self._tick_handle is not None:
            self._tick_handle.cancel()

    def _tick(self) -> None:
        self._ticked_at = time.monotonic()
        self._tick_handle = self._loop.call_later(TICK_S, self._tick)

    def _on_loop(self, call: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            self._end.set()  # the loop has ended

    def _beat_for_ever(self) -> None:
        pool = urllib3.PoolManager(num_pools=1, maxsize=1, retries=False)
        while not self._end.wait(self._contact.lease_s / 3 if not self._lost else 1.0):
            asked_at = time.monotonic()
            beat = Heartbeat(session_id=self._session_id, held=list(self._runs.held), memory_bytes=_memory_bytes())
            try:
                timeout_s = max(1.0, min(10.0, self._contact.lease_s / 3))
                response = pool.request(
                    "POST",
                    self._url,
                    body=msgspec.json.encode(beat),
                    headers=self._headers,
                    timeout=urllib3.Timeout(total=timeout_s),
                )
                if response.status != 200:
                    logger.debug("heartbeat: HTTP %d", response.status)
                    continue
                reply = msgspec.json.decode(response.data, type=HeartbeatReply)
            except (urllib3.exceptions.HTTPError, OSError, msgspec.MsgspecError, json.JSONDecodeError) as broken:
                logger.debug("heartbeat failed: %s", broken)  # the poll loop complains; twice would be noise
                continue
            self._contact.heard(asked_at)
            for notice in reply.cancel:
                self._on_loop(self._on_cancel, notice)
            for run_id in reply.unknown:
                self._on_loop(self._on_unknown, run_id)
        pool.clear()

    def _watch(self) -> None:
        while not self._end.wait(TICK_S):
            lost = self._contact.lost
            if lost and not self._lost and self._runs.held:
                logger.error(
                    "no contact with the server for %.0f s: stopping own work (R7)",
                    self._contact.lease_s - self._contact.margin_s,
                )
                self._on_loop(self._on_lost)  # first, so that a handler that ends by it is known to have ended by it
                self._on_lost_now()
            self._lost = lost
            self._look_for_blocking()

    def _look_for_blocking(self) -> None:
        now = time.monotonic()
        silent_s = now - self._ticked_at - TICK_S
        if silent_s < BLOCKED_AFTER_S or now - self._complained_at < REST_AFTER_COMPLAINT_S:
            return
        self._complained_at = now
        frame = sys._current_frames().get(self._loop_thread)
        place = "".join(traceback.format_stack(frame)[-3:]) if frame is not None else ""
        try:
            task = asyncio.current_task(self._loop)
        except RuntimeError:
            task = None
        self._on_blocked(task, silent_s, place)


def _memory_bytes() -> int:
    """Return this process's largest resident size; the unit differs by platform."""
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024

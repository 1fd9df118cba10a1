"""Which thread calls a plain handler, and how does its outcome get home? Few wake-ups for many short calls.

Waking a thread, and being woken by it, costs more than a short handler. So of the threads that have nothing to do only one
is woken at a time: whoever takes a call and sees more of them wakes the next, before it begins. Calls that block are
thus at work side by side after a moment, while a hundred short ones are made by the first thread or two. The other way
round, outcomes that gather until the loop has its turn are told in one call of it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import TypeVar

logger = logging.getLogger("orpheus.worker")

T = TypeVar("T")


class Threads:
    """Daemon threads that are started as needed and kept. `concurrent.futures` would wait for abandoned ones at exit."""

    def __init__(self) -> None:
        self._calls: deque[Callable[[], None]] = deque()
        self._parked: list[threading.Lock] = []
        """The bells of threads that have nothing to do; the last to park, whose memory is warm, is woken first."""
        self._one_is_coming = False
        """A thread was woken or started and has not looked yet; it sees to those after it."""
        self._count = 0
        self._closed = False
        self._lock = threading.Lock()

    def submit(self, call: Callable[[], None]) -> None:
        with self._lock:
            self._calls.append(call)
            if not self._one_is_coming:
                self._send_one()

    def close(self) -> None:
        """Let idle threads end, and the others when they are done."""
        with self._lock:
            self._closed = True
            for bell in self._parked:
                bell.release()
            self._parked.clear()

    def _send_one(self) -> None:
        self._one_is_coming = True
        if self._parked:
            self._parked.pop().release()
        else:
            self._count += 1
            threading.Thread(target=self._serve, name=f"orpheus-handler-{self._count}", daemon=True).start()

    def _serve(self) -> None:
        bell = threading.Lock()
        bell.acquire()
        was_sent = True
        while True:
            call = None
            with self._lock:
                if was_sent:
                    self._one_is_coming = was_sent = False
                if self._calls:
                    call = self._calls.popleft()
                    if self._calls and not self._one_is_coming:
                        self._send_one()
                elif self._closed:
                    return
                else:
                    self._parked.append(bell)
            if call is not None:
                call()
            else:
                bell.acquire()
                was_sent = True


class Homecoming:
    """Brings what threads have found to futures of the loop. Make it on the loop; tell it from anywhere."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._brought: deque[Callable[[], None]] = deque()
        self._is_called = False

    def bring(self, tell: Callable[[], None]) -> None:
        """Have `tell` called on the loop, in its next turn."""
        self._brought.append(tell)
        if self._is_called:
            return  # set before the last turn took what there is, so ours is among it
        self._is_called = True
        try:
            self._loop.call_soon_threadsafe(self._take)
        except RuntimeError:
            logger.debug("an attempt ended after the worker")

    def _take(self) -> None:
        self._is_called = False  # first: whoever comes from here on calls again
        while self._brought:
            self._brought.popleft()()

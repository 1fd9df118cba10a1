"""Where the kit's coroutines and handlers run: in the caller's thread, and in a loop of the kit's own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Place:
    """One loop, used by whichever thread calls."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def complete(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end. Not inside a running loop: see `here`."""
        return self._loop.run_until_complete(work)

    def here(self, do: Callable[[], T]) -> T:
        """Do it in this thread; beside it, when this one is busy with a loop (an async test, a notebook)."""
        if not _in_loop():
            return do()
        outcome: list[T] = []
        raised: list[BaseException] = []

        def target() -> None:
            try:
                outcome.append(do())
            except BaseException as error:
                raised.append(error)

        thread = threading.Thread(target=target, name="orpheus-kit")
        thread.start()
        thread.join()
        if raised:
            raise raised[0]
        return outcome[0]

    def close(self) -> None:
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True

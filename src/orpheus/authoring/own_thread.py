"""How does a task wait for a call that does not hear it? The call gets a thread of its own, so that the task's can go on listening."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def begin(call: Callable[[], T], *, name: str) -> Future[T]:
    """Start the call in a daemon thread with this one's context, and return what will hold its result or its exception.

    Nobody has to wait: a thread that is left behind does not keep the process from ending.
    """
    outcome: Future[T] = Future()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            outcome.set_result(context.run(call))
        except BaseException as raised:  # to be raised where it is waited for
            outcome.set_exception(raised)

    threading.Thread(target=work, name=name, daemon=True).start()
    return outcome

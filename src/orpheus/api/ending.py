"""What is held open ends with its key: streams, long polls, sockets and transfers of a key that is revoked, or expires, stop at once.

Requests that answer at once are not watched: the next one meets the closed door anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from orpheus.api.calls import Call
from orpheus.api.errors import Unauthorized
from orpheus.core.access import ApiKey

_WITHOUT_KEY = contextlib.nullcontext()


def ends_with_key(call: Call) -> contextlib.AbstractContextManager[None]:
    """Run the body for as long as the caller's key is good.

    Raises:
        Unauthorized: the key came to its end meanwhile.
    """
    key = call.identity.key
    return _WITHOUT_KEY if key is None else _while_good(call, key)


@contextlib.contextmanager
def _while_good(call: Call, key: ApiKey) -> Iterator[None]:
    task = asyncio.current_task()
    assert task is not None, "requests are served by tasks"
    over = False

    def end() -> None:
        nonlocal over
        over = True
        task.cancel()

    stop = call.services.engine.keyring.watch(key.key_id, end)
    timer = None
    if key.expires_at is not None:
        timer = asyncio.get_running_loop().call_later(max(0.0, key.expires_at - call.services.now()), end)
    try:
        yield
    except asyncio.CancelledError:
        if not over:
            raise
        task.uncancel()
        raise Unauthorized(f"the key {key.prefix} came to its end meanwhile") from None
    finally:
        stop()
        if timer is not None:
            timer.cancel()

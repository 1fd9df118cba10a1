"""When is a request tried again? Only when that cannot do harm, with growing pauses, and not for ever."""

from __future__ import annotations

import random
from dataclasses import dataclass

from orpheus.client.effects import Operation, Pause
from orpheus.client.errors import ConnectionLost, OrpheusHTTPError, error_from_reply
from orpheus.client.requests import Reply, Request


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client keeps trying.

    Args:
        reconnect_s: seconds of pauses in a row after which a server that does not answer counts as gone.
        first_s, factor, max_s: pauses grow from the first by the factor up to the greatest.
        jitter: share by which a pause is drawn shorter or longer, so that a thousand clients of a restarted server do
            not come back in the same instant.
    """

    reconnect_s: float = 30.0
    first_s: float = 0.1
    factor: float = 2.0
    max_s: float = 5.0
    jitter: float = 0.2

    def pause(self, attempt: int, draw: float | None = None) -> float:
        """Return the seconds before try number `attempt` + 1; `draw` is in [0, 1)."""
        length = min(self.max_s, self.first_s * self.factor ** min(attempt - 1, 32))
        drawn = random.random() if draw is None else draw  # noqa: S311 (spreads load, protects nothing)
        return length * (1 + self.jitter * (2 * drawn - 1))


class Backoff:
    """Counts the failures in a row and says how long to pause, or that patience is over."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._attempts = 0
        self._spent_s = 0.0

    def reset(self) -> None:
        """Something worked: start anew."""
        self._attempts, self._spent_s = 0, 0.0

    def next_pause(self, failure: ConnectionLost | OrpheusHTTPError) -> float:
        """Return the seconds to wait.

        Raises:
            ConnectionLost, OrpheusHTTPError: the failure itself, when another try is not worth it.
        """
        if not failure.retryable or self._spent_s >= self._patience.reconnect_s:
            raise failure
        self._attempts += 1
        pause = self._patience.pause(self._attempts)
        told = getattr(failure, "retry_after_s", None)
        if told is not None:
            pause = max(pause, min(told, self._patience.reconnect_s))
        self._spent_s += pause
        return pause


def send(request: Request, patience: Patience) -> Operation[Reply]:
    """Do one request until it is answered with 2xx or 3xx.

    A request that is not `repeatable` is tried again only when it surely never reached the server.

    Raises:
        ConnectionLost: patience is over, or repeating might do the thing twice.
        OrpheusHTTPError: the server refused.
    """
    backoff = Backoff(patience)
    while True:
        try:
            reply: Reply = yield request
        except ConnectionLost as lost:
            if lost.sent and not request.repeatable:
                raise
            yield Pause(backoff.next_pause(lost))
            continue
        if reply.status < 400:
            return reply
        refused = error_from_reply(reply.status, reply.headers, reply.body)
        if not request.repeatable:
            raise refused
        yield Pause(backoff.next_pause(refused))

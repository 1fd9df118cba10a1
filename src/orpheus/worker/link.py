"""How does a worker talk to its server? One HTTP call at a time, and what each way of failing means.

Nothing here gives up: who calls decides whether to try again. `Unreachable` means that nobody knows whether the server
acted; the protocol is made so that saying the same again is safe (R8).
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec

from orpheus.protocol.errors import ErrorBody
from orpheus.protocol.http import BadAnswer, Endpoint
from orpheus.protocol.worker import Bye, Hello, Poll, PollReply, Report, ReportReply, Welcome
from orpheus.worker.connections import Connections

logger = logging.getLogger("orpheus.worker")

ANSWER_TIMEOUT_S = 30.0
"""Beyond what a call may wait by its nature."""
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 5.0
COMPLAIN_EVERY_S = 30.0

Answer = TypeVar("Answer", bound=msgspec.Struct)


class Unreachable(Exception):
    """No answer, or none that the server's application gave (a proxy's 502, a timeout)."""


class Refused(Exception):
    """The server answered with an error.

    Args:
        status: HTTP status.
        body: the error envelope.
    """

    def __init__(self, status: int, body: ErrorBody) -> None:
        super().__init__(f"{body.code}: {body.message}" + (f" ({body.hint})" if body.hint else ""))
        self.status = status
        self.code = body.code
        self.body = body


class UnknownSession(Refused):
    """The server does not know this session (it restarted, or forgot us): say hello again."""


def parse_refusal(status: int, body: bytes) -> Exception:
    """Return what an answer other than 200 means."""
    try:
        error = msgspec.json.decode(body, type=ErrorBody)
    except msgspec.MsgspecError:
        return Unreachable(f"HTTP {status}")
    if error.code == "unknown_session":
        return UnknownSession(status, error)
    if status >= 500 or status in (408, 425, 429):
        return Unreachable(f"HTTP {status} {error.code}: {error.message}")
    return Refused(status, error)


class Link:
    """The worker's connection to one server. Use as an asynchronous context manager."""

    def __init__(self, server: str, api_key: str | None) -> None:
        headers = {"content-type": "application/json", "user-agent": "orpheus-worker"}
        if api_key:
            headers["authorization"] = f"Bearer {api_key}"
        self._connections = Connections(Endpoint(server, headers))
        self._encoder = msgspec.json.Encoder()

    async def __aenter__(self) -> Link:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._connections.close()

    async def hello(self, hello: Hello) -> Welcome:
        return await self._call("/worker/hello", hello, _WELCOME, ANSWER_TIMEOUT_S)

    def poll(self, poll: Poll, *, wait_s: float) -> Coroutine[Any, Any, PollReply]:
        return self._call("/worker/poll", poll, _POLLED, wait_s + ANSWER_TIMEOUT_S)

    def report(self, report: Report) -> Coroutine[Any, Any, ReportReply]:
        return self._call("/worker/report", report, _REPORTED, ANSWER_TIMEOUT_S)

    async def bye(self, bye: Bye) -> None:
        await self._call("/worker/bye", bye, _NOTHING, 5.0)

    async def _call(
        self, path: str, message: msgspec.Struct, answer: msgspec.json.Decoder[Answer], timeout_s: float
    ) -> Answer:
        try:
            status, body = await self._connections.ask(path, self._encoder.encode(message), timeout_s)
        except (OSError, BadAnswer) as broken:
            raise Unreachable(str(broken) or type(broken).__name__) from broken
        if status != 200:
            raise parse_refusal(status, body)
        try:
            return answer.decode(body)
        except msgspec.MsgspecError as broken:
            raise Unreachable(f"not an answer of a server that speaks our protocol: {broken}") from broken


class _Nothing(msgspec.Struct):
    pass


_WELCOME = msgspec.json.Decoder(Welcome)
_POLLED = msgspec.json.Decoder(PollReply)
_REPORTED = msgspec.json.Decoder(ReportReply)
_NOTHING = msgspec.json.Decoder(_Nothing)


class Backoff:
    """Wait longer after each failure in a row, and complain seldom."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._wait_s = BACKOFF_FIRST_S
        self._complained_at: float | None = None

    async def pause(self, why: Exception) -> None:
        now = time.monotonic()
        if self._complained_at is None or now - self._complained_at >= COMPLAIN_EVERY_S:
            logger.warning("%s: no contact with the server, will keep trying: %s", self._what, why)
            self._complained_at = now
        # Jitter, so that a fleet does not come back in step after the server was away.
        await asyncio.sleep(self._wait_s * random.uniform(0.5, 1.0))  # noqa: S311 (not for secrets)
        self._wait_s = min(self._wait_s * 2, BACKOFF_MAX_S)

    def reset(self) -> None:
        if self._complained_at is not None:
            logger.info("%s: in contact with the server again", self._what)
        self._wait_s = BACKOFF_FIRST_S
        self._complained_at = None

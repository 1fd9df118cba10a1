"""How is a growing list followed? A stream of server-sent events that goes on where it broke off (R2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import msgspec

from orpheus.client.errors import ConnectionLost, OrpheusHTTPError, error_from_reply
from orpheus.client.requests import Request, job_path, pairs
from orpheus.client.retrying import Backoff, Patience
from orpheus.client.sse import Message, SSEParser
from orpheus.protocol.errors import ErrorBody
from orpheus.protocol.jobs import EventInfo, LogInfo

T = TypeVar("T")

JOB_ENDS = frozenset({"job.completed", "job.failed", "job.cancelled"})
_OF_THE_STREAM = frozenset({"reset", "error", "end"})
"""Messages about the stream itself."""
IDLE_S = 45.0
"""The server says something at least every 15 s; three silences in a row mean that the connection is dead."""


class Follower(Generic[T]):
    """Where a reader of a stream stands.

    A driver opens `request()`, hands each chunk to `feed` and passes the values on, until `is_finished`; after a break it
    sleeps for `broken()` seconds and opens `request()` again, which then names the last cursor seen. Not for threads.

    Args:
        decode: makes a value of a message's data, or None for messages that are not for the caller.
        ends: tells whether a value is the last one; None: the caller knows when it has heard enough.
        after: the cursor to begin after; None is from the start, or from now, as the endpoint has it.
        in_query: whether the endpoint takes the cursor as a query parameter (a job's lists) or as `Last-Event-ID`.
    """

    def __init__(
        self,
        path: str,
        query: Mapping[str, Any],
        decode: Callable[[Message], T | None],
        ends: Callable[[T], bool] | None,
        patience: Patience,
        *,
        after: str | None = None,
        in_query: bool = False,
    ) -> None:
        self._path, self._query = path, query
        self._decode, self._ends = decode, ends
        self._backoff = Backoff(patience)
        self._parser = SSEParser()
        self._cursor = after
        self._in_query = in_query
        self._finished = False
        self.was_reset = False
        self.idle_s = IDLE_S

    def is_finished(self) -> bool:
        """Tell whether the last value has been seen."""
        return self._finished

    @property
    def cursor(self) -> str | None:
        """The last cursor seen."""
        return self._cursor

    def request(self) -> Request:
        """Return the request that goes on after the last value seen."""
        self._parser = SSEParser()
        headers, query = {"accept": "text/event-stream"}, dict(self._query)
        if self._cursor is not None and self._in_query:
            query["cursor"] = self._cursor
        elif self._cursor is not None:
            headers["last-event-id"] = self._cursor
        return Request("GET", self._path, pairs(query), headers)

    def feed(self, chunk: bytes) -> list[T]:
        """Return the values that `chunk` completes.

        Raises:
            OrpheusHTTPError: the server ended the stream with an error.
        """
        values: list[T] = []
        decode, ends = self._decode, self._ends
        messages = self._parser.feed(chunk)
        if messages:
            self._backoff.reset()
        for message in messages:
            if message.event in _OF_THE_STREAM:
                if message.event == "reset":
                    self._cursor, self.was_reset = message.id, True
                    continue
                if message.event == "error":
                    raise error_from_reply(503, {}, message.data.encode())
                self._finished = True
            if message.id:
                self._cursor = message.id
            if self._finished:
                break
            value = decode(message)
            if value is None:
                continue
            values.append(value)
            if ends is not None and ends(value):
                self._finished = True
                break
        return values

    def broken(self, why: ConnectionLost | OrpheusHTTPError | None = None) -> float:
        """The stream ended before it was finished: return how long to sleep.

        Raises:
            ConnectionLost, OrpheusHTTPError: it is not worth another try.
        """
        if isinstance(why, OrpheusHTTPError) and why.code == "reset":
            self._cursor, self.was_reset = None, True
            return 0.0
        return self._backoff.next_pause(why or ConnectionLost("the server ended the stream"))


def follow_events(job_id: str, after: int, patience: Patience) -> Follower[EventInfo]:
    """Follow a job's events to the event that ends it. `seq` is the cursor, so nothing is told twice."""
    decode = decoder_of(EventInfo)
    seen = after

    def fresh(message: Message) -> EventInfo | None:
        nonlocal seen
        event = decode(message)
        if event is None or event.seq <= seen:
            return None
        seen = event.seq
        return event

    return Follower(
        job_path(job_id, "events"),
        {"follow": True},
        fresh,
        lambda event: event.type in JOB_ENDS,
        patience,
        after=str(after) if after else None,
        in_query=True,
    )


def follow_logs(job_id: str, query: Mapping[str, Any], patience: Patience) -> Follower[LogInfo]:
    """Follow a job's log lines until the server says that the job has ended and all has been told."""
    return Follower(
        job_path(job_id, "logs"),
        {**query, "follow": True},
        decoder_of(LogInfo),
        None,
        patience,
        in_query=True,
    )


def decoder_of(kind: type[T]) -> Callable[[Message], T | None]:
    inner = msgspec.json.Decoder(kind)

    def decode(message: Message) -> T | None:
        if not message.data or message.event in ("tick", "ping", "open"):
            return None
        try:
            return inner.decode(message.data)
        except msgspec.DecodeError as error:
            raise OrpheusHTTPError(
                200, ErrorBody(code="unexpected_reply", message=f"the stream said something unknown: {error}")
            ) from None

    return decode

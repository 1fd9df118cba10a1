"""How is one logic run by two clients? Operations are generators that yield what they need done.

An operation (`operations.py`) yields effects and receives their outcome; it neither knows sockets nor sleeps. A driver
(`sync.py`, `aio.py`) performs each effect its own way and sends the outcome back. Everything that needs thought
(retries, paging, uploads before a submit, waiting) therefore exists once.

    effect      what the driver does                                what it sends back
    Request     the round trip                                      Reply, of any status; or throws ConnectionLost
    Pull        the round trip, the body given away in chunks       Reply without body (errors keep theirs)
    Pause       sleeps                                              None
    Together    runs operations side by side, at most `limit`       their results in order
    Listen      opens a stream and feeds it to `take`               None when `take` says enough; throws ConnectionLost
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from orpheus.client.requests import Request

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Pull:
    """A download: the status of a successful answer goes to `begin`, then its chunks to `write` as they come."""

    request: Request
    begin: Callable[[int], None]
    write: Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Together:
    """Independent operations. They are drawn from the iterable only as places get free, so a million of them need no
    memory. The first failure stops the drawing and is thrown when those under way have ended."""

    operations: Iterable[Operation[Any]]
    limit: int


@dataclass(frozen=True, slots=True)
class Listen:
    """A stream of server-sent events. `opened` is run when the answer's head has arrived, that is, once the subscription
    is in force, and may say that this was enough; then `take` gets each chunk and says so in its turn."""

    request: Request
    take: Callable[[bytes], bool]
    idle_s: float
    """No byte for so long means that the connection is dead."""
    limit_s: float | None = None
    """After so long the driver stops listening, which is no error."""
    opened: Operation[bool] | None = None


Effect: TypeAlias = Request | Pause | Pull | Together | Listen
Operation: TypeAlias = Generator[Effect, Any, T]

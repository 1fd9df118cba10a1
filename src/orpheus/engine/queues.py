"""What holds a queue back? Its settings as people change them: pause, concurrency, rate (R25, R26)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from orpheus.core.errors import InvalidRequest
from orpheus.core.suggest import did_you_mean, quoted
from orpheus.engine.work import Work

if TYPE_CHECKING:
    from orpheus.engine.limits import Feed

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
FIELDS = ("paused", "concurrency", "rate_limit")
MOST = 1_000_000


def queue_changes(feed: Feed, name: str, changes: Mapping[str, Any]) -> Callable[[Work], None]:
    """Return the transaction's function that changes a queue's settings.

    Raises:
        InvalidRequest: a name, field or value that cannot be.
    """
    if not NAME.fullmatch(name):
        raise InvalidRequest(f"{quoted(name)} is not a queue's name", hint="Letters, digits, . _ -, at most 128.")
    for field, value in changes.items():
        _check(field, value)

    def change(work: Work) -> None:
        before = work.tx.queue_settings().get(name, {})
        settings = {field: before.get(field) for field in FIELDS} | dict(changes)
        settings = {field: value for field, value in settings.items() if value is not None}
        work.tx.put_queue_settings(name, settings, work.now)
        work.after_commit(lambda: feed.set_queue(name, settings))

    return change


def _check(field: str, value: Any) -> None:
    fault = None
    if field == "paused":
        fault = None if isinstance(value, bool) else "is true or false"
    elif field == "concurrency":
        fits = value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST)
        fault = None if fits else f"is a whole number from 0 to {MOST}, or null for no limit"
    elif field == "rate_limit":
        fault = None if value is None or _is_rate(value) else 'is {"limit": n, "period_s": s}, both above 0, or null'
    else:
        raise InvalidRequest(
            f"a queue has no setting {quoted(field)}",
            hint=did_you_mean(field, FIELDS),
            details=[{"path": f"/{field[:80]}", "message": "unknown setting"}],
        )
    if fault is not None:
        message = f"{field} {fault}"
        raise InvalidRequest(message, details=[{"path": f"/{field}", "message": message}])


def _is_rate(value: Any) -> bool:
    if not isinstance(value, Mapping) or set(value) != {"limit", "period_s"}:
        return False
    numbers = (value["limit"], value["period_s"])
    return all(isinstance(n, int | float) and not isinstance(n, bool) and 0 < n < MOST * 1000 for n in numbers)

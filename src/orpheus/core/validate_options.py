"""Which options may a node have, and in which range? One table; `validate.py` reads every node by it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from orpheus.core.graph import NodeKind, OnFailure, Timeouts
from orpheus.core.place import Place
from orpheus.core.price import Price
from orpheus.core.retry import RetryPolicy
from orpheus.core.suggest import did_you_mean, quoted
from orpheus.core.values import operator_of

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
NAME_RULE = "A name is 1 to 128 letters, digits, '_', '-' or '.', and does not begin with '-' or '.'."
MAX_TEXT = 10_000
MAX_SECONDS = 10 * 366 * 86_400.0
"""Ten years: longer is a mistake, and instants stay far from what a float can hold."""

MAX_INT = 2**31 - 1

Reader = Callable[[Any, Place, str], Any]


def name(value: Any, place: Place, option: str) -> str:
    """Read a name."""
    if not isinstance(value, str) or not NAME.fullmatch(value):
        what = "empty" if value == "" else f"{quoted(value)} is not a name"
        raise place.error(f"{option} is {what}" if value == "" else f"{option}: {what}", hint=NAME_RULE, at=(option,))
    return value


def text(value: Any, place: Place, option: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise place.error(f"{option} is a text of at most {MAX_TEXT} characters", at=(option,))
    return value


def flag(value: Any, place: Place, option: str) -> bool:
    if not isinstance(value, bool):
        raise place.error(f"{option} is true or false", at=(option,))
    return value


def whole(low: int, high: int = MAX_INT) -> Reader:
    """Make the reader of a whole number in a range."""

    def read(value: Any, place: Place, option: str) -> int:
        if type(value) is not int or not low <= value <= high:
            raise place.error(f"{option} is a whole number from {low} to {high}, not {quoted(value)}", at=(option,))
        return value

    return read


def number(low: float, high: float, *, above: bool = False) -> Reader:
    """Make the reader of a number in a range; `above` leaves out the lower bound itself."""

    def read(value: Any, place: Place, option: str) -> float:
        if (
            type(value) not in (int, float)
            or not math.isfinite(value)
            or not low <= value <= high
            or (above and value == low)
        ):
            bound = f"above {low:g}" if above else f"from {low:g}"
            raise place.error(f"{option} is a number {bound} to {high:g}, not {quoted(value)}", at=(option,))
        return float(value)

    return read


def optional(reader: Reader) -> Reader:
    """Let null stand for the absence of the option."""

    def read(value: Any, place: Place, option: str) -> Any:
        return None if value is None else reader(value, place, option)

    return read


def or_value(reader: Reader) -> Reader:
    """Let a reference stand in the option's place; what it refers to is checked with the other values."""

    def read(value: Any, place: Place, option: str) -> Any:
        return value if operator_of(value) is not None else reader(value, place, option)

    return read


def one_of(*choices: str) -> Reader:
    def read(value: Any, place: Place, option: str) -> str:
        if not isinstance(value, str) or value not in choices:
            hint = did_you_mean(value if isinstance(value, str) else "", choices)
            raise place.error(f"{option} is one of {', '.join(choices)}, not {quoted(value)}", hint=hint, at=(option,))
        return value

    return read


def names(value: Any, place: Place, option: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(inner, str) and 0 < len(inner) <= 200 for inner in value):
        raise place.error(f"{option} is a list of names", at=(option,))
    return tuple(dict.fromkeys(value))


def anything(value: Any, _place: Place, _option: str) -> Any:
    """Leave a value to `validate_values`."""
    return value


def mapping(value: Any, place: Place, option: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise place.error(f"{option} is an object", at=(option,))
    return value


seconds = number(0.0, MAX_SECONDS)
amount = number(0.0, 1e12)
limit_s = optional(number(0.0, MAX_SECONDS, above=True))


def retry(value: Any, place: Place, option: str) -> RetryPolicy:
    read = _fields(value, place, option, _RETRY)
    return RetryPolicy(**read)


def timeouts(value: Any, place: Place, option: str) -> Timeouts:
    return Timeouts(**_fields(value, place, option, _TIMEOUTS))


def resources(value: Any, place: Place, option: str) -> dict[str, int]:
    found = mapping(value, place, option)
    inner = place.at(option)
    return {name(key, inner, "a resource"): whole(1)(amount, inner, key) for key, amount in found.items()}


def rate_limit(value: Any, place: Place, option: str) -> dict[str, float]:
    read = _fields(value, place, option, _RATE)
    if len(read) != 2:
        raise place.error('rate_limit is written {"limit": 10, "period_s": 60}', at=(option,))
    return read


def undo_options(value: Any, place: Place, option: str) -> dict[str, Any]:
    """Read how an undo task is run; what equals a node's default is left out."""
    read = _fields(value, place, option, _UNDO)
    return {key: found for key, found in read.items() if found != _UNDO_DEFAULTS[key]}


def price(value: Any, place: Place, option: str) -> Price | None:
    """Read a number (per run), or `{"per_run", "per_mb"}`; nothing and 0 are no price."""
    if value is None or isinstance(value, int | float):
        found = Price(per_run=amount(0.0 if value is None else value, place, option))
    else:
        found = Price(**_fields(value, place, option, _PRICE))
    return None if found == Price() else found


def on_failure(value: Any, place: Place, option: str) -> OnFailure:
    return OnFailure(one_of(*OnFailure)(value, place, option))


def _fields(value: Any, place: Place, option: str, table: dict[str, Reader]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise place.error(f"{option} is an object", hint=f"Its fields: {', '.join(table)}.", at=(option,))
    inner = place.at(option)
    for key in value:
        if key not in table:
            raise inner.error(f"{option} has no field {quoted(key)}", hint=did_you_mean(key, table), at=(key,))
    return {key: table[key](found, inner, key) for key, found in value.items()}


_RETRY: dict[str, Reader] = {
    "max_retries": whole(0, 10_000),
    "initial_s": seconds,
    "factor": number(1.0, 1000.0),
    "max_s": seconds,
    "jitter": number(0.0, 1.0),
    "final_errors": names,
}
_PRICE: dict[str, Reader] = {"per_run": amount, "per_mb": amount}
_TIMEOUTS: dict[str, Reader] = {inner.name: limit_s for inner in fields(Timeouts)}
_UNDO: dict[str, Reader] = {
    "queue": name,
    "priority": optional(whole(1, 5)),
    "retry": retry,
    "timeouts": timeouts,
    "resources": resources,
    "rate_limit": optional(rate_limit),
}
_UNDO_DEFAULTS: dict[str, Any] = {
    "queue": "default",
    "priority": None,
    "retry": RetryPolicy(),
    "timeouts": Timeouts(),
    "resources": {},
    "rate_limit": None,
}
_RATE: dict[str, Reader] = {"limit": number(0.0, 1e9, above=True), "period_s": number(0.0, MAX_SECONDS, above=True)}

_ANY = tuple(NodeKind)
_RUN = (NodeKind.TASK, NodeKind.MAP)
_CALL = (*_RUN, NodeKind.CHILD)
_OPENS = (NodeKind.MAP, NodeKind.CHILD)

OPTIONS: dict[str, tuple[Reader, tuple[NodeKind, ...]]] = {
    "name": (name, _ANY),
    "kind": (one_of(*NodeKind), _ANY),
    "task": (name, _RUN),
    "version": (whole(1), _RUN),
    "workflow": (name, _OPENS),
    "workflow_version": (optional(whole(1)), _OPENS),
    "args": (mapping, (*_CALL, NodeKind.APPROVAL)),
    "items": (mapping, (NodeKind.MAP,)),
    "when": (anything, _ANY),
    "after": (names, _ANY),
    "queue": (name, _RUN),
    "priority": (optional(whole(1, 5)), _CALL),
    "retry": (retry, _RUN),
    "timeouts": (timeouts, _RUN),
    "resources": (resources, _RUN),
    "concurrency_key": (anything, _RUN),
    "concurrency_limit": (whole(1), _RUN),
    "rate_limit": (optional(rate_limit), _RUN),
    "on_failure": (on_failure, _ANY),
    "undo": (optional(name), _CALL),
    "undo_version": (whole(1), _CALL),
    "undo_argument": (optional(name), _CALL),
    "undo_options": (undo_options, _CALL),
    "undo_unknown": (flag, _CALL),
    "cache": (flag, _RUN),
    "cache_extra": (anything, _RUN),
    "max_concurrency": (or_value(optional(whole(1))), (NodeKind.MAP,)),
    "stagger_s": (or_value(seconds), (NodeKind.MAP,)),
    "weight": (number(0.0, 1e9), _ANY),
    "price": (price, _RUN),
    "prompt": (text, (NodeKind.APPROVAL,)),
    "editable": (flag, (NodeKind.APPROVAL,)),
    "on_reject": (one_of(*OnFailure), (NodeKind.APPROVAL,)),
    "timeout_s": (limit_s, (NodeKind.APPROVAL, NodeKind.WAIT_FOR, *_OPENS)),
    "duration": (anything, (NodeKind.SLEEP,)),
    "signal": (name, (NodeKind.WAIT_FOR,)),
    "type_schema": (anything, _ANY),
    "extra": (mapping, _ANY),
    "source": (text, _ANY),
}

OF_A_TASK = (
    "version",
    "queue",
    "retry",
    "timeouts",
    "resources",
    "concurrency_key",
    "concurrency_limit",
    "rate_limit",
    "cache",
    "cache_extra",
)
"""Options of a map that say how its task is run; with a workflow for a body, the tasks of the children have their own."""
OF_A_CHILD = ("workflow_version", "timeout_s")

TIMEOUT_NAMES = tuple(_TIMEOUTS)
RETRY_NAMES = tuple(_RETRY)

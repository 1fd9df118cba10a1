"""What stands behind the question mark: decoded into the struct that the route declares, refused when it does not
fit."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Annotated, Any, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

import msgspec

from orpheus.api.body import invalid
from orpheus.core.errors import InvalidRequest

Limit = Annotated[int, msgspec.Meta(ge=1, le=1000, description="Most items to return.")]
Cursor = Annotated[
    str, msgspec.Meta(max_length=1000, description="`next_cursor` of the page before; leave it out for the first.")
]
Instant = Annotated[
    str,
    msgspec.Meta(max_length=64, description="RFC 3339 with a time zone.", extra_json_schema={"format": "date-time"}),
]


Place = Annotated[
    str,
    msgspec.Meta(pattern="^[0-9]{1,18}$", description="Number of the last one seen; leave it out for the first page."),
]


class NoQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Nothing: whatever is asked is a mistake worth telling."""


_MOST_FIELDS = 200
_REMEMBERED = 256
_REMEMBERED_BYTES = 64
"""Programs ask the same again and again (`wait_s=30`); of short queries so many are kept decoded."""


class QueryDecoder:
    """Decodes query strings into one struct type."""

    def __init__(self, shape: type[msgspec.Struct]) -> None:
        self.shape = shape
        hints = get_type_hints(shape, include_extras=False)
        self._texts = frozenset(name for name, hint in hints.items() if hint is str or str in get_args(hint))
        self._lists = frozenset(name for name, hint in hints.items() if get_origin(hint) is list)
        self._remembered: dict[bytes, Any] | None = None if self._lists else {}
        """Not where somebody could add to a list of what is remembered."""
        self._default: Any = None
        if not any(field.required for field in msgspec.structs.fields(shape)):
            self._default = shape

    def decode(self, raw: bytes) -> Any:
        """Return the struct.

        Raises:
            InvalidRequest: an unknown name, a value that does not fit, one given twice where one is taken.
        """
        if not raw and self._default is not None:
            return self._default()
        remembered = self._remembered
        if remembered is None or len(raw) > _REMEMBERED_BYTES:
            return self._decode(raw)
        query = remembered.get(raw)
        if query is None:
            query = self._decode(raw)
            if len(remembered) >= _REMEMBERED:
                remembered.clear()
            remembered[raw] = query
        return query

    def _decode(self, raw: bytes) -> Any:
        try:
            pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        except ValueError:
            raise InvalidRequest(f"the query has more than {_MOST_FIELDS} fields") from None
        values: dict[str, Any] = {}
        for name, value in pairs:
            if name in self._lists:
                values.setdefault(name, []).append(value)
            elif name in values:
                raise _refused(name, "is given more than once")
            else:
                values[name] = value
            if name not in self._texts and value.strip().lower() == "null":
                raise _refused(name, "is not null: leave it out")
            if "\x00" in value:
                raise _refused(name, "holds a NUL character")
        try:
            query = msgspec.convert(values, self.shape, strict=False)
        except msgspec.ValidationError as error:
            raise invalid(error, self.shape, where="query") from None
        for name in values:
            value = getattr(query, name)
            if isinstance(value, float) and not math.isfinite(value):
                raise _refused(name, "is not a finite number")
        return query


def _refused(name: str, message: str) -> InvalidRequest:
    shown = name[:80]
    return InvalidRequest(
        f"query: {shown!r} {message}", details=[{"path": f"/{shown}", "message": message, "in": "query"}]
    )


_LATEST = 253_402_300_799.0
"""The end of the year 9999; earlier than 1970 is as good as 1970 for everything that is asked here."""


def instant(text: str | None, name: str, *, where: str = "query") -> float | None:
    """Return seconds since the epoch of an RFC 3339 time.

    Raises:
        InvalidRequest: no such time, or without a time zone.
    """
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text.strip().upper())
        if at.tzinfo is None:
            raise ValueError("no time zone")
        return min(max(at.timestamp(), 0.0), _LATEST)
    except (ValueError, OverflowError):
        raise InvalidRequest(
            f"{where}: {name} is not a time: {text[:64]!r}",
            hint="RFC 3339 with a time zone, like 2026-01-31T09:30:00Z",
            details=[{"path": f"/{name}", "message": "not an RFC 3339 time with a time zone", "in": where}],
        ) from None


def whole_number(cursor: str | None) -> int:
    """Return the number a cursor stands for; 0 for the first page.

    Raises:
        InvalidRequest: not a cursor of ours.
    """
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 18):
        raise bad_cursor(cursor)
    return int(cursor)


def bad_cursor(cursor: str) -> InvalidRequest:
    return InvalidRequest(
        f"query: {cursor[:64]!r} is not a cursor",
        hint="take next_cursor from the page before, or leave it out",
        details=[{"path": "/cursor", "message": "not a cursor", "in": "query"}],
    )

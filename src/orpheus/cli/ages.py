"""How long ago? `30d`, `12h`, `90m`, `45s`, or plain seconds."""

from __future__ import annotations

import re

from orpheus.cli.errors import CommandError

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def parse_age(text: str | None, flag: str) -> float | None:
    """Return seconds.

    Raises:
        CommandError: it is no length of time.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw]?)", text.strip().lower())
    if match is None:
        raise CommandError(
            "invalid_request", f"{flag}: {text!r} is no length of time", hint="Write 30d, 12h, 90m or 45s."
        )
    return float(match[1]) * _UNITS[match[2]]

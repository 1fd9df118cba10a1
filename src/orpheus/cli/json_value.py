"""How is a JSON value typed? As it stands, `@file`, or `-` for standard input."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from orpheus.cli.errors import CommandError

AS_JSON = "JSON, @FILE for a file with JSON, or - for standard input."


def read_json(text: str, flag: str) -> Any:
    """Read a value.

    Raises:
        CommandError: it is not JSON, or cannot be read; names the flag.
    """
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).expanduser().read_text(encoding="utf-8")
        return json.loads(text)
    except OSError as error:
        raise CommandError("invalid_request", f"{flag}: {error}") from None
    except ValueError as error:
        raise CommandError(
            "invalid_request", f"{flag} is not JSON: {error}", hint="Text needs quotes: '\"yes\"'"
        ) from None

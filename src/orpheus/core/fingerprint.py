"""Which failures are the same? A fingerprint over workflow, task, code, error type and the message without its particulars."""

from __future__ import annotations

import hashlib
import re

MOST_MESSAGE = 300

_PARTICULARS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE), "<id>"),
    (re.compile(r"[a-z][a-z0-9+.-]*://[^\s'\"<>]+", re.IGNORECASE), "<url>"),
    (re.compile(r"(?<![\w.])(?:[A-Za-z]:\\|~?/)[^\s'\":,;)]+"), "<path>"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"\b0x[0-9a-f]+\b|\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b", re.IGNORECASE), "<hex>"),
    (re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|‘[^’\n]*’|“[^”\n]*”"), "<text>"),
    (re.compile(r"\d+(?:[.,:]\d+)*"), "<n>"),
    (re.compile(r"\s+"), " "),
)


def normalised(message: str) -> str:
    """Return a message with ids, paths, quoted words and numbers replaced by what they are."""
    text = message[: 10 * MOST_MESSAGE]
    for pattern, name in _PARTICULARS:
        text = pattern.sub(name, text)
    return text.strip()[:MOST_MESSAGE]


def fingerprint(*, workflow: str, task: str, code: str, kind: str, message: str) -> str:
    """Return 16 hexadecimal characters; `message` is normalised already."""
    text = "\x1f".join((workflow, task, code, kind, message))
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]

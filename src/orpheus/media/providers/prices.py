"""What does a service's work cost? From what it says it used, and the rates that are configured; nothing is guessed.

    ORPHEUS_CHAT_PRICE=0.15/0.60       of a million tokens: of what was sent / of what was answered (or one number for both)
    ORPHEUS_TRANSCRIBE_PRICE=0.006     of a minute of sound
    ORPHEUS_REPLICATE_PRICE=0.0115     of a second of a prediction's own time

In whatever currency the tasks' prices are. Without a rate nothing is counted.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from orpheus.media.errors import InvalidInput


def of_tokens(usage: object) -> float | None:
    """Return the price of a chat completion, given the `usage` of its answer; None without a rate or usage."""
    rates = _rates("ORPHEUS_CHAT_PRICE", most=2)
    if not rates or not isinstance(usage, Mapping):
        return None
    sent, answered = _number(usage.get("prompt_tokens")), _number(usage.get("completion_tokens"))
    return (sent * rates[0] + answered * rates[-1]) / 1_000_000


def of_sound(seconds: float) -> float | None:
    """Return the price of a transcript; None without a rate."""
    rates = _rates("ORPHEUS_TRANSCRIBE_PRICE", most=1)
    return seconds / 60 * rates[0] if rates else None


def of_prediction(metrics: object) -> float | None:
    """Return the price of a prediction, given its `metrics`; None without a rate or metrics."""
    rates = _rates("ORPHEUS_REPLICATE_PRICE", most=1)
    if not rates or not isinstance(metrics, Mapping):
        return None
    return _number(metrics.get("predict_time")) * rates[0]


def _rates(setting: str, *, most: int) -> list[float]:
    text = os.environ.get(setting, "").strip()
    if not text:
        return []
    try:
        rates = [float(part) for part in text.split("/")]
    except ValueError:
        rates = []
    if not 1 <= len(rates) <= most or not all(0 <= rate <= 1e6 for rate in rates):
        form = "two numbers with a / between them, or one" if most == 2 else "one number"
        raise InvalidInput(f"{setting} is {text[:40]!r}, not {form}")
    return rates


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else 0.0

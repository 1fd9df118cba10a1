"""What OpenAI-compatible endpoints do for us: transcribe a recording, sum up a text, say what is on a picture.

Source: the OpenAI API reference, "Create transcription" (`verbose_json` with word times) and "Create chat completion".
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from orpheus.media.providers import prices
from orpheus.media.providers.configured import Configured
from orpheus.media.providers.http import ServiceFailed
from orpheus.media.speech.transcript import Segment, Transcript, Word, build

MOST_BYTES: Final = 24 * 1024 * 1024
"""Of one upload; the endpoints take 25 MB."""


Spend = Callable[[float], None]
"""Hears what a call has cost, once the service has answered: that is owed whatever becomes of the answer."""


def transcribe(
    configured: Configured, mp3: Path, *, language: str | None, duration_s: float, spend: Spend | None = None
) -> Transcript:
    """Have a recording written down.

    Raises:
        RetryAfter, ServiceFailed, Permanent: as `Service.call`.
    """
    fields: dict[str, Any] = {
        "file": ("audio.mp3", mp3.read_bytes(), "audio/mpeg"),
        "model": configured.model,
        "response_format": "verbose_json",
        "timestamp_granularities[]": "word",
    }
    if language:
        fields["language"] = language
    answer = configured.service.call("POST", "audio/transcriptions", fields=fields)
    _spent(spend, prices.of_sound(duration_s))
    try:
        return _transcript(answer, duration_s)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ServiceFailed(f"{configured.service.name} answered in an unknown form: {error}") from None


def _transcript(answer: dict[str, Any], duration_s: float) -> Transcript:
    words = [
        Word(str(one["word"]).strip(), float(one["start"]), float(one["end"])) for one in answer.get("words") or ()
    ]
    segments = []
    for one in answer.get("segments") or ():
        start_s, end_s = float(one["start"]), float(one["end"])
        inside = [word for word in words if start_s - 0.01 <= word.start_s < end_s - 0.01]
        if str(one["text"]).strip():
            segments.append(Segment(start_s, end_s, str(one["text"]).strip(), inside))
    if not segments and words:
        segments = [Segment(words[0].start_s, words[-1].end_s, str(answer["text"]).strip(), words)]
    if not segments and str(answer["text"]).strip():
        segments = [Segment(0.0, duration_s, str(answer["text"]).strip(), [])]
    return build(segments, language=_code(str(answer.get("language") or "")), duration_s=duration_s)


def _code(language: str) -> str:
    """Some endpoints name the language in English."""
    names = {"english": "en", "german": "de", "french": "fr", "spanish": "es", "italian": "it", "portuguese": "pt"}
    return names.get(language.lower(), language.lower()[:2])


def chat(
    configured: Configured,
    prompt: str,
    *,
    picture: bytes | None = None,
    most_tokens: int = 400,
    spend: Spend | None = None,
) -> str:
    """Ask a chat model one thing; `picture` is a JPEG it is shown.

    Raises:
        RetryAfter, ServiceFailed, Permanent: as `Service.call`.
    """
    content: Any = prompt
    if picture is not None:
        url = "data:image/jpeg;base64," + base64.b64encode(picture).decode()
        content = [{"type": "text", "text": prompt}, {"type": "image_url", "image_url": {"url": url}}]
    body = {
        "model": configured.model,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": most_tokens,
        "temperature": 0,
    }
    answer = configured.service.call("POST", "chat/completions", body=body)
    _spent(spend, prices.of_tokens(answer.get("usage") if isinstance(answer, dict) else None))
    try:
        text = answer["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        raise ServiceFailed(f"{configured.service.name} answered in an unknown form") from None
    if not isinstance(text, str) or not text.strip():
        raise ServiceFailed(f"{configured.service.name} answered nothing")
    return text.strip()


def _spent(spend: Spend | None, price: float | None) -> None:
    if spend is not None and price is not None:
        spend(price)

"""Which services are configured? From the worker's environment; `orpheus doctor` shows the same.

    ORPHEUS_TRANSCRIBE_URL, _KEY, _MODEL     an OpenAI-compatible /audio/transcriptions
    ORPHEUS_CHAT_URL, _KEY, _MODEL           an OpenAI-compatible /chat/completions: summaries, and pictures where the model sees
    REPLICATE_API_TOKEN, ORPHEUS_REPLICATE_URL, REPLICATE_MODEL   Replicate, for the storyboard's renderer

Keys may stand in a file that `…_KEY_FILE` (`REPLICATE_API_TOKEN_FILE`) names.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from orpheus.media.errors import InvalidInput
from orpheus.media.providers.http import Service


@dataclass(frozen=True, slots=True)
class Configured:
    """A service and the model to ask for."""

    service: Service
    model: str

    @property
    def where(self) -> str:
        """Model and address for people and for cache keys; without whatever somebody put before an `@` of the address."""
        url = urlsplit(self.service.base_url)
        return f"{self.model} at {url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"


def transcriptions() -> Configured | None:
    """Return the transcription service, or None: then this machine listens itself."""
    return _openai("TRANSCRIBE", "the transcription service", default_model="whisper-1", silence_s=600.0)


def chat() -> Configured | None:
    """Return the chat service, or None: then summaries are extracted here, and pictures get no caption."""
    return _openai("CHAT", "the chat service", default_model="gpt-4o-mini", silence_s=120.0)


def replicate() -> Configured:
    """Return Replicate.

    Raises:
        InvalidInput: its token is not configured.
    """
    token = _secret("REPLICATE_API_TOKEN")
    if not token:
        raise InvalidInput(
            "the renderer replicate needs a token, and none is configured where this worker runs",
            hint="Set REPLICATE_API_TOKEN (or REPLICATE_API_TOKEN_FILE), or use the renderer local.",
        )
    base = os.environ.get("ORPHEUS_REPLICATE_URL", "https://api.replicate.com/v1").rstrip("/")
    settings = ("ORPHEUS_REPLICATE_URL", "REPLICATE_API_TOKEN")
    return Configured(Service("Replicate", base, token, _timeout_s(60.0), settings), replicate_model())


def replicate_model() -> str:
    """Return the model that scenes are made with over there: `owner/name`, or `owner/name:version`."""
    return os.environ.get("REPLICATE_MODEL", "minimax/video-01")


def _openai(name: str, told: str, *, default_model: str, silence_s: float) -> Configured | None:
    base = os.environ.get(f"ORPHEUS_{name}_URL", "").rstrip("/")
    if not base:
        return None
    model = os.environ.get(f"ORPHEUS_{name}_MODEL", default_model)
    settings = (f"ORPHEUS_{name}_URL", f"ORPHEUS_{name}_KEY")
    return Configured(Service(told, base, _secret(settings[1]), _timeout_s(silence_s), settings), model)


def _timeout_s(usual_s: float) -> float:
    """Return how long a service may be silent: one that listens to 40 minutes of speech says nothing for long."""
    text = os.environ.get("ORPHEUS_SERVICE_TIMEOUT_S", "").strip()
    try:
        return max(0.1, float(text)) if text else usual_s
    except ValueError:
        raise InvalidInput(f"ORPHEUS_SERVICE_TIMEOUT_S is {text[:40]!r}, not a number of seconds") from None


def _secret(name: str) -> str:
    named = os.environ.get(f"{name}_FILE", "")
    if named:
        return Path(named).read_text(encoding="utf-8").strip()
    return os.environ.get(name, "").strip()

"""Replicate's HTTP API: create a prediction, wait for it, cancel it, fetch what it made.

Source: Replicate's HTTP API reference (predictions.create, .get, .cancel; files.create).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orpheus import Permanent, RetryAfter
from orpheus.media.providers import prices
from orpheus.media.providers.configured import Configured
from orpheus.media.providers.http import ServiceFailed

_PATIENCE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Prediction:
    """One run of a model over there."""

    id: str
    status: str
    """starting, processing, succeeded, failed or canceled."""
    output: str | None = None
    """Address of the file it made."""
    error: str | None = None
    price: float | None = None
    """What it has cost, once it has ended and where a rate is configured."""

    @property
    def ended(self) -> bool:
        return self.status in ("succeeded", "failed", "canceled", "aborted")


def upload(configured: Configured, name: str, data: bytes, content_type: str) -> str:
    """Give Replicate a file to work on; returns its address."""
    answer = configured.service.call("POST", "files", fields={"content": (name, data, content_type)})
    try:
        return str(answer["urls"]["get"])
    except (KeyError, TypeError):
        raise ServiceFailed("Replicate answered in an unknown form to an upload") from None


def create(configured: Configured, given: Mapping[str, Any]) -> Prediction:
    """Begin a prediction of the configured model (`owner/name`, or `owner/name:version`)."""
    model, _, version = configured.model.partition(":")
    if version:
        return _read(configured.service.call("POST", "predictions", body={"version": version, "input": dict(given)}))
    return _read(configured.service.call("POST", f"models/{model}/predictions", body={"input": dict(given)}))


def get(configured: Configured, prediction_id: str) -> Prediction:
    """Ask how far a prediction is."""
    return _read(configured.service.call("GET", f"predictions/{prediction_id}"))


def cancel(configured: Configured, prediction_id: str) -> None:
    """Stop a prediction, so that it costs no more. Asked once, and waited for no longer than a cancelled job has left."""

    def ask() -> None:
        with contextlib.suppress(ServiceFailed, Permanent, RetryAfter):
            configured.service.call("POST", f"predictions/{prediction_id}/cancel")

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_PATIENCE_S)


def save_result(configured: Configured, prediction: Prediction, target: Path) -> None:
    """Fetch what a prediction made into `target`.

    Raises:
        Permanent: it failed over there, which the same input would do again.
        ServiceFailed: it was cancelled over there, or made nothing.
    """
    if prediction.status == "failed":
        raise Permanent(f"Replicate could not make it: {(prediction.error or 'it gave no reason')[:300]}")
    if prediction.status != "succeeded" or not prediction.output:
        raise ServiceFailed(f"Replicate ended the prediction as {prediction.status} and made nothing")
    configured.service.download(prediction.output, target)


def _read(answer: Any) -> Prediction:
    try:
        output = answer.get("output")
        if isinstance(output, list):
            output = output[-1] if output else None
        return Prediction(
            id=str(answer["id"]),
            status=str(answer["status"]),
            output=output if isinstance(output, str) else None,
            error=str(answer["error"]) if answer.get("error") else None,
            price=prices.of_prediction(answer.get("metrics")),
        )
    except (KeyError, TypeError, AttributeError):
        raise ServiceFailed("Replicate answered in an unknown form") from None

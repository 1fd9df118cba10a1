"""The operation that finds pictures that look alike."""

from __future__ import annotations

from orpheus.client.effects import Operation
from orpheus.client.requests import decoder, get
from orpheus.client.retrying import Patience, send
from orpheus.protocol.duplicates import Duplicate, DuplicatePage

_PAGE = decoder(DuplicatePage)


def duplicates(job_id: str, distance: int, limit: int, patience: Patience) -> Operation[list[Duplicate]]:
    request = get(f"/jobs/{job_id}/duplicates", {"distance": distance, "limit": limit})
    return _PAGE((yield from send(request, patience))).items

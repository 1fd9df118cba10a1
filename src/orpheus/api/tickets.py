"""A ticket for those who can send neither header nor cookie with a WebSocket: short-lived, and good for one connection."""

from __future__ import annotations

import secrets

from orpheus.core.access import ApiKey
from orpheus.engine.keyring import Keyring

TICKET_S = 30.0


class Tickets:
    """Makes tickets and takes each once. In memory: whoever meets a restart in between asks for another."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[str, float]] = {}

    def make(self, key_id: str, now: float) -> tuple[str, float]:
        """Return a ticket and the instant at which it is over."""
        for ticket in [ticket for ticket, (_, until) in self._open.items() if until <= now]:
            del self._open[ticket]
        ticket, until = secrets.token_urlsafe(24), now + TICKET_S
        self._open[ticket] = (key_id, until)
        return ticket, until

    def redeem(self, ticket: str, keyring: Keyring, now: float) -> ApiKey | None:
        """Return the key it was made with; None when it was used, or its time is over."""
        key_id, until = self._open.pop(ticket, ("", 0.0))
        return keyring.get(key_id) if now < until else None

"""Who may do what? Roles, and keys as they are kept: by their hash.

A key is `orph_{key_id}_{secret}`. The secret is 256 random bits, so a plain SHA-256 of the whole key keeps it as well as a slow
hash would: slow hashes protect passwords that can be guessed, and nobody can guess one of 2^256. It is what lets each
request be checked in a microsecond.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Literal

Role = Literal["read", "submit", "operate", "admin", "worker"]

LADDER: tuple[Role, ...] = ("read", "submit", "operate", "admin")
"""Each role may do what those before it may."""
WORKER: Role = "worker"
"""Stands alone: it speaks the worker protocol and nothing else, and nobody else speaks that."""
ROLES: tuple[Role, ...] = (*LADDER, WORKER)

PREFIX = "orph"
ID_CHARACTERS = "abcdefghijkmnpqrstuvwxyz23456789"
"""32 of them, without those that are mistaken for each other."""
ID_LENGTH = 10
SECRET_BITS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key without its secret. Instants are seconds since the epoch."""

    key_id: str
    name: str
    """Becomes the `actor` of what it causes."""
    role: Role
    tenant: str | None = None
    """None: of all tenants."""
    digest: str
    """SHA-256 of the whole key, in hex."""
    priority_cap: int | None = None
    """The best priority its jobs may have (1 is the highest); None sets no limit (R25)."""
    created_at: float
    created_by: str
    expires_at: float | None = None
    last_used_at: float | None = None
    """To the minute or so: noting each use would cost a write per request."""
    revoked_at: float | None = None

    @property
    def prefix(self) -> str:
        """The part of the key that may be shown, to recognise it by."""
        return f"{PREFIX}_{self.key_id}"

    def over(self, now: float) -> str | None:
        """Say why the key is of no use any more, or None."""
        if self.revoked_at is not None:
            return "was revoked"
        if self.expires_at is not None and now >= self.expires_at:
            return "has expired"
        return None


def may(role: str, wanted: str) -> bool:
    """Tell whether somebody with `role` may do what asks for `wanted`."""
    if WORKER in (role, wanted):
        return role == wanted
    return role in LADDER and wanted in LADDER and LADDER.index(role) >= LADDER.index(wanted)


def key_text(key_id: str, secret: str) -> str:
    return f"{PREFIX}_{key_id}_{secret}"


def key_id_of(text: str) -> str | None:
    """Return the id in a presented key; None when it cannot be one of ours."""
    prefix, _, rest = text.partition("_")
    key_id, separator, secret = rest.partition("_")
    return key_id if prefix == PREFIX and separator and secret and len(key_id) == ID_LENGTH else None


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def fits(key: ApiKey, text: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(key.digest, digest_of(text))

"""Keys, sessions and the audit trail on the wire (formats.md). Instants are RFC 3339 UTC."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from orpheus.protocol.jobs import Instant, Priority, Tenant

RoleName = Literal["read", "submit", "operate", "admin", "worker"]
KeyName = Annotated[
    str,
    msgspec.Meta(
        pattern="^[A-Za-z0-9][A-Za-z0-9 ._@/-]{0,63}$",
        description="Letters, digits, spaces and . _ @ / - (not first); at most 64.",
    ),
]


class CreateKey(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Body of `POST /keys`."""

    role: RoleName
    tenant: Tenant | None = None
    """Whose jobs it may see and submit; left out, those of all tenants."""
    name: KeyName | None = None
    """Becomes the `actor` of what is done with it; by default the key's id."""
    expires_at: Instant | None = None
    priority_cap: Priority | None = None
    """The best priority its jobs may have: 1 is the highest (R25)."""


class KeyInfo(msgspec.Struct, kw_only=True):
    """An API key, without its secret."""

    key_id: str
    prefix: str
    """How the key begins, to recognise it by."""
    name: str
    role: str
    tenant: str | None
    priority_cap: int | None
    created_at: str
    created_by: str
    expires_at: str | None
    last_used_at: str | None
    """To the minute or so."""
    revoked_at: str | None


class CreatedKey(KeyInfo, kw_only=True):
    """A new key: the only answer that holds the key itself."""

    key: str


class KeyPage(msgspec.Struct, kw_only=True):
    items: list[KeyInfo]
    next_cursor: str | None = None


class OpenSession(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /session`."""

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class SessionInfo(msgspec.Struct, kw_only=True):
    """Who the caller is."""

    name: str
    role: str
    tenant: str | None
    keys_on: bool
    """Whether this server asks for keys at all."""
    expires_at: str | None = None
    """Of a session just opened."""


class Ticket(msgspec.Struct, kw_only=True):
    """Goes once into `/ws?ticket=…` or `/stream?ticket=…`."""

    ticket: str
    expires_at: str


class AuditInfo(msgspec.Struct, kw_only=True):
    """One thing that somebody did."""

    at: str
    type: str
    actor: str
    subject: str
    """What it was done to: a job's id, a key's id, the name of a queue or schedule."""
    tenant: str | None
    correlation_id: str
    job_id: str | None
    seq: int | None
    """Number of the job's event."""
    task: str | None
    index: int | None
    run_id: str | None
    data: dict[str, Any]


class AuditPage(msgspec.Struct, kw_only=True):
    items: list[AuditInfo]
    next_cursor: str | None
    """A page may be short, or empty, and still have one."""

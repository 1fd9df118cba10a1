"""How is a key made and taken away? Checks, then one transaction with its line in the audit trail.

`make_key` and `revoke` take a transaction and nothing else of the engine, so that the command line can do the same to a data
directory that no server works in.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any

from orpheus.core.access import (
    ID_CHARACTERS,
    ID_LENGTH,
    LADDER,
    ROLES,
    SECRET_BITS,
    WORKER,
    ApiKey,
    Role,
    digest_of,
    key_text,
)
from orpheus.core.errors import InvalidRequest, OrpheusError
from orpheus.core.suggest import did_you_mean, quoted
from orpheus.engine.work import Operation, Work

if TYPE_CHECKING:
    from orpheus.engine.keyring import Keyring
    from orpheus.store.transaction import Transaction

TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@/-]{0,63}")
RESERVED = ("engine", "worker", "local", "api", "nobody")
"""Names that the trail uses for itself."""
YEARS_S = 3_153_600_000.0


class UnknownKey(OrpheusError):
    """There is no key of that id (for this tenant)."""

    code = "unknown_key"
    status = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key to make."""

    role: str
    tenant: str | None = None
    """None: of all tenants."""
    name: str = ""
    """By default its id."""
    expires_at: float | None = None
    priority_cap: int | None = None


def check_key(wanted: NewKey, now: float) -> Role:
    """Refuse a key that cannot be.

    Raises:
        InvalidRequest: says which field, and why.
    """
    role = next((role for role in ROLES if role == wanted.role), None)
    if role is None:
        raise _invalid(
            "role", f"{quoted(wanted.role)} is not a role", did_you_mean(wanted.role, ROLES, otherwise=", ".join(ROLES))
        )
    if wanted.tenant is not None and not TENANT.fullmatch(wanted.tenant):
        raise _invalid(
            "tenant", f"{quoted(wanted.tenant)} is not a tenant's name", "Letters, digits, . _ -, at most 63."
        )
    if role == WORKER and wanted.tenant is not None:
        raise _invalid("tenant", "a worker runs tasks of all tenants", "Leave the tenant out for the role worker.")
    if wanted.name and (not NAME.fullmatch(wanted.name) or wanted.name in RESERVED):
        raise _invalid(
            "name",
            f"{quoted(wanted.name)} cannot be a key's name",
            "Letters, digits, spaces and . _ @ / -, at most 64; the trail keeps some names for itself.",
        )
    if wanted.expires_at is not None and not now < wanted.expires_at < now + YEARS_S:
        raise _invalid("expires_at", "it lies in the past, or a hundred years ahead", "Leave it out for no end.")
    cap = wanted.priority_cap
    if cap is not None and (isinstance(cap, bool) or not isinstance(cap, int) or not 1 <= cap <= 5):
        raise _invalid("priority_cap", f"{quoted(cap)} is not a priority", "1 is the highest, 5 the lowest.")
    if cap is not None and role not in LADDER[1:]:
        raise _invalid("priority_cap", f"a key with the role {role} submits nothing", "Leave it out.")
    return role


def make_key(
    tx: Transaction, wanted: NewKey, *, rng: Random, now: float, actor: str, correlation_id: str = ""
) -> tuple[ApiKey, str]:
    """Store a new key; return it, and the text that is shown once and kept nowhere.

    Args:
        rng: of the operating system's randomness, outside tests.

    Raises:
        InvalidRequest: see `check_key`.
    """
    role = check_key(wanted, now)
    key_id = "".join(ID_CHARACTERS[rng.getrandbits(5)] for _ in range(ID_LENGTH))
    secret = (
        base64.urlsafe_b64encode(rng.getrandbits(SECRET_BITS).to_bytes(SECRET_BITS // 8, "big")).decode().rstrip("=")
    )
    text = key_text(key_id, secret)
    key = ApiKey(
        key_id=key_id,
        name=wanted.name or key_id,
        role=role,
        tenant=wanted.tenant,
        digest=digest_of(text),
        priority_cap=wanted.priority_cap,
        created_at=now,
        created_by=actor,
        expires_at=wanted.expires_at,
    )
    tx.access.add_key(key)
    told: dict[str, Any] = {"name": key.name, "role": key.role, "expires_at": key.expires_at}
    tx.access.add_audit(
        "key.created", key_id, at=now, actor=actor, tenant=key.tenant, correlation_id=correlation_id, data=told
    )
    return key, text


def revoke(
    tx: Transaction, key_id: str, *, tenant: str | None, now: float, actor: str, correlation_id: str = ""
) -> ApiKey:
    """Take a key away; one that is revoked already stays as it is.

    Args:
        tenant: whose key it must be; None sees all.

    Raises:
        UnknownKey: there is none, or it is another tenant's.
    """
    key = next((key for key in tx.access.all_keys() if key.key_id == key_id), None)
    if key is None or (tenant is not None and key.tenant != tenant):
        raise UnknownKey(f"there is no key {quoted(key_id)}", hint="GET /keys (orpheus keys list) lists them.")
    if key.revoked_at is not None:
        return key
    tx.access.revoke_key(key_id, now)
    tx.access.add_audit(
        "key.revoked",
        key_id,
        at=now,
        actor=actor,
        tenant=key.tenant,
        correlation_id=correlation_id,
        data={"name": key.name},
    )
    return replace(key, revoked_at=now)


def _invalid(field: str, message: str, hint: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {message}", hint=hint, details=[{"path": f"/{field}", "message": message}])


class MakeKey(Operation):
    """Make a key in a running server."""

    name = "make_key"

    def __init__(self, wanted: NewKey, *, keyring: Keyring, rng: Random, actor: str, correlation_id: str) -> None:
        self._wanted = wanted
        self._keyring = keyring
        self._rng = rng
        self._who = {"actor": actor, "correlation_id": correlation_id}

    def run(self, work: Work) -> tuple[ApiKey, str]:
        key, text = make_key(work.tx, self._wanted, rng=self._rng, now=work.now, **self._who)
        work.after_commit(lambda: self._keyring.put(key))
        return key, text


class RevokeKey(Operation):
    """Take a key away in a running server: from the commit on nothing is open to it any more."""

    name = "revoke_key"

    def __init__(self, key_id: str, *, keyring: Keyring, tenant: str | None, actor: str, correlation_id: str) -> None:
        self._key_id = key_id
        self._keyring = keyring
        self._tenant = tenant
        self._who = {"actor": actor, "correlation_id": correlation_id}

    def run(self, work: Work) -> ApiKey:
        key = revoke(work.tx, self._key_id, tenant=self._tenant, now=work.now, **self._who)
        work.after_commit(lambda: self._keyring.put(key))
        return key

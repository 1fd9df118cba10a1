"""Who asks, and may they? The one place where a request gets its identity.

1. `identify`: a key (`Authorization: Bearer KEY`), a session's cookie, or a ticket in the query; all three lead to a key of the
   keyring. Without keys everybody who reaches the address is the local administrator, which is why the server listens on
   127.0.0.1.
2. `authorise`: what the endpoint declares (`role`, `shared`) against what the identity may. Nobody is told 401, somebody who
   may not is told 403; another tenant's things do not exist for them (404), which is for the handlers to say.

Keys are on as soon as one was ever made, or by the setting; `orpheus keys` makes one where no server runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from orpheus.api.errors import Forbidden, Unauthorized
from orpheus.core.access import ApiKey, may

if TYPE_CHECKING:
    from starlette.types import Scope

    from orpheus.api.services import Services

COOKIE = "orpheus_session"
SESSION = "session"
SESSION_S = 7 * 86_400.0
_HINT = "Send `Authorization: Bearer KEY`; `orpheus keys create` makes one (docs/keys.md)."


@dataclass(frozen=True, slots=True)
class Identity:
    """`tenant` None may see all tenants; otherwise another tenant's job is unknown (404)."""

    tenant: str | None
    role: str
    name: str
    """Becomes the `actor` of what the request causes."""
    key: ApiKey | None = None
    fault: str = ""
    """Why this is nobody."""
    by_cookie: bool = False

    @property
    def actor(self) -> str:
        return self.name

    @property
    def priority_cap(self) -> int | None:
        return None if self.key is None else self.key.priority_cap


LOCAL = Identity(tenant=None, role="admin", name="local")


def keys_on(services: Services) -> bool:
    """Tell whether requests need a key."""
    wanted = services.options.require_keys
    return services.engine.keyring.any if wanted is None else wanted


def identify(services: Services, scope: Scope, headers: Mapping[bytes, bytes]) -> Identity:
    """Return who sent a request with these headers (names in lower case)."""
    if not keys_on(services):
        return LOCAL
    now, keyring = services.now(), services.engine.keyring
    given = headers.get(b"authorization")
    if given is not None:
        scheme, _, text = given.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return _nobody(f"the scheme {scheme[:20]!r} is not taken")
        return _identity(keyring.find(text.strip(), now), now, "there is no such key")
    query = scope.get("query_string", b"")
    if b"ticket=" in query:
        ticket = parse_qs(query.decode("latin-1")).get("ticket", [""])[-1]
        return _identity(services.tickets.redeem(ticket, keyring, now), now, "the ticket is not valid any more")
    session = _session(headers)
    if session is not None:
        return _identity(keyring.unseal(SESSION, session, now), now, "the session is over", by_cookie=True)
    return _nobody("there is no key with this request")


def _identity(key: ApiKey | None, now: float, fault: str, *, by_cookie: bool = False) -> Identity:
    if key is None:
        return _nobody(fault)
    over = key.over(now)
    if over is not None:
        return _nobody(f"the key {key.prefix} {over}")
    return Identity(key.tenant, key.role, key.name, key, by_cookie=by_cookie)


def _nobody(fault: str) -> Identity:
    return Identity(tenant="", role="", name="nobody", fault=fault)


def _session(headers: Mapping[bytes, bytes]) -> str | None:
    cookie = headers.get(b"cookie")
    if cookie is None or COOKIE.encode() not in cookie:
        return None
    try:
        morsel = SimpleCookie(cookie.decode("latin-1")).get(COOKIE)
    except CookieError:
        return None
    return None if morsel is None else morsel.value


def authorise(identity: Identity, role: str, *, shared: bool = False) -> None:
    """Let the request in, or not.

    Args:
        role: what the endpoint declares; see `route.Access`.
        shared: it shows or changes what all tenants share.

    Raises:
        Unauthorized: nobody known asks (401).
        Forbidden: they may not (403).
    """
    if identity is LOCAL or role in ("open", "token"):
        return
    if not identity.role:
        raise Unauthorized(identity.fault, hint=_HINT)
    if role != "any" and not may(identity.role, role):
        raise Forbidden(
            f"the key {identity.name!r} has the role {identity.role}; this takes {role}",
            hint="a worker's key speaks the worker protocol only, and no other key does"
            if "worker" in (role, identity.role)
            else "orpheus keys create --role … makes a key that may",
        )
    if shared and identity.tenant is not None:
        raise Forbidden(
            f"the key {identity.name!r} is for the tenant {identity.tenant}; this is for keys of all tenants",
            hint="it shows or changes what all tenants share",
        )

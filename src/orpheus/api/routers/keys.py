"""API keys, and what browsers use in their place: a session's cookie, or a ticket for one connection."""

from __future__ import annotations

import msgspec

from orpheus.api import render
from orpheus.api.auth import COOKIE, SESSION, SESSION_S, keys_on
from orpheus.api.calls import Answer, Call, Headers, json_answer
from orpheus.api.errors import Forbidden, MalformedBody, Unauthorized, UnsupportedBody
from orpheus.api.query import instant
from orpheus.api.route import Routes
from orpheus.core.access import WORKER, ApiKey
from orpheus.core.errors import InvalidRequest
from orpheus.engine.keys import NewKey, UnknownKey
from orpheus.protocol import access as wire

routes = Routes("keys", "API keys: who may do what, and for which tenant.")

_BODY_ERRORS = (MalformedBody, InvalidRequest, UnsupportedBody)


def _info(key: ApiKey) -> wire.KeyInfo:
    return wire.KeyInfo(
        key_id=key.key_id,
        prefix=key.prefix,
        name=key.name,
        role=key.role,
        tenant=key.tenant,
        priority_cap=key.priority_cap,
        created_at=render.instant(key.created_at) or "",
        created_by=key.created_by,
        expires_at=render.instant(key.expires_at),
        last_used_at=render.instant(key.last_used_at),
        revoked_at=render.instant(key.revoked_at),
    )


@routes.get("/keys", role="admin", answers={200: wire.KeyPage})
async def list_keys(call: Call) -> Answer:
    """List the keys, revoked ones too. A tenant's administrator sees that tenant's."""
    bound = call.identity.tenant
    keys = [key for key in call.services.engine.keyring.all() if bound is None or key.tenant == bound]
    return json_answer(wire.KeyPage(items=[_info(key) for key in keys]))


@routes.post(
    "/keys",
    role="admin",
    body=wire.CreateKey,
    answers={201: wire.CreatedKey},
    errors=(*_BODY_ERRORS, Forbidden),
    examples={"reader": {"role": "read", "tenant": "acme", "name": "acme dashboard"}},
)
async def create_key(call: Call) -> Answer:
    """Make a key. It is shown in this answer and nowhere else.

    The first key shuts the server: from then on every request needs one.
    """
    body: wire.CreateKey = call.body
    bound = call.identity.tenant
    if bound is not None and (body.role == WORKER or body.tenant not in (None, bound)):
        raise Forbidden(
            f"the key {call.identity.name!r} makes keys for the tenant {bound} only",
            hint="keys of workers, and of other tenants, take an admin key without a tenant",
        )
    wanted = NewKey(
        role=body.role,
        tenant=bound or body.tenant,
        name=body.name or "",
        expires_at=instant(body.expires_at, "expires_at", where="body"),
        priority_cap=body.priority_cap,
    )
    key, text = await call.services.engine.create_key(
        wanted, actor=call.identity.actor, correlation_id=call.correlation_id
    )
    shown = wire.CreatedKey(key=text, **msgspec.structs.asdict(_info(key)))
    return json_answer(shown, status=201, headers=[(b"cache-control", b"no-store")])


@routes.delete("/keys/{key_id}", role="admin", answers={200: wire.KeyInfo}, errors=(UnknownKey,))
async def revoke_key(call: Call) -> Answer:
    """Revoke a key: nothing is answered to it any more, and what it holds open ends at once."""
    key = await call.services.engine.revoke_key(
        call.path["key_id"],
        tenant=call.identity.tenant,
        actor=call.identity.actor,
        correlation_id=call.correlation_id,
    )
    return json_answer(_info(key))


def _session(call: Call, *, expires_at: float | None = None) -> wire.SessionInfo:
    who = call.identity
    return wire.SessionInfo(
        name=who.name,
        role=who.role,
        tenant=who.tenant,
        keys_on=keys_on(call.services),
        expires_at=render.instant(expires_at),
    )


@routes.get("/session", role="any", answers={200: wire.SessionInfo})
async def show_session(call: Call) -> Answer:
    """Tell who the caller is."""
    return json_answer(_session(call))


@routes.post(
    "/session",
    role="token",
    body=wire.OpenSession,
    answers={200: wire.SessionInfo},
    errors=(*_BODY_ERRORS, Unauthorized),
    answer_headers={"Set-Cookie": "The session: HttpOnly, SameSite=Strict."},
)
async def open_session(call: Call) -> Answer:
    """Sign a browser in: the key becomes a cookie that scripts cannot read. Revoking the key ends the session."""
    body: wire.OpenSession = call.body
    services = call.services
    if not keys_on(services):
        return json_answer(_session(call))
    now = services.now()
    key = services.engine.keyring.find(body.key.strip(), now)
    over = "there is no such key" if key is None else key.over(now)
    if key is None or over is not None:
        raise Unauthorized(f"this key cannot sign in: {over}", hint="orpheus keys list shows the keys there are")
    until = now + SESSION_S if key.expires_at is None else min(now + SESSION_S, key.expires_at)
    sealed = services.engine.keyring.seal(SESSION, key.key_id, until)
    shown = wire.SessionInfo(
        name=key.name, role=key.role, tenant=key.tenant, keys_on=True, expires_at=render.instant(until)
    )
    return json_answer(shown, headers=_cookie(call, sealed, int(until - now)))


@routes.delete("/session", role="token", answers={204: None})
async def close_session(call: Call) -> Answer:
    """Sign a browser out."""
    return Answer(b"", 204, None, _cookie(call, "", 0))


def _cookie(call: Call, value: str, max_age_s: int) -> Headers:
    secure = call.scope.get("scheme") == "https" or call.headers.get(b"origin", b"").startswith(b"https:")
    path = call.root_path or "/"
    text = f"{COOKIE}={value}; Path={path}; Max-Age={max_age_s}; HttpOnly; SameSite=Strict" + "; Secure" * secure
    return [(b"set-cookie", text.encode("ascii", "ignore")), (b"cache-control", b"no-store")]


@routes.post("/ws-ticket", role="read", answers={201: wire.Ticket})
async def make_ticket(call: Call) -> Answer:
    """Make a ticket: within 30 seconds, and once, `/ws?ticket=…` or `/stream?ticket=…` takes it in place of a key."""
    services = call.services
    key = call.identity.key
    ticket, until = services.tickets.make("" if key is None else key.key_id, services.now())
    body = wire.Ticket(ticket=ticket, expires_at=render.instant(until) or "")
    return json_answer(body, status=201, headers=[(b"cache-control", b"no-store")])

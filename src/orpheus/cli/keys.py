"""`orpheus keys …`: through the server where one runs, in the data directory itself where none does."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import SystemRandom
from typing import Annotated, Any, TypeVar

import typer

from orpheus.cli.compose import DATABASE
from orpheus.cli.connect import PATIENCE, ServerFlag, live_server, server_url
from orpheus.cli.errors import CommandError
from orpheus.cli.output import JsonFlag, note, print_json, say, table
from orpheus.client import Client
from orpheus.core.access import ApiKey
from orpheus.engine.keys import NewKey, make_key
from orpheus.engine.keys import revoke as revoke_in
from orpheus.protocol.access import CreateKey, KeyInfo, RoleName
from orpheus.settings import Settings, load
from orpheus.store import Store
from orpheus.store.lock import DataLock
from orpheus.store.transaction import Transaction

T = TypeVar("T")

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Make, list and revoke API keys.")

DataFlag = Annotated[
    Path | None, typer.Option(help="Data directory; its server is used when one runs. (default: ./orpheus-data)")
]
_LENGTHS = {"m": 60.0, "h": 3600.0, "d": 86_400.0}


@app.command()
def create(
    *,
    role: Annotated[str, typer.Option(help="read, submit, operate, admin (each with those before it), or worker.")],
    tenant: Annotated[str | None, typer.Option(help="Whose jobs it may see and submit. (default: all)")] = None,
    name: Annotated[str | None, typer.Option(help="Stands as the actor of what is done with it.")] = None,
    expires: Annotated[str | None, typer.Option(help="When it ends: 12h, 30d, or a time (RFC 3339).")] = None,
    priority_cap: Annotated[
        int | None, typer.Option(min=1, max=5, help="Best priority of its jobs; 1 is the highest.")
    ] = None,
    data: DataFlag = None,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Make a key and print it: it is shown this once, and kept as a hash.

    The first key shuts the server: from then on every request needs one.
    """
    until = None if expires is None else _instant(expires)
    settings, client = _where(data, server)
    if client is not None:
        with client:
            made = client.create_key(
                _role(role),
                tenant=tenant,
                name=name,
                expires_at=None if until is None else _rfc3339(until),
                priority_cap=priority_cap,
            )
        shown: KeyInfo = made
        text = made.key
    else:
        wanted = NewKey(role=role, tenant=tenant, name=name or "", expires_at=until, priority_cap=priority_cap)
        key, text = _in_directory(
            settings, lambda tx, now: make_key(tx, wanted, rng=SystemRandom(), now=now, actor="local")
        )
        shown = _info(key)
    if json:
        print_json({**_fields(shown), "key": text})
        return
    say(text)
    whose = f"the tenant {shown.tenant}" if shown.tenant else "all tenants"
    note(f"key {shown.key_id} ({shown.name}): {shown.role}, for {whose}")
    note("Keep it now: it is not shown again. ORPHEUS_API_KEY, ORPHEUS_API_KEY_FILE or api_key in orpheus.toml use it.")


@app.command("list")
def list_keys(data: DataFlag = None, server: ServerFlag = None, json: JsonFlag = False) -> None:
    """List the keys, revoked ones too."""
    settings, client = _where(data, server)
    if client is not None:
        with client:
            found = list(client.api_keys())
    else:
        there = (settings.data / DATABASE).is_file()  # looking makes nothing
        keys = _in_directory(settings, lambda tx, _now: tx.access.all_keys()) if there else []
        found = [_info(key) for key in keys]
    if json:
        print_json({"items": found})
        return
    if not found:
        note("no keys: everybody who reaches the server may do everything (orpheus keys create --role admin)")
        return
    table(
        ("key", "name", "role", "tenant", "created", "last used", "state"),
        [
            (one.prefix, one.name, one.role, one.tenant or "*", one.created_at, one.last_used_at or "-", _state(one))
            for one in found
        ],
    )


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id, or its prefix (orph_…).", metavar="KEY")],
    data: DataFlag = None,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Take a key away, at once: what it holds open ends too."""
    bare = key_id.removeprefix("orph_").partition("_")[0]
    settings, client = _where(data, server)
    if client is not None:
        with client:
            gone = client.revoke_key(bare)
    else:
        gone = _info(_in_directory(settings, lambda tx, now: revoke_in(tx, bare, tenant=None, now=now, actor="local")))
    if json:
        print_json(gone)
        return
    say(f"{gone.key_id} ({gone.name}) is revoked")


def _where(data: Path | None, server: str | None) -> tuple[Settings, Client | None]:
    """Return the client of the server to ask, or None when the data directory has to be opened."""
    settings = load({"data": data, "url": server}).settings
    live = live_server(settings.data)
    url = live.url if live is not None and (data is not None or not settings.url) else None
    if url is None and data is None and settings.url:
        url = server_url(settings)
    if url is None:
        return settings, None
    return settings, Client(url, api_key=settings.api_key, timeout_s=settings.timeout_s, patience=PATIENCE)


def _in_directory(settings: Settings, do: Callable[[Transaction, float], T]) -> T:
    """Do it in the database itself, of which no server may be in charge."""
    with DataLock.acquire(settings.data):
        now = time.time()
        store = Store.open(settings.data / DATABASE, now=now, epoch=f"{SystemRandom().getrandbits(64):016x}")
        try:
            tx = store.begin()
            found = do(tx, now)
            tx.flush()
            store.commit()
            return found
        finally:
            store.close()


def _role(role: str) -> RoleName:
    import msgspec  # noqa: PLC0415

    try:
        return msgspec.convert({"role": role}, CreateKey).role
    except msgspec.ValidationError:
        raise CommandError(
            "invalid_request", f"{role!r} is not a role", hint="read, submit, operate, admin or worker"
        ) from None


def _instant(text: str) -> float:
    length = re.fullmatch(r"(\d{1,6})([mhd])", text)
    if length:
        return time.time() + int(length[1]) * _LENGTHS[length[2]]
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise CommandError(
            "invalid_request", f"{text!r} is not a time", hint="say 12h, 30d, or 2027-01-31T00:00:00Z"
        ) from None
    return at.timestamp()


def _rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _info(key: ApiKey) -> KeyInfo:
    return KeyInfo(
        key_id=key.key_id,
        prefix=key.prefix,
        name=key.name,
        role=key.role,
        tenant=key.tenant,
        priority_cap=key.priority_cap,
        created_at=_rfc3339(key.created_at),
        created_by=key.created_by,
        expires_at=None if key.expires_at is None else _rfc3339(key.expires_at),
        last_used_at=None if key.last_used_at is None else _rfc3339(key.last_used_at),
        revoked_at=None if key.revoked_at is None else _rfc3339(key.revoked_at),
    )


def _fields(info: KeyInfo) -> dict[str, Any]:
    return {name: getattr(info, name) for name in KeyInfo.__struct_fields__}


def _state(info: KeyInfo) -> str:
    if info.revoked_at is not None:
        return "revoked"
    if info.expires_at is not None and datetime.fromisoformat(info.expires_at) <= datetime.now(UTC):
        return "expired"
    return "good"

"""API keys, the order-level part of the audit trail, and recorded durations, within one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orpheus.core.access import ApiKey
from orpheus.store import database, rows
from orpheus.store.queries import query
from orpheus.store.unit import Unit


class Access:
    """Writes keys, and who ordered what."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def all_keys(self) -> list[ApiKey]:
        """Return every key, revoked ones too, the oldest first."""
        return [_key(row) for row in self._unit.execute("all_keys")]

    def add_key(self, key: ApiKey) -> None:
        self._unit.wrote = True
        self._unit.execute(
            "put_key",
            (
                *(key.key_id, key.name, key.role, key.tenant, key.digest, key.priority_cap, key.created_at),
                *(key.created_by, key.expires_at, key.last_used_at, key.revoked_at),
            ),
        )

    def revoke_key(self, key_id: str, now: float) -> None:
        self._unit.wrote = True
        self._unit.execute("revoke_key", (now, key_id))

    def key_used(self, key_id: str, at: float) -> None:
        self._unit.wrote = True
        self._unit.execute("key_used", (at, key_id))

    def add_audit(
        self,
        kind: str,
        subject: str,
        *,
        at: float,
        actor: str,
        tenant: str | None,
        correlation_id: str,
        data: Mapping[str, Any],
    ) -> None:
        """Note who ordered what; it stands or falls with the change it tells of."""
        self._unit.wrote = True
        told = rows.to_json(data) if data else None
        self._unit.execute("add_audit", (at, kind, actor, subject, tenant, correlation_id, told))

    def put_durations(self, handler: str, size_bucket: int, counts: Mapping[str, int]) -> None:
        """Keep how long a task took with inputs of one size, whole."""
        self._unit.wrote = True
        self._unit.execute("put_durations", (handler, size_bucket, rows.to_json(counts)))

    def all_durations(self) -> list[tuple[str, int, Mapping[str, int]]]:
        return [
            (handler, bucket, rows.read_mapping(counts))
            for handler, bucket, counts in self._unit.execute("all_durations")
        ]


def _key(row: rows.Row) -> ApiKey:
    key_id, name, role, tenant, digest, cap, created_at, created_by, expires_at, last_used_at, revoked_at = row
    return ApiKey(
        key_id=key_id,
        name=name,
        role=role,
        tenant=tenant,
        digest=digest,
        priority_cap=cap,
        created_at=created_at,
        created_by=created_by,
        expires_at=expires_at,
        last_used_at=last_used_at,
        revoked_at=revoked_at,
    )


def holds_keys(path: Path) -> bool:
    """Tell whether a database has keys, without opening it for writing. One that does not exist yet has none."""
    if not path.is_file():
        return False
    connection = database.connect_reader(path)
    try:
        return bool(connection.execute(query("any_key")).fetchone()[0])
    except sqlite3.OperationalError:
        return False  # of a version before keys: migrated, and empty, as soon as a server opens it
    finally:
        connection.close()

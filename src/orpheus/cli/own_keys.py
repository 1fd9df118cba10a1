"""How do processes that one command started get in where keys are on? Each start makes keys for them that only live as long.

The server learns them by a variable of its environment and lends them to its keyring; they stand in no file, count as no key that
shuts the server, and end with it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

from orpheus.core.access import ID_CHARACTERS, ID_LENGTH, ROLES, ApiKey, digest_of, key_id_of, key_text
from orpheus.settings import SettingsError


def _new() -> str:
    key_id = "".join(secrets.choice(ID_CHARACTERS) for _ in range(ID_LENGTH))
    return key_text(key_id, secrets.token_urlsafe(32))


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """For the workers that `up` and `run` start, and for the client of `run`."""

    worker: str = field(default_factory=_new, repr=False)
    admin: str = field(default_factory=_new, repr=False)

    def of_server(self) -> dict[str, str]:
        """Return what the server's environment says."""
        return {"ORPHEUS_OWN_KEYS": f"worker={self.worker},admin={self.admin}"}

    def of_worker(self) -> dict[str, str]:
        return {"ORPHEUS_API_KEY": self.worker, "ORPHEUS_API_KEY_FILE": "", "ORPHEUS_OWN_KEYS": ""}


def lent(text: str | None, now: float) -> Iterator[ApiKey]:
    """Read `worker=KEY,admin=KEY`.

    Raises:
        SettingsError: it is something else.
    """
    for part in (text or "").split(","):
        name, _, key = part.partition("=")
        key_id, role = key_id_of(key), next((role for role in ROLES if role == name), None)
        if part and (key_id is None or role is None):
            raise SettingsError("own_keys is not of the form role=key,role=key", hint="`orpheus up` sets it by itself.")
        if key_id is not None and role is not None:
            yield ApiKey(
                key_id=key_id,
                name="worker" if role == "worker" else "local",
                role=role,
                digest=digest_of(key),
                created_at=now,
                created_by="local",
            )

"""Which keys are there? All of them in memory, by id: a request costs one look-up and one hash, and no query.

Changed only after the commit that records the change. Whoever holds something open (a
socket, a stream, a poll) has `watch` call it back when its key is revoked.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from orpheus.core.access import ApiKey, fits, key_id_of

if TYPE_CHECKING:
    from orpheus.engine.work import Work

USED_EVERY_S = 60.0
"""A key's `last_used_at` moves at most so often."""


class Keyring:
    """The keys of one store, and those that were given for the life of this process alone."""

    def __init__(self) -> None:
        self._keys: dict[str, ApiKey] = {}
        self._own: dict[str, ApiKey] = {}
        self._used: dict[str, float] = {}
        self._watchers: dict[str, dict[object, Callable[[], None]]] = {}
        self._secret = b""

    def load(self, keys: Iterable[ApiKey], *, secret: bytes) -> None:
        """Take over what the store holds.

        Args:
            secret: what sealed texts are sealed with; kept with the file, so that sessions outlive a restart.
        """
        self._keys = {key.key_id: key for key in keys}
        self._secret = hashlib.sha256(b"sealed texts" + secret).digest()

    def lend(self, key: ApiKey) -> None:
        """Take a key for the life of this process: the one that `orpheus up` gives to its own workers. It opens the server
        to its holder and does not count as a key that shuts it to others."""
        self._own[key.key_id] = key

    @property
    def any(self) -> bool:
        """Tell whether a key was ever made. Revoking the last one must not open the server to everybody."""
        return bool(self._keys)

    def all(self) -> list[ApiKey]:
        """Return the stored keys, revoked ones too, the oldest first."""
        return [self._seen(key) for key in self._keys.values()]

    def get(self, key_id: str) -> ApiKey | None:
        key = self._keys.get(key_id) or self._own.get(key_id)
        return None if key is None else self._seen(key)

    def find(self, text: str, now: float) -> ApiKey | None:
        """Return the key that was presented, of use or not; None when there is no such key."""
        key_id = key_id_of(text)
        key = None if key_id is None else self._keys.get(key_id) or self._own.get(key_id)
        if key is None or not fits(key, text):
            return None
        self.note_use(key, now)
        return key

    def note_use(self, key: ApiKey, now: float) -> None:
        last = self._used.get(key.key_id, key.last_used_at)
        if key.key_id in self._keys and key.revoked_at is None and (last is None or now - last >= USED_EVERY_S):
            self._used[key.key_id] = now

    def _seen(self, key: ApiKey) -> ApiKey:
        used = self._used.get(key.key_id)
        return key if used is None else replace(key, last_used_at=used)

    # After the commit

    def put(self, key: ApiKey) -> None:
        """A key was made or changed; whoever watches one that is revoked now is called back."""
        self._keys[key.key_id] = key
        if key.revoked_at is not None:
            for over in list(self._watchers.pop(key.key_id, {}).values()):
                over()

    def news(self) -> Callable[[Work], None] | None:
        """Return what writes down when keys were used (see `ledger.py`)."""
        uses = {key_id: at for key_id, at in self._used.items() if self._keys[key_id].last_used_at != at}
        return partial(self._write_uses, uses) if uses else None

    def _write_uses(self, uses: Mapping[str, float], work: Work) -> None:
        for key_id, at in uses.items():
            work.tx.access.key_used(key_id, at)
        work.after_commit(partial(self._uses_written, uses))

    def _uses_written(self, uses: Mapping[str, float]) -> None:
        for key_id, at in uses.items():
            self._keys[key_id] = replace(self._keys[key_id], last_used_at=at)

    # What is held open

    def watch(self, key_id: str, over: Callable[[], None]) -> Callable[[], None]:
        """Have `over` called when the key is revoked; return what ends the watching."""
        token = object()
        self._watchers.setdefault(key_id, {})[token] = over

        def stop() -> None:
            watchers = self._watchers.get(key_id)
            if watchers is not None:
                watchers.pop(token, None)
                if not watchers:
                    self._watchers.pop(key_id, None)

        return stop

    # Sealed texts: what a browser carries instead of its key

    def seal(self, kind: str, key_id: str, until: float) -> str:
        """Return a text that proves for `kind` (session, ticket) that the key was shown, up to an instant."""
        body = f"{key_id}.{int(until)}"
        return f"{body}.{self._seal(kind, body)}"

    def unseal(self, kind: str, text: str, now: float) -> ApiKey | None:
        """Return the key that a sealed text stands for; None when it was not made here, or its time is over."""
        body, _, seal = text.rpartition(".")
        key_id, _, until = body.partition(".")
        if not hmac.compare_digest(self._seal(kind, body).encode(), seal.encode("utf-8", "replace")):
            return None
        if not until.isdigit() or now >= int(until):
            return None
        key = self._keys.get(key_id) or self._own.get(key_id)
        if key is not None:
            self.note_use(key, now)
        return key

    def _seal(self, kind: str, body: str) -> str:
        return hmac.new(self._secret, f"{kind}:{body}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()

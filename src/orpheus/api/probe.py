"""Does a worker share the object store's folder? The server writes a secret there; a worker that can read it does."""

from __future__ import annotations

import secrets

from orpheus.artifacts.store import ObjectStore

PROBE_KEY = ".probe"


class Probe:
    """The text of this server's start."""

    def __init__(self) -> None:
        self._text = secrets.token_hex(16)
        self._written = False

    async def text(self, objects: ObjectStore) -> str:
        """Return what lies under `PROBE_KEY`."""
        if not self._written:
            await objects.put_bytes(PROBE_KEY, self._text.encode())
            self._written = True
        return self._text

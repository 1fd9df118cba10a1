"""Is this attempt to stop? A flag that is asked, and never waited for.

Each attempt has one. A `threading.Event` would make a lock and a condition with it, 1 to 4 µs that nobody uses.
"""

from __future__ import annotations

import msgspec


class StopFlag(msgspec.Struct, eq=False):
    """Set once, never cleared. Safe from any thread."""

    _is_set: bool = False

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True

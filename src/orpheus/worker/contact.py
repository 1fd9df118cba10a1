"""When was the server last known to count us alive? (R7)

Each answer proves that the server heard us no earlier than we asked, so the lease ends no earlier than asking time plus
its length. All by the monotonic clock of this machine, and safe to ask from any thread.
"""

from __future__ import annotations

import time


class Contact:
    """Tell when own work has to stop for lack of contact."""

    def __init__(self) -> None:
        self.lease_s = 30.0
        self.margin_s = 6.0
        self._heard_at = time.monotonic()

    def agree(self, lease_s: float, margin_s: float | None) -> None:
        """Take the lease's length from the server's welcome."""
        self.lease_s = lease_s
        self.margin_s = min(lease_s / 2, lease_s / 5 if margin_s is None else margin_s)

    def heard(self, asked_at: float) -> None:
        """Note an answer to something asked at `asked_at` (monotonic)."""
        self._heard_at = max(self._heard_at, asked_at)

    @property
    def stop_at(self) -> float:
        """Monotonic time at which work without contact has to stop."""
        return self._heard_at + self.lease_s - self.margin_s

    @property
    def lost(self) -> bool:
        return time.monotonic() >= self.stop_at

"""For all tests."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Heed Ctrl-C, and let what tests start heed it: a shell without job control lets what it runs in the background ignore it."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)

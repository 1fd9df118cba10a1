"""For all tests."""

from __future__ import annotations

import os
import signal
import tempfile

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Prepare what tests start.

    Ctrl-C is heeded: a shell without job control lets what it runs in the background ignore it.

    What is imported is compiled once, not by each of the hundreds of processes; the result lies outside the sources.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        compiled = tempfile.TemporaryDirectory(prefix="orpheus-tests-", ignore_cleanup_errors=True)
        config.add_cleanup(compiled.cleanup)
        os.environ["PYTHONPYCACHEPREFIX"] = compiled.name

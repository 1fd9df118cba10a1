"""`--log-level` is about the worker's own log; what tasks log is kept whatever it says."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import logging, sys
from orpheus.worker import capture
from orpheus.worker.main import _log_to_stderr
from orpheus.worker.options import WorkerOptions

_log_to_stderr(WorkerOptions(log_level=sys.argv[1]))
capture.install()
for level in ("debug", "info", "warning", "error"):
    getattr(logging.getLogger("orpheus.worker"), level)("own %s", level)
log = capture.AttemptLog(on_line=lambda: None, redact=str, bytes_max=10_000)
capture.current_log.set(log)
logging.getLogger("flows").info("of a task")
assert [line.message for line in log.take()] == ["of a task"]
"""


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_the_level_is_kept(level: str, shown: list[str]) -> None:
    """From that level on and no lower, in a process of its own, since logging is the process's."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, level], capture_output=True, text=True, timeout=60, check=True
    )
    assert [line.rsplit(" ", 1)[1] for line in done.stderr.splitlines()] == shown

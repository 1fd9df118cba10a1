"""What the exit status says. Scripts rely on it (docs: reference of the command line)."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """One meaning per number."""

    OK = 0
    """Done; a job that was waited for completed."""
    FAILED = 1
    """The job failed or was cancelled, or a check of `doctor` did not pass."""
    USAGE = 2
    """The command line, a setting, a file or the params are not usable."""
    UNREACHABLE = 3
    """The server cannot be reached, or did not get ready."""
    REFUSED = 4
    """The server answered and refused: no such job, not allowed now, no permission."""
    TIMEOUT = 5
    """The waiting was over before the job was."""
    IN_USE = 6
    """The data directory or the port belongs to another process."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C."""

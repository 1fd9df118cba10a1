"""What can go wrong with the file itself, as errors a person can act on."""

from __future__ import annotations

from orpheus.core.errors import OrpheusError


class DataInUse(OrpheusError):
    """Another server holds the data directory; the message names its pid."""

    code = "data_in_use"
    status = 409
    retryable = True


class DataNewer(OrpheusError):
    """The file was written by a newer version of Orpheus; it is left as it is."""

    code = "data_newer"
    status = 409


class DataUnusable(OrpheusError):
    """The file is not a database of ours, or is damaged."""

    code = "data_unusable"
    status = 409


class GuardFailed(Exception):
    """A guarded write did not meet the row it was decided on, or a row holds what no column can: our bug, so the batch is rolled back."""


class CommitFailed(Exception):
    """COMMIT failed, here or in the process beside: whether it reached the disk is unknown, or more was decided on what did not; so the
    process must end (R3)."""

"""Which fields of a submission make sense? All that can be told without the store and the workflow."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from orpheus.core.amend import MOST_LABELS
from orpheus.core.errors import InvalidRequest
from orpheus.core.suggest import quoted
from orpheus.engine.base import Submission

TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""A tenant's name is a folder of the object store."""
EARLIEST = -62_135_596_800.0
LATEST = 253_402_300_799.0
"""Years 1 to 9999: instants beyond them have no RFC 3339 form."""


def check_fields(submission: Submission) -> None:
    """Refuse what no job can be asked for.

    Raises:
        InvalidRequest: names the field.
    """
    check_tenant(submission.tenant)
    priority = submission.priority
    if isinstance(priority, bool) or not isinstance(priority, int) or not 1 <= priority <= 5:
        raise _invalid("/priority", f"{quoted(priority)} is not a priority", "1 is the highest, 5 the lowest.")
    if submission.timeout_s is not None and not (
        _is_number(submission.timeout_s) and 0 < submission.timeout_s < LATEST / 2
    ):
        raise _invalid("/timeout_s", f"{quoted(submission.timeout_s)} is not a time limit", "Seconds, more than 0.")
    if submission.delay_s is not None:
        if submission.run_at is not None:
            raise _invalid("/delay_s", "run_at and delay_s exclude each other", "Send one of them.")
        if not _is_number(submission.delay_s) or not 0 <= submission.delay_s < LATEST / 2:
            raise _invalid("/delay_s", f"{quoted(submission.delay_s)} is not a delay", "Seconds, 0 or more.")
    if submission.run_at is not None and not (
        _is_number(submission.run_at) and EARLIEST <= submission.run_at <= LATEST
    ):
        raise _invalid("/run_at", f"{quoted(submission.run_at)} is not an instant", "RFC 3339, before the year 10000.")
    if submission.idempotency_key is not None:
        check_key(submission.idempotency_key)
    if submission.budget is not None and not (_is_number(submission.budget) and submission.budget >= 0):
        raise _invalid("/budget", f"{quoted(submission.budget)} is not a budget", "A number, 0 or more.")
    check_labels(submission.labels)
    for place, (_job_id, on) in enumerate(submission.depends_on):
        if on not in ("success", "end"):
            raise _invalid(
                f"/depends_on/{place}/on", f"{quoted(on)} is not a kind of dependency", '"success" or "end".'
            )


def check_key(key: str) -> None:
    if not 1 <= len(key) <= 255:
        raise _invalid("/idempotency_key", "an idempotency key has 1 to 255 characters")


def check_tenant(name: str) -> None:
    """Refuse a name that no tenant can have."""
    if not TENANT.fullmatch(name):
        raise _invalid("/tenant", f"{quoted(name)} is not a tenant's name", "Letters, digits, . _ -, at most 64.")


def check_labels(labels: Mapping[str, str]) -> None:
    if len(labels) > MOST_LABELS:
        raise _invalid("/labels", f"{len(labels)} labels; at most {MOST_LABELS} can be kept")
    for key, value in labels.items():
        if not isinstance(key, str) or not isinstance(value, str) or not 1 <= len(key) <= 128 or len(value) > 1024:
            raise _invalid(
                "/labels", f"label {quoted(key)}: names have 1 to 128 characters, values are text up to 1024"
            )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _invalid(path: str, message: str, hint: str = "") -> InvalidRequest:
    return InvalidRequest(f"{path[1:]}: {message}", hint=hint, details=[{"path": path, "message": message}])

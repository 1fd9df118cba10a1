"""What waits for a person's decision, on the wire (docs/approvals.md)."""

from __future__ import annotations

import msgspec

from orpheus.protocol.jobs import JobInfo, TaskInfo


class WaitingApproval(msgspec.Struct, kw_only=True):
    job: JobInfo
    """As in lists: without params, result and artifacts."""
    task: TaskInfo | None
    """The approval node that asks; null where the whole job waits before it begins."""
    since: str


class ApprovalPage(msgspec.Struct, kw_only=True):
    """The longest waiting first."""

    items: list[WaitingApproval]
    next_cursor: str | None = None

"""Approvals, signals and callbacks on the wire (docs/approvals.md, docs/signals.md, docs/callbacks.md)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

Words = Annotated[str, msgspec.Meta(max_length=4000)]
SignalId = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class ApproveTaskBody(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    value: Any = msgspec.UNSET
    """What the value is to become; left out, it goes on as it was shown."""
    comment: Words = ""


class RejectTaskBody(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    reason: Words = ""
    comment: Words = ""
    """Another word for `reason`."""


class SignalBody(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    payload: Any = None
    signal_id: SignalId | None = None
    """The same id again, for the same name, is the same signal."""


class CallbackError(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    message: Words
    final: bool = False
    """Not to be tried again."""


class CallbackBody(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Either a result or an error."""

    result: Any = msgspec.UNSET
    error: CallbackError | msgspec.UnsetType = msgspec.UNSET


Callback = Annotated[
    CallbackBody, msgspec.Meta(extra_json_schema={"oneOf": [{"required": ["result"]}, {"required": ["error"]}]})
]


class CallbackInfo(msgspec.Struct, kw_only=True):
    """What a run's first callback came to; each later one gets the same."""

    job_id: str
    task: str
    index: int | None
    run_id: str
    received_at: str


class ApprovalInfo(msgspec.Struct, kw_only=True):
    """What an approval node asks, and what was decided."""

    prompt: str
    value: Any
    """What is asked about; `{"$large": {"size_bytes"}}` where it is large."""
    editable: bool
    schema: Any
    """JSON Schema of the value; null where nothing is known of it."""
    since: str | None
    until: str | None
    """Then it has failed with `timeout_approval`; null once it is decided."""
    decision: Literal["approved", "rejected"] | None
    edited: bool
    by: str | None
    at: str | None
    comment: str

"""Deciding, signalling and calling back: what running jobs wait for from outside (R14, R22)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import uuid4

import msgspec

from orpheus.client.effects import Operation
from orpheus.client.jobs import order
from orpheus.client.paging import Pager
from orpheus.client.params import to_params
from orpheus.client.requests import decoder, job_path, post
from orpheus.client.retrying import Patience, send
from orpheus.protocol.inbox import WaitingApproval
from orpheus.protocol.jobs import JobInfo
from orpheus.protocol.waits import (
    ApproveTaskBody,
    CallbackBody,
    CallbackError,
    CallbackInfo,
    RejectTaskBody,
    SignalBody,
)

T = TypeVar("T")

AS_SHOWN: Any = msgspec.UNSET
"""Stands for the value of an approval as it was shown."""

_CALLBACK = decoder(CallbackInfo)


def inbox(tenant: str | None, limit: int | None, patience: Patience) -> Pager[WaitingApproval]:
    return Pager(WaitingApproval, "/approvals", {"tenant": tenant}, patience, limit=limit)


def approve_task(job_id: str, task: str, value: Any, comment: str, patience: Patience) -> Operation[JobInfo]:
    """Approve what a node asks about, perhaps edited; files in it are uploaded first."""
    if value is not msgspec.UNSET:
        value = yield from to_params(value, patience)
    body = ApproveTaskBody(value=value, comment=comment)
    return (yield from order(post(job_path(job_id, "tasks", task, "approve"), body), patience))


def reject_task(job_id: str, task: str, reason: str, patience: Patience) -> Operation[JobInfo]:
    return (yield from order(post(job_path(job_id, "tasks", task, "reject"), RejectTaskBody(reason=reason)), patience))


def signal(job_id: str, name: str, payload: Any, signal_id: str | None, patience: Patience) -> Operation[JobInfo]:
    """Send a signal under an id, a new one where none is given: so it may be repeated when its answer is lost."""
    wire = yield from to_params(payload, patience)
    body = SignalBody(payload=wire, signal_id=signal_id or uuid4().hex)
    return (yield from order(post(job_path(job_id, "signals", name), body), patience))


def call_back(token: str, result: Any, error: str | None, final: bool, patience: Patience) -> Operation[CallbackInfo]:
    """Bring the result, or the error, of the run that the token is of."""
    wire = yield from to_params(result, patience)
    failure = None if error is None else CallbackError(message=error, final=final)
    body = CallbackBody(result=wire) if failure is None else CallbackBody(error=failure)
    return _CALLBACK((yield from send(post(f"/callbacks/{quote(token, safe='')}", body), patience)))


class WaitOrders:
    """Orders of `Client` to what waits; a base of it."""

    _patience: Patience

    def perform(self, operation: Operation[T]) -> T:
        """Carry out an operation; the client does."""
        raise NotImplementedError

    def _pages(self, pager: Pager[T]) -> Iterator[T]:
        raise NotImplementedError

    def approvals(self, *, tenant: str | None = None, limit: int | None = None) -> Iterator[WaitingApproval]:
        """Iterate over what waits for a person's decision, the longest waiting first: jobs before they begin (`task` is None)
        and approval nodes of jobs that run (R14, R15)."""
        return self._pages(inbox(tenant, limit, self._patience))

    def approve_task(self, job_id: str, task: str, *, value: Any = AS_SHOWN, comment: str = "") -> JobInfo:
        """Approve what an approval node asks about, perhaps with another value (R14).

        Raises:
            Conflict: `invalid_transition`, it does not wait for a decision.
            Invalid: `invalid_params`, the value does not fit or may not be edited.
        """
        return self.perform(approve_task(job_id, task, value, comment, self._patience))

    def reject_task(self, job_id: str, task: str, *, reason: str = "") -> JobInfo:
        """Reject what an approval node asks about; what that means to the job is for its `on_reject` to say (R14)."""
        return self.perform(reject_task(job_id, task, reason, self._patience))

    def signal(self, job_id: str, name: str, payload: Any = None, *, signal_id: str | None = None) -> JobInfo:
        """Tell a job that something has happened; it is kept until the job asks for it (R22).

        Args:
            signal_id: the same id again is the same signal; a new one where left out.
        """
        return self.perform(signal(job_id, name, payload, signal_id, self._patience))

    def call_back(
        self, token: str, result: Any = None, *, error: str | None = None, final: bool = False
    ) -> CallbackInfo:
        """Bring the result of a task that has handed its work over, or why there is none (R22).

        Args:
            token: as `ctx.callback_token()` gave it.
            error: what went wrong, instead of a result; `final` if another attempt would be of no use.
        """
        return self.perform(call_back(token, result, error, final, self._patience))


class AsyncWaitOrders:
    """Orders of `AsyncClient` to what waits; a base of it."""

    _patience: Patience

    async def perform(self, operation: Operation[T]) -> T:
        """Carry out an operation; the client does."""
        raise NotImplementedError

    def _pages(self, pager: Pager[T]) -> AsyncIterator[T]:
        raise NotImplementedError

    def approvals(self, *, tenant: str | None = None, limit: int | None = None) -> AsyncIterator[WaitingApproval]:
        """Iterate over what waits for a person's decision, the longest waiting first: jobs before they begin (`task` is None)
        and approval nodes of jobs that run (R14, R15)."""
        return self._pages(inbox(tenant, limit, self._patience))

    async def approve_task(self, job_id: str, task: str, *, value: Any = AS_SHOWN, comment: str = "") -> JobInfo:
        """Approve what an approval node asks about, perhaps with another value (R14).

        Raises:
            Conflict: `invalid_transition`, it does not wait for a decision.
            Invalid: `invalid_params`, the value does not fit or may not be edited.
        """
        return await self.perform(approve_task(job_id, task, value, comment, self._patience))

    async def reject_task(self, job_id: str, task: str, *, reason: str = "") -> JobInfo:
        """Reject what an approval node asks about; what that means to the job is for its `on_reject` to say (R14)."""
        return await self.perform(reject_task(job_id, task, reason, self._patience))

    async def signal(self, job_id: str, name: str, payload: Any = None, *, signal_id: str | None = None) -> JobInfo:
        """Tell a job that something has happened; it is kept until the job asks for it (R22).

        Args:
            signal_id: the same id again is the same signal; a new one where left out.
        """
        return await self.perform(signal(job_id, name, payload, signal_id, self._patience))

    async def call_back(
        self, token: str, result: Any = None, *, error: str | None = None, final: bool = False
    ) -> CallbackInfo:
        """Bring the result of a task that has handed its work over, or why there is none (R22).

        Args:
            token: as `ctx.callback_token()` gave it.
            error: what went wrong, instead of a result; `final` if another attempt would be of no use.
        """
        return await self.perform(call_back(token, result, error, final, self._patience))

"""What people do to the embedded engine's schedules: `base.ScheduleOrders`, each order one operation (R27)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from orpheus.core.schedule import Firing, Schedule
from orpheus.engine.base import Submission
from orpheus.engine.work import Work

if TYPE_CHECKING:
    from orpheus.engine.machine import Machine
    from orpheus.engine.work import Reply


class EmbeddedSchedules:
    """Keeps `base.ScheduleOrders`.

    Args:
        machine: holds the schedules.
        ask: hands something to the machine and waits for its reply, which comes after the commit.
    """

    def __init__(self, machine: Machine, ask: Callable[[Callable[[Reply], None]], Awaitable[Any]]) -> None:
        self._machine = machine
        self._ask = ask

    async def create(self, name: str, job: Submission, spec: Mapping[str, Any], *, actor: str) -> tuple[Schedule, bool]:
        made = await self._do("create_schedule", self._machine.scheduling.create(name, job, spec, actor=actor))
        return cast("tuple[Schedule, bool]", made)

    async def change(
        self, tenant: str, name: str, changes: Mapping[str, Any], *, job: Submission | None = None, actor: str
    ) -> Schedule:
        alter = self._machine.scheduling.change(tenant, name, changes, job=job, actor=actor)
        return cast("Schedule", await self._do("change_schedule", alter))

    async def delete(self, tenant: str, name: str, *, actor: str) -> None:
        await self._do("delete_schedule", self._machine.scheduling.delete(tenant, name, actor=actor))

    async def run_now(self, tenant: str, name: str, *, actor: str) -> Firing:
        run = self._machine.scheduling.run_now(tenant, name, actor=actor)
        return cast("Firing", await self._do("run_schedule", run))

    async def _do(self, name: str, do: Callable[[Work], Any]) -> Any:
        return await self._ask(partial(self._machine.call, name, do))

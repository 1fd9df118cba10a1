"""A schedule in a test: the jobs it made, and what became of its times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orpheus.core.schedule import Firing, Schedule
from orpheus.engine.base import JobFilter

if TYPE_CHECKING:
    from orpheus.testing.kit.jobs import KitJob
    from orpheus.testing.kit.kit import Kit


class KitSchedule:
    """A schedule that `Kit.schedule` made; it fires as time passes."""

    def __init__(self, kit: Kit, tenant: str, name: str) -> None:
        self._kit = kit
        self._tenant = tenant
        self.name = name

    @property
    def row(self) -> Schedule:
        """Everything the engine keeps of it.

        Raises:
            LookupError: it was deleted.
        """
        found = self._kit.ask(lambda reads: reads.schedule(self._tenant, self.name))
        if found is None:
            raise LookupError(f"there is no schedule {self.name!r}")
        return found

    @property
    def jobs(self) -> list[KitJob[Any]]:
        """The jobs it made, the oldest first."""
        return self._kit.jobs_like(JobFilter(tenant=self._tenant, labels=(("schedule", self.name),)))

    @property
    def firings(self) -> list[Firing]:
        """What became of its times, the oldest first: `outcome`, `reason`, `job_id`."""
        schedule_id = self.row.schedule_id
        found = self._kit.ask(lambda reads: reads.firings(schedule_id, before=None, limit=200))
        return [firing for _number, firing in found][::-1]

    def run(self) -> Firing:
        """Fire it now, whatever the time."""
        return self._kit.call(lambda engine: engine.schedules.run_now(self._tenant, self.name, actor="test"))

    def change(self, **changes: Any) -> None:
        """Change some of what `Kit.schedule` took; `paused=True` pauses it."""
        self._kit.call(lambda engine: engine.schedules.change(self._tenant, self.name, changes, actor="test"))

    def delete(self) -> None:
        self._kit.call(lambda engine: engine.schedules.delete(self._tenant, self.name, actor="test"))

"""A submission with options: what `POST /jobs` takes beside workflow and params."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from orpheus.authoring.workflow import Workflow
from orpheus.engine.base import Submission
from orpheus.testing.kit.jobs import KitJob
from orpheus.testing.kit.schedules import KitSchedule

if TYPE_CHECKING:
    from orpheus.testing.kit.kit import Kit

P = ParamSpec("P")
R = TypeVar("R")


class Submitter:
    """A kit with options for the next submission."""

    def __init__(self, kit: Kit, options: Mapping[str, Any]) -> None:
        self._kit = kit
        self._options = dict(options)

    @overload
    def submit(self, workflow: Workflow[P, R], /, *args: P.args, **params: P.kwargs) -> KitJob[R]: ...
    @overload
    def submit(self, workflow: str | Mapping[str, Any], /, **params: Any) -> KitJob[Any]: ...
    def submit(self, workflow: Any, /, *args: Any, **params: Any) -> KitJob[Any]:
        """Submit a job with these options; see `Kit.submit`."""
        bound = workflow.signature.bind(args, params) if isinstance(workflow, Workflow) else params
        return self._kit.submit_bound(workflow, bound, **self._wired())

    def run(self, workflow: Workflow[P, R], /, *args: P.args, **params: P.kwargs) -> R:
        """Submit a job with these options, run it to its end, return its result."""
        return self.submit(workflow, *args, **params).run().result

    def schedule(self, name: str, workflow: Workflow[..., Any], params: Mapping[str, Any], **when: Any) -> KitSchedule:
        """Have such jobs submitted by the clock; see `Kit.schedule`."""
        self._kit.learn(workflow)
        wired = self._kit.wire(workflow, workflow.signature.bind((), params))
        submission = Submission(workflow=f"{workflow.name}@{workflow.version}", params=wired, **self._wired())
        spec = {key: in_utc(one).timestamp() if isinstance(one, datetime) else one for key, one in when.items()}
        self._kit.call(lambda engine: engine.schedules.create(name, submission, spec, actor="test"))
        return KitSchedule(self._kit, submission.tenant, name)

    def _wired(self) -> dict[str, Any]:
        options = dict(self._options)
        names = Submission.__struct_fields__
        unknown = [name for name in options if name not in names or name in ("workflow", "params")]
        if unknown:
            raise TypeError(f"using() has no option {unknown[0]!r}; there are {', '.join(sorted(set(names)))}")
        if isinstance(options.get("run_at"), datetime):
            options["run_at"] = in_utc(options["run_at"]).timestamp()
        if "depends_on" in options:
            options["depends_on"] = tuple(_dependency(one) for one in options["depends_on"])
        return options


def _dependency(one: Any) -> tuple[str, str]:
    if isinstance(one, tuple):
        job, on = one
        return (job.id if isinstance(job, KitJob) else str(job), str(on))
    return (one.id if isinstance(one, KitJob) else str(one), "success")


def in_utc(instant: datetime) -> datetime:
    """Return an instant in UTC.

    Raises:
        ValueError: it has no time zone.
    """
    if instant.tzinfo is None:
        raise ValueError(f"{instant} has no time zone; use tzinfo=timezone.utc")
    return instant.astimezone(UTC)

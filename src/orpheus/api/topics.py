"""Which events does somebody want? Topics of `/ws` and `/stream` (formats.md)."""

from __future__ import annotations

from collections.abc import Iterable

from orpheus.core.errors import InvalidRequest
from orpheus.core.suggest import did_you_mean
from orpheus.core.webhooks import EVENT_TYPES
from orpheus.engine.base import PublishedEvent
from orpheus.engine.wanted import Wanted

_OF_JOBS = frozenset(type_ for type_ in EVENT_TYPES if type_.startswith("job."))
JOB_EVENTS = tuple(type_[4:] for type_ in EVENT_TYPES if type_ in _OF_JOBS)
KNOWN = ("jobs", *(f"jobs:{name}" for name in JOB_EVENTS), "job:<id>")
MOST = 1000


class Topics:
    """A set of topics of somebody who may see `tenant` (None: all)."""

    def __init__(self, tenant: str | None = None) -> None:
        self._tenant = tenant
        self._topics: dict[str, None] = {}
        self._know()

    def copy(self) -> Topics:
        """Return the same topics, which later changes of these do not touch."""
        same = Topics(self._tenant)
        same._topics = dict(self._topics)
        same._know()
        return same

    def identity(self) -> tuple[str | None, frozenset[str]]:
        """Return what is equal for those who want, and may see, the same."""
        return self._tenant, frozenset(self._topics)

    def names(self) -> list[str]:
        return list(self._topics)

    @property
    def jobs(self) -> frozenset[str]:
        """Ids of the jobs that are watched one by one; they get progress and log lines too."""
        return self.wanted.jobs

    def add(self, topics: Iterable[str]) -> None:
        """Want these too.

        Raises:
            InvalidRequest: there is no such topic, or there are too many.
        """
        added = dict(self._topics)
        for topic in topics:
            _check(topic)
            added[topic] = None
        if len(added) > MOST:
            raise InvalidRequest(f"more than {MOST} topics", hint="subscribe to `jobs` and pick")
        self._topics = added
        self._know()

    def remove(self, topics: Iterable[str]) -> None:
        for topic in topics:
            self._topics.pop(topic, None)
        self._know()

    def _know(self) -> None:
        types = {f"job.{topic[5:]}" for topic in self._topics if topic.startswith("jobs:")}
        self.wanted = Wanted(
            tenant=self._tenant,
            types=_OF_JOBS if "jobs" in self._topics else frozenset(types),
            jobs=frozenset(topic[4:] for topic in self._topics if topic.startswith("job:")),
        )
        """The same as the engine understands it."""

    def match(self, published: PublishedEvent) -> bool:
        return self.wanted.has(published.event.type, published.job_id, published.tenant)


def _check(topic: str) -> None:
    kind, colon, rest = topic.partition(":")
    if kind == "job" and colon and 0 < len(rest) <= 100:
        return
    if topic == "jobs" or (kind == "jobs" and rest in JOB_EVENTS):
        return
    raise InvalidRequest(
        f"there is no topic {topic[:80]!r}", hint=did_you_mean(topic, KNOWN, otherwise=f"There is {', '.join(KNOWN)}.")
    )

"""Which events of the stream does a reader want? Said to the engine, so that it makes nothing of the others."""

from __future__ import annotations

import msgspec


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Events of one of the types, or of one of the jobs; of one tenant's jobs only, where it is named."""

    tenant: str | None = None
    types: frozenset[str] | None = None
    """None: of any type."""
    jobs: frozenset[str] = frozenset()
    """Jobs whose events are wanted whatever their type."""

    def has(self, type_: str, job_id: str, tenant: str) -> bool:
        """Tell whether an event is wanted: the rule, of which `Stream.ring_after` has a copy that looks at many."""
        if self.tenant is not None and tenant != self.tenant:
            return False
        return self.types is None or type_ in self.types or job_id in self.jobs


EVERYTHING = Wanted()

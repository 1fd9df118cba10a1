"""What is kept and what goes, as it is said on the wire: pruning, backups, the cache, failures."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from orpheus.protocol.jobs import Tenant

Age = Annotated[float, msgspec.Meta(ge=0, lt=1e11, description="Seconds.")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern="^[^*?\\[\\]]+$")]


class PruneBody(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Body of `POST /prune`: at least one of the two ages."""

    older_than_s: Age | None = None
    """Jobs that ended so long ago."""
    state: list[Literal["completed", "failed", "cancelled"]] = []
    """Of these ends only."""
    workflow: Name | None = None
    tenant: Tenant | None = None
    cache_older_than_s: Age | None = None
    """Known results that were not used for so long."""
    dry_run: bool = False
    """Remove nothing, say what would go."""


class PruneAnswer(msgspec.Struct, kw_only=True):
    """What went, or would go."""

    jobs: int
    by_state: dict[str, int]
    cached_results: int
    dry_run: bool


class BackupBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /backup`."""

    target: Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]
    """Absolute path of a folder on the server's machine that does not exist or is empty."""


class BackupAnswer(msgspec.Struct, kw_only=True):
    target: str
    objects: int
    size_bytes: int
    """Of the objects."""
    took_s: float


class ClearCacheBody(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Body of `POST /cache/clear`; empty is everything."""

    task: Name | None = None
    """`name` or `name@version`."""
    tenant: Tenant | None = None
    older_than_s: Age = 0
    """Not used for so long."""
    dry_run: bool = False


class CachedResults(msgspec.Struct, kw_only=True):
    """What the cache holds of one task for one tenant."""

    task: str
    """`name@version`"""
    tenant: str
    results: int
    uses: int
    size_bytes: int
    """Of results and files; a file that several results share counts for each."""
    oldest_at: str
    used_at: str


class CachePage(msgspec.Struct, kw_only=True):
    items: list[CachedResults]
    next_cursor: str | None = None


class FailureGroup(msgspec.Struct, kw_only=True):
    """Jobs that are failed now and failed alike."""

    failure: str
    """Names the group: a filter of `GET /jobs` and of `POST /jobs/bulk`."""
    workflow: str
    task: str | None
    code: str
    type: str | None
    message: str
    """With ids, paths, quoted words and numbers replaced by what they are."""
    jobs: int
    first_at: str
    last_at: str
    sample: list[str]
    """The newest of the jobs."""
    retry: dict[str, Any]
    """Body of a `POST /jobs/bulk` that retries all of them."""


class FailurePage(msgspec.Struct, kw_only=True):
    """The largest groups first."""

    items: list[FailureGroup]
    next_cursor: str | None = None

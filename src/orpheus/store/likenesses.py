"""Which jobs have a picture that looks like this one? Perceptual hashes of accepted artifacts, found by their bands.

A hash is 64 bits; two pictures are as far apart as their hashes have different bits. Of two hashes at most 4k + 3 apart, one of the four
bands of 16 bits is at most k apart: so the index is asked for the few values near each band, and what it finds is measured.
"""

from __future__ import annotations

import itertools
import json
import re
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

from orpheus.core.facts import ArtifactRef
from orpheus.store.cache import JobEntry
from orpheus.store.queries import query
from orpheus.store.unit import Unit

T = TypeVar("T")

KEY: Final = "phash"
"""In an artifact's metadata: 16 hexadecimal digits."""
FARTHEST: Final = 11
"""Beyond it pictures have nothing to do with each other, and each band has too many neighbours to ask for."""
_HEX: Final = re.compile(r"[0-9a-f]{16}")
_BAND_BITS: Final = 16
_ALL: Final = (1 << 64) - 1


class Duplicate(NamedTuple):
    """An artifact of another job, and how far it is."""

    job_id: str
    workflow: str
    created_at: float
    name: str
    phash: str
    distance: int
    of: str
    """The artifact of the asking job that it looks like."""


def note_likeness(unit: Unit, entry: JobEntry, ref: ArtifactRef) -> None:
    """Index an accepted artifact by the hash that it declares, if it does."""
    phash = ref.metadata.get(KEY)
    if isinstance(phash, str) and _HEX.fullmatch(phash):
        unit.insert("put_likeness", (entry.job_no, ref.name, entry.job.tenant, _signed(int(phash, 16))))


class LikenessReads:
    """The reader's answers about pictures that look alike."""

    async def _run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Run a read as of one instant, beside the writer."""
        raise NotImplementedError

    async def duplicates(self, job_id: str, *, distance: int, limit: int) -> list[Mapping[str, Any]]:
        """Return artifacts of the tenant's other jobs that look like one of this job's: the nearest first, then the newest.

        Args:
            distance: 0 to `FARTHEST` different bits.
        """
        found = await self._run(lambda connection: find(connection, job_id, distance=distance, limit=limit))
        return [one._asdict() for one in found]


def find(connection: sqlite3.Connection, job_id: str, *, distance: int, limit: int) -> list[Duplicate]:
    """See `LikenessReads.duplicates`."""
    near: dict[tuple[int, str], tuple[int, int, str]] = {}
    own = connection.execute(query("likenesses_of_job"), (job_id,)).fetchall()
    for tenant, of, signed in own:
        hashed = signed & _ALL
        bands = [json.dumps(values) for values in _neighbours(hashed, distance // 4)]
        for job_no, name, other in connection.execute(query("similar_likenesses"), (tenant, *bands)):
            apart = (hashed ^ (other & _ALL)).bit_count()
            known = near.get((job_no, name))
            if apart <= distance and (known is None or apart < known[0]):
                near[job_no, name] = (apart, other & _ALL, of)
    told: list[Duplicate] = []
    for (job_no, name), (apart, other, of) in sorted(near.items(), key=lambda one: (one[1][0], -one[0][0], one[0][1])):
        row = connection.execute(query("job_with_artifact"), (name, job_no)).fetchone()
        if row is not None and row[0] != job_id:
            told.append(Duplicate(row[0], row[1], row[2], name, f"{other:016x}", apart, of))
            if len(told) == limit:
                break
    return told


def _signed(hashed: int) -> int:
    return hashed - (1 << 64) if hashed >> 63 else hashed


def _neighbours(hashed: int, bits: int) -> list[list[int]]:
    """Return, for each band, the values at most `bits` bits away."""
    flips = [
        sum(1 << place for place in places)
        for count in range(bits + 1)
        for places in itertools.combinations(range(_BAND_BITS), count)
    ]
    bands = [(hashed >> shift) & 0xFFFF for shift in (48, 32, 16, 0)]
    return [[band ^ flip for flip in flips] for band in bands]

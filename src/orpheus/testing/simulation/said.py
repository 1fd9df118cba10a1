"""Whatever the server says rests on what is on the disk at that instant (promise 1), however far ahead it decides (ADR 0035).

Each look is at the file through a connection of its own, as the next process would find it if this one ended now.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orpheus.core.errors import OrpheusError
from orpheus.core.job import Job
from orpheus.engine.base import PollAnswer, RunReport, Submitted
from orpheus.engine.reports import ENDS
from orpheus.store import database


class Said:
    """Looks at the file whenever the server says something."""

    def __init__(self, path: Path) -> None:
        self._file: sqlite3.Connection = database.connect_reader(path)

    def close(self) -> None:
        self._file.close()

    def _has(self, statement: str, *parameters: Any) -> bool:
        return bool(self._file.execute(f"SELECT EXISTS ({statement})", parameters).fetchone()[0])

    def outcome(self, outcome: Any) -> None:
        """An operation was answered."""
        if isinstance(outcome, Job):
            known = self._has("SELECT 1 FROM jobs WHERE job_id = ? AND last_seq >= ?", outcome.job_id, outcome.last_seq)
            assert known, f"{outcome.job_id} was shown as it is not on the disk"
        elif isinstance(outcome, list):
            for submitted in outcome:
                if isinstance(submitted, Submitted):
                    known = self._has("SELECT 1 FROM jobs WHERE job_id = ?", submitted.job.job_id)
                    assert known, f"{submitted.job.job_id} was acknowledged and is not on the disk"

    def answer(self, answer: PollAnswer | OrpheusError) -> None:
        """A poll was answered: its grants are runs."""
        if isinstance(answer, OrpheusError):
            return
        for grant in answer.grants:
            known = self._has(
                "SELECT 1 FROM tasks WHERE run_id = ?1 UNION SELECT 1 FROM attempts WHERE run_id = ?1", grant.run_id
            )
            assert known, f"run {grant.run_id} was given to a worker and is not on the disk"

    def reported(self, reports: Sequence[RunReport], outcomes: Sequence[OrpheusError | None] | OrpheusError) -> None:
        """A report was answered: runs whose end was accepted are over."""
        if isinstance(outcomes, OrpheusError):
            return
        for report, outcome in zip(reports, outcomes, strict=True):
            if report.kind in ENDS and outcome is None and report.kind != "waiting":
                runs = self._has("SELECT 1 FROM tasks WHERE run_id = ? AND state = 'running'", report.run_id)
                assert not runs, f"the end of run {report.run_id} was accepted and is not on the disk"

    def event(self, place: int) -> None:
        """An event was published."""
        assert self._has("SELECT 1 FROM event_groups WHERE cursor >= ?", place), (
            f"event {place} was told and is not on the disk"
        )

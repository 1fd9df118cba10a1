"""A guard against the engine becoming slow unnoticed: its CPU time for a one-task job against that of raw SQLite, in the same run.

CPU time and not the clock's, taken turn by turn and the least of each, so that a busy machine disturbs both alike. The limit is
about twice what was measured (docs/performance.md); what it catches is a query per job too many, or the short ways lost.
"""

from __future__ import annotations

from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
JOBS = 1500
MOST_TIMES = 45.0
"""Of the CPU time of raw SQLite (three changes of a row and three events a job, batches of 300)."""


@pytest.mark.slow
def test_a_job_costs_a_bounded_number_of_raw_writes(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import machine
    import store_write

    raw, ours = [], []
    for turn in range(3):
        raw.append(store_write.raw_rate(tmp_path / f"raw{turn}.db", 0.3)["cpu_us_per_job"])
        folder = tmp_path / f"engine{turn}"
        folder.mkdir()
        ours.append(machine.cost(folder, JOBS))
    assert min(ours) / min(raw) < MOST_TIMES, f"{min(ours):.0f} µs a job against {min(raw):.0f} of raw SQLite"

"""Fairness end to end: who asks for little is not kept waiting by who asked for much before (R25)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from orpheus.engine.base import Submission, Submitted
from orpheus.engine.options import EngineOptions
from orpheus.testing.simulation.clock import ManualClock
from orpheus.testing.simulation.server import SimServer
from orpheus.testing.simulation.workers import CALM, Observed, SimWorker

ONE_TASK = {"name": "one", "nodes": [{"name": "only", "kind": "task", "task": "work", "args": {}}]}


@pytest.mark.parametrize("window", [4, 256])
@pytest.mark.parametrize("crash", [False, True])
def test_late_tenant_gets_every_other_slot(tmp_path: Path, window: int, crash: bool) -> None:
    """Of 300 jobs of one tenant only about as many run before another tenant's 30 as it has itself, restarts included."""
    clock = ManualClock()
    server = SimServer(tmp_path / "orpheus.db", clock, Random(1), EngineOptions(window=window))
    server.start()
    observed = Observed()
    worker = SimWorker(
        "w",
        server,
        clock,
        Random(2),
        handlers=("work@1",),
        queues=(),
        slots=4,
        resources={},
        observed=observed,
        temper=CALM,
    )
    owners: dict[str, str] = {}

    def submitted(outcome: Any) -> None:
        for one in outcome:
            assert isinstance(one, Submitted)
            owners[one.job.job_id] = one.job.tenant

    def turn() -> None:
        clock.advance(0.2)
        worker.step()
        server.tick()
        while server.step():
            pass

    server.submit([Submission(workflow=ONE_TASK, tenant="ada") for _ in range(300)], submitted)
    for _ in range(10):
        turn()
    server.submit([Submission(workflow=ONE_TASK, tenant="bob") for _ in range(30)], submitted)
    done_before = len(observed.accepted)
    for number in range(2000):
        turn()
        if crash and number in (5, 20):
            server.crash()
            server.start()
        rows = (
            server.machine.store.connection.execute("SELECT tenant FROM jobs WHERE state = 'completed'")
            if server.machine
            else ()
        )
        done = Counter(row[0] for row in rows)
        if done["bob"] == 30:
            break
    else:
        raise AssertionError("the late tenant never finished")
    assert done["ada"] - done_before <= 30 + 3 * worker.slots

"""The same file again: everything comes from the cache, under the new job's names."""

import time
from pathlib import Path

import pytest

from orpheus import File
from orpheus.media import media, talk
from orpheus.testing import Kit

pytestmark = [pytest.mark.samples, pytest.mark.timeout(240)]


@pytest.mark.parametrize(
    ("workflow", "name"), [(talk, "video/talk-silences-fillers.mp4"), (media, "pdf/mixed-text-then-scan.pdf")]
)
def test_the_second_run_is_all_cached(samples: Path, workflow: object, name: str) -> None:
    with Kit(workflow) as kit:
        source = File.from_path(samples / name)
        first = kit.submit(workflow, source)
        first.run()
        began = time.perf_counter()
        second = kit.submit(workflow, source)
        second.run()
        took_s = time.perf_counter() - began
        made = [task for task in second.tasks if task.handler and task.index < 0 and str(task.state) == "completed"]
        assert made and all(task.cached for task in made), [task.node for task in made if not task.cached]
        assert took_s < 5, "under a second where nobody else is at work"
        told = {one.replace(first.row.job_id, second.row.job_id) for one in first.artifacts}
        assert set(second.artifacts) == told
        assert first.row.state == second.row.state == "completed"

"""How a workflow is tested: in this process, on a clock that is moved by hand. Run it with pytest.

pytest examples/test_nightly.py
"""

from datetime import timedelta

import nightly

from orpheus import RetryAfter
from orpheus.testing import Kit


def test_three_nights() -> None:
    """Days pass in a moment; the thermometer is a fake, and fails in the first night."""
    with Kit(nightly) as kit:
        kit.fake("measure", returns=21.5)
        kit.fake("measure", raises=RetryAfter(600, "the thermometer sleeps"), times=1)
        schedule = kit.schedule("nightly", nightly.report, {"place": "Bremen"}, cron="0 3 * * *")
        kit.advance(days=3)
        assert [job.result for job in schedule.jobs] == ["Bremen: 21.5 degrees"] * 3
        first = schedule.jobs[0]
        assert first.artifact("report.txt").text == "Bremen: 21.5 degrees"
        first.events.assert_order("task.retrying:measure", "task.completed:measure", "job.completed")
        assert kit.now == kit.START + timedelta(days=3)

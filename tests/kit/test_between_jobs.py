"""What happens between jobs, in the kit: children, schedules, limits of queues."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orpheus import child, sleep, task, workflow
from orpheus.core.errors import OrpheusError
from orpheus.testing import Kit, Stuck


@task(retry=None)
def shout(text: str) -> str:
    return text.upper()


@task
def join(parts: list[str]) -> str:
    return " ".join(parts)


@workflow
def loud(text: str) -> str:
    return shout.using(after=sleep(3600))(text)


@workflow
def poster(title: str, lines: list[str]) -> str:
    first = child(loud, title)
    return join([first, join.using(name="body")(child.using(name="lines").map(loud, lines))])


def test_child_jobs_run_with_their_parent() -> None:
    with Kit(poster) as kit:
        job = kit.submit(poster, title="a", lines=["b", "c"]).run()
        assert job.result == "A B C" and len(job.children) == 3
        assert kit.now == kit.START + timedelta(hours=1)
        kit.fake("shout", raises=ValueError("hoarse"))
        failed = kit.submit(poster, title="a", lines=[]).run()
        assert failed.error is not None and failed.error.code == "child_failed"


def test_a_schedule_fires_as_time_passes() -> None:
    """Three nights, a restart among them, in local time (R27)."""
    with Kit(loud) as kit:
        nightly = kit.schedule("nightly", loud, {"text": "x"}, cron="0 3 * * *", timezone="Europe/Berlin")
        kit.advance(days=1)
        kit.restart(down_s=60)
        kit.advance(days=2)
        assert [job.state for job in nightly.jobs] == ["completed"] * 3
        first = nightly.firings[0]
        assert datetime.fromtimestamp(first.scheduled_for, UTC) == datetime(2030, 1, 1, 2, tzinfo=UTC)
        nightly.change(paused=True)
        kit.advance(days=2)
        assert len(nightly.jobs) == 3
        assert nightly.run().outcome == "submitted"
        nightly.delete()
        with pytest.raises(LookupError):
            _ = nightly.row


def test_a_schedule_does_not_keep_a_stuck_job_going() -> None:
    with Kit(loud) as kit:
        kit.schedule("often", loud, {"text": "x"}, every_s=600)
        job = kit.using(requires_approval=True).submit(loud, text="y")
        with pytest.raises(Stuck):
            job.run()


def test_receivers_are_told_and_told_again() -> None:
    """A receiver that is down for an hour hears of it afterwards, under the same id (R28)."""
    with Kit(loud) as kit:
        hook = kit.hooks.subscribe("https://shop.example/hook", ["job.completed"])
        assert hook
        kit.hooks.answer = lambda delivery: 503 if kit.now < kit.START + timedelta(hours=2) else 204
        job = kit.using(webhook_url="https://other.example/done").submit(loud, text="a").run()
        assert job.state == "completed"
        kit.advance(days=1)
        by_url: dict[str, list[int]] = {}
        for call in kit.hooks.calls:
            assert call.type == "job.completed" and call.job_id == job.id
            by_url.setdefault(call.url, []).append(call.status)
        assert set(by_url) == {"https://shop.example/hook", "https://other.example/done"}
        assert all(told[-1] == 204 and set(told[:-1]) == {503} for told in by_url.values())
        assert len({call.delivery_id for call in kit.hooks.calls}) == 2


@task(price=0.02)
def pricey(text: str) -> str:
    return text


@workflow
def shop(texts: list[str]) -> list[str]:
    return pricey.map(texts)


def test_a_budget_is_not_passed() -> None:
    """Options of a submission reach the engine, as `POST /jobs` brings them."""
    with Kit(shop) as kit:
        assert kit.using(budget=0.04).run(shop, texts=["a", "b"]) == ["a", "b"]
        with pytest.raises(OrpheusError, match=r"at least 0\.06"):
            kit.using(budget=0.04).submit(shop, texts=["a", "b", "c"])

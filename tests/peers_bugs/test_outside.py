"""What comes from outside too early, twice, or while nobody listens."""

from __future__ import annotations

from orpheus import sleep, task, wait_for, workflow
from orpheus.testing import Kit


@task
def keep(payload: str) -> str:
    return payload


@workflow
def late_listener() -> str:
    return keep(wait_for("news", str, timeout_s=60, after=sleep(3600)))


@task
def both(first: str, second: str) -> list[str]:
    return [first, second]


@workflow
def two_listeners() -> list[str]:
    first = wait_for("news", str, timeout_s=3600, name="first")
    second = wait_for("news", str, timeout_s=3600, name="second", after=first)
    return both(first, second)


def test_an_early_signal_is_not_lost(kit: Kit) -> None:
    """A signal that comes before its handler is there is dropped (coinbase/temporal-ruby #267, temporalio/sdk-php #457,
    mercury/hs-temporal-sdk #280): kept, also over a restart, until a node asks."""
    job = kit.submit(late_listener).signal("news", "early")
    kit.restart()
    assert job.run().result == "early"


def test_signals_keep_their_order_and_count_once(kit: Kit) -> None:
    """Two at once, one of them sent twice: each node gets its own, first in first out."""
    job = kit.submit(two_listeners)
    job.signal("news", "one", signal_id="1").signal("news", "one again", signal_id="1").signal("news", "two")
    assert job.run().result == ["one", "two"]


def test_a_signal_for_a_paused_job_is_kept(kit: Kit) -> None:
    """A pause stops claims and nothing else (R26)."""
    job = kit.submit(two_listeners)
    kit.settle()
    job.pause().signal("news", "one").signal("news", "two")
    kit.restart()
    assert job.resume().run().result == ["one", "two"]

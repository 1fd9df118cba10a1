"""Who is told, when again, and how it is signed: the pure part of R28."""

from __future__ import annotations

import base64
import json
import re
import time
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from orpheus.core import webhook_signature as signature
from orpheus.core.errors import InvalidRequest
from orpheus.core.job import Job, JobState
from orpheus.core.webhooks import (
    ENDS,
    EVENT_TYPES,
    JITTER,
    WAITS_S,
    PrivateAddress,
    Subscription,
    check_events,
    check_url,
    due,
    matches,
    next_try,
)

SOURCE = Path(__file__).parents[2] / "src" / "orpheus"


def a_job(**fields: object) -> Job:
    given = {"tenant": "ada", "workflow": "count", "labels": {"a": "1", "b": "2"}, **fields}
    return Job(
        job_id="j",
        workflow_version=1,
        definition_id="d",
        state=JobState.QUEUED,
        created_at=0.0,
        correlation_id="c",
        **given,  # type: ignore[arg-type]
    )


def a_subscription(**fields: object) -> Subscription:
    return Subscription(**{"webhook_id": "wh", "tenant": None, "url": "https://x.example", "events": ("*",), **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, True),
        ({"tenant": "ada"}, True),
        ({"tenant": "bob"}, False),
        ({"workflow": "count"}, True),
        ({"workflow": "other"}, False),
        ({"labels": {"a": "1"}}, True),
        ({"labels": {"a": "1", "b": "3"}}, False),
        ({"labels": {"c": "1"}}, False),
        ({"events": ("job.failed", "job.completed")}, True),
        ({"events": ("job.*",)}, True),
        ({"events": ("task.*", "job.failed")}, False),
        ({"enabled": False}, False),
    ],
)
def test_who_wants_what(fields: dict[str, object], wanted: bool) -> None:
    assert a_subscription(**fields).wants(a_job(), "job.completed") is wanted


def test_a_jobs_own_url_hears_of_its_end_and_queues_up_by_origin() -> None:
    job = a_job(webhook_url="https://Hooks.example:8443/a/b?c=d")
    assert [each.destination for kind in EVENT_TYPES for each in due(job, kind, ())] == [
        "https://hooks.example:8443"
    ] * len(ENDS)
    [own] = due(job, "job.failed", ())
    assert (own.webhook_id, own.url) == (None, job.webhook_url)
    both = due(job, "job.failed", [a_subscription()])
    assert [(each.destination, each.webhook_id) for each in both] == [
        ("wh", "wh"),
        ("https://hooks.example:8443", None),
    ]


def test_patterns() -> None:
    assert matches("*", "task.failed")
    assert matches("job.*", "job.failed")
    assert not matches("job.*", "task.failed")
    assert check_events(["job.failed", "job.failed", "*"]) == ("job.failed", "*")
    with pytest.raises(InvalidRequest, match=r"job\.faild") as refused:
        check_events(["job.*", "job.faild"])
    assert refused.value.hint == 'Did you mean "job.failed"?'
    assert refused.value.details[0]["path"] == "/events/1"


def test_every_type_of_event_can_be_subscribed_to() -> None:
    """The list is the one the core writes."""
    said = {
        match
        for path in (SOURCE / "core").glob("*.py")
        for match in re.findall(r'event\(\s*f?"((?:job|task|artifact|signal)\.[a-z_]+)"', path.read_text())
    }
    assert said
    assert said <= set(EVENT_TYPES)


def test_waits_grow_and_end() -> None:
    """Thirteen calls within about three days, then dead."""
    waits = [next_try(tries, 0.5) for tries in range(1, 15)]
    assert waits[:-2] == pytest.approx(list(WAITS_S))
    assert waits[-2:] == [None, None]
    assert 2.5 * 86_400 < sum(WAITS_S) < 3.1 * 86_400
    low, high = next_try(1, 0.0), next_try(1, 0.999)
    assert low == pytest.approx(WAITS_S[0] * (1 - JITTER))
    assert high is not None
    assert WAITS_S[0] < high < WAITS_S[0] * (1 + JITTER)


def test_retry_after_lengthens_a_wait_and_never_shortens_it() -> None:
    assert next_try(1, 0.5, 3600.0) == 3600.0
    assert next_try(6, 0.5, 1.0) == pytest.approx(WAITS_S[5])
    assert next_try(1, 0.5, 1e9) == 86_400.0
    assert next_try(13, 0.5, 10.0) is None


def test_signatures_are_those_of_standard_webhooks() -> None:
    """Checked by the reference library, with the old secret and the new one."""
    old, new = signature.make_secret(b"o" * 32), signature.make_secret(b"n" * 24)
    body = json.dumps({"type": "job.completed", "data": {"snow": "☃"}}).encode()
    headers = signature.headers([new, old], delivery_id="msg_1", timestamp=int(time.time()), body=body)
    assert set(headers) == {"webhook-id", "webhook-timestamp", "webhook-signature"}
    for secret in (old, new):
        assert Webhook(secret).verify(body, headers)["type"] == "job.completed"
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(signature.make_secret(b"x" * 32)).verify(body, headers)
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(new).verify(body + b" ", headers)


@pytest.mark.parametrize("secret", ["", "secret", "whsec_", "whsec_!!!!", "whsec_" + base64.b64encode(b"x").decode()])
def test_what_is_no_secret(secret: str) -> None:
    with pytest.raises(ValueError, match=r"secret|base64"):
        signature.key_of(secret)


@pytest.mark.parametrize("url", ["https://93.184.216.34/x", "http://hooks.example/", "https://[2606:2800:220:1::1]:8/"])
def test_urls_that_may_be_called(url: str) -> None:
    assert check_url(url, allow_private=False) == url


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://10.0.0.1/", PrivateAddress),
        ("http://127.1/", PrivateAddress),
        ("http://2130706433/", PrivateAddress),
        ("http://LOCALHOST./", PrivateAddress),
        ("http://a.localhost/", PrivateAddress),
        ("http://[::1]/", PrivateAddress),
        ("http://u:p@hooks.example/", InvalidRequest),
        ("http:///x", InvalidRequest),
        ("http://hooks.example:99999/", InvalidRequest),
        ("http://[::1/", InvalidRequest),
        ("file:///etc/passwd", InvalidRequest),
    ],
)
def test_urls_that_may_not(url: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        check_url(url, allow_private=False)


def test_private_urls_when_allowed() -> None:
    assert check_url("http://10.0.0.1/", allow_private=True)

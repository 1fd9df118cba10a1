"""How a webhook is called: only checked addresses, no redirects, bounded answers."""

from __future__ import annotations

import asyncio
import socket
import time
from email.utils import formatdate
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from orpheus.api import webhook_calls
from orpheus.api.webhook_calls import Answered, Caller
from orpheus.testing.receiver import Receiver


class Names(AbstractResolver):
    """Says another address each time it is asked."""

    def __init__(self, *addresses: list[str]) -> None:
        self.answers = list(addresses)
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        found = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [
            ResolveResult(hostname=host, host=each, port=port, family=socket.AF_INET, proto=0, flags=0)
            for each in found
        ]

    async def close(self) -> None:
        pass


def call(url: str, *, allow_private: bool = False, resolver: AbstractResolver | None = None) -> Answered:
    async def run() -> Answered:
        caller = Caller(allow_private=allow_private, user_agent="test", resolver=resolver)
        try:
            return await caller.call(url, b"{}", {"content-type": "application/json"})
        finally:
            await caller.close()

    return asyncio.run(run())


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.8", "169.254.169.254", "0.0.0.0"])
def test_a_name_that_leads_to_a_private_address_is_not_called(address: str) -> None:
    with Receiver() as receiver:
        port = receiver.url.rpartition(":")[2]
        answered = call(f"http://inside.example:{port}/", resolver=Names([address]))
        assert receiver.got == []
    assert answered.status is None
    assert answered.error is not None
    assert f"inside.example leads to {address}, which may not be called" in answered.error


def test_one_private_address_among_public_ones_is_enough() -> None:
    assert "may not be called" in (call("http://x.example/", resolver=Names(["93.184.216.34", "10.0.0.1"])).error or "")


def test_a_name_is_resolved_once_and_the_checked_address_is_the_one_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rebinding: the second answer would be another address, and nobody asks for it."""
    monkeypatch.setattr(webhook_calls, "why_private", lambda text: None if text == "127.0.0.1" else "no")
    with Receiver() as receiver:
        port = receiver.url.rpartition(":")[2]
        names = Names(["127.0.0.1"], ["10.0.0.1"])
        assert call(f"http://turncoat.example:{port}/", resolver=names).ok
        assert names.asked == 1
        assert receiver.got[0].headers["host"] == f"turncoat.example:{port}"


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0x7f000001"])
def test_an_address_in_the_url_is_judged_too(host: str) -> None:
    answered = call(f"http://{host}:9/")
    assert answered.status is None
    assert "may not be called" in (answered.error or "")


def test_redirects_are_not_followed() -> None:
    with Receiver(lambda got: (307, {"location": "/elsewhere"}, b"")) as receiver:
        answered = call(receiver.url, allow_private=True)
        assert len(receiver.got) == 1
    assert (answered.status, answered.ok) == (307, False)
    assert answered.error == "HTTP 307: redirects are not followed"


def test_an_answer_without_an_end_is_cut() -> None:
    with Receiver(lambda got: (500, {}, b"x" * 5_000_000)) as receiver:
        answered = call(receiver.url, allow_private=True)
    assert len(answered.error or "") < 300


def test_nobody_there_and_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert "ClientConnectorError" in (call(f"http://127.0.0.1:{port}/", allow_private=True).error or "")
    monkeypatch.setattr(webhook_calls, "TOTAL_S", 0.2)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        answered = call(f"http://127.0.0.1:{mute.getsockname()[1]}/", allow_private=True)
    assert answered == Answered(None, "no answer within 0.2 s")


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": "in two minutes"}, 120.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], wait_s: float | None) -> None:
    if headers.get("retry-after") == "in two minutes":  # a date, told from when the test runs
        headers = {"retry-after": formatdate(time.time() + 120, usegmt=True)}
    with Receiver(lambda got: (503, headers, b"")) as receiver:
        answered = call(receiver.url, allow_private=True)
    assert answered.retry_after_s == (None if wait_s is None else pytest.approx(wait_s, abs=30))

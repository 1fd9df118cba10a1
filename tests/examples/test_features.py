"""The examples of single features do what they say."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from orpheus.authoring.registry import load_module
from orpheus.testing import Kit

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str) -> ModuleType:
    return load_module(str(EXAMPLES / f"{name}.py"))


@pytest.fixture
def kit() -> Iterator[Kit]:
    with Kit() as made:
        yield made


def test_chapters(kit: Kit) -> None:
    book = example("chapters").book
    job = kit.submit(book, chapters=["It was night.", "It was day.", ""]).run()
    assert job.result == 6 and len(job.children) == 3


def test_nightly(kit: Kit) -> None:
    assert kit.run(example("nightly").report, place="Bremen") == "Bremen: 20.6 degrees"


def test_webhook_receiver() -> None:
    """It takes what we sign, once, and nothing else."""
    receiver: Any = example("webhook_receiver")
    secret = "whsec_" + base64.b64encode(b"k" * 32).decode()
    inbox = receiver.Inbox(secret)
    body = json.dumps({"type": "job.completed", "data": {"job_id": "J"}}).encode()
    signed = hmac.digest(b"k" * 32, b"msg_1.1000." + body, hashlib.sha256)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1000",
        "webhook-signature": f"v1,{base64.b64encode(b'old').decode()} v1,{base64.b64encode(signed).decode()}",
    }
    assert [inbox.take(headers, body, 1010.0), inbox.take(headers, body, 1010.0)] == [204, 204]
    assert inbox.news == ["job.completed J"]
    assert inbox.take(headers, body + b" ", 1010.0) == 401
    assert inbox.take(headers, body, 2000.0) == 401


def test_the_example_of_a_test() -> None:
    """It is run as its reader would run it."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_nightly.py"],
        cwd=EXAMPLES,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_cached(kit: Kit) -> None:
    """The second job speaks nothing anew."""
    speak = example("cached").speak
    first = kit.submit(speak, lines=["good night", "good day"]).run()
    assert first.result == [32, 32] and len(first.logs) == 2
    second = kit.submit(speak, lines=["good day", "good morning", "good night"]).run()
    assert second.result == [32] * 3 and second.logs == ["speaking 'good morning'"]
    assert [second.task("voice", index).cached for index in range(3)] == [True, False, True]


def test_approval(kit: Kit) -> None:
    module = example("approval")
    job = kit.submit(module.talk, minutes=12)
    job.run_until_waiting()
    job.approve("Review the cuts", value=module.Plan([module.Cut(0.0, 30.0)]), comment="keep the end")
    assert job.run().result == "1 cuts, 690 s left"


def test_payment(kit: Kit) -> None:
    """The payment comes before the order is ready for it."""
    job = kit.submit(example("payment").order, item="print").signal("payment", {"amount": 12.5})
    assert job.run().result == "one print, paid 12.5 EUR"


def test_undo(kit: Kit) -> None:
    """What was published is taken back when the announcement fails, and when the job is cancelled (R19)."""
    release = example("undo").release
    assert kit.run(release, name="trailer", audience="everybody").endswith("told to everybody")
    job = kit.submit(release, name="trailer", audience="nobody").run()
    assert job.state == "failed" and job.logs == ["publishing trailer", "withdrawing https://example.org/trailer"]
    kit.fake("announce", takes_s=60)
    cancelled = kit.submit(release, name="trailer", audience="all")
    kit.advance(1)
    assert cancelled.cancel().run().state == "cancelled"
    assert cancelled.logs[-1].startswith("withdrawing")

"""How items of a worker's report are taken in."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import msgspec
import pytest

from orpheus.api.routers.worker_protocol import _bare_completion, _run_report
from orpheus.core.errors import InvalidRequest
from orpheus.protocol.worker import ReportItem

MORE: list[dict[str, Any]] = [
    {"price": 0.5},
    {"fraction": 0.5},
    {"timeout_s": 3.0},
    {"stage": "cutting"},
    {"heartbeat": {"at": 3}},
    {"lines": [{"message": "hello"}]},
    {"error": {"code": "task_failed"}},
]


@pytest.mark.parametrize("kind", ["completed", "failed", "cancelled", "waiting", "progress", "heartbeat", "log"])
@pytest.mark.parametrize("result", [None, 3, "text", [1, {"a": None}], {"n": 1}])
def test_a_bare_completion_is_taken_in_as_at_length(kind, result):
    """The short way tells what the long one does, and knows what it may not take."""
    bare = 0
    for count in range(3):
        for chosen in itertools.combinations(MORE, count):
            said: dict[str, Any] = {"run_id": "r", "kind": kind, "result": result}
            for more in chosen:
                said |= more
            item = msgspec.convert(said, ReportItem)
            short = _bare_completion(item)
            if short is not None:
                bare += 1
                assert short == asyncio.run(_run_report(None, item))  # type: ignore[arg-type]  # no file is looked for
    assert bare == (2 if kind == "completed" else 0), "with and without a price"


def test_a_result_that_is_not_plain_is_refused_on_the_short_way_too():
    item = ReportItem(run_id="r", kind="completed", result={"n": 2**70})
    with pytest.raises(InvalidRequest) as at_length:
        asyncio.run(_run_report(None, item))  # type: ignore[arg-type]  # no file is looked for
    with pytest.raises(InvalidRequest) as short:
        _bare_completion(item)
    assert str(short.value) == str(at_length.value)

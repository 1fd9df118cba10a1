"""How long was the page's own thread busy, and how much does the page hold? In CPU time: a busy machine does not make a page slow."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def profiled(browser: Any, page: Any) -> Iterator[list[float]]:
    """Yield a list that afterwards holds the tasks of the page's thread, in ms of CPU time, the longest first."""
    tasks: list[float] = []
    browser.start_tracing(
        page=page, categories=["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline"]
    )
    yield tasks
    events = json.loads(browser.stop_tracing())["traceEvents"]
    threads = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    tasks += sorted(
        (
            event["tdur"] / 1000
            for event in events
            if event["name"] in ("RunTask", "ThreadControllerImpl::RunTask")
            and (event["pid"], event["tid"]) in threads
            and "tdur" in event
        ),
        reverse=True,
    )
    assert tasks, "the profiler saw no task of the page"


def held(page: Any) -> tuple[float, int]:
    """Return how many MB of objects the page holds after the garbage was collected, and how many nodes of the DOM."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    for _ in range(2):
        session.send("HeapProfiler.collectGarbage")
    metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    session.detach()
    return metrics["JSHeapUsedSize"] / 1e6, int(metrics["Nodes"])


def crowding() -> float:
    """Return how much longer things take than on a machine of one's own: elapsed by CPU time of some work, at least 1."""
    elapsed, busy = time.perf_counter(), time.process_time()
    while time.process_time() - busy < 0.1:
        sum(range(1000))
    return max(1.0, (time.perf_counter() - elapsed) / (time.process_time() - busy))

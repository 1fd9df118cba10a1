"""What does an attempt's span tell? Which run of which task, and how it went; the handler's own spans nest below it."""

from __future__ import annotations

import msgspec

from orpheus.protocol.worker import ReportItem
from orpheus.telemetry import Span, Tracing
from orpheus.worker.runs import Run


def begin_span(tracing: Tracing, run: Run) -> Span:
    """Begin the span of an attempt, following from the request that submitted the job, and make it the current one.

    What the handler's process is told to follow from is this span from here on.
    """
    asked = run.assignment
    span = tracing.begin(
        asked.task,
        "consumer",
        asked.traceparent,
        {
            "orpheus.job_id": asked.job_id,
            "orpheus.task": asked.task,
            "orpheus.index": asked.index,
            "orpheus.handler": f"{asked.handler}@{asked.version}",
            "orpheus.attempt": asked.attempt,
            "orpheus.run_id": asked.run_id,
            "orpheus.tenant": asked.tenant,
            "orpheus.correlation_id": asked.correlation_id,
        },
    )
    span.enter()
    run.assignment = msgspec.structs.replace(asked, traceparent=span.traceparent)
    return span


def end_span(span: Span, item: ReportItem | None) -> None:
    """End it with what was reported; an attempt that was given back reports nothing."""
    span.note(orpheus__outcome="returned" if item is None else item.kind)
    if item is not None and item.error is not None:
        span.note(error__type=item.error.type or item.error.code, orpheus__error_code=item.error.code)
        span.fail(item.error.message)
    span.end()

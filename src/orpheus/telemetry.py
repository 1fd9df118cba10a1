"""Where did the time go, across processes? OpenTelemetry spans, when the standard `OTEL_*` variables ask for them.

    POST /jobs (server) ─► job.traceparent ─► attempt (worker) ─► the handler's own spans
                                         └─► webhooks' `traceparent` header

Off, nothing of OpenTelemetry is imported and a request pays one comparison. On without the extra `otel`, it is said once
in the log, and work goes on without spans: no job is worth less than its trace.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

log = logging.getLogger("orpheus.telemetry")

NAME = "orpheus"
_ASKING = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_EXPORTERS = ("otlp", "console")


def is_asked_for(environ: Mapping[str, str] | None = None) -> bool:
    """Tell whether the environment wants spans: an OTLP endpoint, or an exporter, is named and nothing turns it off."""
    variables = os.environ if environ is None else environ
    if variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = variables.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if exporter:
        return exporter != "none"
    return any(variables.get(name) for name in _ASKING)


def start(service: str, environ: Mapping[str, str] | None = None) -> Tracing | None:
    """Begin to trace, if it is asked for and possible.

    Args:
        service: `service.name` unless OTEL_SERVICE_NAME says another.
    """
    variables = os.environ if environ is None else environ
    if not is_asked_for(variables):
        return None
    try:
        return Tracing(service, variables)
    except ImportError as error:
        log.warning(
            "extra_missing: OTEL_* asks for traces, and %s is not installed; going on without. "
            "Install it: pip install 'orpheus-jobs[otel]'",
            error.name or "opentelemetry",
        )
        return None


class Tracing:
    """Makes spans and sends them in batches, in a thread of its own."""

    def __init__(self, service: str, environ: Mapping[str, str]) -> None:
        from opentelemetry import context, trace  # noqa: PLC0415 (only when it is asked for)
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        self._trace, self._context = trace, context
        self._propagator = TraceContextTextMapPropagator()
        named = {} if environ.get("OTEL_SERVICE_NAME") else {"service.name": service}
        self._provider = TracerProvider(resource=Resource.create(named))
        self._provider.add_span_processor(BatchSpanProcessor(_exporter(environ)))
        trace.set_tracer_provider(self._provider)  # so that a handler's own spans go the same way
        self._tracer = self._provider.get_tracer(NAME)

    def begin(self, name: str, kind: str, traceparent: str | None, attributes: Mapping[str, Any]) -> Span:
        """Begin a span.

        Args:
            kind: `server` or `consumer`.
            traceparent: of what it follows from, in whatever process; None begins a trace.
        """
        parent = self._propagator.extract({"traceparent": traceparent}) if traceparent else self._context.Context()
        made = self._tracer.start_span(
            name,
            context=parent,
            kind=self._trace.SpanKind[kind.upper()],
            attributes={key: value for key, value in attributes.items() if value is not None},
        )
        return Span(self._trace, self._context, made)

    def join(self, traceparent: str | None) -> None:
        """Make what is begun elsewhere the current span of this context: a handler's spans nest below it."""
        if traceparent:
            self._context.attach(self._propagator.extract({"traceparent": traceparent}))

    def flush(self) -> None:
        """Send what has ended; blocking."""
        self._provider.force_flush(5_000)

    def stop(self) -> None:
        """Send what is left, and end; blocking. Safe to call twice."""
        self._provider.shutdown()


class Span:
    """One span under way."""

    def __init__(self, trace: Any, context: Any, span: Any) -> None:
        self._trace, self._context, self._span = trace, context, span

    @property
    def traceparent(self) -> str:
        """What others name to follow from it."""
        of = self._span.get_span_context()
        return f"00-{of.trace_id:032x}-{of.span_id:016x}-{int(of.trace_flags):02x}"

    def enter(self) -> None:
        """Make it the current span of this context (a task's or thread's own)."""
        self._context.attach(self._trace.set_span_in_context(self._span))

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def note(self, **attributes: Any) -> None:
        """Add attributes; `__` in a name stands for a dot."""
        for key, value in attributes.items():
            if value is not None:
                self._span.set_attribute(key.replace("__", "."), value)

    def fail(self, message: str) -> None:
        self._span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, message))

    def end(self) -> None:
        self._span.end()


def _exporter(environ: Mapping[str, str]) -> Any:
    wanted = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() or "otlp"
    if wanted not in _EXPORTERS:
        log.warning("OTEL_TRACES_EXPORTER=%s is not known here; using otlp", wanted)
    if wanted == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter  # noqa: PLC0415

        return ConsoleSpanExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    return OTLPSpanExporter()

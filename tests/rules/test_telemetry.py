"""Traces go from the request to the handler's own spans and on to the webhook; and one correlation id stands on all of it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orpheus import telemetry
from orpheus.testing.receiver import Receiver

TRACE = "0af7651916cd43dd8448eb211c80319c"
GIVEN = f"00-{TRACE}-b7ad6b7169203331-01"
FLOWS = """
import logging
import sys
from opentelemetry import trace
from orpheus import Context, Permanent, Retry, task, workflow

tracer = trace.get_tracer("mine")

@task
async def inside(ctx: Context, text: str) -> int:
    logging.getLogger("flows").info("looking")
    with tracer.start_as_current_span("my own"):
        return len(text)

@task
def plain(n: int) -> int:
    with tracer.start_as_current_span("in a thread"):
        return n + 1

@task(executor="process")
def apart(n: int) -> int:
    with tracer.start_as_current_span("in a child"):
        return n + 1

@task(retry=Retry(max_retries=0))
def breaks(n: int) -> int:
    raise Permanent("no such luck")

@workflow
def steps(text: str) -> int:
    return apart(plain(inside(text)))

@workflow
def unlucky(text: str) -> int:
    return breaks(inside(text))
"""

otel = pytest.mark.skipif(
    importlib.util.find_spec("opentelemetry.exporter") is None, reason="the extra otel is not installed"
)


def spans_of(collector: Receiver) -> list[dict[str, Any]]:
    """Decode what was exported."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    found = []
    for got in list(collector.got):
        request = ExportTraceServiceRequest.FromString(got.raw)
        for resource in request.resource_spans:
            service = {each.key: each.value.string_value for each in resource.resource.attributes}["service.name"]
            for scope in resource.scope_spans:
                for span in scope.spans:
                    attributes = {
                        each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes
                    }
                    found.append(
                        {
                            "service": service,
                            "name": span.name,
                            "trace": span.trace_id.hex(),
                            "id": span.span_id.hex(),
                            "parent": span.parent_span_id.hex(),
                            "kind": span.kind,
                            "error": span.status.code == 2,
                            "message": span.status.message,
                            "attributes": attributes,
                        }
                    )
    return found


@pytest.fixture
def collector() -> Iterator[Receiver]:
    with Receiver(lambda got: 200) as made:
        yield made


@otel
def test_one_trace_and_one_correlation_id_from_the_request_to_the_webhook(
    collector: Receiver, kit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Server span, attempt spans of three executors, their handlers' own spans, events, log lines and webhook."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    server = kit.make_server(tmp_path, webhook_allow_private="true", log_level="debug").start()
    (tmp_path / "flows.py").write_text(FLOWS)
    worker = kit.start_worker(server)
    try:
        with Receiver() as receiver:
            body = {"workflow": "steps", "params": {"text": "abc"}, "webhook_url": receiver.url}
            headers = {"x-correlation-id": "order-66", "traceparent": GIVEN}
            answer = server.http.post("/jobs", json=body, headers=headers)
            assert answer.headers["x-correlation-id"] == "order-66"
            assert answer.headers["traceparent"].split("-")[1] == TRACE
            job = server.ended(answer.json()["job_id"], "completed")
            [told] = receiver.wait(1)
            bad = server.ended(server.submit("unlucky", {"text": "a"})["job_id"], "failed")
        names = {"POST /jobs", "inside", "plain", "apart", "my own", "in a thread", "in a child", "breaks"}
        events = server.events(job["job_id"])
        lines = server.get(f"/jobs/{job['job_id']}/logs")["items"]
        inside_run = server.task(job["job_id"], "inside")["run_id"]
        server_log = server.log
        kit.until(lambda: names <= {span["name"] for span in spans_of(collector)})
    finally:
        worker.terminate()
        worker.wait(20)
        server.stop()
        server.http.close()
    spans = spans_of(collector)
    mine = {span["name"]: span for span in spans if span["trace"] == TRACE}
    assert set(mine) == names - {"breaks"}
    root = mine["POST /jobs"]
    assert (root["service"], root["parent"], root["kind"]) == ("orpheus-server", "b7ad6b7169203331", 2)
    assert root["attributes"]["http.response.status_code"] == 201
    assert root["attributes"]["orpheus.correlation_id"] == "order-66"
    for name, inner in (("inside", "my own"), ("plain", "in a thread"), ("apart", "in a child")):
        attempt = mine[name]
        assert (attempt["service"], attempt["parent"], attempt["kind"]) == ("orpheus-worker", root["id"], 5)
        assert mine[inner]["parent"] == attempt["id"]
        told_of = attempt["attributes"]
        assert (told_of["orpheus.job_id"], told_of["orpheus.attempt"]) == (job["job_id"], 1)
        assert told_of["orpheus.run_id"]
        assert told_of["orpheus.outcome"] == "completed"
    [broken] = [span for span in spans if span["name"] == "breaks"]
    assert broken["error"]
    assert "no such luck" in broken["message"]
    assert broken["attributes"]["orpheus.job_id"] == bad["job_id"]
    # The same names everywhere else.
    assert job["correlation_id"] == told.body["data"]["correlation_id"] == "order-66"
    assert told.headers["x-correlation-id"] == "order-66"
    assert told.headers["traceparent"].split("-")[1:3] == [TRACE, root["id"]]
    assert {event["correlation_id"] for event in events} == {"order-66"}
    assert any(line["message"] == "looking" and line["run_id"] == inside_run for line in lines)
    logged = [json.loads(line) for line in server_log.splitlines() if line.startswith("{")]
    assert any(line.get("correlation_id") == "order-66" and line.get("delivery_id") == told.id for line in logged), (
        "the server's own log names it too"
    )


def test_off_is_free_of_opentelemetry() -> None:
    """Nothing of the SDK is imported where nothing asks for it (its bare API comes along with other packages)."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [
            *(sys.executable, "-c"),
            "import sys, orpheus.telemetry as t, orpheus.cli.compose, orpheus.worker.worker\n"
            "assert t.start('x') is None\n"
            "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exp'))])",
        ],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize(
    ("environ", "asked"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
    ],
)
def test_when_it_is_asked_for(environ: dict[str, str], asked: bool) -> None:
    assert telemetry.is_asked_for(environ) is asked


def test_without_the_extra_work_goes_on(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    assert telemetry.start("x", {"OTEL_TRACES_EXPORTER": "otlp"}) is None
    assert "extra_missing" in caplog.text
    assert "orpheus-jobs[otel]" in caplog.text

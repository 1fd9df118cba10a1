"""What the tests of the page do again and again."""

from __future__ import annotations

import io
import math
import os
import re
import struct
import time
import wave
from pathlib import Path
from typing import Any

import httpx

VIEWS = (
    "jobs",
    "submit/media",
    "workflows",
    "workflows/media",
    "queues",
    "schedules",
    "approvals",
    "failures",
    "settings",
)
TABS = ("", "/files", "/logs", "/events", "/data")
REVIEW: dict[str, Any] = {
    "format": 1,
    "name": "review",
    "version": 1,
    "params": {"type": "object", "properties": {"title": {"type": "string", "default": "Night"}}},
    "nodes": [
        {"name": "look", "kind": "task", "task": "look", "version": 1, "args": {"source": {"$param": "title"}}},
        {
            "name": "agree",
            "kind": "approval",
            "prompt": "Is this what we want?",
            "editable": True,
            "args": {"value": {"$ref": "look"}},
        },
        {"name": "sum_up", "kind": "task", "task": "sum_up", "version": 1, "args": {"seen": {"$ref": "agree"}}},
    ],
    "output": {"$ref": "sum_up"},
}
PLAN: dict[str, Any] = {
    "version": 1,
    "source_duration_s": 4.0,
    "kept": [{"start_s": 0.0, "end_s": 1.0}, {"start_s": 2.0, "end_s": 4.0}],
    "removed": [
        {"start_s": 1.0, "end_s": 1.6, "reason": "silence"},
        {"start_s": 1.6, "end_s": 2.0, "reason": "filler", "text": "Um."},
    ],
    "kept_duration_s": 3.0,
    "settings": {},
}
ORDER: dict[str, Any] = {
    "format": 1,
    "name": "order",
    "version": 1,
    "params": {"type": "object", "properties": {}},
    "nodes": [
        {
            "name": "paid",
            "kind": "wait_for",
            "signal": "payment",
            "type_schema": {
                "type": "object",
                "properties": {"amount": {"type": "integer"}},
                "required": ["amount"],
            },
        }
    ],
    "output": {"$ref": "paid"},
}


def waiting(server: str, count: int = 1, **body: Any) -> list[str]:
    """Submit jobs of `order`, which wait for a signal that nobody sends."""
    httpx.post(f"{server}/workflows", json=ORDER).raise_for_status()
    return [submit(server, workflow="order", **body) for _ in range(count)]


def tone(seconds: float) -> bytes:
    """A WAV file: 440 Hz, silent in its second quarter."""
    rate = 8000
    count = int(rate * seconds)
    samples = [
        0 if count / 4 <= place < count / 2 else int(12000 * math.sin(place * 440 * 2 * math.pi / rate))
        for place in range(count)
    ]
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(struct.pack(f"<{count}h", *samples))
    return out.getvalue()


def picture(page: Any, name: str) -> None:
    """Keep a screenshot where SCREENSHOTS says."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=str(Path(folder, f"{name}.png")))


def upload(page: Any, name: str = "night.png") -> None:
    """Give a file to the page as a person does; return when its job is shown."""
    page.goto(page.url.split("#")[0] + "#/submit")
    page.set_input_files("#file", files=[{"name": name, "mimeType": "image/png", "buffer": b"not really a picture"}])
    page.wait_for_selector(".job-head")


def until(page: Any, expression: str, seconds: float = 40) -> None:
    """Wait for something to be true in the page. Playwright's own wait evaluates text there, which our CSP forbids."""
    end = time.monotonic() + seconds
    while not _holds(page, expression):
        assert time.monotonic() < end, f"not so after {seconds} s: {expression}"
        page.wait_for_timeout(50)


def _holds(page: Any, expression: str) -> bool:
    """Ask the page; one that is being loaded anew is asked again."""
    try:
        return bool(page.evaluate(expression))
    except Exception as error:
        if "Execution context was destroyed" not in str(error):
            raise
        return False


def submit(server: str, **body: Any) -> str:
    """Submit a job; return its id."""
    answer = httpx.post(f"{server}/jobs", json=body)
    assert answer.status_code == 201, answer.text
    job_id: str = answer.json()["job_id"]
    return job_id


def show(page: Any, server: str, view: str) -> None:
    """Go to a view and wait until it stands: its own view, with its heading, and nothing that is still loading."""
    page.goto(f"{server}/#/{view}")
    name = "job" if view.startswith("jobs/") else re.split("[/?]", view)[0]
    until(
        page,
        f"document.body.dataset.view === '{name}' && document.querySelector('main h1') !== null"
        " && !document.querySelector('main').textContent.includes('Loading …')",
    )


def pdf(*pages: str) -> bytes:
    """A PDF with a line of text on each page."""
    texts = [f"BT /F1 24 Tf 72 720 Td ({text * 20}) Tj ET".encode() for text in pages]
    kids = [4 + 2 * place for place in range(len(pages))]
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(kids), b" ".join(b"%d 0 R" % kid for kid in kids)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman >>",
    ]
    for kid, text in zip(kids, texts, strict=True):
        box = b"/MediaBox [0 0 612 792] /Contents %d 0 R /Resources << /Font << /F1 3 0 R >> >>" % (kid + 1)
        objects += [b"<< /Type /Page /Parent 2 0 R %s >>" % box]
        objects += [b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text)]
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    end = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(out))
    return out + b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table) + end

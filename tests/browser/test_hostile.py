"""What people, files and tasks bring is text: never markup, and never wider than its place."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from tests.browser.steps import TABS, show, until

pytestmark = pytest.mark.timeout(180)

FITS = Path(__file__).with_name("fits.js").read_text("utf-8")
MARKUP = "<img src=x onerror=document.title='hacked'><script>document.title='hacked'</script>"
ENDLESS = "supercalifragilistic" * 12
TURNED = "invoice\u202egnp.exe"  # read by a person as "invoiceexe.png": shown so that it cannot
NOTHING = "\u200b\u200d\ufeff\u2060"
TALL = "z" + "\u0351\u0343\u0324" * 40
LINES = "one\ntwo\r\nthree\ttab\x07bell"
ALL = [
    MARKUP,
    ENDLESS,
    TURNED,
    NOTHING,
    TALL,
    LINES,
    "', alert(1), '",
    "javascript:alert(1)",
    "../../etc/passwd",
    "🜏" * 60,
]


def test_hostile_texts_are_text_in_every_view(page, hand, server):
    """In names of files and artifacts, labels, params, results, errors, log lines, reasons and schedules; wide and narrow."""
    faults = []
    page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
    hand.says = ALL
    hand.breaks = MARKUP + ENDLESS + TURNED
    hand.results = {"look": dict(enumerate(ALL)), "sum_up": {MARKUP: ENDLESS, ENDLESS: ALL}}
    hand.files = {f"notes/{text[:60]}.txt": (text.encode(), "text/plain") for text in (MARKUP, ENDLESS, TALL)} | {
        "all.json": (json.dumps(ALL).encode(), "application/json")
    }
    jobs = []
    for text in ALL:
        answer = httpx.post(f"{server}/files", params={"name": text}, content=b"x")
        if answer.status_code == 422:  # the server takes no such name
            answer = httpx.post(f"{server}/files", params={"name": MARKUP.replace("/", "")}, content=b"x")
        source = {"file_id": answer.raise_for_status().json()["file_id"]}
        body = {"workflow": "media", "params": {"source": source}, "labels": {"title": text[:60], ENDLESS[:40]: "x"}}
        answer = httpx.post(f"{server}/jobs", json=body)
        if answer.status_code == 422:  # the server wants no such label: then without it
            answer = httpx.post(f"{server}/jobs", json={**body, "labels": {}})
        jobs.append(answer.raise_for_status().json()["job_id"])
    for job in jobs:
        httpx.get(f"{server}/jobs/{job}?wait_s=30", timeout=40)
    hand.fails.add("sum_up")
    failed = httpx.post(f"{server}/jobs", json=body | {"labels": {}}).json()["job_id"]
    httpx.get(f"{server}/jobs/{failed}?wait_s=30", timeout=40)
    httpx.post(f"{server}/jobs", json=body | {"labels": {}, "requires_approval": True}).raise_for_status()
    httpx.post(
        f"{server}/schedules",
        json={"name": "nightly", "cron": "0 3 * * *", "description": MARKUP + ENDLESS, "job": body},
    )
    views = [f"jobs/{jobs[0]}{tab}" for tab in TABS] + [f"jobs/{failed}", f"jobs/{failed}/logs"]
    for width in (1360, 390):
        page.set_viewport_size({"width": width, "height": 844})
        for view in ["jobs", "approvals", "failures", "schedules", *views]:
            show(page, server, view)
            page.wait_for_timeout(150)
            assert page.evaluate(FITS) == [], f"{view} at {width} px"
            assert page.locator("main img[src='x'], main script").count() == 0, view
            assert page.title() != "hacked"
    show(page, server, f"jobs/{jobs[0]}/logs")
    until(page, "document.querySelector('.logs').textContent.includes('onerror=')")
    assert not faults

"""Every view for everybody: axe finds nothing (WCAG 2.2 AA), nothing leaves its frame, in both themes, wide and at 390 px."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.browser.steps import ORDER, PLAN, REVIEW, TABS, VIEWS, show, submit, tone, until

pytestmark = pytest.mark.timeout(240)

# Found in the package that brings it; put in by the browser's own tools, because our policy refuses scripts of others.
AXE = importlib.util.find_spec("axe_playwright_python")
FITS = Path(__file__).with_name("fits.js").read_text("utf-8")
LOOK = """async () => {
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  const { violations } = await axe.run(document, { runOnly: tags, resultTypes: ["violations"] });
  return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target.join(" ")} ${node.any[0]?.message ?? node.html}`));
}"""


@pytest.fixture(params=["light", "dark"])
def judged(browser: Any, server: str, request: pytest.FixtureRequest) -> Any:
    """A page with axe in it."""
    if AXE is None or AXE.origin is None:
        if os.environ.get("CI"):
            pytest.fail("the package axe-playwright-python is not installed")
        pytest.skip("the package axe-playwright-python is not installed")
    context = browser.new_context(color_scheme=request.param, reduced_motion="reduce")
    context.add_init_script(path=str(Path(AXE.origin).with_name("axe.min.js")))
    page = context.new_page()
    page.goto(server)
    yield page
    context.close()


def complaints(page: Any, what: str) -> list[str]:
    """Return everything that axe finds and that leaves its frame. A view that is being changed is judged again."""
    found: list[str] = []
    for _ in range(4):
        found = page.evaluate(LOOK) + page.evaluate(FITS)
        if not found:
            return []
        page.wait_for_timeout(300)
    return [f"{what}: {each}" for each in found]


@pytest.mark.parametrize("width", [1360, 390])
def test_every_view_can_be_used_by_everybody(judged, server, hand, width):
    """All views, a job's tabs among them, with a failed job and one that waits for a person."""
    hand.fails.add("sum_up")
    source = {"file_id": httpx.post(f"{server}/files", content=b"x").json()["file_id"]}
    job = submit(server, workflow="media", params={"source": source}, labels={"show": "night"})
    httpx.get(f"{server}/jobs/{job}?wait_s=20", timeout=40)
    submit(server, workflow="media", params={"source": source}, requires_approval=True)
    later = {"name": "nightly", "cron": "0 3 * * *", "job": {"workflow": "media", "params": {"source": source}}}
    httpx.post(f"{server}/schedules", json=later).raise_for_status()
    judged.set_viewport_size({"width": width, "height": 844})
    found = []
    titles = set()
    for view in [*VIEWS, *(f"jobs/{job}{tab}" for tab in TABS)]:
        show(judged, server, view)
        found += complaints(judged, view)
        titles.add(judged.title())
    assert not found, "\n".join(found)
    assert len(titles) >= 9, "a view is told from another by its title"


def test_what_opens_over_a_view_can_be_used_too(judged, server, hand):
    """Empty views, the palette, the dialogs of orders, a node's panel, a selection, a message, the banner."""
    found = []
    for view in ("jobs", "approvals", "failures", "schedules"):
        show(judged, server, view)
        found += complaints(judged, f"empty {view}")
    hand.go.clear()
    source = {"file_id": httpx.post(f"{server}/files", content=b"x").json()["file_id"]}
    job = submit(server, workflow="media", params={"source": source})
    asked = submit(server, workflow="media", params={"source": source}, requires_approval=True)
    show(judged, server, f"jobs/{job}")
    judged.wait_for_selector(".node.running")
    found += complaints(judged, "running")
    judged.locator(".node.running").focus()
    judged.keyboard.press("Enter")
    judged.wait_for_selector(".inspector:not([hidden])")
    found += complaints(judged, "a node's panel")
    judged.keyboard.press("Control+k")
    judged.keyboard.type("media")
    found += complaints(judged, "palette")
    judged.keyboard.press("Escape")
    judged.get_by_role("button", name="Cancel …").click()
    found += complaints(judged, "cancel")
    judged.keyboard.press("Escape")
    show(judged, server, "approvals")
    judged.wait_for_selector(f".tile[data-job='{asked}']")
    judged.get_by_role("button", name="Approve …").click()
    found += complaints(judged, "approve")
    judged.keyboard.press("Escape")
    show(judged, server, f"jobs/{job}")
    judged.get_by_role("button", name="Pause").click()
    judged.wait_for_selector(".notice")
    found += complaints(judged, "a message")
    show(judged, server, "jobs")
    judged.wait_for_selector(".rows .job")
    judged.keyboard.press("j")
    judged.keyboard.press("x")
    judged.wait_for_selector(".bulk:not([hidden])")
    found += complaints(judged, "a selection")
    assert not found, "\n".join(found)


@pytest.mark.parametrize("width", [1360, 390])
def test_the_forms_of_orders_can_be_used_by_everybody(judged, server, hand, width):
    """The cut plan's editor, a signal, a schedule, limits, and the cut beside a finished job."""
    for definition in (REVIEW, ORDER):
        httpx.post(f"{server}/workflows", json=definition).raise_for_status()
    hand.results["look"] = PLAN
    hand.files = {
        "audio/talk.wav": (tone(4.0), "audio/wav"),
        "plan/cut_plan.json": (json.dumps(PLAN).encode(), "application/json"),
    }
    job = submit(server, workflow="review")
    behind = submit(server, workflow="order", depends_on=[submit(server, workflow="order")])
    judged.set_viewport_size({"width": width, "height": 844})
    found = []
    show(judged, server, f"jobs/{job}")
    judged.wait_for_selector("#tab-files b:text('5')")  # files are published a moment after their task has completed
    judged.get_by_role("button", name="Review and approve …").click()
    until(judged, "document.querySelector('dialog .wave')?.getAttribute('d').startsWith('M')")
    found += complaints(judged, "cut plan")
    judged.keyboard.press("Escape")
    show(judged, server, f"jobs/{job}/files")
    judged.wait_for_selector(".cutplan .legend")
    found += complaints(judged, "cut")
    show(judged, server, f"jobs/{behind}")
    judged.wait_for_selector(".kin a")
    found += complaints(judged, "relatives")
    judged.get_by_role("button", name="Send signal …").click()
    found += complaints(judged, "signal")
    judged.keyboard.press("Escape")
    show(judged, server, "schedules")
    judged.get_by_role("button", name="New schedule").first.click()
    judged.wait_for_selector("dialog")
    found += complaints(judged, "schedule")
    judged.keyboard.press("Escape")
    show(judged, server, "queues")
    judged.get_by_role("button", name="Limits of queue default").click()
    found += complaints(judged, "limits")
    assert not found, "\n".join(found)

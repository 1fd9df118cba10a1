"""The page, in a real browser: upload a file, watch it finish, and no text becomes markup."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.timeout(90)

HOSTILE = "<img src=x onerror=document.title='hacked'>.png"


@pytest.fixture
def page(browser, server):
    """A page that fails the test when it says something on the console or breaks its own CSP."""
    context = browser.new_context(
        viewport={"width": 1360, "height": 860}, color_scheme=os.environ.get("SCHEME", "light")
    )
    page = context.new_page()
    faults = []
    page.on("console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(server)
    yield page
    context.close()
    assert not faults, faults


def picture(page, name):
    """Keep a screenshot where SCREENSHOTS says."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=str(Path(folder, f"{name}.png")))


def upload(page, name="night.png"):
    page.set_input_files("#file", files=[{"name": name, "mimeType": "image/png", "buffer": b"not really a picture"}])
    page.wait_for_selector(".job-head")


def test_an_upload_is_watched_to_its_end(page, hand):
    """Live state, tasks, previews, events and logs, without a reload."""
    page.wait_for_selector("#live.on")
    picture(page, "empty")
    hand.go.clear()
    upload(page)
    page.wait_for_selector(".job-head .pill.running")
    page.wait_for_selector(".task.running .stage:text('half way there')")
    picture(page, "running")
    hand.go.set()
    page.wait_for_selector(".job-head .pill.completed")
    page.wait_for_selector(".list .job.completed")
    assert page.locator(".task.completed").count() == 2
    page.wait_for_function("document.querySelector('.gallery img')?.naturalWidth === 2")
    assert "width" in page.locator(".preview.text pre", has_text="kind").inner_text()
    assert '"kind": "image"' in page.locator("pre.json").inner_text()
    assert page.locator(".chip.completed b").inner_text() == "1"
    picture(page, "completed")
    page.click(".tabs button:text('events')")
    page.wait_for_selector(".events li:has-text('job.completed')")
    picture(page, "events")
    page.click(".tabs button:text('logs')")
    page.wait_for_selector(".logs .line:has-text('looking at <b>bold</b> things')")


def test_hostile_names_are_only_text(page, hand, server):
    """File names, artifact names, labels, params and log lines: shown as they are, never run."""
    page.wait_for_selector("#live.on")
    upload(page, HOSTILE)
    page.wait_for_selector(".job-head .pill.completed")
    body = {"workflow": HOSTILE, "params": {}}
    assert httpx.post(f"{server}/jobs", json=body).status_code == 404
    job = httpx.get(f"{server}/jobs").json()["items"][0]
    whole = httpx.get(f"{server}/jobs/{job['job_id']}").json()
    assert whole["params"]["source"]["$file"]["name"] == HOSTILE
    params = {
        "source": {"file_id": httpx.post(f"{server}/files", params={"name": HOSTILE}, content=b"x").json()["file_id"]}
    }
    labels = {"title": HOSTILE}
    labelled = httpx.post(f"{server}/jobs", json={"workflow": "media", "params": params, "labels": labels}).json()
    page.goto(f"{server}/#/jobs/{labelled['job_id']}")
    page.wait_for_selector(".job-head .pill.completed")
    assert page.locator(".facts dd", has_text="onerror").inner_text() == HOSTILE
    page.wait_for_selector(".card figcaption a:has-text('onerror')")
    page.wait_for_selector(".preview.text pre:has-text('<script>alert(2)</script>')")
    assert page.locator("img[src='x']").count() == 0
    assert page.title() == "Orpheus"
    picture(page, "hostile")


def test_orders_filters_and_search(page, hand, server):
    """Cancel from the page, filter by state, search, see what a job waits for."""
    params = {"source": {"file_id": httpx.post(f"{server}/files", content=b"x").json()["file_id"]}}
    body = {"workflow": "media", "params": params, "requires_approval": True, "labels": {"show": "night"}}
    job = httpx.post(f"{server}/jobs", json=body).json()
    page.goto(f"{server}/#/jobs/{job['job_id']}")
    page.wait_for_selector(".box.waiting:has-text('approval')")
    page.click(".job-head button:text('Cancel')")
    page.wait_for_selector(".job-head .pill.cancelled")
    page.click(".chip.failed")
    page.wait_for_selector(".list .empty")
    page.click(".chip.cancelled")
    page.wait_for_selector(f".list [data-job='{job['job_id']}']")
    page.fill("#search", "nothing of the kind")
    page.wait_for_selector(".list .empty")
    picture(page, "cancelled")


def test_a_restarted_connection_catches_up(page, hand, server):
    """A socket that breaks comes back by itself and the page is right again."""
    page.wait_for_selector("#live.on")
    page.context.set_offline(True)
    page.evaluate("() => 1")
    page.context.set_offline(False)
    upload(page)
    page.wait_for_selector(".job-head .pill.completed")


def test_a_phone_finds_back_from_a_job_to_the_list(page):
    """At 390 px a job hides the list: a link leads back, and the count tells what was skipped apart."""
    page.set_viewport_size({"width": 390, "height": 844})
    upload(page)
    assert not page.locator("#list").is_visible()
    page.get_by_role("link", name="All jobs").click()
    page.locator("#list").wait_for(state="visible")
    told = page.evaluate(
        """async () => {
          const { tally } = await import("./static/format.js");
          return [
            tally({ completed: 4, skipped: 4, total: 8 }), tally({ completed: 2, skipped: 1, running: 1, total: 8 }),
            tally({ blocked: 2, total: 2 }),
          ];
        }"""
    )
    assert told == ["4 done, 4 skipped", "2 done, 1 skipped of 8", "0 done of 2"]


def test_a_file_given_before_the_workflows_are_known_goes_to_media(page, server):
    """The first thing a hurried visitor does must work: the list of workflows may still be on its way."""
    page.route("**/workflows", lambda route: None)
    page.goto(f"{server}/#/")
    page.reload()
    upload(page)
    assert page.locator(".job-head h1").inner_text().startswith("media")


def test_the_documentation_is_served_locally(browser, server):
    """Swagger UI from this server only: no request goes anywhere else."""
    context = browser.new_context()
    page = context.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{server}/docs")
    page.get_by_text("/jobs/batch").first.wait_for(timeout=20_000)
    assert all(url.startswith((server, "data:", "blob:")) for url in asked), asked
    picture(page, "docs")
    context.close()


def test_a_server_with_keys_asks_for_one(browser, server):
    """The form appears; a wrong key is told, a good one opens the page, and its cookie is out of scripts' reach."""
    key = httpx.post(f"{server}/keys", json={"role": "admin", "name": "root"}).json()["key"]
    context = browser.new_context()  # not `page`, to which each refusal on the console is a fault
    page = context.new_page()
    page.goto(server)
    form = page.get_by_role("form", name="Sign in")
    field = form.get_by_label("API key")
    field.fill(key[:-1] + "!")
    form.get_by_role("button", name="Sign in").click()
    page.wait_for_function("document.querySelector('.signin .fault').textContent.includes('no such key')")
    field.fill(key)
    form.get_by_role("button", name="Sign in").click()
    page.wait_for_function("document.getElementById('live').textContent === 'live'")
    assert form.count() == 0
    assert page.evaluate("document.cookie") == ""
    context.close()

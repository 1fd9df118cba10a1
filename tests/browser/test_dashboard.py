"""The page, in a real browser: upload, watch, decide, order."""

from __future__ import annotations

import httpx
import pytest
from tests.browser.steps import REVIEW, picture, submit, until, upload

pytestmark = pytest.mark.timeout(120)

HOSTILE = "<img src=x onerror=document.title='hacked'>.png"


def test_an_upload_is_watched_to_its_end(page, hand):
    """Live state, graph, timeline, previews, events and logs, without a reload."""
    page.wait_for_selector("#live.on")
    page.wait_for_selector(".empty h2:text('No jobs yet')")
    picture(page, "empty")
    hand.go.clear()
    upload(page)
    page.wait_for_selector(".job-head .pill.running")
    page.wait_for_selector(".node.running[data-node=look]")
    page.wait_for_selector(".gantt .running .note:text('half way there')")
    picture(page, "running")
    hand.go.set()
    page.wait_for_selector(".job-head .pill.completed")
    until(page, "document.querySelectorAll('.node.completed').length === 2")
    until(page, "document.querySelectorAll('.gantt .task.completed').length === 2")
    page.wait_for_selector(".result .tree:has-text('kind')")
    picture(page, "completed")
    page.get_by_role("tab", name="Files").click()
    until(page, "document.querySelector('.gallery img')?.naturalWidth === 2")
    page.wait_for_selector(".preview.text .tree:has-text('width')")
    page.get_by_role("tab", name="Events").click()
    page.wait_for_selector(".events li:has-text('job.completed')")
    picture(page, "events")
    page.get_by_role("tab", name="Logs").click()
    page.wait_for_selector(".logs .line:has-text('looking at <b>bold</b> things')")
    page.get_by_label("Search the log").fill("no such words")
    page.wait_for_selector(".logs:has-text('No line fits')")
    page.get_by_role("tab", name="Data").click()
    page.wait_for_selector(".panel:has(h2:text('Manifest')) .tree:has-text('sha256')")
    page.get_by_role("link", name="All jobs").click()
    page.wait_for_selector(".rows .job.completed")
    assert page.locator(".chip.completed b").inner_text() == "1"


def test_hostile_names_are_only_text(page, hand, server):
    """File names, artifact names, labels, params and log lines: shown as they are, never run."""
    page.wait_for_selector("#live.on")
    upload(page, HOSTILE)
    page.wait_for_selector(".job-head .pill.completed")
    job = httpx.get(f"{server}/jobs").json()["items"][0]
    whole = httpx.get(f"{server}/jobs/{job['job_id']}").json()
    assert whole["params"]["source"]["$file"]["name"] == HOSTILE
    file = httpx.post(f"{server}/files", params={"name": HOSTILE}, content=b"x").json()
    labelled = submit(
        server, workflow="media", params={"source": {"file_id": file["file_id"]}}, labels={"title": HOSTILE}
    )
    page.goto(f"{server}/#/jobs/{labelled}/files")
    page.wait_for_selector(".job-head .pill.completed")
    assert page.locator(".facts dd", has_text="onerror").inner_text() == HOSTILE
    page.wait_for_selector(".card figcaption a:has-text('onerror')")
    page.wait_for_selector(".preview.text pre:has-text('<script>alert(2)</script>')")
    page.get_by_role("tab", name="Data").click()
    page.wait_for_selector(".tree:has-text('onerror')")
    page.goto(f"{server}/#/jobs?q=onerror")
    page.wait_for_selector(".label-chip:has-text('onerror')")
    page.goto(f"{server}/#/nothing/<img src=x>")
    page.wait_for_selector(".empty h2:text('There is no such page')")
    assert page.locator("img[src='x']").count() == 0
    assert "hacked" not in page.title()


def test_orders_filters_and_search(page, hand, server):
    """Cancel from the page, filter by state, search, see what a job waits for; the address holds the filter."""
    params = {"source": {"file_id": httpx.post(f"{server}/files", content=b"x").json()["file_id"]}}
    job = submit(server, workflow="media", params=params, requires_approval=True, labels={"show": "night"})
    page.goto(f"{server}/#/jobs/{job}")
    page.wait_for_selector(".box.ask:has-text('waits for your approval')")
    page.get_by_role("button", name="Cancel …").click()
    page.get_by_label("Reason").fill("no longer wanted")
    page.get_by_role("button", name="Cancel the job").click()
    page.wait_for_selector(".job-head .pill.cancelled")
    page.get_by_role("link", name="All jobs").click()
    page.click(".chip.failed")
    page.wait_for_selector(".empty h2:text('Nothing matches')")
    page.click(".chip.cancelled")
    page.wait_for_selector(f".rows [data-job='{job}']")
    assert page.url.endswith("#/jobs?state=cancelled")
    page.reload()
    page.wait_for_selector(f".rows [data-job='{job}']")
    page.fill("#search", "nothing of the kind")
    page.wait_for_selector(".empty h2:text('Nothing matches')")


def test_approvals_are_decided_on_the_page(page, hand, server):
    """A job before it begins, and a node in its middle with an edited value; both stand in the inbox."""
    httpx.post(f"{server}/workflows", json=REVIEW).raise_for_status()
    job = submit(server, workflow="review", requires_approval=True)
    page.goto(f"{server}/#/approvals")
    page.wait_for_selector(f".tile[data-job='{job}']")
    page.get_by_role("button", name="Approve …").click()
    page.wait_for_selector("dialog [role=status]:has-text('No price.')")
    page.locator("dialog").get_by_label("title").fill("Morning")
    page.locator("dialog").get_by_role("button", name="Approve", exact=True).click()
    page.wait_for_selector(".tile h2:text('Is this what we want?')")
    assert httpx.get(f"{server}/jobs/{job}").json()["params"]["title"] == "Morning"
    page.goto(f"{server}/#/jobs/{job}")
    page.locator(".box.ask").get_by_role("button", name="Review and approve …").click()  # not that of the inbox's tile
    page.locator("dialog textarea").first.fill('{"kind": "sunrise"}')
    page.locator("dialog").get_by_role("button", name="Approve", exact=True).click()
    page.wait_for_selector(".job-head .pill.completed")
    tasks = httpx.get(f"{server}/jobs/{job}/tasks").json()["items"]
    assert next(task for task in tasks if task["name"] == "agree")["approval"]["edited"]
    unwanted = submit(server, workflow="review", requires_approval=True)
    page.goto(f"{server}/#/approvals")
    page.locator(f".tile[data-job='{unwanted}']").get_by_role("button", name="Reject …").click()
    page.get_by_label("Reason").fill("not tonight")
    page.locator("dialog").get_by_role("button", name="Reject", exact=True).click()
    page.wait_for_selector(".empty h2:text('Nothing waits for you')")
    assert httpx.get(f"{server}/jobs/{unwanted}").json()["state"] == "cancelled"


def test_a_failed_job_is_tried_again_from_a_node(page, hand, server):
    """The error with its hint, grouped under Failures; rewound to a node from the graph."""
    hand.fails.add("sum_up")
    upload(page)
    page.wait_for_selector(".box.error:has-text('it broke')")
    hand.fails.clear()
    page.locator(".node[data-node=sum_up]").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".inspector .attempts .failed")
    page.get_by_role("button", name="Run again from here …").click()
    page.get_by_role("button", name="Run again", exact=True).click()
    page.wait_for_selector(".job-head .pill.completed")
    page.wait_for_selector(".facts:has-text('Generation')")


def test_failures_alike_are_one_entry_and_are_tried_again_together(page, hand, server):
    """Two that went wrong in one way, one in another."""
    hand.fails.add("sum_up")
    source = {"file_id": httpx.post(f"{server}/files", content=b"x").json()["file_id"]}
    for words in ("it broke", "it broke", "it burnt"):
        hand.breaks = words
        job = submit(server, workflow="media", params={"source": source})
        httpx.get(f"{server}/jobs/{job}?wait_s=20", timeout=40)
    page.goto(f"{server}/#/failures")
    entry = page.locator(".failure", has=page.locator("h2:text('it broke')"))
    entry.wait_for()
    assert entry.locator(".count").inner_text() == "2"
    assert page.locator(".failure").count() == 2
    hand.fails.clear()
    entry.get_by_role("button", name="Retry all 2").click()
    page.wait_for_selector(".notice:has-text('2 jobs are tried again')")
    entry.wait_for(state="detached")
    page.wait_for_selector(".failure:has-text('it burnt')")


def test_a_phone_finds_back_from_a_job_to_the_list(page):
    """At 390 px the menu opens the views, a link leads back, and the count tells what was skipped apart."""
    page.set_viewport_size({"width": 390, "height": 844})
    upload(page)
    page.get_by_role("link", name="All jobs").click()
    page.wait_for_selector(".rows .job")
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("link", name="Workflows").click()
    page.wait_for_selector(".tile h2:has-text('media')")
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


def test_a_form_is_made_from_the_schema(page, hand, server):
    """Submit by the form, with an estimate before; run it again with other params."""
    httpx.post(f"{server}/workflows", json=REVIEW).raise_for_status()
    page.goto(f"{server}/#/submit/review")
    page.get_by_label("title").fill("From the form")
    page.wait_for_selector(".estimate:has-text('price')")
    page.get_by_role("button", name="Submit").click()
    page.wait_for_selector(".job-head")
    page.get_by_role("button", name="Run again …").click()
    page.wait_for_selector("form.sheet")
    assert page.get_by_label("title").input_value() == "From the form"
    page.get_by_label("title").fill("Another one")
    page.get_by_role("button", name="Submit").click()
    until(page, "location.hash.startsWith('#/jobs/')")
    again, first = (
        httpx.get(f"{server}/jobs/{each['job_id']}").json() for each in httpx.get(f"{server}/jobs").json()["items"]
    )
    assert [each["params"]["title"] for each in (first, again)] == ["From the form", "Another one"]


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
    until(page, "document.querySelector('.signin .fault').textContent.includes('no such key')")
    field.fill(key)
    form.get_by_role("button", name="Sign in").click()
    until(page, "document.getElementById('live').textContent === 'live'")
    assert form.count() == 0
    assert page.evaluate("document.cookie") == ""
    page.goto(f"{server}/#/settings")
    page.wait_for_selector(".panel:has-text('Signed in as root, role admin, all tenants.')")
    page.get_by_role("button", name="Sign out").click()
    form.wait_for()
    context.close()

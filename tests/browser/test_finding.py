"""Finding one's way: filters, addresses, the palette, orders to many, and what stands where nothing is."""

from __future__ import annotations

import re
import time
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from tests.browser.steps import REVIEW, show, submit, until, waiting

pytestmark = pytest.mark.timeout(120)


def rows(page) -> set[str]:
    return set(page.eval_on_selector_all(".rows a.job", "found => found.map((each) => each.dataset.job)"))


def test_each_filter_narrows_the_list_and_stands_in_the_address(page, server):
    """Workflow, tenant, label, text, state; a fresh visit to the address shows the same, and so do its controls."""
    httpx.post(f"{server}/workflows", json=REVIEW).raise_for_status()
    night, day = waiting(server, labels={"show": "night"}), waiting(server, tenant="acme", labels={"show": "day"})
    review = [submit(server, workflow="review", delay_s=9999, params={"title": "Morning"})]
    everything = {*night, *day, *review}
    page.goto(f"{server}/#/jobs")
    until(page, "document.querySelectorAll('.rows a.job').length === 3")
    search = page.get_by_role("search")

    def narrows(act, put_back, wanted: list[str], address: str) -> None:
        act()
        until(
            page, f"document.querySelectorAll('.rows a.job').length === {len(wanted)} && location.hash === '{address}'"
        )
        assert rows(page) == set(wanted), address
        put_back()
        until(page, "document.querySelectorAll('.rows a.job').length === 3 && location.hash === '#/jobs'")

    workflow, label = search.get_by_label("Workflow"), search.get_by_label("Label")
    tenant, text = search.get_by_label("Tenant"), search.get_by_label("Search jobs")
    for field, value, wanted, address in (
        (label, "show:night", night, "#/jobs?label=show%3Anight"),
        (tenant, "acme", day, "#/jobs?tenant=acme"),
        (text, "Morning", review, "#/jobs?q=Morning"),
        (text, night[0][-8:], night, f"#/jobs?q={night[0][-8:]}"),
    ):
        narrows(lambda field=field, value=value: field.fill(value), lambda field=field: field.fill(""), wanted, address)
    pending = page.locator(".chip.pending")
    narrows(
        lambda: workflow.select_option("order"),
        lambda: workflow.select_option(""),
        night + day,
        "#/jobs?workflow=order",
    )
    narrows(pending.click, pending.click, review, "#/jobs?state=pending")
    assert rows(page) == everything
    show(page, server, "jobs?state=running&workflow=order&label=show%3Aday")
    until(page, "document.querySelectorAll('.rows a.job').length === 1")
    assert rows(page) == set(day)
    page.reload()
    until(page, "document.querySelectorAll('.rows a.job').length === 1")
    assert (workflow.input_value(), label.input_value()) == ("order", "show:day")
    assert page.locator(".chip.running").get_attribute("aria-pressed") == "true"
    with page.expect_request(lambda request: "label" in request.url and "created_after" in request.url) as asked:
        search.get_by_label("Created").select_option(label="last hour")
    (since,) = parse_qs(urlsplit(asked.value.url).query)["created_after"]
    assert abs(time.time() - 3600 - datetime.fromisoformat(since).timestamp()) < 60
    until(page, "location.hash.endsWith('since=3600')")
    until(page, "document.querySelectorAll('.rows a.job').length === 1")


def test_an_order_is_given_to_a_selection_and_to_all_that_match(page, server):
    """Those that were selected and no other; all of a filter after a look at how many they are."""
    jobs = waiting(server, 4, labels={"show": "night"})
    show(page, server, "jobs?label=show%3Anight")
    until(page, "document.querySelectorAll('.rows a.job').length === 4")
    for job in jobs[:2]:
        page.get_by_label(f"Select job {job[-8:]}").check()
    bulk = page.get_by_role("toolbar", name="Orders to the selection")
    assert "2 selected" in bulk.inner_text()
    bulk.get_by_role("button", name="Pause").click()
    page.wait_for_selector(".notice:has-text('pause: 2 of 2 jobs')")
    assert [httpx.get(f"{server}/jobs/{job}").json()["paused"] for job in jobs] == [True, True, False, False]
    assert bulk.is_hidden(), "what was selected is let go"
    page.get_by_label(f"Select job {jobs[3][-8:]}").check()
    bulk.get_by_role("button", name="All that match …").click()
    page.locator("dialog").get_by_label("Order").select_option("cancel")
    page.wait_for_selector("dialog [role=status]:has-text('4 jobs match; it would be done to 4 of them.')")
    page.get_by_role("button", name="Do it").click()
    page.wait_for_selector(".notice:has-text('cancel: 4 jobs')")
    until(page, "document.querySelectorAll('.rows a.cancelled').length === 4")


def test_the_palette_leads_to_jobs_and_gives_orders_to_the_one_that_is_shown(page, server):
    """By a part of an id; what has come of the order is said."""
    job, other = waiting(server, 2)
    page.wait_for_selector("#live.on")
    page.keyboard.press("Control+k")
    page.keyboard.type(job[-8:])
    page.wait_for_selector(f"[role=option][aria-selected=true]:has-text('order {job[-8:]}')")
    page.keyboard.press("Enter")
    page.wait_for_selector(f".job-head .id:text('{job}')")
    page.keyboard.press("Control+k")
    page.keyboard.type("pause")
    page.wait_for_selector("[role=option][aria-selected=true]:has-text('this job')")
    page.keyboard.press("Enter")
    page.wait_for_selector(f".notice:has-text('order {job[-8:]} paused')")
    page.wait_for_selector(".job-head .pill:text('paused')")
    assert not httpx.get(f"{server}/jobs/{other}").json()["paused"]


def test_what_stands_where_nothing_is_teaches_the_next_step(page, server):
    """Each names a way on: something to press, or words for a shell or a workflow."""
    for view, way in (
        ("jobs", "a[href='#/submit']"),
        ("approvals", "code:text('requires_approval')"),
        ("failures", "a[href='#/jobs']"),
        ("schedules", "button:text('New schedule')"),
        ("queues", "code:text('orpheus worker')"),
        ("jobs?state=failed", "a[href='#/jobs']"),
        ("jobs/none", "a[href='#/jobs']"),
        ("workflows/none", "a[href='#/workflows']"),
        ("nowhere", "a[href='#/jobs']"),
    ):
        page.goto(f"{server}/#/{view}")
        page.wait_for_selector(f".empty h2 ~ * {way}")
    page.faults[:] = [fault for fault in page.faults if not re.search("404", fault)]  # of what is not there

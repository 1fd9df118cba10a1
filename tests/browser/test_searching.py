"""A page of the list may be short, or empty, and still have a cursor: what reads it goes on, and says so meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from tests.browser.steps import REVIEW, show, submit, until

pytestmark = pytest.mark.timeout(120)


class Search:
    """Answers `GET /jobs?q=` page by page: what a page holds is told by its number, most are empty."""

    def __init__(self, page: Any, holds: dict[int, list[dict[str, Any]]], pages: float = float("inf")) -> None:
        self.asked: list[int] = []
        self.holds = holds
        self.pages = pages
        self.before: Callable[[int], None] = lambda number: None
        page.route("**/jobs?*q=*", self._answer)

    def _answer(self, route: Any) -> None:
        query = parse_qs(urlsplit(route.request.url).query)
        number = int(query.get("cursor", ["0"])[0])
        self.asked.append(number)
        self.before(number)
        more = str(number + 1) if number + 1 < self.pages else None
        route.fulfill(json={"items": self.holds.get(number, []), "next_cursor": more})


def a_job(server: str) -> dict[str, Any]:
    httpx.post(f"{server}/workflows", json=REVIEW).raise_for_status()
    submit(server, workflow="review", delay_s=9999)
    job: dict[str, Any] = httpx.get(f"{server}/jobs?limit=1").json()["items"][0]
    return job


def test_a_search_goes_on_by_itself_until_it_finds_and_to_its_end(page, server):
    """Empty pages are no end; what has been looked through is not looked through again when something happens meanwhile."""
    job = a_job(server)
    search = Search(page, {30: [job]}, pages=60)

    def happen(number: int) -> None:
        if number in (20, 40):
            submit(server, workflow="review", delay_s=9999)
        if number in (25, 50):
            heard.append(page.locator(".list").inner_text())

    heard: list[str] = []
    search.before = happen
    show(page, server, "jobs?q=needle")
    page.wait_for_selector(f".rows a[data-job='{job['job_id']}']")
    until(page, "!document.querySelector('.list').innerText.includes('Searching')")
    assert page.locator(".rows li[aria-setsize='1']").count() == 1
    further = [number for number in search.asked if number > 0]
    assert further == list(range(1, 60)), "each page once"
    assert all("Searching" in text and "Nothing matches" not in text for text in heard), heard


def test_a_search_that_finds_nothing_says_so_at_its_end_only(page, server):
    a_job(server)
    search = Search(page, {}, pages=12)
    said: list[str] = []
    search.before = lambda number: said.append(page.locator(".list").inner_text()) if number else None
    show(page, server, "jobs?q=needle")
    page.wait_for_selector(".empty h2:text('Nothing matches')")
    assert len(said) == 11
    assert not any("Nothing matches" in text for text in said)
    page.wait_for_timeout(2500)
    assert sum(number > 0 for number in search.asked) == 11, "it is at rest"


def test_a_row_that_fits_no_more_leaves_the_search(page, server):
    """It stood below pages that were empty; the search begins anew."""
    job = a_job(server)
    search = Search(page, {3: [job]}, pages=6)
    show(page, server, "jobs?state=pending&q=needle")
    page.wait_for_selector(f".rows a[data-job='{job['job_id']}']")
    page.wait_for_selector("#live.on")
    search.holds = {}
    httpx.post(f"{server}/jobs/{job['job_id']}/cancel").raise_for_status()
    page.wait_for_selector(".empty h2:text('Nothing matches')")


def test_the_palette_looks_through_some_pages_and_offers_the_list_for_the_rest(page, server):
    """What stands in the tenth page is found; for what is not found in twenty there is a way to go on."""
    job = a_job(server)
    search = Search(page, {9: [job]}, pages=10)
    page.wait_for_selector("#live.on")
    page.keyboard.press("Control+k")
    page.keyboard.insert_text("needle")
    page.wait_for_selector(f"[role=option]:has-text('review {job['job_id'][-8:]}')")
    assert page.locator("[role=option]:has-text('All jobs with')").count() == 0
    page.keyboard.press("Escape")
    until(page, "!document.querySelector('dialog')")
    search.holds, search.pages = {}, float("inf")
    search.asked.clear()
    page.keyboard.press("Control+k")
    page.keyboard.insert_text("needle")
    page.wait_for_selector("[role=option]:has-text('All jobs with “needle”')")
    assert search.asked == list(range(20))
    search.pages = 30
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    until(page, "location.hash === '#/jobs?q=needle'")
    page.wait_for_selector(".empty h2:text('Nothing matches')")


def test_what_is_told_of_a_workflow_is_gathered_from_several_pages(page, server):
    job = {**a_job(server), "state": "failed"}
    search = Search(page, {})
    page.unroute("**/jobs?*q=*")
    page.route("**/jobs?workflow=*", search._answer)
    search.holds, search.pages = {2: [job], 3: [job]}, 5
    show(page, server, "workflows/review")
    page.wait_for_selector(".about:text('Of the last 2 that ended, 2 failed')")

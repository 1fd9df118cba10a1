"""What a person may do on the page, each in a real browser: edit a cut plan, schedules, signals, limits, many files."""

from __future__ import annotations

import hashlib
import json

import httpx
import pytest
from tests.browser.steps import ORDER, PLAN, REVIEW, submit, tone, until

pytestmark = pytest.mark.timeout(120)


def tasks_of(server, job):
    return {each["name"]: each for each in httpx.get(f"{server}/jobs/{job}/tasks").raise_for_status().json()["items"]}


def test_a_cut_plan_is_edited_over_its_sound_and_approved(page, hand, server):
    """Edges by keyboard and by hand, keep and cut, undo, the result's length; what was edited is what is cut by."""
    httpx.post(f"{server}/workflows", json=REVIEW).raise_for_status()
    hand.results["look"] = PLAN
    hand.files = {
        "audio/talk.wav": (tone(4.0), "audio/wav"),
        "plan/cut_plan.json": (json.dumps(PLAN).encode(), "application/json"),
    }
    job = submit(server, workflow="review")
    page.goto(f"{server}/#/approvals")
    page.wait_for_selector(".tile:has-text('1.0 s of 4.0 s go: silence 0.6 s, filler 0.4 s')")
    page.get_by_role("button", name="Review and approve …").click()
    editor = page.locator("dialog .cuts")
    told = editor.locator(".cuts-told")
    assert "The result lasts 3.0 s" in told.inner_text()
    until(page, "document.querySelector('dialog .wave').getAttribute('d').startsWith('M')")
    edge = page.get_by_role("slider", name="End of what is kept, before silence")
    edge.focus()
    page.keyboard.press("Shift+ArrowRight")
    assert edge.get_attribute("aria-valuetext") == "0:01.40"
    assert "The result lasts 3.4 s" in told.inner_text()
    page.get_by_role("button", name="Undo").click()
    assert "The result lasts 3.0 s" in told.inner_text()
    box = page.locator("dialog .cuts-track").bounding_box()
    handle = edge.bounding_box()
    page.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.3, handle["y"] + 40, steps=5)
    page.mouse.up()
    assert abs(float(edge.get_attribute("aria-valuenow")) - 1.2) < 0.05
    page.get_by_role("button", name="Undo").click()
    page.get_by_label("Keep 0:01.60 to 0:02.00").check()
    assert "The result lasts 3.4 s" in told.inner_text()
    row = editor.locator("li", has_text="kept (filler)")
    row.get_by_role("button", name="Play").click()
    until(page, "document.querySelector('dialog audio').currentTime >= 1.6")
    page.locator("dialog").get_by_role("button", name="Approve", exact=True).click()
    page.wait_for_selector(".empty h2:text('Nothing waits for you')")
    httpx.get(f"{server}/jobs/{job}?wait_s=20", timeout=40)
    review = tasks_of(server, job)["agree"]
    assert review["approval"]["edited"]
    assert review["result"]["kept"] == [{"start_s": 0.0, "end_s": 1.0}, {"start_s": 1.6, "end_s": 4.0}]
    assert [each["reason"] for each in review["result"]["removed"]] == ["silence"]
    assert review["result"]["kept_duration_s"] == 3.4
    page.goto(f"{server}/#/jobs/{job}/files")
    page.wait_for_selector(".cutplan:has-text('approved it, with changes') .legend:has-text('kept 3.4 s of 4.0 s')")
    until(page, "document.querySelector('.cutplan .wave').getAttribute('d').startsWith('M')")
    box = page.locator(".cutplan svg").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2)
    until(page, "Math.abs(document.querySelector('.cutplan audio').currentTime - 3.2) < 0.5")


def test_a_node_is_rejected_with_a_reason(page, hand, server):
    """The reason stands on the task."""
    httpx.post(f"{server}/workflows", json=REVIEW).raise_for_status()
    job = submit(server, workflow="review")
    page.goto(f"{server}/#/jobs/{job}")
    page.get_by_role("button", name="Reject …").click()
    page.get_by_label("Reason").fill("too dark")
    page.locator("dialog").get_by_role("button", name="Reject", exact=True).click()
    page.wait_for_selector(".job-head .pill.failed")
    approval = tasks_of(server, job)["agree"]["approval"]
    assert (approval["decision"], approval["comment"]) == ("rejected", "too dark")


def test_a_failed_job_is_retried_paused_and_resumed(page, hand, server):
    """From its head: what failed runs again."""
    hand.fails.add("sum_up")
    source = {"file_id": httpx.post(f"{server}/files", content=b"x").json()["file_id"]}
    job = submit(server, workflow="media", params={"source": source})
    page.goto(f"{server}/#/jobs/{job}")
    page.wait_for_selector(".box.error:has-text('Mend it.')")
    hand.fails.clear()
    hand.go.clear()
    page.get_by_role("button", name="Retry", exact=True).click()
    page.get_by_role("button", name="Pause", exact=True).click()
    page.wait_for_selector(".job-head .pill:text('paused')")
    page.get_by_role("button", name="Resume", exact=True).click()
    hand.go.set()
    page.wait_for_selector(".job-head .pill.completed")


def test_a_job_that_has_ended_is_retried_with_other_params(page, hand, server):
    """Only what was changed is sent; what reads it runs again in the same job."""
    httpx.post(f"{server}/workflows", json=REVIEW).raise_for_status()
    job = submit(server, workflow="review")
    page.goto(f"{server}/#/jobs/{job}")
    page.get_by_role("button", name="Review and approve …").click()
    page.locator("dialog").get_by_role("button", name="Approve", exact=True).click()
    page.wait_for_selector(".job-head .pill.completed")
    page.get_by_role("button", name="Retry with changes …").click()
    dialog = page.locator("dialog")
    dialog.get_by_role("button", name="Retry", exact=True).click()
    until(page, "document.querySelector('dialog > form > .fault').textContent.includes('Nothing is changed')")
    dialog.get_by_label("title").fill("Morning")
    dialog.get_by_role("button", name="Retry", exact=True).click()
    page.wait_for_selector(".box.ask:has-text('Is this what we want?')")
    page.wait_for_selector(".facts:has-text('Generation')")
    assert httpx.get(f"{server}/jobs/{job}").json()["params"]["title"] == "Morning"


def test_a_schedule_is_made_changed_run_and_deleted(page, server):
    """Everything that may be done to a schedule; what is left out stays as it was."""
    httpx.post(f"{server}/workflows", json=REVIEW).raise_for_status()
    page.goto(f"{server}/#/schedules")
    page.get_by_role("button", name="New schedule").first.click()
    dialog = page.locator("dialog")
    dialog.get_by_label("Name").fill("nightly")
    dialog.get_by_label("Workflow").select_option("review")
    dialog.get_by_label("title").fill("Good night")
    dialog.get_by_role("button", name="Create").click()
    until(page, "document.querySelector('dialog > form > .fault').textContent.includes('Say when')")
    dialog.get_by_label("Cron").fill("0 3 * * *")
    dialog.get_by_label("Time zone").fill("Europe/Berlin")
    dialog.get_by_role("button", name="Create").click()
    page.wait_for_selector("[data-schedule=nightly]:has-text('Europe/Berlin') ol li")
    page.get_by_role("button", name="Change nightly").click()
    assert dialog.get_by_label("title").input_value() == "Good night"
    dialog.get_by_label("Cron").fill("")
    dialog.get_by_label("or every … seconds").fill("600")
    dialog.get_by_role("button", name="Change", exact=True).click()
    page.wait_for_selector("[data-schedule=nightly] code:text('every 10 min')")
    kept = httpx.get(f"{server}/schedules/nightly").json()
    assert (kept["cron"], kept["every_s"], kept["job"]["params"]["title"]) == (None, 600, "Good night")
    page.get_by_role("button", name="Run now").click()
    page.wait_for_selector("[data-schedule=nightly] ol a")
    page.get_by_role("button", name="Pause", exact=True).click()
    page.wait_for_selector("[data-schedule=nightly] .pill:text('paused')")
    page.get_by_role("button", name="Delete nightly").click()
    page.get_by_role("button", name="Delete the schedule").click()
    page.wait_for_selector(".empty h2:text('No schedules yet')")
    assert httpx.get(f"{server}/schedules").json()["items"] == []


def test_a_signal_is_sent_to_a_job_that_waits_for_it(page, server):
    """By the form of its type; and the job behind it goes on, which both show of one another."""
    httpx.post(f"{server}/workflows", json=ORDER).raise_for_status()
    job = submit(server, workflow="order")
    behind = submit(server, workflow="order", depends_on=[job])
    page.goto(f"{server}/#/jobs/{job}")
    page.wait_for_selector(".box.waiting:has-text('signal payment')")
    page.get_by_role("button", name="Send it …").click()
    page.locator("dialog").get_by_role("button", name="Send").click()
    until(page, "document.querySelector('dialog > form > .fault').textContent.includes('amount is needed')")
    page.locator("dialog").get_by_label("amount").fill("12")
    page.locator("dialog").get_by_role("button", name="Send").click()
    page.wait_for_selector(".job-head .pill.completed")
    page.wait_for_selector(".result .tree:has-text('12')")
    page.wait_for_selector(f".kin:has-text('Needed by') a[href*='{behind}']")
    page.locator(f".kin a[href*='{behind}']").click()
    page.wait_for_selector(f".kin:has-text('Waits for') a[href*='{job}']")
    page.wait_for_selector(".box.waiting:has-text('signal payment')")


def test_limits_are_edited_and_a_worker_tells_what_it_does(page, hand, server):
    """Of a queue and of a tenant; the tasks in hand lead to their jobs."""
    hand.go.clear()
    source = {"file_id": httpx.post(f"{server}/files", content=b"x").json()["file_id"]}
    job = submit(server, workflow="media", params={"source": source})
    submit(server, workflow="media", params={"source": source})
    page.goto(f"{server}/#/queues")
    page.wait_for_selector(f".held a[href*='{job}']:text('look')")
    page.wait_for_selector("td[data-name=depth]:text-is('1')")
    page.wait_for_selector("td[data-name='oldest waits']:text-matches('\\\\d+ (ms|s)')")
    page.wait_for_selector(".slots[aria-label='1 of 1 slots']")
    worker = page.get_by_role("region", name="Workers").locator("tbody tr").inner_text()
    assert all(word in worker for word in ("hand", "bench 7", "gpu 1", "123 MB", "now")), worker
    page.get_by_role("button", name="Limits of queue default").click()
    dialog = page.locator("dialog")
    dialog.get_by_label("Tasks at a time").fill("2")
    dialog.get_by_label("Starts").fill("30")
    dialog.get_by_role("button", name="Set").click()
    page.wait_for_selector("td:text('30 in 1 min')")
    (queue,) = httpx.get(f"{server}/queues").json()["items"]
    assert (queue["concurrency"], queue["rate_limit"]) == (2, {"limit": 30, "period_s": 60})
    page.get_by_role("button", name="Pause queue default").click()
    page.wait_for_selector("td .pill:text('paused')")
    page.get_by_role("button", name="Limits of tenant default").click()
    dialog.get_by_label("Running tasks at most").fill("3")
    dialog.get_by_role("button", name="Set").click()
    page.wait_for_selector("td[data-name='most running']:text('3')")
    (tenant,) = httpx.get(f"{server}/tenants").json()["items"]
    assert (tenant["max_running"], tenant["max_open_jobs"], tenant["weight"]) == (3, None, 1.0)


def test_many_files_become_many_jobs(page, server):
    """Each with its own progress; then the list."""
    page.goto(f"{server}/#/submit")
    page.wait_for_selector("form.sheet")
    files = [{"name": f"{place}.png", "mimeType": "image/png", "buffer": b"x" * 100} for place in range(5)]
    page.set_input_files("#file", files=files)
    until(page, "document.querySelectorAll('.rows .job').length === 5")
    assert page.url.endswith("#/jobs")


METERS = """() => {
  window.meters = {};
  new MutationObserver(() => {
    for (const each of document.querySelectorAll(".notice.upload")) {
      (meters[each.querySelector(".name").textContent] ??= new Set()).add(Number(each.querySelector(".bar").getAttribute("aria-valuenow")));
    }
  }).observe(document.getElementById("notices"), { subtree: true, childList: true, attributes: true });
}"""


def test_each_file_on_its_way_has_its_own_progress(page, server):
    """Over a slow line; each ends with a word and a link to its job."""
    page.goto(f"{server}/#/submit")
    page.wait_for_selector("form.sheet")
    page.evaluate(METERS)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 1_500_000}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", slow)
    files = [{"name": f"{place}.png", "mimeType": "image/png", "buffer": b"x" * 700_000} for place in range(3)]
    page.set_input_files("#file", files=files)
    page.wait_for_selector(".notice:has-text('2.png is job') a:text('open')")
    met = page.evaluate("() => Object.fromEntries(Object.entries(meters).map(([name, found]) => [name, [...found]]))")
    assert set(met) == {"0.png", "1.png", "2.png"}
    assert all(any(0 < value < 100 for value in values) for values in met.values()), met


DROP = """([selector, names]) => {
  const data = new DataTransfer();
  for (const name of names) data.items.add(new File(["content of " + name], name, { type: "image/png" }));
  const target = document.querySelector(selector);
  for (const type of ["dragenter", "dragover", "drop"]) {
    target.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
  }
}"""


def test_dropped_files_become_jobs_or_fill_the_field_they_are_dropped_on(page, server):
    """Anywhere on the page each becomes a job; on a file field of a form it is that field's."""
    page.goto(f"{server}/#/submit/media")
    page.wait_for_selector("form.sheet .file")
    page.evaluate(DROP, ["form.sheet .file", ["mine.png"]])
    page.wait_for_selector(".file [role=status]:has-text('mine.png')")
    assert httpx.get(f"{server}/jobs").json()["items"] == []
    page.get_by_role("button", name="Submit").click()
    page.wait_for_selector(".job-head")
    page.evaluate(DROP, ["main", ["one.png", "two.png"]])
    until(page, "document.querySelectorAll('.rows .job').length === 3")
    names = {
        httpx.get(f"{server}/jobs/{each['job_id']}").json()["params"]["source"]["$file"]["name"]
        for each in httpx.get(f"{server}/jobs").json()["items"]
    }
    assert names == {"mine.png", "one.png", "two.png"}


def test_files_in_a_result_are_links(page, hand, server):
    """What a task has saved and returned opens from the result; the file that went in from the params."""
    data = b"the result"
    digest = hashlib.sha256(data).hexdigest()
    hand.files = {"notes/result.txt": (data, "text/plain")}
    file = {
        "name": "notes/result.txt",
        "key": "x",
        "size_bytes": len(data),
        "sha256": digest,
        "content_type": "text/plain",
    }
    hand.results["sum_up"] = {"notes": {"$file": file}}
    source = {"file_id": httpx.post(f"{server}/files", params={"name": "in.png"}, content=b"x").json()["file_id"]}
    job = submit(server, workflow="media", params={"source": source})
    page.goto(f"{server}/#/jobs/{job}")
    link = page.locator(".result .tree a", has_text="notes/result.txt")
    assert httpx.get(link.get_attribute("href")).content == data
    page.get_by_role("tab", name="Data").click()
    given = page.locator(".panel:has(h2:text('Params')) .tree a", has_text="in.png")
    assert httpx.get(given.get_attribute("href")).content == b"x"

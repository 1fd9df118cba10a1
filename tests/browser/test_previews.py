"""What a job has made, seen and heard: players that seek, a transcript that leads there, the pages of a PDF."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.browser.steps import pdf, submit, tone, until

from orpheus.media import video

pytestmark = pytest.mark.timeout(180)

SAID = [(0.0, 1.0, "One."), (1.0, 2.5, "Then <b>silence</b>."), (2.5, 4.0, "And the rest.")]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of `orpheus up`: a server whose worker does the shipped workflows."""
    folder = tmp_path_factory.mktemp("up")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ORPHEUS_")}
    argv = [sys.executable, "-m", "orpheus.cli", "up", "--json", "--port", "0", "--data", str(folder / "data")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log, text=True, env=environment, cwd=folder)
    assert process.stdout is not None
    ready = process.stdout.readline()
    assert '"ready"' in ready, (folder / "log").read_text()
    yield json.loads(ready)["url"]
    process.send_signal(signal.SIGTERM)
    process.stdout.close()
    process.wait(60)


def moving_picture(path: Path) -> Path:
    """20 s with sound, some megabytes large, so that a browser does not fetch all of it beforehand."""
    pictures = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=10:duration=20,noise=alls=60:allf=t"]
    sound = ["-f", "lavfi", "-i", "sine=duration=20"]
    coded = ["-c:v", "libx264", "-preset", "ultrafast", "-b:v", "4M", "-g", "20", "-c:a", "aac", "-shortest"]
    argv = [video.ffmpeg(), "-nostdin", "-loglevel", "error", *pictures, *sound, *coded, "-movflags", "+faststart"]
    subprocess.run([*argv, str(path)], check=True)
    return path


def sought(page: Any, selector: str, seconds: float) -> None:
    """Set a player to a place; return when it shows, or would sound, what is there."""
    until(page, f"document.querySelector({selector!r})?.duration > {seconds}")
    page.evaluate(f"() => {{ document.querySelector({selector!r}).currentTime = {seconds}; }}")
    until(
        page,
        f"""(() => {{
          const player = document.querySelector({selector!r});
          return !player.seeking && player.readyState >= 2 && Math.abs(player.currentTime - {seconds}) < 0.3;
        }})()""",
    )


def test_the_video_that_went_in_and_its_sound_play_and_seek(browser, up, tmp_path):
    """By ranges: to look at the end does not fetch the middle."""
    source = moving_picture(tmp_path / "clip.mp4")
    assert source.stat().st_size > 4_000_000
    sent = httpx.post(f"{up}/files", params={"name": "clip.mp4"}, content=source.read_bytes()).json()
    job = submit(up, workflow="media", params={"source": {"file_id": sent["file_id"]}})
    assert httpx.get(f"{up}/jobs/{job}?wait_s=60", timeout=90).json()["state"] == "completed"
    page = browser.new_page()
    ranges = []
    page.on("response", lambda answer: ranges.append((answer.status, answer.headers.get("content-range", ""))))
    page.goto(f"{up}/#/jobs/{job}/files")
    sought(page, ".gap ~ .gallery video", 18.0)
    assert page.evaluate("document.querySelector('.gap ~ .gallery video').videoWidth") == 320
    begun = [int(told.removeprefix("bytes ").split("-")[0]) for status, told in ranges if status == 206 and told]
    assert any(at > 3_000_000 for at in begun), ranges
    sought(page, ".gallery audio", 15.0)
    page.evaluate("() => { document.querySelector('.gallery audio').play(); }")
    until(page, "document.querySelector('.gallery audio').currentTime > 15.3")
    page.close()


def test_the_pages_of_a_pdf_are_turned(browser, up):
    """By clicking one of the strip, and by keys; each is drawn, and told by its number."""
    page = browser.new_page()
    page.goto(f"{up}/#/submit")
    sent = [{"name": "three.pdf", "mimeType": "application/pdf", "buffer": pdf("One", "Two", "Three")}]
    page.set_input_files("#file", files=sent)
    page.wait_for_selector(".job-head .pill.completed", timeout=90_000)
    page.get_by_role("tab", name="Files").click()
    pages = page.get_by_role("region", name="Pages")
    told = pages.get_by_role("status")
    shown = page.locator(".page-view > img")
    until(page, "document.querySelectorAll('.strip button').length === 3")
    until(page, "document.querySelector('section.pages [role=status]').textContent === 'Page 1 of 3'")
    seen = set()
    for number, turn in (
        (1, lambda: None),
        (3, pages.get_by_role("button", name="Page 3").click),
        (2, lambda: page.keyboard.press("ArrowLeft")),
    ):
        turn()
        until(page, f"document.querySelector('.page-view > img').alt === 'Page {number}'")
        until(page, "document.querySelector('.page-view > img').naturalWidth > 300")
        assert told.inner_text() == f"Page {number} of 3"
        assert page.locator(".strip [aria-current]").get_attribute("aria-label") == f"Page {number}"
        seen.add(httpx.get(shown.get_attribute("src")).content)
    assert len(seen) == 3, "each page is another picture"
    page.close()


def test_a_line_of_the_transcript_leads_to_its_place(page, hand, server):
    """As JSON and as captions; the line that is spoken is marked; what was said is text, and may come while the sound is heard."""
    segments = [{"start_s": start, "end_s": end, "text": text} for start, end, text in SAID]
    stamps = [[f"00:00:{second:06.3f}".replace(".", ",") for second in (start, end)] for start, end, _ in SAID]
    srt = "".join(
        f"{place}\n{start} --> {end}\n{text}\n\n"
        for place, ((start, end), (_, _, text)) in enumerate(zip(stamps, SAID, strict=True), 1)
    )
    hand.holds, hand.files = {"sum_up"}, {"audio/talk.wav": (tone(4.0), "audio/wav")}
    hand.later = {
        "transcripts/talk.json": (json.dumps({"segments": segments}).encode(), "application/json"),
        "transcripts/talk.srt": (srt.encode(), "application/x-subrip"),
    }
    source = {"file_id": httpx.post(f"{server}/files", content=b"x").json()["file_id"]}
    hand.go.clear()
    job = submit(server, workflow="media", params={"source": source})
    page.goto(f"{server}/#/jobs/{job}/files")
    page.wait_for_selector(".gallery audio")
    page.evaluate("() => { const audio = document.querySelector('.gallery audio'); audio.loop = true; audio.play(); }")
    until(page, "document.querySelector('.gallery audio').currentTime > 0.1")
    hand.go.set()
    page.wait_for_selector(".job-head .pill.completed")
    page.wait_for_selector(".transcript li button")
    assert not page.evaluate("document.querySelector('.with-text audio').paused")
    lines = page.get_by_role("list", name="Transcript").get_by_role("button")
    page.evaluate(
        "() => { document.querySelector('.with-text audio').playbackRate = 0.1; }"
    )  # so that it stays where it is sent
    for kind in ("JSON", "SRT"):
        page.get_by_label("Transcript file").select_option(kind)
        page.wait_for_selector(".transcript li button")
        assert lines.all_inner_texts() == ["0:00\nOne.", "0:01\nThen <b>silence</b>.", "0:02\nAnd the rest."]
        for place in (2, 1):
            start, end, _ = SAID[place]
            lines.nth(place).click()
            assert start <= page.evaluate("document.querySelector('.with-text audio').currentTime") < end
            until(page, f"document.querySelectorAll('.transcript li')[{place}].classList.contains('now')")
            assert page.locator(".transcript .now").count() == 1

"""Every long task stops soon after its job is cancelled: programs, speech, OCR, renders; and leaves no file behind."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from tests.media.real import Cluster, board, make_video, until

from orpheus.media import video

pytestmark = [pytest.mark.timeout(240), pytest.mark.slow]
SOON_S = 2.0
SLACK_S = 5.0
"""For a machine that does other things as well; one that is not heard at all takes nine seconds and more."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cancelled"))
    yield made
    made.stop()
    until(lambda: not made.processes(), "the end of every process", timeout_s=20)


def long_page(folder: Path) -> Path:
    """A page that Tesseract reads for many seconds, in one call."""
    page = Image.new("L", (3300, 4600), 255)
    text = "\n".join(["It was the best of times, it was the worst of times, it was the age of wisdom. " * 2] * 80)
    ImageDraw.Draw(page).multiline_text((100, 100), text, fill=0, font_size=36)
    page.save(folder / "long.pdf", resolution=400)
    return folder / "long.pdf"


CASES: dict[str, tuple[str, str, Callable[[Cluster, Path], dict[str, Any]]]] = {
    "a program": (
        "video",
        "encode_rendition",
        lambda _, folder: {"source": make_video(folder / "a.mp4", seconds=120), "renditions": True},
    ),
    "ocr": ("pdf", "ocr_page", lambda _, folder: {"source": long_page(folder), "most_pages": 0}),
    "a render": (
        "storyboard",
        "render_scene",
        lambda cluster, folder: {"storyboard": board(cluster.client, folder, count=1, seconds=100)},
    ),
}


@pytest.mark.parametrize("kind", list(CASES))
def test_a_cancel_stops(cluster: Cluster, tmp_path: Path, kind: str) -> None:
    workflow, task, params = CASES[kind]
    stops(cluster, workflow, task, params(cluster, tmp_path))


@pytest.mark.samples
def test_a_cancel_stops_listening(cluster: Cluster, samples: Path, tmp_path: Path) -> None:
    target = tmp_path / "long.mp3"
    argv = [
        video.ffmpeg(),
        "-nostdin",
        "-loglevel",
        "error",
        "-stream_loop",
        "30",
        "-i",
        str(samples / "audio/austen.mp3"),
    ]
    subprocess.run([*argv, "-c", "copy", str(target)], check=True)
    stops(cluster, "video", "transcribe", {"source": target})


def stops(cluster: Cluster, workflow: str, task: str, params: dict[str, Any]) -> None:
    client = cluster.client
    job_id = client.submit(workflow, params, requires_approval=False).job_id
    until(
        lambda: any(one.state == "running" and one.run_id for one in client.tasks(job_id, node=task)),
        f"a running {task}",
    )
    time.sleep(0.7)  # into the call that takes long
    assert client.get(job_id).state == "running"
    client.cancel(job_id, reason="enough")
    began = time.monotonic()
    until(lambda: client.get(job_id).state == "cancelled", "the end of the job", timeout_s=20)
    until(lambda: not cluster.programs(), "the end of its programs", timeout_s=20)
    until(lambda: not cluster.left(), "the end of its files", timeout_s=20)
    assert time.monotonic() - began < SOON_S + SLACK_S

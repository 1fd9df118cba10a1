"""Each shipped workflow with its worker SIGKILLed in the middle of its longest task: it completes, once, nothing stays behind, and the
same again is all cached."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.media.real import Cluster, board, first_seconds, make_photo, make_scan, make_video, until

from orpheus.protocol.jobs import JobInfo

pytestmark = [pytest.mark.timeout(240), pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("killed"))
    yield made
    made.stop()
    until(lambda: not made.processes(), "the end of every process", timeout_s=20)


Params = Callable[[Cluster, Path], dict[str, Any]]
CASES: dict[str, tuple[str, Params, str]] = {
    "image": (
        "make_thumbnails",
        lambda _, folder: {"source": make_photo(folder / "a.jpg"), "sides": [320, 800]},
        "metadata.json thumbnails/320.webp thumbnails/800.webp analysis/labels.json analysis/objects.json",
    ),
    "video": (
        "encode_rendition",
        lambda _, folder: {
            "source": make_video(folder / "a.mp4", seconds=10),
            "renditions": True,
            "most_renditions": 1,
        },
        "metadata.json poster.webp sprite.webp sprite.vtt renditions/360.mp4",
    ),
    "pdf": (
        "ocr_page",
        lambda _, folder: {
            "source": make_scan(folder / "a.pdf", "It was the best of times. It was the worst of times.")
        },
        "metadata.json text/pages.json text/document.txt pages/1.webp summary.json",
    ),
    "storyboard": (
        "render_scene",
        lambda cluster, folder: {"storyboard": board(cluster.client, folder), "start_delay_ms": 0},
        "scenes/s0.mp4 scenes/s1.mp4 renders/storyboard.mp4",
    ),
}
SPOKEN = "metadata.json audio/{job}.mp3 transcripts/{job}.json transcripts/{job}.srt transcripts/{job}.vtt "


@pytest.mark.parametrize("workflow", list(CASES))
def test_a_killed_worker(cluster: Cluster, tmp_path: Path, workflow: str) -> None:
    longest, params, names = CASES[workflow]
    survives(cluster, workflow, longest, params(cluster, tmp_path), names)


@pytest.mark.samples
@pytest.mark.parametrize(
    ("workflow", "longest", "seconds", "names"),
    [
        (
            "talk",
            "render_cut",
            9,
            "plan/cut_plan.json plan/cut_plan.edl renders/base_cuts.mp4 renders/base_cuts.srt renders/base_cuts.json",
        ),
        ("media", "transcribe", 8, "poster.webp sprite.webp sprite.vtt summary.json"),
    ],
)
def test_a_killed_worker_of_a_talk(
    cluster: Cluster, samples: Path, tmp_path: Path, workflow: str, longest: str, seconds: int, names: str
) -> None:
    source = first_seconds(samples / "video/talk-silences-fillers.mp4", tmp_path / "talk.mp4", seconds)
    survives(cluster, workflow, longest, {"source": source}, SPOKEN + names)


def survives(cluster: Cluster, workflow: str, longest: str, params: dict[str, Any], names: str) -> None:
    client = cluster.client
    job_id = client.submit(workflow, params, requires_approval=False).job_id
    victim = until(
        lambda: next(
            (one for one in client.tasks(job_id, node=longest) if one.state == "running" and one.run_id), None
        ),
        f"the beginning of {longest}",
    )
    started = cluster.kill_worker()
    cluster.start_worker()
    until(lambda: not started & cluster.processes(), "the end of what the killed worker had started", timeout_s=10)
    job = client.wait(job_id, timeout_s=120)
    check(cluster, job, names)
    (again,) = [one for one in client.tasks(job_id, node=longest) if one.index == victim.index]
    assert (again.state, again.attempt) == ("completed", 2) and again.run_id != victim.run_id
    ends = Counter((one.task, one.index) for one in client.events(job_id) if one.type == "task.completed")
    assert max(ends.values()) == 1
    assert victim.run_id not in {one.run_id for one in client.manifest(job_id).artifacts}
    until(lambda: not cluster.left(), "the end of its files")

    second = client.wait(client.submit(workflow, params, requires_approval=False).job_id, timeout_s=60)
    check(cluster, second, names)
    ran = [
        one.name for one in client.tasks(second.job_id) if one.handler and one.state == "completed" and not one.cached
    ]
    assert ran == []
    assert second.finished_at is not None
    took = datetime.fromisoformat(second.finished_at) - datetime.fromisoformat(second.created_at)
    assert took.total_seconds() < 5, "under a second where nobody else is at work"


def check(cluster: Cluster, job: JobInfo, names: str) -> None:
    """Its files are the expected ones, each once, and what the manifest says of them."""
    assert job.state == "completed", f"{job.error}\n{cluster.told()}"
    manifest = cluster.client.manifest(job.job_id)
    assert Counter(one.name for one in manifest.artifacts) == Counter(names.replace("{job}", job.job_id).split())
    for artifact in manifest.artifacts:
        content = cluster.client.download(job.job_id, artifact.name, cluster.folder / "got.bin").read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (artifact.size_bytes, artifact.sha256)

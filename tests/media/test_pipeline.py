"""The `media` workflow from end to end, in one process: which steps run, what is made, what is said."""

import json
from pathlib import Path
from typing import Any

import pytest

import orpheus
from orpheus.authoring.workflow import Workflow
from orpheus.media import media, sum_range, wordcount
from orpheus.media.cutting.workflow import talk
from orpheus.media.workflows import video_workflow
from orpheus.testing.inline import InlineRun, JobFailed, run_job


def send(path: Path, folder: Path) -> InlineRun:
    return run_job(media, {"source": orpheus.File.from_path(path)}, folder=folder)


def states(done: InlineRun) -> dict[str, str]:
    return {task.node: str(task.state) for task in done.tasks}


def skipped(done: InlineRun) -> set[str]:
    return {name for name, state in states(done).items() if state == "skipped"}


IMAGE = {"make_thumbnails"}
LOOKING = {"analyse_image"}
"""Skipped where nobody is configured who looks at pictures, as here."""
FILM = {"make_poster", "make_sprite"}
SOUND = {"extract_audio", "transcribe", "summarise_speech"}
PDF = {"read_text", "ocr_page", "assemble_text", "render_pages", "summarise_document"}
BRANCHES = IMAGE | LOOKING | FILM | SOUND | PDF


def sound(done: InlineRun) -> set[str]:
    """What every sound track leaves."""
    name = f"transcripts/{done.job.job_id}"
    return {f"audio/{done.job.job_id}.mp3", f"{name}.json", f"{name}.srt", f"{name}.vtt", "summary.json"}


def test_sum_range_and_wordcount_through_the_core() -> None:
    assert orpheus.run(sum_range, n=1000) == 499_500
    assert orpheus.run(wordcount, text="a b a\nc") == {"words": 4, "unique": 3, "lines": 2, "characters": 7}


@pytest.mark.parametrize("flow", [media, video_workflow, talk], ids=["media", "video", "talk"])
def test_the_longest_step_is_made_ready_first(flow: Workflow[..., Any]) -> None:
    """What is ready at the same moment begins in the graph's order."""
    names = list(flow.graph.nodes)
    assert names.index("transcribe") == names.index("extract_metadata") + 1


@pytest.mark.parametrize("params", [{"n": -1}, {"n": 10**9}, {"n": True}, {"n": "3"}, {}, {"m": 1}])
def test_nonsense_is_refused_before_a_job_exists(params: dict[str, Any]) -> None:
    with pytest.raises(orpheus.OrpheusError) as refused:
        run_job(sum_range, params)
    assert refused.value.code == "invalid_params"


@pytest.mark.samples
def test_a_photo(samples: Path, tmp_path: Path) -> None:
    done = send(samples / "images/panorama-9mp.jpg", tmp_path)
    assert skipped(done) == BRANCHES - IMAGE
    assert set(done.artifacts) == {"metadata.json", *(f"thumbnails/{side}.webp" for side in (160, 320, 1280))}
    assert done.result.blurhash
    assert "Nokia 8.3 5G" in done.result.summary
    notes = json.loads(done.artifacts["metadata.json"].read_text())
    assert (notes["width"], notes["height"], notes["size_bytes"]) == (4608, 1976, 2_189_994)
    assert len(notes["sha256"]) == 64


@pytest.mark.samples
def test_a_video_with_sound(samples: Path, tmp_path: Path) -> None:
    done = send(samples / "video/bigbuckbunny.mp4", tmp_path)
    assert skipped(done) == BRANCHES - FILM - SOUND
    assert set(done.artifacts) == {"metadata.json", "poster.webp", "sprite.webp", "sprite.vtt", *sound(done)}
    assert done.result.notes == ["Nobody speaks in it."]


@pytest.mark.samples
def test_a_silent_film_says_so(samples: Path, tmp_path: Path) -> None:
    done = send(samples / "video/flower-no-audio.mp4", tmp_path)
    assert skipped(done) == BRANCHES - FILM
    assert done.result.notes == ["No sound track, so there is neither an MP3 nor a transcript."]


@pytest.mark.samples
def test_a_recording_needs_no_poster(samples: Path, tmp_path: Path) -> None:
    done = send(samples / "audio/jfk.flac", tmp_path)
    assert skipped(done) == BRANCHES - SOUND
    assert set(done.artifacts) == {"metadata.json", *sound(done)}
    assert done.result.language == "en"
    told = json.loads(done.artifacts["summary.json"].read_text())
    assert "ask what you can do for your country" in told["summary"]
    assert done.result.digest == told["summary"]


@pytest.mark.samples
def test_a_pdf_with_a_scanned_page(samples: Path, tmp_path: Path) -> None:
    done = send(samples / "pdf/mixed-text-then-scan.pdf", tmp_path)
    assert skipped(done) == BRANCHES - PDF
    assert set(done.artifacts) == {
        "metadata.json",
        "text/pages.json",
        "text/document.txt",
        "pages/1.webp",
        "pages/2.webp",
        "summary.json",
    }
    assert done.result.notes == ["1 page read from pictures (OCR)."]
    pages = json.loads(done.artifacts["text/pages.json"].read_text())
    assert [(page["page"], page["ocr"]) for page in pages] == [(1, False), (2, True)]
    assert "Four score and seven years ago" in pages[1]["text"]


@pytest.mark.samples
def test_a_wrong_name_is_remarked_on(samples: Path, tmp_path: Path) -> None:
    done = send(samples / "hostile/webp-renamed.jpg", tmp_path)
    assert done.result.content_type == "image/webp"
    assert "WebP" in done.result.notes[0]


@pytest.mark.samples
def test_shell_characters_in_a_name_do_nothing(samples: Path, tmp_path: Path) -> None:
    done = send(samples / "hostile/odd name; $(id) & 'q'.png", tmp_path)
    assert (done.result.width, done.result.height) == (16, 16)


@pytest.mark.samples
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("truncated.jpg", "corrupt_media"),
        ("playlist-renamed.mp4", "unsupported_media"),
        ("bomb-30000x30000.png", "too_large"),
    ],
)
def test_a_hostile_file_fails_once_with_its_code(samples: Path, tmp_path: Path, name: str, code: str) -> None:
    with pytest.raises(JobFailed, match=name) as failed:
        send(samples / "hostile" / name, tmp_path)
    assert failed.value.code == code
    (first, *_) = failed.value.job.tasks
    assert (first.node, first.attempt) == ("validate_file", 1), "a verdict about a file is not retried"
    assert not failed.value.job.artifacts


def test_a_missing_extra_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recording is sound, but FFmpeg is not there."""
    monkeypatch.setenv("ORPHEUS_FFMPEG", str(tmp_path / "nowhere"))
    path = tmp_path / "a.wav"
    size = 8000
    header = b"RIFF" + (36 + size).to_bytes(4, "little") + b"WAVEfmt " + bytes([16, 0, 0, 0, 1, 0, 1, 0])
    header += (8000).to_bytes(4, "little") * 2 + bytes([1, 0, 8, 0]) + b"data" + size.to_bytes(4, "little")
    path.write_bytes(header + b"\x80" * size)
    with pytest.raises(JobFailed, match="ORPHEUS_FFMPEG") as failed:
        send(path, tmp_path / "out")
    assert failed.value.code == "extra_missing"

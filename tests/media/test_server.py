"""Files through a real server and a real worker: `orpheus run`, as a user types it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.samples, pytest.mark.timeout(180)]

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def orpheus_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """`orpheus run` against one `orpheus up` for all tests here."""
    folder = tmp_path_factory.mktemp("server")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ORPHEUS_")}
    base = [sys.executable, "-m", "orpheus.cli"]
    up = subprocess.Popen(
        [*base, "up", "--json", "--port", "0", "--data", str(folder / "data")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=(folder / "log").open("wb"),
        text=True,
        env=environment,
        cwd=folder,
    )
    assert up.stdout is not None
    assert '"ready"' in up.stdout.readline(), (folder / "log").read_text()

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [*base, "run", *words, "--data", str(folder / "data"), "--json"]
        return subprocess.run(argv, capture_output=True, text=True, timeout=120, env=environment, cwd=folder)

    yield run
    up.send_signal(signal.SIGTERM)
    up.stdout.close()
    assert up.wait(60) == 0


def test_a_photo_gives_results_and_a_manifest(orpheus_run: Run, samples: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = orpheus_run(str(samples / "images/landscape-exif-rotate90.jpg"), "--out", str(out))
    assert done.returncode == 0, done.stderr
    manifest = json.loads((out / "manifest.json").read_text())
    names = {artifact["name"] for artifact in manifest["artifacts"]}
    assert names == {"metadata.json", "thumbnails/160.webp", "thumbnails/320.webp", "thumbnails/1280.webp"}
    for artifact in manifest["artifacts"]:
        assert (out / artifact["name"]).stat().st_size == artifact["size_bytes"]
    assert manifest["state"] == "completed"
    assert json.loads((out / "result.json").read_text())["width"] == 1800


def test_a_video_gives_poster_and_sound(orpheus_run: Run, samples: Path, tmp_path: Path) -> None:
    done = orpheus_run(str(samples / "video/bigbuckbunny.mp4"), "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    job = json.loads(done.stdout)["job"]["job_id"]
    assert (tmp_path / f"audio/{job}.mp3").stat().st_size > 10_000
    assert (tmp_path / "poster.webp").is_file()


def test_a_file_that_lies_fails_and_says_why(orpheus_run: Run, samples: Path, tmp_path: Path) -> None:
    done = orpheus_run(str(samples / "hostile/truncated.jpg"), "--out", str(tmp_path))
    assert done.returncode not in (0, 2)
    error = json.loads(done.stdout)["job"]["error"]
    assert (error["code"], error["task"]) == ("corrupt_media", "validate_file")
    assert not error.get("retryable")
    assert "truncated" in error["message"]
    assert error["hint"]


def test_an_odd_name_runs_no_command(orpheus_run: Run, samples: Path, tmp_path: Path) -> None:
    done = orpheus_run(str(samples / "hostile/odd name; $(id) & 'q'.png"), "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "uid=" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "result"),
    [
        (["sum_range", "-p", "n=1000"], 499_500),
        (["wordcount", "-p", "text=a b a"], {"words": 3, "unique": 2, "lines": 1, "characters": 5}),
    ],
)
def test_small_workflows(orpheus_run: Run, words: list[str], result: object) -> None:
    done = orpheus_run(*words)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["job"]["result"] == result


def test_nonsense_is_refused_with_a_code(orpheus_run: Run) -> None:
    done = orpheus_run("sum_range", "-p", "n=-1")
    assert done.returncode != 0
    assert "invalid_params" in done.stdout + done.stderr

"""A film in other forms: never larger than it is, cut where all sizes begin anew, and a sheet that fits its cues."""

import re
import subprocess
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from orpheus import File
from orpheus.media import video, video_workflow
from orpheus.media.renditions import sprite
from orpheus.media.renditions.ladder import ladder, master
from orpheus.media.sniff import MP4
from orpheus.testing.inline import run_job


@pytest.mark.parametrize(
    ("size", "names"),
    [
        ((1920, 1080), ["1080", "720", "480", "360"]),
        ((1080, 1920), ["1080", "720", "480", "360"]),
        ((1280, 720), ["720", "480", "360", "240"]),
        ((960, 540), ["540", "480", "360", "240"]),
        ((400, 200), ["200"]),
        ((2, 2), ["2"]),
    ],
)
def test_never_larger_than_the_source(size: tuple[int, int], names: list[str]) -> None:
    made = ladder(*size)
    assert [rung.name for rung in made] == names
    for rung in made:
        assert rung.width <= size[0] + 1 and rung.height <= size[1] + 1
        assert rung.width % 2 == rung.height % 2 == 0
        assert abs(rung.width / rung.height - size[0] / size[1]) < 0.02 * size[0] / size[1] + 0.02


def test_the_master_names_each_size() -> None:
    rungs = ladder(1280, 720)
    text = master([(rung, 1000) for rung in rungs], has_audio=False)
    assert re.findall(r"^(\d+)/index.m3u8$", text, re.MULTILINE) == [rung.name for rung in rungs]
    assert "mp4a" not in text


@pytest.mark.parametrize("duration_s", [0.04, 0.9, 1.0, 5.3, 99.9, 100.0, 3600.0, 80_000.0])
def test_every_cue_has_its_picture(duration_s: float) -> None:
    sheet = sprite.layout(duration_s, 1280, 720)
    assert sheet.count <= sprite.MOST
    assert sheet.rows * sheet.columns >= sheet.count
    text = sprite.vtt(sheet, duration_s=duration_s)
    cues = [tuple(map(int, one)) for one in re.findall(r"xywh=(\d+),(\d+),(\d+),(\d+)", text)]
    assert len(set(cues)) == sheet.count
    assert all(x + w <= sheet.columns * sheet.width and y + h <= sheet.rows * sheet.height for x, y, w, h in cues)


def film(path: Path, *, seconds: float, size: tuple[int, int]) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(round(seconds * 10)):
            picture = Image.new("RGB", size, (number * 6 % 256, 90, 200))
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
    return path


@pytest.mark.timeout(120)
def test_a_film_as_sheet_sizes_and_stream(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", seconds=9, size=(320, 180))
    params = {"source": File.from_path(source), "renditions": True, "hls": True}
    done = run_job(video_workflow, params, folder=tmp_path / "out")
    with Image.open(done.artifacts["sprite.webp"]) as sheet:
        assert sheet.size == (9 * 160, 90)
    with av.open(str(done.artifacts["renditions/180.mp4"])) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.frames) == (320, 180, 90)
    assert done.artifacts["hls/master.m3u8"].read_text().endswith("180/index.m3u8\n")
    playlist = done.artifacts["hls/180/index.m3u8"].read_text()
    assert [float(one) for one in re.findall(r"#EXTINF:([\d.]+)", playlist)] == [4.0, 4.0, 1.0]
    assert playlist.rstrip().endswith("#EXT-X-ENDLIST")
    named = re.findall(r"^\d+\.ts$", playlist, re.MULTILINE)
    assert {f"hls/180/{name}" for name in named} <= set(done.artifacts)
    assert done.result.stream is not None
    assert done.result.record.notes == ["No sound track, so there is neither an MP3 nor a transcript."]


@pytest.mark.timeout(120)
def test_nothing_asked_for_nothing_encoded(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", seconds=0.5, size=(64, 36))
    done = run_job(video_workflow, {"source": File.from_path(source)}, folder=tmp_path / "out")
    assert set(done.artifacts) == {"metadata.json", "poster.webp", "sprite.webp", "sprite.vtt"}
    assert done.result.renditions == []


def test_a_film_of_one_frame_has_a_sheet_of_one_picture(tmp_path: Path) -> None:
    source, target = tmp_path / "frame.mp4", tmp_path / "sheet.webp"
    make = ["-f", "lavfi", "-i", "color=red:s=64x48:r=25:d=0.04", "-frames:v", "1", "-y", str(source)]
    subprocess.run([video.ffmpeg(), "-loglevel", "error", *make], check=True)
    argv = sprite.argv(video.ffmpeg(), source, MP4, target, sprite.layout(0.04, 64, 48))
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    with Image.open(target) as sheet:
        assert sheet.size == (64, 48)

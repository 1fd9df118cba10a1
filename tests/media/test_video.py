"""Command lines and progress of FFmpeg, as values."""

from pathlib import Path

import pytest

from orpheus.media import video
from orpheus.media.errors import ExtraMissing
from orpheus.media.sniff import MATROSKA, MP4

ODD = Path("/tmp/odd name; $(id) & 'q'.mp4")


def test_input_is_forced_to_one_demuxer_and_one_protocol() -> None:
    argv = video.audio_argv("ffmpeg", ODD, MP4, Path("/tmp/out.mp3"))
    assert argv[argv.index("-protocol_whitelist") + 1] == "file,pipe"
    assert argv[argv.index("-f") + 1] == "mov"
    assert argv.index("-f") < argv.index("-i")
    assert argv[argv.index("-i") + 1] == f"file:{ODD}"
    assert "-nostdin" in argv


def test_the_shell_that_sets_the_limit_parses_no_word_of_ours() -> None:
    argv = video.limited(["ffmpeg", "-i", str(ODD)], memory_bytes=1024**3)
    assert argv[-3:] == ["ffmpeg", "-i", str(ODD)]
    assert str(ODD) not in argv[2]
    assert "ulimit -v 1048576" in argv[2]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("out_time_us=5000000", 0.5),
        ("out_time_ms=5000000", 0.5),
        ("out_time_us=99000000", 1.0),
        ("out_time_us=-1000", 0.0),
        ("out_time_us=N/A", None),
        ("progress=continue", None),
        ("progress=end", 1.0),
        ("speed=12x", None),
        ("", None),
    ],
)
def test_progress_lines(line: str, expected: float | None) -> None:
    assert video.progress_of(line, 10.0) == expected


def test_progress_of_an_unknown_length_is_unknown() -> None:
    assert video.progress_of("out_time_us=5000000", 0.0) is None


def test_the_poster_comes_from_within() -> None:
    argv = video.poster_argv("ffmpeg", ODD, MATROSKA, Path("/tmp/p.webp"), duration_s=50.0)
    assert argv[argv.index("-ss") + 1] == "5.000"
    assert "-ss" not in video.poster_argv("ffmpeg", ODD, MATROSKA, Path("/tmp/p.webp"), duration_s=1.0)


def test_another_ffmpeg_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = tmp_path / "ffmpeg"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setenv("ORPHEUS_FFMPEG", str(own))
    assert video.ffmpeg() == str(own)
    monkeypatch.setenv("ORPHEUS_FFMPEG", str(tmp_path / "missing"))
    with pytest.raises(ExtraMissing, match="ORPHEUS_FFMPEG"):
        video.ffmpeg()


def test_the_reason_is_picked_from_the_noise() -> None:
    noise = "[mov,mp4 @ 0x55d] moov atom not found\nError opening input file file:/secret/x.\nConversion failed!\n"
    assert video.why(noise) == "moov atom not found"

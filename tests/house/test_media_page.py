"""docs/media.md names the caps, artifacts and codes that the code has."""

from pathlib import Path

from orpheus.media import limits
from orpheus.media.workflows import media

PAGE = (Path(__file__).parents[2] / "docs/media.md").read_text()


def test_the_caps_are_the_codes() -> None:
    for number in (limits.MAX_PIXELS, limits.MAX_VIDEO_PIXELS, limits.MAX_PAGES, limits.MAX_TEXT_CHARACTERS):
        assert f"{number:,}" in PAGE
    for text in (
        f"{limits.MAX_DURATION_S / 3600:.0f} hours",
        f"| streams in a container | {limits.MAX_STREAMS} |",
        f"{limits.CHILD_MEMORY_BYTES // 1024**3} GiB",
        f"{limits.CHILD_TIME_S:.0f} s",
        f"at most {limits.MAX_PAGE_PIXELS}",
        f"at most {limits.POSTER_SIDE}",
    ):
        assert text in PAGE


def test_every_step_is_drawn() -> None:
    for node in media.to_json()["nodes"]:
        assert node["name"] in PAGE

"""docs/licences.md lists what is pinned and what the wheels carry, and says the same as the installed metadata."""

import re
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/licences.md").read_text()
COPYLEFT = re.compile(r"\b(A?GPL|LGPL|SSPL|unknown|not stated)", re.IGNORECASE)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def section(title: str) -> list[list[str]]:
    """Rows of the table under a heading."""
    body = re.split(r"\n## ", PAGE.split(f"\n## {title}\n", 1)[1], maxsplit=1)[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in body.splitlines() if line.startswith("| ")
    ]
    return rows[2:]


PACKAGES = {row[0]: row for title in ("Core", "Extras", "For development only") for row in section(title)}
PINNED = set(re.findall(r"^([a-z0-9][a-z0-9.-]*)==", (ROOT / "constraints/dev.txt").read_text(), re.MULTILINE))


def stated(dist: metadata.Distribution) -> str:
    """What a package says of itself: SPDX expression, else the short licence field, else its classifiers."""
    notes = dist.metadata
    if notes.get("License-Expression"):
        return str(notes["License-Expression"])
    short = (notes.get("License") or "").strip()
    if short and "\n" not in short and len(short) < 60:
        return short
    classifiers = [
        line.split("::")[-1].strip() for line in notes.get_all("Classifier") or [] if line.startswith("License")
    ]
    return " / ".join(line for line in classifiers if "DFSG" not in line) or "not stated"


def test_every_pinned_package_has_its_row() -> None:
    assert set(PACKAGES) == PINNED


def test_rows_say_what_the_installed_packages_say() -> None:
    installed = {canonical(dist.name): dist for dist in metadata.distributions()}
    wrong = {
        name: (row[2], stated(installed[name]))
        for name, row in PACKAGES.items()
        if name in installed and row[2] != stated(installed[name])
    }
    assert not wrong


def test_the_core_is_permissive() -> None:
    for row in section("Core"):
        assert not COPYLEFT.search(" ".join(row)), row


def test_copyleft_in_extras_is_said_aloud() -> None:
    """A wheel with a GPL library inside has GPL in its own row too, whatever its metadata says."""
    for wheel, _library, licence, _use in section("Libraries inside the wheels"):
        if re.search(r"(?<!L)GPL", licence.replace("LGPL", "")):
            assert "GPL" in " ".join(PACKAGES[wheel]), wheel


@pytest.mark.parametrize("wheel", ["av", "pillow", "pillow-heif", "numpy", "scipy", "ctranslate2", "tesserocr"])
def test_every_bundled_library_has_its_row(wheel: str) -> None:
    listed = {
        name for row in section("Libraries inside the wheels") if row[0] == wheel for name in re.split(r",\s*", row[1])
    }
    site = Path(str(metadata.distribution(wheel).locate_file("")))
    folder = site / f"{wheel.replace('-', '_')}.libs"
    if not folder.is_dir():
        pytest.skip("not a Linux wheel")
    carried = {re.split(r"(?:-[0-9a-f]{8})*\.so", path.name)[0] for path in folder.iterdir()}
    assert carried == listed

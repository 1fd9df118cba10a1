"""Every error code has its page, and the index lists exactly the pages."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import orpheus
from orpheus.core.errors import OrpheusError

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "errors"
SAID = re.compile(r"""\bcode(?::\s*str)?\s*=\s*"([a-z_]+)"|["'](timeout_(?:schedule|start|heartbeat)[a-z_]*)["']""")
NOT_CODES = {"timeout_s"}


def said_codes():
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        for match in SAID.finditer(path.read_text()):
            found.add(match[1] or match[2])
    return found - NOT_CODES


def index_text():
    """Return the index as it has to be: one line per page, from the page's own first paragraph."""
    lines = []
    for page in sorted(PAGES.glob("*.md")):
        if page.name == "README.md":
            continue
        title, _, text = page.read_text().partition("\n\n")
        assert title == f"# `{page.stem}`", page
        lines.append(f"- [`{page.stem}`]({page.name}): {text.split(chr(10), 1)[0]}")
    head = (PAGES / "README.md").read_text().split("<!-- generated: the test says how -->")[0]
    return head + "<!-- generated: the test says how -->\n\n" + "\n".join(lines) + "\n"


def test_every_code_has_a_page():
    """What the source can say, the docs explain."""
    missing = sorted(code for code in said_codes() if not (PAGES / f"{code}.md").is_file())
    assert not missing, f"no page docs/errors/{missing[0]}.md"


def test_the_index_is_up_to_date():
    """Write `index_text()` to docs/errors/README.md when a page was added."""
    assert (PAGES / "README.md").read_text() == index_text()


def _error_classes():
    for module in pkgutil.walk_packages(orpheus.__path__, "orpheus."):
        if module.name.split(".")[1] in ("core", "engine", "store", "artifacts", "api"):
            importlib.import_module(module.name)
    found, todo = [], [OrpheusError]
    while todo:
        kind = todo.pop()
        found.append(kind)
        todo += kind.__subclasses__()
    return [kind for kind in found if kind.__module__.split(".")[1] in ("core", "engine", "artifacts", "api")]


@pytest.mark.parametrize("kind", _error_classes(), ids=lambda kind: kind.__name__)
def test_pages_tell_the_status(kind):
    """The status on the page is the one that is answered."""
    page = (PAGES / f"{kind.code}.md").read_text()
    assert re.search(rf"\|[^|]*\b{kind.status}\b[^|]*\|", page), f"{kind.code}.md does not mention {kind.status}"

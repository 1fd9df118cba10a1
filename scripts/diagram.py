"""Write docs/states.md from the transition tables, so that the pictures cannot disagree with the code.

python scripts/diagram.py           writes the page
python scripts/diagram.py --check   fails when the page is out of date
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from orpheus.core import job, task

State = TypeVar("State", bound=StrEnum)

PAGE = Path(__file__).parent.parent / "docs" / "states.md"


def paragraphs(module: ModuleType, name: str) -> dict[str, str]:
    """Return the docstring that follows each member of an enum."""
    body = next(
        node
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ClassDef) and node.name == name
    ).body
    found: dict[str, str] = {}
    for member, after in pairwise(body):
        if isinstance(member, ast.Assign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            target = member.targets[0]
            assert isinstance(target, ast.Name)
            found[target.id.lower()] = " ".join(textwrap.dedent(str(after.value.value)).split())
    return found


def diagram(table: Mapping[State, Sequence[State]], start: State, ends: Sequence[State]) -> str:
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {start}"]
    lines += [f"    {source} --> {target}" for source, targets in table.items() for target in targets]
    lines += [f"    {end} --> [*]" for end in ends]
    return "\n".join([*lines, "```"])


def page() -> str:
    parts = [
        "# States",
        "<!-- Made by scripts/diagram.py from src/orpheus/core/job.py and task.py: edit those. -->",
        "Each table of transitions stands once, in the core; everything else asks it. A transition that is not drawn here is "
        "refused with `invalid_transition` and changes nothing.",
        "## Jobs",
        diagram(job.TRANSITIONS, job.JobState.PENDING, job.TERMINAL),
        *(f"**{name}** — {text}" for name, text in paragraphs(job, "JobState").items()),
        "## Tasks",
        diagram(task.TRANSITIONS, task.TaskState.BLOCKED, task.SETTLED),
        *(f"**{name}** — {text}" for name, text in paragraphs(task, "TaskState").items()),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> int:
    if "--check" not in sys.argv:
        PAGE.write_text(page())
        return 0
    if PAGE.read_text() == page():
        return 0
    sys.stderr.write("docs/states.md is out of date: run `make diagram`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())

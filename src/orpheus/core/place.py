"""Where in a workflow is the fault? Every message about a graph begins with it (design.md section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orpheus.core.errors import InvalidGraph
from orpheus.core.plain import pointer
from orpheus.core.suggest import quoted


@dataclass(frozen=True, slots=True)
class Place:
    """A spot in a graph's JSON, named for people (workflow, node, source line) and for programs (JSON Pointer)."""

    workflow: str = ""
    node: str = ""
    source: str = ""
    path: tuple[str | int, ...] = ()

    def at(self, *steps: str | int) -> Place:
        """Return the spot that many steps further in."""
        return Place(self.workflow, self.node, self.source, (*self.path, *steps))

    def error(
        self, message: str, *, hint: str = "", kind: type[InvalidGraph] = InvalidGraph, at: tuple[str | int, ...] = ()
    ) -> InvalidGraph:
        """Make the error, to be raised by whoever found the fault."""
        where = ", ".join(
            part
            for part in (
                f"workflow {quoted(self.workflow)}" if self.workflow else "workflow",
                f"node {quoted(self.node)}" if self.node else "",
            )
            if part
        )
        line = f" ({self.source})" if self.source else ""
        details: list[dict[str, Any]] = [{"path": pointer(*self.path, *at), "message": message}]
        return kind(f"{where}{line}: {message}", hint=hint, details=details)

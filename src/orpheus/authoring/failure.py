"""What stands in a map's result for an item that failed under `on_failure="continue"` (R13)."""

from __future__ import annotations

from typing import Any


class Failure:
    """One failed item. Take it in the joining task: `def join(parts: Sequence[File | Failure])`.

    Args:
        code: e.g. `task_failed`.
        message: what went wrong.
        type: class name of the exception, where a handler raised one.
        index: the item's place in the map.
    """

    __slots__ = ("code", "index", "message", "type")

    def __init__(self, *, code: str, message: str, type: str | None = None, index: int | None = None) -> None:  # noqa: A002
        self.code = code
        self.message = message
        self.type = type
        self.index = index

    @classmethod
    def from_wire(cls, value: Any) -> Failure:
        """Read `{"$failure": {…}}`.

        Raises:
            ValueError: it is something else.
        """
        body = value.get("$failure") if isinstance(value, dict) and len(value) == 1 else None
        if not isinstance(body, dict):
            raise ValueError("expected a failure")  # noqa: TRY004 (the value is wrong, whatever its type)
        index = body.get("index")
        return cls(
            code=str(body.get("code", "")),
            message=str(body.get("message", "")),
            type=None if body.get("type") is None else str(body["type"]),
            index=index if isinstance(index, int) else None,
        )

    def to_wire(self) -> dict[str, Any]:
        """Write `{"$failure": {…}}`."""
        return {"$failure": {"code": self.code, "message": self.message, "type": self.type, "index": self.index}}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Failure) and self.to_wire() == other.to_wire()

    def __hash__(self) -> int:
        return hash((self.code, self.message, self.index))

    def __repr__(self) -> str:
        return f"Failure({self.code!r}, {self.message!r}, index={self.index})"


def failure_schema() -> dict[str, Any]:
    """Return the JSON Schema that stands for a `Failure`."""
    return {
        "type": "object",
        "title": "Failure",
        "required": ["$failure"],
        "properties": {"$failure": {"type": "object"}},
    }

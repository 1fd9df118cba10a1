"""What the first look at a file found: the value that `validate_file` hands to every other task."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Checked:
    """What `validate_file` found: the kind of file, and what may open it from here on."""

    kind: str
    content_type: str
    label: str
    sniffed: str
    opener: str
    name_disagrees: bool = False

"""Why a file was refused, as exceptions with the codes that users see.

    Refused
    ├── UnsupportedMedia   unsupported_media   not a kind of file we take
    ├── CorruptMedia       corrupt_media       of a kind we take, but broken
    ├── TooLarge           too_large           sound, but beyond a cap
    ├── ExtraMissing       extra_missing       fine, but a package that opens it is not installed
    └── InvalidInput       invalid_params      an argument that is no file and makes no sense

All are final: the same bytes give the same answer, so a retry cannot help.
"""

from __future__ import annotations


class Refused(Exception):
    """A file cannot be processed. `message` says what was found and `hint` what to do about it."""

    code = "unsupported_media"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.hint))


class UnsupportedMedia(Refused):
    """The content is not of a kind that Orpheus takes, whatever the file's name says."""


class CorruptMedia(Refused):
    """The content is of a kind that Orpheus takes, but cannot be read to its end."""

    code = "corrupt_media"


class TooLarge(Refused):
    """Opening the file would take more pixels, pages, time or memory than is allowed."""

    code = "too_large"


class ExtraMissing(Refused):
    """A package of an extra is not installed; the hint is the command that installs it."""

    code = "extra_missing"


class InvalidInput(Refused):
    """An argument of a task makes no sense."""

    code = "invalid_params"


def _rebuild(kind: type[Refused], message: str, hint: str) -> Refused:
    return kind(message, hint=hint)


BY_CODE: dict[str, type[Refused]] = {
    kind.code: kind for kind in (UnsupportedMedia, CorruptMedia, TooLarge, ExtraMissing, InvalidInput)
}

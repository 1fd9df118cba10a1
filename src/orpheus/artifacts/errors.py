"""What can go wrong with an object. Each becomes the error envelope of the API as it stands."""

from __future__ import annotations

from orpheus.core.errors import OrpheusError


class UnsafeKey(OrpheusError):
    """A name is empty, too long, or would lead out of its folder."""


class MissingObject(OrpheusError):
    """The object does not exist (any more)."""

    code = "unknown_file"
    status = 404


class ObjectTooLarge(OrpheusError):
    """More bytes came than are allowed; what was written has been removed."""

    code = "too_large"
    status = 413

"""How do a caller's values become params? Files are uploaded first, everything else becomes plain JSON."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

from orpheus.client.effects import Operation
from orpheus.client.errors import InvalidInput
from orpheus.client.requests import Source, decoder, upload
from orpheus.client.retrying import Patience, send
from orpheus.protocol.jobs import FileInfo

_FILE = decoder(FileInfo)
_PLAIN = frozenset({str, int, float, bool, type(None)})
_TEXT = frozenset({str})


def upload_file(
    file: Path | BinaryIO, patience: Patience, *, name: str | None = None, tenant: str | None = None
) -> Operation[FileInfo]:
    """Stream a file to the server and return its record. Repeated from the start when the connection breaks.

    Raises:
        InvalidInput: there is no such file, or it cannot be read.
    """
    source = source_of(file, name=name)
    try:
        request = upload(source, tenant=tenant)
    except OSError as error:
        raise InvalidInput(f"{source.name}: {error.strerror or error}") from None
    return _FILE((yield from send(request, patience)))


def source_of(file: Path | BinaryIO, *, name: str | None = None) -> Source:
    if isinstance(file, Path):
        if not file.exists():
            raise InvalidInput(f"there is no file {file}")
        if not file.is_file():
            raise InvalidInput(f"{file} is not a file")
        return Source(file, name or file.name)
    found = getattr(file, "name", None)
    return Source(file, name or (Path(found).name if isinstance(found, str) and found else "upload"))


def is_plain(params: Any) -> bool:
    """Tell whether `to_params` would change nothing: names, and texts, numbers or nothing under them."""
    if type(params) is not dict:
        return False
    # No generator: asked for each of thousands of jobs.
    return _TEXT.issuperset(map(type, params)) and _PLAIN.issuperset(map(type, params.values()))


def to_params(value: Any, patience: Patience, *, tenant: str | None = None) -> Operation[Any]:
    """Return `value` as JSON, with an uploaded file's `{"file_id"}` wherever it held a `Path` or an open binary file.

    Dataclasses, enums, datetimes, msgspec and pydantic models become what their workflow reads back.
    """
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Path) or _is_open_file(value):
        info: FileInfo = yield from upload_file(value, patience, tenant=tenant)
        return {"file_id": info.file_id}
    if isinstance(value, Mapping):
        done: dict[str, Any] = {}
        for key, inner in value.items():
            done[str(key)] = inner if type(inner) in _PLAIN else (yield from to_params(inner, patience, tenant=tenant))
        return done
    if isinstance(value, list | tuple):
        items: list[Any] = []
        for inner in value:
            items.append(inner if type(inner) in _PLAIN else (yield from to_params(inner, patience, tenant=tenant)))  # noqa: PERF401
        return items
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and _holds_file(value):
        fields = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
        return (yield from to_params(fields, patience, tenant=tenant))
    return _encoded(value)


def _is_open_file(value: Any) -> bool:
    if isinstance(value, io.TextIOBase):
        raise InvalidInput(f"{getattr(value, 'name', value)!r} is open as text; open it with mode 'rb'")
    return isinstance(value, io.IOBase | io.BufferedIOBase | io.RawIOBase) or (
        hasattr(value, "read") and hasattr(value, "seekable")
    )


def _holds_file(value: Any) -> bool:
    if isinstance(value, Path | io.IOBase):
        return True
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return any(_holds_file(getattr(value, one.name)) for one in dataclasses.fields(value))
    if isinstance(value, Mapping):
        return any(map(_holds_file, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_holds_file, value))
    return False


def _encoded(value: Any) -> Any:
    from orpheus.authoring.codec import to_wire  # noqa: PLC0415 (only callers with typed values pay for it)

    try:
        return to_wire(value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"a param cannot be sent: {error}") from None


def workflow_body(workflow: Any) -> str | dict[str, Any]:
    """Return what `POST /jobs` takes as `workflow`: a name, or the whole graph of a workflow object.

    Raises:
        InvalidInput: it is neither.
    """
    if isinstance(workflow, str):
        return workflow
    if isinstance(workflow, Mapping):
        return dict(workflow)
    for method in ("to_json", "definition"):
        found = getattr(workflow, method, None)
        if found is not None:
            return cast("dict[str, Any]", found() if callable(found) else found)
    raise InvalidInput(f"a workflow is a name, a @workflow or its JSON, not {type(workflow).__name__}")

"""How is a body read, and what is said when it does not fit?

Bodies are counted as they come, whether or not a length was announced, so none can fill the memory. Errors name the
place by JSON Pointer; an unknown field gets its nearest match.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from msgspec import inspect

from orpheus.api.calls import JSON, Call, ClientGone
from orpheus.api.errors import MalformedBody, TooLarge, UnsupportedBody
from orpheus.core.errors import InvalidRequest, OrpheusError
from orpheus.core.plain import pointer
from orpheus.core.suggest import did_you_mean, quoted

_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
_ENUM = re.compile(r"Invalid enum value (?:'(.*)'|(-?[0-9]+))", re.DOTALL)
_AT = re.compile(r" - at (?:`key` in )?`(?:(?:key|tag) in )?\$(.*)`$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]|\[\.\.\.\]")


def declared_length(call: Call) -> int | None:
    """Return the announced length of the body in bytes."""
    value = call.headers.get(b"content-length")
    return int(value) if value is not None and value.isdigit() and len(value) < 20 else None


def check_length(call: Call, limit: int) -> None:
    """Refuse a body that announces more than `limit` bytes, before any of it is read."""
    length = declared_length(call)
    if length is not None and length > limit:
        raise _too_large(limit)


async def chunks(call: Call) -> AsyncIterator[bytes]:
    """Yield the body as it comes.

    Raises:
        ClientGone: the client hung up in the middle.
    """
    while True:
        message = await call.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece = message.get("body", b"")
        if piece:
            yield piece
        if not message.get("more_body", False):
            return


def plain_json(call: Call, limit: int) -> bytes | None:
    """Return a body that came whole with its request and says that it is JSON, as those of programs do. Where it is empty, longer
    than the limit or needs another look, nothing has been taken."""
    if call.headers.get(b"content-type") != JSON:
        return None
    # Of http1.py, if no application has put something before it.
    exchange: Any = getattr(call.receive, "__self__", None)
    body = getattr(exchange, "whole_body", None)
    if not body or len(body) > limit:
        return None
    taken: bytes | None = exchange.take_whole_body()
    return taken


async def read(call: Call, limit: int) -> bytes:
    """Return the whole body, whose announced length has been checked.

    Raises:
        TooLarge: more than `limit` bytes; what follows is not read.
    """
    message = await call.receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    first: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(first) > limit:
            raise _too_large(limit)
        return first
    whole = bytearray(first)
    async for piece in chunks(call):
        whole += piece
        if len(whole) > limit:
            raise _too_large(limit)
    return bytes(whole)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"the body is larger than {limit} bytes", hint="upload large data with POST /files and refer to it by file_id"
    )


def content_type(call: Call) -> str:
    """Return the bare content type in lower case, empty when none was sent."""
    return call.headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()


def check_json(call: Call) -> None:
    """Refuse a body that does not say it is JSON: forms and plain text are what foreign pages can send unasked."""
    if call.headers.get(b"content-type") == JSON:
        return
    said = content_type(call)
    if not said and declared_length(call) in (None, 0) and b"transfer-encoding" not in call.headers:
        raise MalformedBody("the body is missing", hint="send one JSON object, with Content-Type: application/json")
    if said != "application/json" and not (said.startswith("application/") and said.endswith("+json")):
        raise UnsupportedBody(
            f"the body is {said[:80] or 'of no stated type'}, this endpoint takes application/json",
            hint="send the header Content-Type: application/json",
        )


def decode(decoder: msgspec.json.Decoder[Any], raw: bytes) -> Any:
    """Decode a body.

    Raises:
        MalformedBody: not JSON.
        InvalidRequest: JSON of another shape; `details` says where.
    """
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        if _FLOAT_FOR_INT not in str(error):
            raise invalid(error, decoder.type) from None
        return _with_whole_numbers(decoder, raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        what = "empty" if not raw.strip() else f"not valid JSON: {error}"
        raise MalformedBody(f"the body is {what}", hint="send one JSON object, encoded as UTF-8") from None
    except RecursionError:
        raise InvalidRequest("the body is nested too deep", hint="64 levels are enough for everybody") from None


_FLOAT_FOR_INT = "Expected `int"
_MOST_MENDED = 1000


def _with_whole_numbers(decoder: msgspec.json.Decoder[Any], raw: bytes) -> Any:
    """Decode again, taking 3.0 for 3 where a whole number belongs: to JSON they are one, and some languages write
    so."""
    value = msgspec.json.decode(raw)
    for _ in range(_MOST_MENDED):
        try:
            return msgspec.convert(value, decoder.type)
        except msgspec.ValidationError as error:
            if _FLOAT_FOR_INT not in str(error) or not _mend(value, _steps_of(str(error))):
                raise invalid(error, decoder.type) from None
    raise InvalidRequest(f"the body has more than {_MOST_MENDED} whole numbers written as fractions")


def _mend(value: Any, steps: list[str | int]) -> bool:
    """Make the float at the path an integer; return whether that was possible."""
    try:
        for step in steps[:-1]:
            value = value[step]
        last = steps[-1]
        mended = False
        for key in list(value) if last == "*" and isinstance(value, dict) else [last]:
            number = value[key]
            if isinstance(number, float) and number.is_integer():
                value[key] = int(number)
                mended = True
    except (KeyError, IndexError, TypeError):
        return False
    return mended


def _steps_of(text: str) -> list[str | int]:
    found = _AT.search(text)
    if not found:
        return []
    return [name if name else int(index) if index else "*" for name, index in _STEP.findall(found[1])]


_TYPES = re.compile(r"`([a-z]+(?: \| [a-z]+)*)`")
_WORDS = {
    "object": "an object",
    "array": "a list",
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
}
"""JSON's words in place of Python's."""


def _in_words(text: str) -> str:
    def words(match: re.Match[str]) -> str:
        return " or ".join(_WORDS.get(name, name) for name in match[1].split(" | "))

    return _TYPES.sub(words, text).replace("Expected ", "expected ", 1)


def invalid(error: msgspec.ValidationError, shape: Any, *, where: str = "body") -> OrpheusError:
    """Make a validation error of msgspec one that names the culprit and helps."""
    text = str(error)
    steps = _steps_of(text)
    text = _AT.sub("", text)
    unknown, missing, other = _UNKNOWN.search(text), _MISSING.search(text), _ENUM.search(text)
    hint = ""
    valid: list[str] = []
    if unknown:
        name = unknown[1]
        hint = did_you_mean(name, _fields_at(shape, steps))
        text = f"there is no field {name[:80]!r}"
        steps.append(name[:200])
    elif missing:
        text = f"the field {missing[1]!r} is missing"
        steps.append(missing[1])
    elif other:
        name = other[1] if other[1] is not None else other[2]
        valid = _values_at(shape, steps)
        hint = did_you_mean(name, valid)
        text = f"{quoted(name)} is none of {', '.join(valid)}" if valid else f"{quoted(name)} is no valid value"
    else:
        hint = _described_at(shape, steps, key=" - at `key` in " in str(error))
        text = _in_words(text)
    path = pointer(*steps)
    place = f" at {path}" if path and not (unknown or missing) else ""
    entry: dict[str, Any] = {"path": path, "message": text, "in": where}
    if hint:
        entry["hint"] = hint
    if valid:
        entry["valid"] = valid
    return InvalidRequest(f"{where}{place}: {text}", hint=hint, details=[entry])


def _fields_at(shape: Any, steps: list[str | int]) -> list[str]:
    """Return the names of the fields that the struct at `steps` of a type has."""
    return [name for kind in _kinds_at(shape, steps) for name in _names(kind)]


def _values_at(shape: Any, steps: list[str | int]) -> list[str]:
    """Return the values that a choice at `steps` of a type takes."""
    found: dict[str, None] = {}
    for kind in _kinds_at(shape, steps):
        for flat in _flat(kind):
            if isinstance(flat, inspect.LiteralType):
                found.update((str(value), None) for value in flat.values)
            elif isinstance(flat, inspect.EnumType):
                found.update((str(member.value), None) for member in flat.cls)
    return list(found)


def _described_at(shape: Any, steps: list[str | int], *, key: bool) -> str:
    """Return what is said of the value (or of the keys of the object) at `steps` of a type."""
    kinds = _kinds_at(shape, steps)
    if key:
        kinds = [flat.key_type for kind in kinds for flat in _flat(kind) if isinstance(flat, inspect.DictType)]
    for kind in kinds:
        for each in kind.types if isinstance(kind, inspect.UnionType) else (kind,):
            if isinstance(each, inspect.Metadata) and (said := (each.extra_json_schema or {}).get("description")):
                return str(said)
    return ""


def _kinds_at(shape: Any, steps: list[str | int]) -> list[inspect.Type]:
    kinds: list[inspect.Type] = [inspect.type_info(shape)]
    for step in steps:
        kinds = [inner for kind in kinds for inner in _inside(kind, step)]
    return kinds


def _flat(kind: inspect.Type) -> list[inspect.Type]:
    if isinstance(kind, inspect.Metadata):
        return _flat(kind.type)
    if isinstance(kind, inspect.UnionType):
        return [inner for each in kind.types for inner in _flat(each)]
    return [kind]


def _names(kind: inspect.Type) -> list[str]:
    return [field.encode_name for flat in _flat(kind) if isinstance(flat, inspect.StructType) for field in flat.fields]


def _inside(kind: inspect.Type, step: str | int) -> list[inspect.Type]:
    found: list[inspect.Type] = []
    for flat in _flat(kind):
        if isinstance(flat, inspect.StructType):
            found.extend(field.type for field in flat.fields if field.encode_name == step)
        elif isinstance(flat, inspect.ListType):
            found.append(flat.item_type)
        elif isinstance(flat, inspect.DictType):
            found.append(flat.value_type)
    return found

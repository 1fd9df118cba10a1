"""What does `-p key=value` mean? JSON where it is JSON, a file where it begins with `@`, text otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from orpheus.cli.errors import CommandError

ParamFlag = Annotated[
    list[str] | None,
    typer.Option(
        "-p",
        "--param",
        help="A param of the workflow. The value is JSON, else text; @path sends a file, key:=text is always text.",
        metavar="KEY=VALUE",
    ),
]


def parse_params(given: list[str] | None) -> dict[str, Any]:
    """Read `key=value` pairs; `a.b=1` sets a field of an object.

    Raises:
        CommandError: there is no `=`, a key comes twice, or a named file does not exist.
    """
    params: dict[str, Any] = {}
    for one in given or ():
        key, equals, text = one.partition("=")
        if not equals or not key:
            raise CommandError("invalid_params", f"-p {one!r} is not KEY=VALUE", hint="For example -p language=en")
        verbatim = key.endswith(":")
        _put(params, key.removesuffix(":").strip(), text if verbatim else _value(text), one)
    return params


def _put(params: dict[str, Any], key: str, value: Any, said: str) -> None:
    *path, last = key.split(".")
    inner = params
    for step in path:
        inner = inner.setdefault(step, {})
        if not isinstance(inner, dict):
            raise CommandError("invalid_params", f"-p {said!r}: {step!r} was already given as a value")
    if last in inner:
        raise CommandError("invalid_params", f"param {key!r} is given twice")
    inner[last] = value


def _value(text: str) -> Any:
    if text.startswith("@"):
        path = Path(text[1:]).expanduser()
        if not path.is_file():
            raise CommandError(
                "invalid_params",
                f"there is no file {str(path)!r}",
                hint="Write key:=@text for text that begins with @.",
            )
        return path
    try:
        return json.loads(text)
    except ValueError:
        return text


def parse_labels(given: list[str] | None) -> dict[str, str]:
    """Read `-l name=value` pairs."""
    labels = {}
    for one in given or ():
        name, separator, value = one.partition("=")
        if not separator or not name:
            raise CommandError("invalid_request", f"label {one!r} is not NAME=VALUE")
        labels[name] = value
    return labels

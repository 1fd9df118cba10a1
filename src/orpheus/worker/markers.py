"""What do the `$` markers in arguments stand for? Spilled results and secrets are put in their places before decoding.

    {"$spill": {"key", "path", …}}   a large result, or a part of it: read from the object store
    {"$secret": "NAME"}              the value of ORPHEUS_SECRET_NAME on this worker, stored and logged nowhere
    {"$file": {…}}                   left for the decoder, which makes a `File` of it

Secrets are looked for in the arguments as they came, not in what a spilled result holds: a task's output cannot name a
secret of the worker.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from orpheus.core.values import operator_of
from orpheus.worker.failures import AttemptError

DEPTH_MAX = 16
"""Spilled results that hold spilled results: deeper than this is a mistake."""


_REPLACED = frozenset({"$spill", "$secret"})
_CONTAINERS = frozenset({dict, list})


class Secrets:
    """Look secrets up: `ORPHEUS_SECRET_NAME`, then `ORPHEUS_SECRET_NAME_FILE`, then the secrets file.

    Args:
        file: a JSON object or `NAME=value` lines; read anew whenever it has changed.
        environment: for tests.
    """

    def __init__(self, file: Path | None, environment: Mapping[str, str] | None = None) -> None:
        self._file = file
        self._environment = os.environ if environment is None else environment

    def get(self, name: str) -> str:
        """Return the secret.

        Raises:
            AttemptError: this worker does not have it; final, since another attempt here cannot have it either.
        """
        value = self._environment.get(f"ORPHEUS_SECRET_{name}")
        if value is not None:
            return value
        path = self._environment.get(f"ORPHEUS_SECRET_{name}_FILE")
        if path:
            try:
                return Path(path).read_text().rstrip("\r\n")
            except OSError as broken:
                raise AttemptError(
                    f"secret {name!r}: ORPHEUS_SECRET_{name}_FILE cannot be read: {broken.strerror}",
                    code="binding_failed",
                    final=True,
                ) from None
        found = self._from_file().get(name)
        if found is not None:
            return found
        raise AttemptError(
            f"secret {name!r} is not known to this worker",
            code="binding_failed",
            hint=f"Set ORPHEUS_SECRET_{name} (or ORPHEUS_SECRET_{name}_FILE) in the worker's environment.",
            final=True,
        )

    def _from_file(self) -> dict[str, str]:
        if self._file is None or not self._file.exists():
            return {}
        text = self._file.read_text()
        if text.lstrip().startswith("{"):
            return {str(key): str(value) for key, value in json.loads(text).items()}
        pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.lstrip().startswith("#"))
        return {key.strip(): value.strip() for key, _, value in pairs}


def has_markers(value: Any) -> bool:
    """Tell whether `resolve` would change anything; most arguments hold no marker, and need no thread."""
    if type(value) is dict:
        if len(value) == 1 and not _REPLACED.isdisjoint(value):
            return True
        parts: Iterable[Any] = value.values()
    elif type(value) is list:
        parts = value
    else:
        return False
    return not _CONTAINERS.isdisjoint(map(type, parts)) and any(map(has_markers, parts))


class Resolver:
    """Resolve the markers of one attempt's arguments. Blocks (reads files): call it in a thread.

    Args:
        read: returns an object of the store by key.
        secret: returns a secret by name.
    """

    def __init__(self, *, read: Callable[[str], bytes], secret: Callable[[str], str]) -> None:
        self._read = read
        self._secret = secret
        self._spilled: dict[str, Any] = {}

    def resolve(self, value: Any) -> Any:
        """Return `value` with every marker but `$file` replaced.

        Raises:
            AttemptError: a secret or a part of a spilled result is missing.
        """
        return self._walk(value, secrets=True, depth=0)

    def _walk(self, value: Any, *, secrets: bool, depth: int) -> Any:
        operator = operator_of(value)
        if operator == "$spill":
            return self._from_spill(value["$spill"], depth)
        if operator == "$secret" and secrets:
            return self._secret(value["$secret"])
        if operator == "$file":
            return value
        if isinstance(value, dict):
            return {key: self._walk(inner, secrets=secrets, depth=depth) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._walk(inner, secrets=secrets, depth=depth) for inner in value]
        return value

    def _from_spill(self, spill: dict[str, Any], depth: int) -> Any:
        if depth >= DEPTH_MAX:
            raise AttemptError("spilled results are nested too deep", code="binding_failed", final=True)
        key = spill["key"]
        if key not in self._spilled:
            self._spilled[key] = msgspec.json.decode(self._read(key))
        value = self._spilled[key]
        path = list(spill.get("path", ()))
        for position, step in enumerate(path):
            operator = operator_of(value)
            if operator == "$spill":
                inner = value["$spill"]
                rest = {**inner, "path": [*inner.get("path", ()), *path[position:]]}
                return self._from_spill(rest, depth + 1)
            if operator == "$file":
                value = value["$file"]
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                where = "/".join(map(str, path))
                raise AttemptError(
                    f"the large result {key!r} has no {where!r}", code="binding_failed", final=True
                ) from None
        return self._walk(value, secrets=False, depth=depth + 1)

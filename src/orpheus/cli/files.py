"""Which param of a workflow takes the file that somebody named, and where do its results go?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orpheus.cli.errors import CommandError
from orpheus.client import Client, NotFound
from orpheus.protocol.jobs import WorkflowInfo

USUAL = "source"


def file_param(client: Client, workflow: str) -> str:
    """Return the name of the workflow's file param.

    Raises:
        CommandError: it has none, or several, so that the file must be given by `-p name=@file`.
    """
    try:
        shown = named_workflow(client, workflow)
    except NotFound:
        return USUAL  # the submission says what is wrong, with the nearest name
    return file_param_of(shown.params, workflow)


def named_workflow(client: Client, workflow: str) -> WorkflowInfo:
    """Return the workflow that somebody named, `name` or `name@version`.

    Raises:
        NotFound: there is none.
    """
    name, _, version = workflow.partition("@")
    return client.workflow(name, version=int(version) if version.isdigit() else None)


def file_param_of(schema: Mapping[str, Any], workflow: str) -> str:
    """Return the name of the one file param that a params' JSON Schema has."""
    properties = schema.get("properties") or {}
    named = [name for name, inner in properties.items() if takes_file(inner, schema)]
    required = [name for name in named if name in (schema.get("required") or ())]
    candidates = required or named
    if not properties:
        return USUAL
    if len(candidates) == 1:
        return str(candidates[0])
    if not candidates:
        takes = ", ".join(properties)
        raise CommandError(
            "invalid_params", f"workflow {workflow!r} takes no file", hint=f"It takes {takes}; give them with -p."
        )
    raise CommandError(
        "invalid_params",
        f"workflow {workflow!r} takes several files: {', '.join(candidates)}",
        hint=" ".join(f"-p {name}=@FILE" for name in candidates),
    )


def takes_file(schema: Any, root: Mapping[str, Any]) -> bool:
    """Tell whether a param's schema is that of a `File` (`"x-orpheus": "file"`), perhaps an optional one."""
    if not isinstance(schema, Mapping):
        return False
    if schema.get("x-orpheus") == "file":
        return True
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/"):
        found: Any = root
        for step in reference[2:].split("/"):
            found = found.get(step) if isinstance(found, Mapping) else None
        return found is not schema and takes_file(found, {})
    return any(takes_file(inner, root) for key in ("anyOf", "oneOf") for inner in schema.get(key) or ())


def results_folder(out: Path | None, label: str) -> Path:
    """Return where results go: the folder that was named, or a new one under `orpheus-out/`."""
    if out is not None:
        if out.exists() and not out.is_dir():
            raise CommandError("file_error", f"{out} is not a folder")
        return out
    base = Path("orpheus-out")
    target, number = base / label, 1
    while target.exists():
        number += 1
        target = base / f"{label}-{number}"
    return target

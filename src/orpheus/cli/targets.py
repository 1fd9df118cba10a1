"""What does `orpheus run TARGET` mean: a file to process, a workflow in the user's own code, or a published one?"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path

from orpheus.authoring.registry import load_module
from orpheus.authoring.workflow import Workflow
from orpheus.cli.errors import CommandError
from orpheus.core.errors import OrpheusError
from orpheus.core.suggest import did_you_mean

MEDIA = "media"


@dataclass(frozen=True, slots=True)
class Target:
    """What to run."""

    workflow: str
    """Its published name; with its version where that is known."""
    label: str
    """Names the folder of the results."""
    file: Path | None = None
    imports: tuple[str, ...] = ()
    """What workers must load beside what they load anyway."""
    loaded: Workflow[..., object] | None = None
    """The workflow itself, where it is the user's own."""


def parse_target(text: str, workflow: str | None) -> Target:
    """Tell what is meant. `-w` may name a workflow in the user's own code as well.

    Raises:
        CommandError: there is no such file, module, or workflow in it.
        OrpheusError: the module's definitions are wrong.
    """
    own = _split_own(text)
    if own is not None:
        return _own(*own)
    path = Path(text).expanduser()
    if path.is_file():
        own = _split_own(workflow or "")
        if own is not None:
            found = _own(*own)
            return Target(found.workflow, path.name, path, found.imports, found.loaded)
        return Target(workflow or MEDIA, path.name, file=path)
    if path.is_dir():
        raise CommandError("file_error", f"{text} is a folder", hint="Name one file at a time.")
    if workflow is not None or "/" in text or "\\" in text or Path(text).suffix:
        raise CommandError("file_error", f"there is no file {text}")
    return Target(text, text.replace("@", "-"))


def _split_own(text: str) -> tuple[str, str] | None:
    """Split `flows.py:talk` or `pkg.flows:talk`; None for anything else."""
    code, colon, name = text.rpartition(":")
    is_code = code.endswith(".py") or (len(code) > 1 and all(part.isidentifier() for part in code.split(".")))
    return (code, name) if colon and is_code and name.isidentifier() else None


def _own(code: str, name: str) -> Target:
    module = import_module(code)
    found = getattr(module, name, None)
    if not isinstance(found, Workflow):
        offered = [key for key, value in vars(module).items() if isinstance(value, Workflow)]
        what = "is not a @workflow" if found is not None else "is not there"
        hint = did_you_mean(name, offered) or (f"There is {', '.join(offered)}." if offered else "There is none in it.")
        raise CommandError("unknown_workflow", f"{code}: {name!r} {what}", hint=hint)
    _ = found.definition  # traced here, so that a mistake in it is told before anything starts
    return Target(f"{found.name}@{found.version}", found.name, imports=(code,), loaded=found)


def import_module(code: str) -> object:
    """Import the user's module; what goes wrong in it is told with its place.

    Raises:
        CommandError: it failed while it was imported.
    """
    try:
        return load_module(code)
    except OrpheusError:
        raise
    except (Exception, SystemExit) as error:
        frames = [one for one in traceback.extract_tb(error.__traceback__) if "importlib" not in one.filename]
        last = frames[-1] if frames else None
        where = f"{last.filename}:{last.lineno}: " if last else ""
        raise CommandError("import_failed", f"{code}: {where}{type(error).__name__}: {error}") from error

"""`orpheus run --inline`: everything in this process, without a server, so that breakpoints and debuggers work."""

from __future__ import annotations

import shutil
import sys
import traceback
from bdb import BdbQuit
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

import orpheus
from orpheus.authoring.codec import to_wire
from orpheus.authoring.registry import load_module
from orpheus.authoring.workflow import Workflow
from orpheus.cli.asking import ask_person
from orpheus.cli.errors import CommandError
from orpheus.cli.exits import ExitCode
from orpheus.cli.files import file_param_of, results_folder
from orpheus.cli.output import note, print_json, say, show_error, size
from orpheus.cli.results import RESULT
from orpheus.cli.shipped import SHIPPED
from orpheus.cli.show import readable
from orpheus.cli.targets import Target, import_module
from orpheus.client.downloads import safe_path
from orpheus.core.suggest import did_you_mean
from orpheus.testing.inline import InlineRun, JobFailed, Stuck, run_job


@dataclass(frozen=True, slots=True)
class Given:
    """Answers from the command line."""

    approve: Sequence[str]
    """`NAME` or `NAME=JSON`."""
    reject: Sequence[str]
    signals: Sequence[str]
    """`NAME` or `NAME=JSON`."""
    everything: bool

    def approvals(self) -> dict[str, Any] | Literal["auto"]:
        if self.everything:
            return "auto"
        return {**_named(self.approve, True), **dict.fromkeys(self.reject, False)}


def _named(texts: Sequence[str], bare: Any) -> dict[str, Any]:
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        try:
            found[name] = msgspec.json.decode(value) if equals else bare
        except msgspec.DecodeError as error:
            raise CommandError("invalid_input", f"{text!r}: what follows = is not JSON: {error}") from None
    return found


def run_inline(
    target: Target, params: dict[str, Any], imports: Sequence[str], out: Path | None, given: Given, *, as_json: bool
) -> ExitCode:
    """Run the target here and write its artifacts to the results' folder.

    Raises:
        CommandError: there is no such workflow in the modules that were loaded.
        InvalidParams: the params do not fit.
    """
    workflow = target.loaded or find_workflow(target.workflow, imports)
    if target.file is not None:
        params = {file_param_of(workflow.to_json().get("params") or {}, workflow.name): target.file, **params}
    try:
        done = run_job(
            workflow,
            params,
            approvals=given.approvals(),
            signals=_named(given.signals, None),
            ask=ask_person if sys.stdin.isatty() and sys.stderr.isatty() else None,
        )
    except JobFailed as failed:
        if failed.__cause__ is not None:
            _show_own_code(failed.__cause__)
        show_error(failed.code, failed.message, failed.hint, as_json=as_json)
        return ExitCode.FAILED
    except Stuck as stuck:
        show_error("job_stuck", str(stuck), "", as_json=as_json)
        return ExitCode.FAILED
    except BdbQuit:
        note("left the debugger; the job is given up")
        return ExitCode.INTERRUPTED
    folder, names = _write(done, out, target.label)
    result = to_wire(done.result)
    if as_json:
        print_json({"state": done.state, "result": result, "out": str(folder) if folder else None, "files": names})
        return ExitCode.OK
    note(f"{workflow.name} completed, in this process")
    if result is not None:
        say(msgspec.json.format(msgspec.json.encode(readable(result)), indent=2).decode())
    for name, path in done.artifacts.items():
        say(f"{name}\t{size(path.stat().st_size)}")
    if folder is not None:
        say(f"results are in {folder}")
    return ExitCode.OK


def _show_own_code(error: BaseException) -> None:
    """Print what a handler raised, from the handler on: the frames above it are ours, and tell its author nothing."""
    ours = str(Path(orpheus.__file__).parent)
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename.startswith(ours):
        frame = frame.tb_next
    traceback.print_exception(type(error), error, frame or error.__traceback__)


def _workflows(module: object, version: str) -> list[Workflow[..., Any]]:
    found = [value for value in vars(module).values() if isinstance(value, Workflow)]
    return [value for value in found if not version or str(value.version) == version]


def find_workflow(name: str, imports: Sequence[str]) -> Workflow[..., Any]:
    """Return the workflow called `name` (or `name@version`) from the shipped and the named modules."""
    bare, _, version = name.partition("@")
    known: dict[str, Workflow[..., Any]] = {}
    for code in imports:
        for value in _workflows(import_module(code), version):
            kept = known.get(value.name)
            known[value.name] = value if kept is None or kept.version < value.version else kept
    for code in SHIPPED:  # what comes with Orpheus yields to what users define
        for value in _workflows(load_module(code), version):
            known.setdefault(value.name, value)
    if bare not in known:
        raise CommandError(
            "unknown_workflow",
            f"there is no workflow {name!r}",
            hint=did_you_mean(bare, list(known)) or f"There are {', '.join(sorted(known))}.",
        )
    return known[bare]


def _write(done: InlineRun, out: Path | None, label: str) -> tuple[Path | None, list[str]]:
    if out is None and not done.artifacts:
        return None, []
    folder = results_folder(out, label)
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in done.artifacts.items():
        target = safe_path(folder, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    names = list(done.artifacts)
    if done.result is not None and RESULT not in names:
        text = msgspec.json.format(msgspec.json.encode(to_wire(done.result)), indent=2)
        (folder / RESULT).write_bytes(text + b"\n")
        names.append(RESULT)
    return folder, names

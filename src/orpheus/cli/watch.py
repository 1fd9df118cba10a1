"""`orpheus watch`"""

from __future__ import annotations

import errno
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from orpheus.cli.connect import ServerFlag, connect
from orpheus.cli.errors import CommandError, explain
from orpheus.cli.exits import ExitCode
from orpheus.cli.files import file_param, named_workflow
from orpheus.cli.output import JsonFlag, note, print_json, say
from orpheus.cli.params import ParamFlag, parse_labels, parse_params
from orpheus.cli.watching import STATE, Known, Look, Memory, Selection, Watched, key_of, scan, sha256_of
from orpheus.client import Client, ConnectionLost, Patience
from orpheus.client.errors import ClientError, OrpheusHTTPError

app = typer.Typer(add_completion=False)

PATIENCE = Patience(reconnect_s=1.0)
"""One file does not hold up the others for long: what failed is tried again after a pause of its own."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
_LATER = frozenset({"unknown_workflow", "unauthorized", "forbidden", "quota_exceeded"})
"""Refusals that are about the moment, not about the file: a worker that is not there yet, a key to be mended."""


@app.command()
def watch(
    *,
    folder: Annotated[Path, typer.Argument(help="The folder to watch.", metavar="DIR")],
    workflow: Annotated[str, typer.Option("-w", "--workflow", help="Workflow for each file.")] = "media",
    pattern: Annotated[
        list[str] | None, typer.Option("--pattern", help="Only names like this (*.mp4); may be repeated.")
    ] = None,
    recursive: Annotated[bool, typer.Option("--recursive", help="Its folders too.")] = False,
    settle_s: Annotated[float, typer.Option(min=0, help="How long a file must not have changed.")] = 2.0,
    existing: Annotated[bool, typer.Option("--existing", help="Also what is there before the first watch.")] = False,
    once: Annotated[bool, typer.Option("--once", help="End when all there is has been submitted.")] = False,
    interval_s: Annotated[float, typer.Option(min=0.05, help="Seconds between two looks.")] = 1.0,
    state: Annotated[
        Path | None, typer.Option(help=f"What was submitted is kept here. (default: DIR/{STATE})", metavar="FILE")
    ] = None,
    param: ParamFlag = None,
    label: Annotated[
        list[str] | None, typer.Option("-l", "--label", help="A label; may be repeated.", metavar="NAME=VALUE")
    ] = None,
    priority: Annotated[int | None, typer.Option(min=1, max=5, help="1 is the highest, 5 the lowest.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Whose jobs they are.")] = None,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Submit each file that appears in a folder, once it is complete. Goes on until Ctrl-C.

    orpheus watch ./inbox --workflow media --pattern '*.mp4'
    """
    if not folder.is_dir():
        raise CommandError("file_error", f"{folder} is not a folder")
    options = {"priority": priority, "tenant": tenant, "labels": parse_labels(label)}
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: _end(stop))
    memory = _memory(state or folder / STATE)
    try:
        with connect(server, patience=PATIENCE) as client:
            inbox = Inbox(client, folder, workflow, parse_params(param), options, memory, json=json)
            if once:
                inbox.check_workflow()
            watched = Watched(memory, settle_s=settle_s, existing=existing)
            inbox.run(watched, Selection(tuple(pattern or ()), recursive), stop, once=once, interval_s=interval_s)
    finally:
        memory.close()
    raise typer.Exit(ExitCode.OK)


def _end(stop: threading.Event) -> None:
    """What is being submitted is finished first; whoever asks twice does not wait."""
    if stop.is_set():
        raise KeyboardInterrupt
    stop.set()


def _memory(path: Path) -> Memory:
    try:
        return Memory(path)
    except BlockingIOError:
        raise CommandError(
            "data_in_use",
            f"another watch uses {path}",
            hint="--state FILE gives this one its own.",
            exit_code=ExitCode.IN_USE,
        ) from None
    except OSError as error:
        hint = "--state FILE puts it elsewhere." if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM) else ""
        raise CommandError("file_error", f"{path}: {error.strerror}", hint=hint) from None


@dataclass(slots=True)
class Inbox:
    """Submits what is ready, and tries again what could not be."""

    client: Client
    folder: Path
    workflow: str
    params: dict[str, Any]
    options: Mapping[str, Any]
    memory: Memory
    json: bool
    _param: str | None = None
    _again: dict[str, tuple[float, float]] = field(default_factory=dict)
    """By path: when to try again (monotonic), and the pause before that."""
    _away: tuple[float, float] = (0.0, 0.0)
    """The same of a server that is not there."""
    _told: dict[str, str] = field(default_factory=dict)

    def check_workflow(self) -> None:
        """Refuse to begin when there is no such workflow: who goes on for ever waits for it, who ends must not.

        Raises:
            OrpheusHTTPError: there is none.
        """
        named_workflow(self.client, self.workflow)

    def run(
        self, watched: Watched, selection: Selection, stop: threading.Event, *, once: bool, interval_s: float
    ) -> None:
        """Look, submit, wait, until told to stop."""
        tidied = False
        while not stop.is_set():
            try:
                files = scan(self.folder, selection)
            except OSError as error:
                self._tell("", f"{self.folder}: {error.strerror}; looking again")
                stop.wait(interval_s)
                continue
            ready = watched.see(files, time.monotonic())
            for before, now in watched.renamed:
                note(f"{before} is called {now} now; it was submitted already")
            if not tidied:
                self.memory.forget_all_but(files)
                tidied = True
            for path in ready:
                if stop.is_set():
                    return
                if time.monotonic() < self._away[0]:
                    break
                if self._again.get(path, (0.0, 0.0))[0] <= time.monotonic():
                    self._submit(path, files[path])
            if once and watched.is_quiet():
                return
            stop.wait(interval_s)

    def _submit(self, path: str, look: Look) -> None:
        try:
            known = self._known(path, look)
        except ConnectionLost as error:
            self._away = _pause_after(self._away)
            self._tell("", f"{error.message}; trying again")
        except OSError as error:
            self._later(path, f"{path}: {error.strerror or error}; trying again")
        except (CommandError, ClientError) as error:
            code = getattr(error, "code", "")
            if isinstance(error, OrpheusHTTPError) and (error.retryable or code in _LATER):
                self._later(path, f"{path}: {code}: {error.message}; trying again")
            else:
                explained = explain(error)
                self._tell(path, f"{path} was refused: {code}: {explained.message if explained else error}")
                self._again.pop(path, None)
                self.memory.remember(path, Known(look, refused=code))
        else:
            self._again.pop(path, None)
            self._away = (0.0, 0.0)
            self._told.clear()
            if known is not None:
                self.memory.remember(path, known)

    def _known(self, path: str, look: Look) -> Known | None:
        """Submit a file unless this content was; None when it changed meanwhile."""
        file = self.folder / path
        sha256 = sha256_of(file)
        before = self.memory.known.get(path)
        if before is not None and before.sha256 == sha256 and before.job_id is not None:
            return Known(look, sha256, before.job_id)  # touched, not changed
        if self._param is None:
            self._param = file_param(self.client, self.workflow)
        tenant = self.options["tenant"]
        uploaded = self.client.upload(file, tenant=tenant)
        if uploaded.sha256 != sha256 or Look.of(file.stat()) != look:
            return None
        key = key_of(file, sha256, self.workflow, self.params)
        params = {self._param: {"file_id": uploaded.file_id}, **self.params}
        job = self.client.submit(self.workflow, params, idempotency_key=key, **self.options)
        if self.json:
            print_json({"path": path, "sha256": sha256, "job_id": job.job_id}, line=True)
        else:
            say(f"{job.job_id}\t{path}")
        return Known(look, sha256, job.job_id)

    def _later(self, path: str, why: str) -> None:
        self._again[path] = _pause_after(self._again.get(path, (0.0, 0.0)))
        self._tell(path, why)

    def _tell(self, path: str, message: str) -> None:
        """Say it once, not every second."""
        if self._told.get(path) != message:
            self._told[path] = message
            note(message)


def _pause_after(before: tuple[float, float]) -> tuple[float, float]:
    """Return when to try again, and the pause until then: longer each time."""
    pause = min(LONGEST_PAUSE_S, 2 * before[1] or FIRST_PAUSE_S)
    return time.monotonic() + pause, pause

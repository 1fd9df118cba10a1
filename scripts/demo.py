"""`make demo`: real files through the real workflows, on a real server and worker, each step shown as it becomes durable.

Starts `orpheus up` on a free port with its data in `demo-out/data`, submits with the Python client what `orpheus run` would,
prints every event as it arrives, fetches the results, and stops. Nothing outside `demo-files/` and `demo-out/` is touched.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import demo_files
from rich.console import Console
from rich.markup import escape
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from orpheus.cli.results import fetch_results
from orpheus.client import Client
from orpheus.media.summary import size
from orpheus.protocol.jobs import EventInfo, JobInfo

ROOT = Path(__file__).parents[1]
FILES, OUT = ROOT / "demo-files", ROOT / "demo-out"
READY_S = 60.0
JOB_S = 120.0


@dataclass(frozen=True)
class Act:
    """One job of the demo. `command` is how to do the same by hand."""

    title: str
    workflow: str
    params: dict[str, Any]
    command: str
    folder: str
    fails: bool = False
    kill_at: str = ""
    """Kill the server with SIGKILL when this task has started."""


@dataclass
class Count:
    """What happened, for the last page."""

    jobs: int = 0
    tasks: int = 0
    events: int = 0
    artifacts: int = 0
    artifact_bytes: int = 0
    work_s: float = 0.0
    folders: list[tuple[str, list[str]]] = field(default_factory=list)


def acts() -> list[Act]:
    """The programme."""
    story = demo_files.STORY.splitlines()[0]

    def file(name: str, title: str, *, folder: str = "", fails: bool = False, kill_at: str = "") -> Act:
        path = FILES / name
        command = f"orpheus run demo-files/{name}"
        return Act(title, "media", {"source": path}, command, folder or path.stem, fails, kill_at)

    return [
        Act("a number", "sum_range", {"n": 1_000_000}, "orpheus run sum_range -p n=1000000", "sum_range"),
        Act("a sentence", "wordcount", {"text": story}, f'orpheus run wordcount -p text="{story[:24]}…"', "wordcount"),
        file("mountains.jpg", "a photo, lying on its side"),
        file("colours.mp4", "a video with sound"),
        file("orpheus.pdf", "a PDF"),
        file("letter.pdf", "a page that was scanned"),
        Act(
            "a talk, without its pauses and hesitations; and the server is killed on the way",
            "talk",
            {"source": FILES / "talk.mp4"},
            "orpheus run demo-files/talk.mp4 --workflow talk",
            "talk",
            kill_at="transcribe",
        ),
        file("mountains.jpg", "the photo again: every step is known already", folder="again"),
        file("holiday.jpg", "a web page that claims to be a photo", fails=True),
    ]


class Show:
    """Prints a job's events as a person would tell them."""

    def __init__(self, console: Console, count: Count, look: Callable[[], JobInfo]) -> None:
        self.console = console
        self.count = count
        self._look = look
        self._sizes: dict[str, int] = {}
        self._skipped: list[str] = []
        self._started: dict[str, float] = {}

    def event(self, event: EventInfo) -> None:
        """Print one event, if a person would want it."""
        self.count.events += 1
        at = datetime.fromisoformat(event.at).timestamp()
        task = event.task or ""
        if event.type == "task.skipped":
            self._skipped.append(task)
            return
        if self._skipped and event.type in ("task.completed", "artifact.published"):
            self.console.print(f"   [dim]↷ not needed: {escape(', '.join(self._skipped))}[/]", highlight=False)
            self._skipped = []
        match event.type:
            case "task.started":
                self._started[task] = at
            case "task.cached":
                self.count.tasks += 1
                self._line("[green]✔[/]", task, "[dim]cached[/]")
            case "task.completed" if "items" in event.data:
                pass  # a map, whose items were shown
            case "task.completed":
                self.count.tasks += 1
                took_s = at - self._started.get(task, at)
                self.count.work_s += took_s
                self._line("[green]✔[/]", task, f"[dim]{took_s:.2f} s[/]")
            case "task.failed":
                error = event.data.get("error") or {}
                self._line("[red]✘[/]", task, f"[red]{error.get('code', '')}[/]")
            case "task.retrying":
                self._line("[yellow]↻[/]", task, "will be tried again")
            case "artifact.published":
                name = str(event.data.get("name", ""))
                self._line("[cyan]▣[/]", f"[cyan]{escape(name)}[/]", f"[dim]{self._size(name)}[/]", plain=False)

    def _size(self, name: str) -> str:
        if name not in self._sizes:  # events carry names; the job's own list has the rest
            self._sizes = {one.name: one.size_bytes for one in self._look().artifacts or ()}
        return size(self._sizes[name]) if name in self._sizes else ""

    def _line(self, mark: str, what: str, rest: str, *, plain: bool = True) -> None:
        shown = escape(what) if plain else what
        pad = " " * max(1, 30 - len(what if plain else _bare(what)))
        self.console.print(f"   {mark} {shown}{pad}{rest}", highlight=False)

    def ending(self, act: Act, job: JobInfo) -> None:
        """Print what came of a job."""
        if job.error is not None:
            tone = "yellow" if act.fails else "red"
            self.console.print(f"   [{tone}]refused:[/] {escape(job.error.message)}", highlight=False)
            if job.error.hint:
                self.console.print(f"   [dim]{escape(job.error.hint)}[/]", highlight=False)
            return
        result: Any = job.result
        shown = result.get("summary") if isinstance(result, dict) and "summary" in result else json.dumps(result)
        self.console.print(f"   [bold]= {escape(str(shown))}[/]", highlight=False)


def _bare(text: str) -> str:
    """The text without its markup."""
    return Text.from_markup(text).plain


@contextlib.contextmanager
def server(data: Path, *options: str) -> Iterator[str]:
    """Run `orpheus up` with these options for the while; give its URL.

    Raises:
        SystemExit: it did not become ready; its last words are printed.
    """
    log = data.parent / "orpheus.log"
    argv = [sys.executable, "-m", "orpheus.cli", "up", "--json", "--port", "0", "--data", str(data), *options]
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("ORPHEUS_") or key == "ORPHEUS_FFMPEG"
    }
    with log.open("wb") as words:
        process = subprocess.Popen(  # noqa: S603 (ourselves)
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words, text=True, env=environment
        )
    timer = threading.Timer(READY_S, process.kill)
    timer.start()
    try:
        url = _ready_url(process)
        timer.cancel()
        if url is None:
            sys.stderr.write(log.read_text(errors="replace")[-4000:])
            raise SystemExit("the server did not start; its log is above")
        yield url
    finally:
        timer.cancel()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
        if process.stdout is not None:
            process.stdout.close()


def _ready_url(process: subprocess.Popen[str]) -> str | None:
    for line in process.stdout or ():
        with contextlib.suppress(ValueError):
            said = json.loads(line)
            if said.get("event") == "ready":
                return str(said["url"])
    return None


def perform(console: Console, client: Client, act: Act, count: Count) -> bool:
    """Submit one job, show its steps, fetch its results; tell whether it ended as it should."""
    console.print()
    console.print(f" [bold]{act.title}[/]   [dim]$ {escape(act.command)}[/]", highlight=False)
    job = client.submit(act.workflow, act.params)
    show = Show(console, count, lambda: client.get(job.job_id))
    for event in client.events(job.job_id, follow=True):
        show.event(event)
        if act.kill_at and (event.type, event.task) == ("task.started", act.kill_at):
            pid = json.loads((OUT / "data" / "orpheus.lock").read_text())["pid"]
            os.kill(pid, signal.SIGKILL)
            console.print(f"   [red]⚡[/] kill -9 {pid}, the server, while {act.kill_at} runs", highlight=False)
    job = client.wait(job.job_id, timeout_s=JOB_S)
    if act.kill_at:
        console.print("   [dim]The server came back from its file, and took the report the worker had kept.[/]")
    show.ending(act, job)
    count.jobs += 1
    fetched = fetch_results(client, job, OUT / act.folder, act.folder)
    count.artifacts += len(fetched.artifacts)
    count.artifact_bytes += sum(one.size_bytes for one in fetched.artifacts)
    if fetched.folder is not None and fetched.artifacts:
        count.folders.append((act.folder, list(fetched.names)))
    return (job.state == "failed") == act.fails


def last_page(console: Console, count: Count, data: Path, total_s: float) -> None:
    """Print where things lie, the numbers, and what to do next."""
    console.print()
    console.print(Rule("what you have now", style="dim"))
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 1))
    for folder, names in count.folders:
        table.add_row(f"[cyan]demo-out/{folder}/[/]", escape(", ".join(names)))
    table.add_row("[cyan]demo-out/data/orpheus.db[/]", "every job, task, attempt and event, in one SQLite file")
    console.print(table)
    console.print()
    console.print(
        f" {count.jobs} jobs, {count.tasks} tasks, {count.artifacts} artifacts ({size(count.artifact_bytes)}), "
        f"{count.events} events, each on disk before it was told; {total_s:.1f} s in all.",
        highlight=False,
    )
    console.print()
    console.print(Rule("what to try next", style="dim"))
    shown = data.relative_to(ROOT)
    for command, what in (
        (f".venv/bin/orpheus up --data {shown}", "keep it running; it tells where to look"),
        (".venv/bin/orpheus run YOUR-PHOTO.heic", "your own photo, video, recording or PDF"),
        (".venv/bin/orpheus jobs list", "while it runs: what happened, and why"),
        (".venv/bin/orpheus run examples/hello.py:hello -p name=you", "a workflow of nine lines; then write your own"),
        (".venv/bin/orpheus doctor", "what this machine has, and lacks"),
    ):
        console.print(f" [bold]$ {command}[/]\n     [dim]{what}[/]", highlight=False)
    console.print()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 110, soft_wrap=True)
    started = time.monotonic()
    data = OUT / "data"
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    console.print(Rule("Orpheus: from a file to results, every step durable", style="bold"))
    with console.status("making a photo, a video, two PDFs and a talk …"):
        demo_files.make(FILES)
    count, as_it_should = Count(), True
    with contextlib.ExitStack() as stack:
        with console.status("starting a server and a worker …"):
            url = stack.enter_context(server(data))
        console.print(f" [dim]$ orpheus up[/]   ready at {url}", highlight=False)
        client = stack.enter_context(Client(url))
        for act in acts():
            as_it_should &= perform(console, client, act, count)
    last_page(console, count, data, time.monotonic() - started)
    if not as_it_should:
        console.print(" [red]Not every job ended as it should; the log is demo-out/orpheus.log[/]")
    return 0 if as_it_should else 1


if __name__ == "__main__":
    sys.exit(main())

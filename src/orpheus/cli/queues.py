"""`orpheus queues …`"""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from orpheus.cli.connect import ServerFlag, connect
from orpheus.cli.errors import CommandError
from orpheus.cli.output import JsonFlag, note, print_json, say, table
from orpheus.client import Client
from orpheus.client.limits import KEEP
from orpheus.core.suggest import did_you_mean
from orpheus.protocol.limits import QueueInfo

app = typer.Typer(add_completion=False, no_args_is_help=True, help="List queues, pause them, set their limits.")

NameArgument = Annotated[str, typer.Argument(help="The queue's name.", metavar="QUEUE")]
NONE = "none"
"""Takes a limit away."""
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


@app.command("list")
def list_queues(server: ServerFlag = None, json: JsonFlag = False) -> None:
    """List the queues that have tasks or settings."""
    with connect(server) as client:
        found = list(client.queues())
    if json:
        print_json({"items": found})
        return
    if not found:
        note("no queues: they appear with their first task, or when one is set")
        return
    rows = [(q.name, q.ready, _wait(q), _running(q), _rate(q), "paused" if q.paused else "") for q in found]
    table(("queue", "ready", "oldest", "running", "rate", ""), rows)


@app.command("set")
def set_queue(
    name: NameArgument,
    concurrency: Annotated[
        str | None, typer.Option(help=f"Most tasks that run at a time; {NONE} takes the limit away.", metavar="N")
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(help=f"Most starts in a time, e.g. 10/s, 100/m, 5/1.5s; {NONE} takes it away.", metavar="N/TIME"),
    ] = None,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Set a queue's limits; they hold at once, and stop nothing that runs."""
    changes = {
        "concurrency": KEEP if concurrency is None else whole_or_none("--concurrency", concurrency),
        "rate_limit": KEEP if rate is None else parse_rate(rate),
    }
    with connect(server) as client:
        _change(client, name, json=json, **changes)


@app.command()
def pause(name: NameArgument, server: ServerFlag = None, json: JsonFlag = False) -> None:
    """Start none of the queue's tasks; what runs goes on."""
    with connect(server) as client:
        _change(client, name, json=json, paused=True)


@app.command()
def resume(name: NameArgument, server: ServerFlag = None, json: JsonFlag = False) -> None:
    """Undo pause."""
    with connect(server) as client:
        _change(client, name, json=json, paused=False)


def whole_or_none(flag: str, text: str) -> int | None:
    """Read a whole number, or `none`.

    Raises:
        CommandError: it is neither.
    """
    if text == NONE:
        return None
    if not re.fullmatch(r"[0-9]{1,10}", text):
        raise CommandError("invalid_request", f"{flag}: {text!r} is neither a whole number nor {NONE}")
    return int(text)


def parse_rate(text: str) -> Any:
    """Read `10/s`, `100/m`, `3/1.5s` or `none`.

    Raises:
        CommandError: it is not a rate.
    """
    if text == NONE:
        return None
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]+(?:\.[0-9]+)?)?([smhd])", text)
    if found is None:
        raise CommandError(
            "invalid_request", f"--rate: {text!r} is not a rate", hint="For example 10/s, 100/m or 5/1.5s."
        )
    return int(found[1]), float(found[2] or 1) * _UNITS[found[3]]


def _wait(queue: QueueInfo) -> str:
    return "" if queue.oldest_wait_s is None else f"{queue.oldest_wait_s:.1f} s"


def _running(queue: QueueInfo) -> str:
    return str(queue.running) if queue.concurrency is None else f"{queue.running} of {queue.concurrency}"


def _rate(queue: QueueInfo) -> str:
    return f"{queue.rate_limit['limit']:g} in {queue.rate_limit['period_s']:g} s" if queue.rate_limit else ""


def _change(client: Client, name: str, *, json: bool, **changes: Any) -> None:
    """Change a queue's settings; one that nobody knew may be a slip of the pen, so say that it is new."""
    known = [queue.name for queue in client.queues()]
    changed = client.set_queue(name, **changes)
    if name not in known:
        note(f"the queue {name!r} is new: no task has used it yet. {did_you_mean(name, known)}".strip())
    _print(changed, json=json)


def _print(queue: QueueInfo, *, json: bool) -> None:
    if json:
        print_json(queue)
        return
    limits = [f"running {_running(queue)}", *([f"rate {_rate(queue)}"] if queue.rate_limit else [])]
    say(f"{queue.name} {'is paused, ' if queue.paused else ''}{', '.join(limits)}")

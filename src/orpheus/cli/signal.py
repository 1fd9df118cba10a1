"""`orpheus signal`"""

from __future__ import annotations

from typing import Annotated

import typer

from orpheus.cli.connect import ServerFlag, connect
from orpheus.cli.json_value import AS_JSON, read_json
from orpheus.cli.output import JsonFlag
from orpheus.cli.show import print_order

app = typer.Typer(add_completion=False)

JobArgument = Annotated[str, typer.Argument(help="The job's id.", metavar="JOB")]


@app.command()
def signal(
    *,
    job_id: JobArgument,
    name: Annotated[str, typer.Argument(help="What the job waits for.", metavar="NAME")],
    payload: Annotated[str | None, typer.Option(help=f"What comes with it: {AS_JSON}", metavar="JSON")] = None,
    signal_id: Annotated[str | None, typer.Option("--id", help="The same id again is the same signal.")] = None,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Tell a job that something has happened. It is kept until the job asks for it.

    orpheus signal JOB payment --payload '{"amount": 12}'
    """
    what = None if payload is None else read_json(payload, "--payload")
    with connect(server) as client:
        job = client.signal(job_id, name, what, signal_id=signal_id)
    print_order(job, f"has {name}", json=json)

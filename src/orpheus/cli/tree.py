"""`orpheus jobs tree`: a job and the child jobs below it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from orpheus.cli.connect import ServerFlag, connect
from orpheus.cli.output import JsonFlag, print_json, say
from orpheus.client import Client
from orpheus.protocol.jobs import JobInfo

MOST = 1_000
"""Jobs shown; a tree larger than a screen is read with `jobs list --parent`."""


def tree(
    job_id: Annotated[str, typer.Argument(help="The job's id.", metavar="JOB")],
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Show a job and the child jobs below it, with their states."""
    with connect(server) as client:
        found = [(0, client.get(job_id)), *_below(client, job_id, 1)][:MOST]
    if json:
        print_json({"items": [job for _level, job in found]})
        return
    for level, job in found:
        where = "" if job.parent is None or level == 0 else _place(job) + ": "
        say(f"{'  ' * level}{where}{job.job_id} {job.workflow} {job.state}")


def _below(client: Client, job_id: str, level: int) -> Iterator[tuple[int, JobInfo]]:
    """Yield the children depth first, in the order in which they were opened."""
    for job in reversed(list(client.list(parent=job_id, limit=MOST))):
        yield level, job
        yield from _below(client, job.job_id, level + 1)


def _place(job: JobInfo) -> str:
    assert job.parent is not None
    return job.parent.task + ("" if job.parent.index is None else f"[{job.parent.index}]")

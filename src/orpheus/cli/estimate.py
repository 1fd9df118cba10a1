"""`orpheus estimate`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orpheus.cli.connect import ServerFlag, connect
from orpheus.cli.files import file_param
from orpheus.cli.output import JsonFlag, note, print_json, say, table
from orpheus.cli.params import ParamFlag, parse_params
from orpheus.protocol.estimates import Expected, PriceRange

app = typer.Typer(add_completion=False)


@app.command()
def estimate(
    *,
    target: Annotated[
        str, typer.Argument(help="A workflow's name (talk, talk@3), or a file.", metavar="WORKFLOW-or-FILE")
    ],
    param: ParamFlag = None,
    workflow: Annotated[
        str | None, typer.Option("-w", "--workflow", help="Workflow for a file. (default: media)")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Whose job it would be.")] = None,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Say what a job would cost and how long it would take, without making one.

    orpheus estimate wordcount -p text="to be or not to be"
    """
    params = parse_params(param)
    with connect(server) as client:
        name, path = target, Path(target).expanduser()
        if path.is_file() and not target.startswith("@"):
            name = workflow or "media"
            params = {file_param(client, name): path, **params}
        found = client.estimate(name, params, tenant=tenant)
    if json:
        print_json(found)
        return
    say(f"price     {_price(found.price)}")
    say(f"duration  {_duration(found.duration_s)}")
    table(
        ("node", "task", "runs", "count", "price", "duration", "samples"),
        [
            (each.node, each.task, each.runs, each.count, _price(each.price), _duration(each.duration_s), each.samples)
            for each in found.nodes
        ],
    )
    for each in found.unknown:
        note(f"{each.node}: {each.reason}")


def _price(price: PriceRange) -> str:
    if price.most is None and price.expected is not None:
        return f"about {price.expected:.3g}"
    if price.most is None:
        return f"{price.least:g} or more"
    return f"{price.least:g}" if price.least == price.most else f"{price.least:g} to {price.most:g}"


def _duration(expected: Expected) -> str:
    if expected.p50 is None or expected.p95 is None:
        return "not known"
    return f"{expected.p50:.3g} s, at most {expected.p95:.3g} s in 95 of 100"

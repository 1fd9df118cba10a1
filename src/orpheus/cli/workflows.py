"""`orpheus workflows …`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from orpheus.cli.connect import ServerFlag, connect
from orpheus.cli.files import named_workflow, takes_file
from orpheus.cli.output import JsonFlag, note, print_json, say, table

app = typer.Typer(add_completion=False, no_args_is_help=True, help="List and show published workflows.")


@app.command("list")
def list_workflows(server: ServerFlag = None, json: JsonFlag = False) -> None:
    """List what can be run."""
    with connect(server) as client:
        found = list(client.workflows())
    if json:
        print_json({"items": found})
        return
    if not found:
        note("no workflows: a worker publishes its own when it starts (orpheus worker --import flows)")
        return
    table(
        ("workflow", "version", "description"),
        [(one.name, one.version, _first_line(one.description)) for one in found],
    )


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="The workflow's name, or name@version.")],
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Show a workflow: params, nodes, versions."""
    with connect(server) as client:
        found = named_workflow(client, name)
    if json:
        print_json(found)
        return
    say(f"{found.name}@{found.version}  {_first_line(found.description)}".rstrip())
    if len(found.versions) > 1:
        say(f"versions: {', '.join(map(str, found.versions))}")
    required = found.params.get("required") or ()
    rows = [
        (key, _kind(inner, found.params), "" if key in required else _default(inner))
        for key, inner in (found.params.get("properties") or {}).items()
    ]
    if rows:
        table(("param", "type", "default"), rows)
    nodes = found.graph.get("nodes") if isinstance(found.graph, dict) else None
    table(
        ("node", "kind", "task", "after"),
        [(n.get("name"), n.get("kind", "task"), n.get("task"), ", ".join(n.get("after") or ())) for n in nodes or ()],
    )


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _kind(schema: Any, root: Mapping[str, Any]) -> str:
    if takes_file(schema, root):
        return "file (name=@path)"
    if not isinstance(schema, Mapping):
        return "any"
    kind = schema.get("type") or schema.get("$ref", "").rpartition("/")[2]
    if not kind and schema.get("anyOf"):
        return " or ".join(_kind(inner, root) for inner in schema["anyOf"])
    return ", ".join(kind) if isinstance(kind, list) else str(kind or "any")


def _default(schema: Any) -> str:
    return "" if not isinstance(schema, Mapping) or "default" not in schema else str(schema["default"])

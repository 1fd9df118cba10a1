"""`orpheus config show`"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from orpheus.cli.output import JsonFlag, note, print_json, table
from orpheus.settings import SETTINGS, Loaded, Setting, load

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Show every setting and where its value comes from.")


@app.callback()
def _config() -> None:
    pass


@app.command()
def show(json: JsonFlag = False) -> None:
    """Show every setting, its value, and where that comes from. Secrets are hidden."""
    loaded = load()
    rows = [(one, shown(loaded, one), loaded.origins[one.key]) for one in SETTINGS.values()]
    if json:
        print_json(
            {
                "config": str(loaded.config) if loaded.config else None,
                "settings": {
                    one.key: {"value": value, "origin": origin, "variable": one.variable, "help": one.help}
                    for one, value, origin in rows
                },
            }
        )
        return
    table(
        ("setting", "value", "from", "what it is"), [(one.key, _text(v), origin, one.help) for one, v, origin in rows]
    )
    note("Order: flags, then ORPHEUS_*, then orpheus.toml, then defaults.")


def shown(loaded: Loaded, setting: Setting) -> Any:
    """Return a setting's value as it may be shown."""
    value = getattr(loaded.settings, setting.field)
    if setting.secret:
        return None if value is None else "********"
    return str(value) if isinstance(value, Path) else value


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ",".join(map(str, value)) or "-"
    if isinstance(value, dict):
        return ",".join(f"{key}={inner}" for key, inner in value.items()) or "-"
    return str(value).lower() if isinstance(value, bool) else str(value)

"""The `orpheus` command: which commands there are, and how their errors are shown.

A command's module is imported only when that command runs (`LazyCommand`), so `orpheus --help` does not pay for servers,
clients and codecs. Each file beside this one is one command.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from orpheus.cli.exits import ExitCode
from orpheus.cli.output import show_error

COMMANDS = {
    "up": ("orpheus.cli.up", "Start a server and its workers, and keep them running."),
    "run": ("orpheus.cli.run", "Send one file or job through a workflow and fetch the results."),
    "submit": ("orpheus.cli.submit", "Submit a job to a server and return."),
    "estimate": ("orpheus.cli.estimate", "Say what a job would cost and how long it would take."),
    "jobs": ("orpheus.cli.jobs", "List, show, follow, cancel and retry jobs."),
    "approvals": ("orpheus.cli.approvals", "List what waits for a person's decision."),
    "approve": ("orpheus.cli.approve", "Let a job, or a node of it, go on."),
    "reject": ("orpheus.cli.reject", "Refuse a job, or what a node of it asks about."),
    "signal": ("orpheus.cli.signal", "Tell a job that something has happened."),
    "watch": ("orpheus.cli.watch", "Submit each file that appears in a folder."),
    "schedules": ("orpheus.cli.schedules", "Jobs by the clock: create, show, pause, run, delete."),
    "bulk": ("orpheus.cli.bulk", "Cancel, retry, approve, reject, pause or resume many jobs."),
    "duplicates": ("orpheus.cli.duplicates", "Find jobs with a picture that looks like this one's."),
    "failures": ("orpheus.cli.failures", "Group the failed jobs by what went wrong."),
    "queues": ("orpheus.cli.queues", "List queues, pause them, set their limits."),
    "tenants": ("orpheus.cli.tenants", "List tenants, set their weights and quotas."),
    "workflows": ("orpheus.cli.workflows", "List and show published workflows."),
    "webhooks": ("orpheus.cli.webhooks", "Have URLs called when something happens, and see how it went."),
    "server": ("orpheus.cli.server", "Start a server alone."),
    "worker": ("orpheus.cli.worker", "Start a worker alone."),
    "keys": ("orpheus.cli.keys", "Make, list and revoke API keys."),
    "audit": ("orpheus.cli.audit", "Show who did what when."),
    "cache": ("orpheus.cli.cache", "Show and clear the result cache."),
    "prune": ("orpheus.cli.prune", "Remove ended jobs with everything they left."),
    "backup": ("orpheus.cli.backup", "Copy database and files, also while everything runs."),
    "restore": ("orpheus.cli.restore", "Make a data directory of a backup."),
    "doctor": ("orpheus.cli.doctor", "Check what this machine has and lacks, and say what to install."),
    "config": ("orpheus.cli.config", "Show every setting and where its value comes from."),
    "version": ("orpheus.cli.version", "Print the version."),
}

app = typer.Typer(
    name="orpheus",
    help="A durable job orchestrator for media work.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # drawing boxes would cost `orpheus --help` a tenth of a second
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root(
    config: Annotated[
        Path | None, typer.Option("--config", help="Configuration file instead of ./orpheus.toml.", metavar="FILE")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="API key to send; better in ORPHEUS_API_KEY or a file.", metavar="KEY")
    ] = None,
) -> None:
    if key is not None:
        os.environ["ORPHEUS_API_KEY"] = key
        os.environ.pop("ORPHEUS_API_KEY_FILE", None)
    if config is not None:
        os.environ["ORPHEUS_CONFIG"] = str(config.absolute())  # so that processes started by this one read it too


class LazyCommand(TyperCommand):
    """Stands for a command until it is called, then becomes it."""

    def __init__(self, name: str, module: str, summary: str) -> None:
        super().__init__(name, help=summary)
        self._module = module

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Load the real command and let it read its arguments."""
        module = importlib.import_module(self._module)
        return typer.main.get_command(module.app).make_context(info_name, args, parent=parent, **extra)


def build() -> Any:
    """Return the whole command."""
    root: Any = typer.main.get_command(app)
    for name, (module, summary) in COMMANDS.items():
        root.add_command(LazyCommand(name, module, summary), name)
    return root


def main(argv: list[str] | None = None) -> None:
    """Run the command line and end the process with an `ExitCode`."""
    arguments = sys.argv[1:] if argv is None else argv
    as_json = "--json" in arguments
    try:
        build()(args=arguments, prog_name="orpheus")
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except Exception as error:
        code = _shown(error, as_json=as_json)
        if code is None:
            raise
        sys.exit(code)


def _shown(error: Exception, *, as_json: bool) -> ExitCode | None:
    """Show an error we know and return the exit status it means; None for one that is a fault of ours."""
    from orpheus.cli.errors import explain  # noqa: PLC0415 (kept out of `--help`)

    explained = explain(error)
    if explained is None:
        return None
    show_error(explained.code, explained.message, explained.hint, as_json=as_json, more=explained.more)
    return explained.exit_code

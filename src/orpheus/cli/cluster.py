"""What do `up` and `run` start? The command lines of a server and of workers, and when they are ready."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec

from orpheus.cli.errors import CommandError
from orpheus.cli.exits import ExitCode
from orpheus.cli.farewell import say_goodbye_for
from orpheus.cli.own_keys import OwnKeys
from orpheus.cli.sockets import listening_socket, port_error, url_of
from orpheus.cli.supervise import Child, ChildFailed, Supervisor, command
from orpheus.client import Client, ClientError, Patience
from orpheus.settings import Settings

READY_TIMEOUT_S = 60.0
SERVER_STOP_S = 20.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A server on a bound socket, and the workers that belong to it."""

    settings: Settings
    bound: socket.socket
    workers: int
    keys: OwnKeys = field(default_factory=OwnKeys)

    @property
    def url(self) -> str:
        return url_of(self.bound)

    def server(self) -> Child:
        settings = self.settings
        argv = command(
            "server",
            "--supervised",
            "--fd",
            str(self.bound.fileno()),
            "--data",
            str(settings.data),
            "--host",
            settings.host,
            "--expect-workers",
            str(self.workers),
            *(["--insecure"] if settings.insecure else []),
            *_logging(settings),
        )
        return Child("server", argv, SERVER_STOP_S, fds=(self.bound.fileno(),), env=self.keys.of_server())

    def worker(self, number: int) -> Child:
        name = f"worker-{number}" if self.workers > 1 else "worker"
        child = worker_child(self.settings, self.url, name, env=self.keys.of_worker())
        child.on_death = partial(say_goodbye_for, url=self.url, keys=self.keys)
        return child


def worker_child(settings: Settings, url: str, name: str, *, env: Mapping[str, str]) -> Child:
    """Return a worker that works for the server at `url`; `env` holds its key."""
    argv = command(
        "worker",
        "--supervised",
        "--server",
        url,
        "--name",
        name,
        *_repeated("--import", settings.imports),
        *(["--queues", ",".join(settings.queues)] if settings.queues else []),
        *(["--concurrency", str(settings.concurrency)] if settings.concurrency else []),
        *_repeated("--resource", [f"{key}={count}" for key, count in settings.resources.items()]),
        *_logging(settings),
    )
    return Child(name, argv, settings.stop_grace_s + 10.0, env=env)


def _repeated(flag: str, values: Sequence[str]) -> list[str]:
    return [part for value in values for part in (flag, value)]


def _logging(settings: Settings) -> list[str]:
    return ["--log-level", settings.log_level, *(["--log-json"] if settings.log_json else [])]


def plan(settings: Settings, *, port: int, workers: int) -> Plan:
    """Bind the port.

    Raises:
        CommandError: it is taken, or the address is not one of this machine.
    """
    try:
        return Plan(settings, listening_socket(settings.host, port), workers)
    except OSError as error:
        raise port_error(settings.host, port, error) from None


async def wait_ready(
    supervisor: Supervisor, url: str, *, api_key: str | None, timeout_s: float = READY_TIMEOUT_S
) -> None:
    """Return when `/readyz` says yes: the server works, and the supervised workers have published.

    Raises:
        CommandError: a child ended for good, or the time was over; the hint holds its last words.
    """
    deadline = time.monotonic() + timeout_s
    last: object = "no answer"
    with Client(url, api_key=api_key, timeout_s=5.0, patience=Patience(reconnect_s=0.0)) as client:
        while time.monotonic() < deadline:
            verdict = supervisor.failure()
            if verdict is not None:
                raise failed_child(verdict)
            try:
                ready, last = await asyncio.to_thread(client.ready)
            except ClientError as error:
                ready, last = False, error.message
            if ready:
                return
            await asyncio.sleep(0.05)
    raise CommandError(
        "not_ready",
        f"not ready after {timeout_s:g} s: {last}",
        hint=_last_words(supervisor),
        exit_code=ExitCode.UNREACHABLE,
    )


def failed_child(verdict: ChildFailed) -> CommandError:
    """Return what to show when a child ended for good."""
    words = "\n".join(line for line in list(verdict.child.last_lines)[-8:] if line)
    exit_code = ExitCode(verdict.status) if verdict.status in set(ExitCode) else ExitCode.FAILED
    return CommandError(
        "process_failed",
        f"{verdict} and would end so again" + (f":\n{words}" if words else ""),
        exit_code=exit_code if exit_code is not ExitCode.OK else ExitCode.FAILED,
    )


def _last_words(supervisor: Supervisor) -> str:
    lines = [f"{child.name}: {line}" for child in supervisor.children for line in list(child.last_lines)[-3:]]
    return "\n".join(lines) or "The processes said nothing; try --log-level debug."


def with_imports(settings: Settings, imports: Sequence[str]) -> Settings:
    """Add modules to those that workers load."""
    return msgspec.structs.replace(settings, imports=list(dict.fromkeys([*settings.imports, *imports])))

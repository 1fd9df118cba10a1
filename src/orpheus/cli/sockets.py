"""Where does a server listen, and what is said when it cannot?"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket

from orpheus.cli.errors import CommandError
from orpheus.cli.exits import ExitCode
from orpheus.settings import Settings
from orpheus.store.access import holds_keys


def listening_socket(host: str, port: int) -> socket.socket:
    """Bind the port and listen.

    Raises:
        OSError: the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(2048)
    except OSError:
        bound.close()
        raise
    bound.set_inheritable(True)
    return bound


def port_error(host: str, port: int, error: OSError) -> CommandError:
    if error.errno == errno.EADDRINUSE:
        return CommandError(
            "port_in_use",
            f"port {port} on {host} is taken",
            hint="Is Orpheus running already? --port 0 takes a free port.",
            exit_code=ExitCode.IN_USE,
        )
    return CommandError("invalid_setting", f"cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}")


def url_of(bound: socket.socket) -> str:
    """Return where a listening socket can be spoken to from this machine."""
    host, port = bound.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (what is bound, not what we bind)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def own_names(host: str) -> tuple[str, ...]:
    """Return the names under which a server that listens on `host` may be spoken to.

    A server that listens everywhere answers to this machine's names and addresses; others belong into `allowed_hosts`.
    """
    if is_local(host):
        return ()
    if host not in ("0.0.0.0", "::"):  # noqa: S104 (compared, not bound)
        return (f"[{host}]" if ":" in host else host,)
    names = {socket.gethostname(), socket.getfqdn()}
    try:
        for _family, _kind, _protocol, _canonical, address in socket.getaddrinfo(socket.gethostname(), None):
            names.add(f"[{address[0]}]" if ":" in str(address[0]) else str(address[0]))
    except OSError:
        pass  # a machine that cannot resolve its own name still has the others
    return tuple(sorted(names))


def is_local(host: str) -> bool:
    """Tell whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_exposure(settings: Settings) -> None:
    """Refuse to listen where others can reach an open server (design.md section 8).

    Raises:
        CommandError: the address is not this machine's own, no key was ever made, and `insecure` was not said.
    """
    if is_local(settings.host) or settings.insecure or settings.require_keys:
        return
    from orpheus.cli.compose import DATABASE  # noqa: PLC0415 (it imports this file)

    if settings.require_keys is None and holds_keys(settings.data / DATABASE):
        return
    why = "keys are switched off (require_keys)" if settings.require_keys is False else "there are no API keys"
    raise CommandError(
        "insecure_address",
        f"{settings.host} can be reached from other machines, and {why}",
        hint=f"Make one (orpheus keys create --role admin --data {settings.data}), listen on 127.0.0.1, or say --insecure "
        "if everybody who reaches it may do everything.",
    )

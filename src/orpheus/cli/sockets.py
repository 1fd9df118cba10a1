"""Where does a server listen, and what is said when it cannot?"""

from __future__ import annotations

import errno
import os
import socket

from orpheus.cli.errors import CommandError
from orpheus.cli.exits import ExitCode


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

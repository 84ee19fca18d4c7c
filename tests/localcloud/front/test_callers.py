"""Callers: the function behind a connection."""

from __future__ import annotations

import socket
import subprocess
import sys

from localcloud.base.http import HOST
from localcloud.front.callers import Callers


def server() -> socket.socket:
    return socket.create_server((HOST, 0))


def reusing(port: int = 0) -> socket.socket:
    """Return a socket on ``port`` that shares the port with other sockets."""
    sharing = socket.socket()
    sharing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sharing.bind((HOST, port))
    return sharing


def test_a_caller_that_shares_its_port_with_another_process_is_found_by_both_ports() -> None:
    with server() as called, server() as other, reusing() as caller:
        port = caller.getsockname()[1]
        caller.connect(called.getsockname())
        with (
            subprocess.Popen(
                [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[caller.fileno()]
            ) as function,
            reusing(port) as another,
        ):
            caller.close()  # Now only the function holds the connection.
            another.connect(other.getsockname())
            callers = Callers(lambda: {"work": function.pid})

            assert callers.of_connection(port, called.getsockname()[1]) == "work"
            assert callers.of_connection(port, other.getsockname()[1]) is None
            function.communicate(b"\n")

"""Finds out which function a call comes from: the process that holds the calling end of the connection."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil


class Callers:
    """Knows the functions' processes and their children by the connections that they hold."""

    def __init__(self, leaders: Callable[[], Mapping[str, int]]) -> None:
        """``leaders`` tells the process id that each running function was started with, by the function's name."""
        self._leaders = leaders
        self._families: dict[int, list[int]] = {}
        self._lock = threading.Lock()

    def of_connection(self, port: int, server_port: int) -> str | None:
        """Return the function that the TCP connection from ``port`` to ``server_port``, both here, comes from.

        None: no function. The calling port alone does not tell: the kernel gives one to several connections at once, if
        they lead to different servers.
        """
        holds = _holder_of(port, server_port)
        for function, leader in self._leaders().items():
            if any(holds(pid) for pid in self._family(leader)):
                return function
        return None

    def _family(self, leader: int) -> list[int]:
        """Return ``leader`` and its children, looked for once: gunicorn's worker lives as long as its master."""
        with self._lock:
            family = self._families.get(leader)
            if family is None or not all(map(psutil.pid_exists, family)):
                family = [leader, *_children(leader)]
                if len(family) > 1:
                    self._families[leader] = family
            return family


def _children(leader: int) -> Iterator[int]:
    try:
        for child in psutil.Process(leader).children(recursive=True):
            yield child.pid
    except psutil.NoSuchProcess:
        return


def _holder_of(port: int, server_port: int) -> Callable[[int], bool]:
    """Return a test whether a process holds the end ``port`` of a TCP connection to ``server_port``."""
    if sys.platform == "linux":
        # Two orders of magnitude faster than asking psutil, which reads the table again for each process.
        names = {f"socket:[{inode}]" for inode in _inodes(port, server_port)}
        return lambda pid: any(name in names for name in _open_files(pid))
    return lambda pid: (port, server_port) in _connections(pid)


def _inodes(port: int, server_port: int) -> Iterator[str]:
    """Yield the sockets on ``port`` of this machine whose connection leads to ``server_port``.

    https://docs.kernel.org/networking/proc_net_tcp.html
    """
    local_end, remote_end = f":{port:04X}", f":{server_port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not Path(table).exists():
            continue
        for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split(None, 10)
            if fields[1].endswith(local_end) and fields[2].endswith(remote_end) and fields[9] != "0":
                yield fields[9]


def _open_files(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):  # the process ends meanwhile
        for file in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # it is closed meanwhile
                yield str(file.readlink())


def _connections(pid: int) -> set[tuple[int, int]]:
    """Return the ports, here and there, of a process's TCP connections."""
    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return set()
    return {(each.laddr.port, each.raddr.port) for each in connections if each.laddr and each.raddr}

"""Identifies the function that makes a call: its process holds the calling end of the connection."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil


class Callers:
    """Finds functions by the connections that their processes hold."""

    def __init__(self, leaders: Callable[[], Mapping[str, int]]) -> None:
        """Look among the processes of ``leaders``: the first process id of each running function, by name."""
        self._leaders = leaders
        self._families: dict[int, list[int]] = {}
        self._lock = threading.Lock()

    def of_connection(self, port: int, server_port: int) -> str | None:
        """Return the function that holds the local TCP connection from ``port`` to ``server_port``, or None.

        Both ports are needed: the kernel uses one calling port for several connections to different servers.
        """
        holds = _holder_of(port, server_port)
        for function, leader in self._leaders().items():
            if any(holds(pid) for pid in self._family(leader)):
                return function
        return None

    def _family(self, leader: int) -> list[int]:
        """Return ``leader`` and its children; cached, because gunicorn's worker lives as long as its master."""
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
        # A hundred times faster than psutil, which reads the table again for each process.
        names = {f"socket:[{inode}]" for inode in _inodes(port, server_port)}
        return lambda pid: any(name in names for name in _open_files(pid))
    return lambda pid: (port, server_port) in _connections(pid)


def _inodes(port: int, server_port: int) -> Iterator[str]:
    """Yield the inodes of the local sockets on ``port`` that are connected to ``server_port``.

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
    with contextlib.suppress(OSError):  # The process may end meanwhile.
        for file in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # The file may be closed meanwhile.
                yield str(file.readlink())


def _connections(pid: int) -> set[tuple[int, int]]:
    """Return the local and remote ports of a process's TCP connections."""
    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return set()
    return {(each.laddr.port, each.raddr.port) for each in connections if each.laddr and each.raddr}

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

    def of_port(self, port: int) -> str | None:
        """Return the function that a connection from local TCP port ``port`` comes from; None: no function."""
        holds = _holder_of(port)
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


def _holder_of(port: int) -> Callable[[int], bool]:
    """Return a test whether a process holds the local end ``port`` of a TCP connection."""
    if sys.platform == "linux":
        # Two orders of magnitude faster than asking psutil, which reads the table again for each process.
        names = {f"socket:[{inode}]" for inode in _inodes(port)}
        return lambda pid: any(name in names for name in _open_files(pid))
    return lambda pid: port in _local_ports(pid)


def _inodes(port: int) -> Iterator[str]:
    """Yield the sockets on ``port`` of this machine, by https://docs.kernel.org/networking/proc_net_tcp.html ."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not Path(table).exists():
            continue
        ending = f":{port:04X}"
        for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split(None, 10)
            if fields[1].endswith(ending) and fields[9] != "0":
                yield fields[9]


def _open_files(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):  # the process ends meanwhile
        for file in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # it is closed meanwhile
                yield str(file.readlink())


def _local_ports(pid: int) -> set[int]:
    try:
        return {connection.laddr.port for connection in psutil.Process(pid).net_connections("tcp") if connection.laddr}
    except psutil.Error:
        return set()

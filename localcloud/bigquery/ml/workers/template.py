"""The process that imports a library once and forks a worker for each model.

Importing TensorFlow takes seconds, a fork milliseconds. The process itself runs no model and has one thread, so a fork is
safe. It reads orders from the socket that is its standard input: a length, the JSON of the order, and the sockets of the
worker. The first socket is the link: its closed end orders the worker's end, and it carries the reason of an end.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress

from localcloud.bigquery.ml.runtimes.loading import import_library
from localcloud.bigquery.ml.workers.worker import Order, work

LENGTH_BYTES = 4
MOST_SOCKETS = 32


def main(library: str) -> None:
    """Fork a worker for each order until the other end of the standard input is closed.

    Args:
        library: The model type whose library the workers use.
    """
    orders = socket.socket(fileno=0)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    import_library(library)
    workers: dict[int, socket.socket] = {}
    while True:
        watched: list[socket.socket | int] = [orders, woken, *workers.values()]
        readable, _, _ = select.select(watched, [], [])
        if woken in readable:
            os.read(woken, 4096)
            _report_ends(workers)
        for process, link in list(workers.items()):
            # Nothing is ever sent on the link, so it is readable when its other end is closed.
            if link in readable:
                os.kill(process, signal.SIGKILL)
        if orders in readable and not _fork(orders, workers):
            break
    for process in workers:
        os.kill(process, signal.SIGKILL)


def _fork(orders: socket.socket, workers: dict[int, socket.socket]) -> bool:
    """Fork a worker for the next order; return False if there are no more."""
    head, descriptors, _, _ = socket.recv_fds(orders, LENGTH_BYTES, MOST_SOCKETS)
    if not head:
        return False
    content = b""
    length = int.from_bytes(head, "big")
    while len(content) < length:
        content += orders.recv(length - len(content))
    sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    process = os.fork()
    if process == 0:
        _become_worker(content, sockets)
    link, *channels = sockets
    for channel in channels:
        channel.close()
    workers[process] = link
    return True


def _become_worker(content: bytes, sockets: list[socket.socket]) -> None:
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        channels = sockets[1:]
        _close_all_but([channel.fileno() for channel in channels])
        work(Order.from_json(content), channels)
        status = 0
    finally:
        # Not sys.exit: the exit handlers of the libraries belong to the process that imported them.
        os._exit(status)


def _close_all_but(kept: list[int]) -> None:
    """Close the inherited files, and let the standard ones lead nowhere."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    start = 3
    for descriptor in [*sorted(kept), os.sysconf("SC_OPEN_MAX")]:
        os.closerange(start, descriptor)
        start = descriptor + 1


def _report_ends(workers: dict[int, socket.socket]) -> None:
    for process in list(workers):
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            link = workers.pop(process)
            report = {"exit_code": os.waitstatus_to_exitcode(status)}
            with suppress(OSError):
                link.sendall(json.dumps(report).encode())
            link.close()


if __name__ == "__main__":
    main(sys.argv[1])

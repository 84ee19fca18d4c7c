"""Starts the functions' processes by forking one process that has already imported what all of them import.

Importing functions-framework and Google's clients takes a second of processor time. The fork server does it once; a
function then starts, or starts again after a crash, in a few milliseconds. The function's own source is imported only
after the fork, with the function's own variables.

`ForkServer` is the local cloud's end of a socket. Run as a script, this module is the other end. The script imports
nothing of the project. It ends when the socket closes.

Each message is a line of JSON. The local cloud sends ``{"id", "arguments", "folder", "environment", "log"}``; the server
answers ``{"id", "pid"}`` when the process has started, and ``{"id", "status"}`` when it has ended.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

CHUNK_BYTES = 1 << 16


class ForkServerError(RuntimeError):
    """The fork server has ended, so that no function's process can start from it."""


class ForkedProcess:
    """A function's process, as the local cloud sees it."""

    def __init__(self) -> None:
        """Create the view of a process that has not started yet."""
        self.pid = 0
        """The id of the process, and of its group."""
        self.returncode: int | None = None
        """The exit code, negative for a signal; None while the process runs."""
        self._started = threading.Event()
        self._ended = threading.Event()

    def wait(self) -> int:
        """Wait until the process has ended; return its exit code."""
        self._ended.wait()
        return self.returncode or 0

    def _begin(self, pid: int) -> None:
        self.pid = pid
        self._started.set()

    def _end(self, returncode: int) -> None:
        self.returncode = returncode
        self._ended.set()
        self._started.set()


class ForkServer:
    """The local cloud's end. A server that has ended, for example because it was killed, is started again when needed."""

    def __init__(self, *, packages: str, environment: Mapping[str, str]) -> None:
        """Create the client; the server starts with the first process.

        Args:
            packages: The modules that the functions must not find and those that they share, from
                ``DeployedPackages.as_argument``.
            environment: The variables of the server itself; a function gets its own.
        """
        self._packages = packages
        self._environment = dict(environment)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._running: dict[int, ForkedProcess] = {}
        self._channel: socket.socket | None = None

    def start(
        self, arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], log: Path
    ) -> ForkedProcess:
        """Start a process of functions-framework in its own session, and wait until it exists.

        Args:
            arguments: The arguments of functions-framework.
            folder: The working folder.
            environment: All variables of the process.
            log: The file to which its output is appended.

        Raises:
            ForkServerError: The server ended before the process started.
        """
        process, number = ForkedProcess(), next(self._numbers)
        request = {
            "id": number,
            "arguments": list(arguments),
            "folder": str(folder),
            "environment": dict(environment),
            "log": str(log),
        }
        with self._lock:
            channel = self._channel or self._connect()
            self._running[number] = process
            # A broken channel ends all processes, this one included.
            with contextlib.suppress(OSError):
                channel.sendall(_line(request))
        process._started.wait()
        if not process.pid:
            raise ForkServerError("the process that starts the functions has ended; see the functions' logs")
        return process

    def close(self) -> None:
        """End the server. Processes that still run are not ended."""
        with self._lock:
            if self._channel is not None:
                # Wakes up the thread that reads; closing alone would not.
                with contextlib.suppress(OSError):
                    self._channel.shutdown(socket.SHUT_RDWR)

    def _connect(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            server = subprocess.Popen(
                [sys.executable, "-P", str(Path(__file__)), str(theirs.fileno()), self._packages],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._channel = ours
        threading.Thread(target=self._read, args=(ours, server), name="fork-server", daemon=True).start()
        return ours

    def _read(self, channel: socket.socket, server: subprocess.Popen[bytes]) -> None:
        with channel, contextlib.suppress(OSError):
            for message in _messages(channel):
                process = self._running[message["id"]]
                if "pid" in message:
                    process._begin(message["pid"])
                else:
                    del self._running[message["id"]]
                    process._end(message["status"])
        server.wait()
        with self._lock:
            self._channel = None
            left, self._running = self._running, {}
        for process in left.values():
            process._end(-signal.SIGKILL)


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def _messages(channel: socket.socket) -> Iterator[dict[str, Any]]:
    """Yield the messages that arrive, until the other end closes."""
    received = b""
    while chunk := channel.recv(CHUNK_BYTES):
        *lines, received = (received + chunk).split(b"\n")
        yield from map(json.loads, lines)


# The other end, in the process of its own.


def serve(channel: socket.socket) -> None:
    """Fork a process for each message of ``channel``, and report each end, until ``channel`` closes."""
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker)
    running: dict[int, int] = {}
    received = b""
    with selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if woken in ready:
                os.read(woken, CHUNK_BYTES)
                for pid, status in _ended_children():
                    channel.sendall(_line({"id": running.pop(pid), "status": os.waitstatus_to_exitcode(status)}))
            if channel.fileno() in ready:
                chunk = channel.recv(CHUNK_BYTES)
                if not chunk:
                    return
                *lines, received = (received + chunk).split(b"\n")
                for request in map(json.loads, lines):
                    in_session, session = os.pipe()
                    pid = os.fork()
                    if pid == 0:
                        os.setsid()
                        signal.set_wakeup_fd(-1)
                        selector.close()
                        for descriptor in (woken, waker, channel.detach(), in_session, session):
                            os.close(descriptor)
                        _run_function(request)
                    os.close(session)
                    # The process closes the pipe once it leads a group, by which it can be killed.
                    os.read(in_session, 1)
                    os.close(in_session)
                    running[pid] = request["id"]
                    channel.sendall(_line({"id": request["id"], "pid": pid}))


def _ended_children() -> Iterator[tuple[int, int]]:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            yield pid, status


def _run_function(request: Mapping[str, Any]) -> NoReturn:
    """Become the process of a function, as if functions-framework had been started with these arguments."""
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        time.tzset()
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(write_through=True)  # type: ignore[union-attr]
        sys.path.insert(0, "")
        sys.argv = ["functions-framework", *request["arguments"]]
        runpy.run_module("functions_framework", run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def prepare(packages: Mapping[str, Any]) -> None:
    """Hide the modules that the functions must not find, and import those that they share.

    A module that is None in sys.modules cannot be imported: https://docs.python.org/3/reference/import.html#the-module-cache
    """
    sys.modules.update(dict.fromkeys(packages["absent"]))
    for name, folder in packages["overwritten"].items():
        package = types.ModuleType(name)
        package.__path__ = [folder]
        sys.modules[name] = package
    for name in packages["imported_before"]:
        importlib.import_module(name)
    keep_lookups_from_google()
    # Collecting garbage would copy the pages that all processes share.
    gc.freeze()


def keep_lookups_from_google() -> None:
    """Keep google-auth from sending the local access tokens to Google.

    After each new token, google-auth 2.62 looks up at iamcredentials.googleapis.com, in a thread, where the service
    account may be used. The local account does not exist there. No variable turns the lookup off; in this version,
    ``GOOGLE_AUTH_TRUST_BOUNDARY_ENABLED`` has no effect.
    """
    credentials = sys.modules.get("google.auth.credentials")
    kind = getattr(credentials, "CredentialsWithRegionalAccessBoundary", None)
    if kind is not None:
        kind._is_regional_access_boundary_lookup_required = lambda self: False


if __name__ == "__main__":
    prepare(json.loads(sys.argv[2]))
    serve(socket.socket(fileno=int(sys.argv[1])))

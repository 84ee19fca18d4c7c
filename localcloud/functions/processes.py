"""Runs each function in its own functions-framework process, as deployed, and restarts a process that ends."""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Collection, Mapping
from pathlib import Path

from declaration.model import Function
from localcloud.base.background import Trouble, repeat
from localcloud.base.clock import Clock
from localcloud.base.http import HttpServer
from localcloud.functions.deployed_packages import deployed_packages
from localcloud.functions.fork_server import ForkedProcess, ForkServer, ForkServerError
from localcloud.functions.front_end import LARGEST_REQUEST_BYTES, FrontEnd
from localcloud.functions.instances import Instances
from localcloud.functions.janitor import Janitor

log = logging.getLogger(__name__)

START_TIMEOUT_SECONDS = 60
# gunicorn needs several seconds to exit after its last response.
STOP_TIMEOUT_SECONDS = 1
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10
LOG_LINES_SHOWN = 30

# Variables of this process that a function inherits. It gets all others explicitly.
INHERITED_VARIABLES = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "VIRTUAL_ENV")
LEAST_THREADS = 4
"""The threads of a function whose instances take few requests each: one process does the work of several instances."""


class FunctionStartError(RuntimeError):
    """A function's process ended, or did not answer in time; the message ends with its last log lines."""


class FunctionProcess:
    """One function: a front end on a port that does not change, and the process behind it."""

    def __init__(
        self,
        name: str,
        function: Function,
        *,
        source: Path,
        data_dir: Path,
        logs: Path,
        clock: Clock,
        janitor: Janitor,
        fork_server: ForkServer,
        host_names: Collection[str] = (),
    ) -> None:
        """Reserve a port.

        Args:
            name: The entry point.
            function: The declared function.
            source: The folder with main.py.
            data_dir: The folder for home folders.
            logs: The folder for logs.
            clock: Times the delays between restarts.
            janitor: Kills the process if the local cloud is killed.
            fork_server: Starts the process.
            host_names: The host names that requests may have in addition to those of this machine.
        """
        self.name = name
        self.function = function
        self.log = logs / f"{name}.log"
        self._source = source
        # A separate home folder, so that the function cannot read the user's Google configuration.
        self._home = data_dir / "home" / name
        self._clock = clock
        self._janitor = janitor
        self._fork_server = fork_server
        folder = Path(tempfile.mkdtemp(prefix="function-"))  # readable for this user only
        janitor.remove(folder)
        self._listen = f"unix:{folder}/socket"
        self._socket = folder / "socket:0"  # functions-framework appends the port
        self._front_end = HttpServer(
            FrontEnd(self._socket, name, Instances(function.most_requests), function.timeout_seconds),
            name=f"front-{name}",
            host_names=host_names,
            is_google_api=False,
            largest_body=LARGEST_REQUEST_BYTES,
        )
        self._process: ForkedProcess | None = None
        self._stopping = threading.Event()
        self._settled = threading.Condition()
        self._ready = False
        self._gave_up = False
        self._pause = FIRST_PAUSE_SECONDS
        self._thread = threading.Thread(target=self._keep_running, name=f"function-{name}", daemon=True)
        self._environment: Mapping[str, str] = {}

    @property
    def url(self) -> str:
        """The URL of the function. Its path has the name, so that old variables cannot reach another function on this port."""
        return f"{self._front_end.url}/{self.name}"

    @property
    def pid(self) -> int | None:
        """The leader of the function's process group (gunicorn's master); None if no process runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def start(self, environment: Mapping[str, str]) -> None:
        """Start the process with ``environment`` and return at once."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._home.mkdir(parents=True, exist_ok=True)
        self._environment = {
            **inherited_variables(),
            **server_variables(self.function),
            "PYTHONUNBUFFERED": "1",
            "HOME": str(self._home),
            "K_SERVICE": self.function.service,
            "FUNCTION_TARGET": self.name,
            "CLOUD_RUN_TIMEOUT_SECONDS": str(self.function.timeout_seconds),
            **environment,
        }
        self._front_end.start()
        self._thread.start()

    def wait_until_ready(self, timeout: float = START_TIMEOUT_SECONDS) -> None:
        """Wait until the function answers.

        Args:
            timeout: The longest wait in seconds.

        Raises:
            FunctionStartError: The process ended, or the function did not answer in time.
        """
        with self._settled:
            self._settled.wait_for(lambda: self._ready or self._gave_up, timeout)
            if not self._ready:
                raise FunctionStartError(f"Function {self.name} did not start:\n{self.last_log_lines()}")

    def kill(self) -> None:
        """Kill the function's processes with SIGKILL, like a crash of its container; they are restarted."""
        pid = self.pid
        if pid is not None:
            with self._settled:
                self._ready = False
            _signal_group(pid, signal.SIGKILL)

    def stop(self) -> None:
        """Terminate the processes, kill them if they do not exit, and do not restart them."""
        self._stopping.set()
        if (pid := self.pid) is not None:
            _signal_group(pid, signal.SIGTERM)
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT_SECONDS)
        if (pid := self.pid) is not None:
            _signal_group(pid, signal.SIGKILL)
            self._thread.join(STOP_TIMEOUT_SECONDS)
        self._front_end.stop()

    def last_log_lines(self, count: int = LOG_LINES_SHOWN) -> str:
        """Return the last ``count`` lines of the function's log."""
        if not self.log.exists():
            return "(nothing was logged)"
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])

    def _keep_running(self) -> None:
        trouble = Trouble(log, f"the process of the function {self.name}")
        repeat(self._run_again, trouble=trouble, stopped=self._stopping)

    def _run_again(self) -> None:
        answered = self._run_once()
        # A process that served is restarted at once. The delay grows while the function cannot start.
        self._pause = FIRST_PAUSE_SECONDS if answered else min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        if not answered:
            self._clock.wait(self._stopping, self._pause)

    def _run_once(self) -> bool:
        """Run one process until it exits; return whether it answered."""
        try:
            process = self._fork_server.start(
                [
                    *("--target", self.name),
                    *("--source", "main.py"),
                    # A function's own decorator takes precedence over this.
                    *("--signature-type", "cloudevent" if self.function.is_called_by_events else "http"),
                    *("--host", self._listen, "--port", "0"),
                ],
                folder=self._source,
                environment=self._environment,
                log=self.log,
            )
        except ForkServerError:
            return False
        self._janitor.started(process.pid)
        self._process = process
        if self._stopping.is_set():
            _signal_group(process.pid, signal.SIGKILL)
        answered = self._wait_until_it_answers(process)
        with self._settled:
            self._ready = answered
            self._gave_up = not answered
            self._settled.notify_all()
        process.wait()
        with self._settled:
            self._ready = False
        # The workers of a killed master exit too, but not at once.
        _signal_group(process.pid, signal.SIGKILL)
        self._janitor.ended(process.pid)
        return answered

    def _wait_until_it_answers(self, process: ForkedProcess) -> bool:
        waited = threading.Event()
        while process.returncode is None:
            if _answers(self._socket):
                return True
            waited.wait(0.02)
        return False


class Functions:
    """All functions of the declaration."""

    def __init__(
        self,
        functions: Mapping[str, Function],
        *,
        source: Path,
        data_dir: Path,
        clock: Clock,
        janitor: Janitor,
        logs: Path | None = None,
        host_names: Collection[str] = (),
    ) -> None:
        """Reserve a port for each of ``functions``.

        ``logs`` is ``logs`` in ``data_dir`` by default; ``FunctionProcess`` describes the other arguments.
        """
        self._fork_server = ForkServer(
            packages=deployed_packages(source).as_argument(), environment=inherited_variables()
        )
        self.processes: dict[str, FunctionProcess] = {
            name: FunctionProcess(
                name,
                function,
                source=source,
                data_dir=data_dir,
                logs=logs or data_dir / "logs",
                clock=clock,
                janitor=janitor,
                fork_server=self._fork_server,
                host_names=host_names,
            )
            for name, function in functions.items()
        }

    def urls(self) -> dict[str, str]:
        """Return the URL of each function; the URLs are known before the functions run."""
        return {name: process.url for name, process in self.processes.items()}

    def pids(self) -> dict[str, int]:
        """Return the leader of each running function's process group."""
        return {name: process.pid for name, process in self.processes.items() if process.pid is not None}

    def start(self, environment: Mapping[str, str]) -> None:
        """Start all functions with ``environment`` at the same time, and return at once."""
        for process in self.processes.values():
            process.start(environment)

    def wait_until_ready(self) -> None:
        """Wait until all functions answer; raise ``FunctionStartError`` if one does not."""
        for process in self.processes.values():
            process.wait_until_ready()

    def kill(self, name: str) -> None:
        """Kill the processes of the function ``name`` with SIGKILL; they are restarted."""
        self.processes[name].kill()

    def stop(self) -> None:
        """Stop all functions at the same time."""
        stopping = [threading.Thread(target=process.stop) for process in self.processes.values()]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()
        self._fork_server.close()


def server_variables(function: Function) -> Mapping[str, str]:
    """Return the variables of the function's server: as deployed, with threads for several instances if they are small."""
    threads = max(function.concurrency, LEAST_THREADS)
    return {**function.server_variables, "THREADS": str(min(threads, function.most_requests or threads))}


def inherited_variables() -> dict[str, str]:
    """Return the variables of this process that a function inherits."""
    return {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}


class _UnixConnection(http.client.HTTPConnection):
    """A connection to an HTTP server on a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _answers(server: Path) -> bool:
    """Return whether an HTTP server answers on the socket ``server``.

    functions-framework answers this path itself, so the function is not called.
    """
    connection = _UnixConnection(server)
    try:
        connection.request("HEAD", "/robots.txt")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    else:
        return True
    finally:
        connection.close()


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)

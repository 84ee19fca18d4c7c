"""Runs each function in a functions-framework process of its own, as deployed, and starts one that dies again."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from declaration.model import Function
from localcloud.base.clock import Clock
from localcloud.base.http import HOST, ReservedPort
from localcloud.functions.deployed_packages import LAUNCH, left_out
from localcloud.functions.janitor import Janitor

START_TIMEOUT_SECONDS = 60
# gunicorn takes seconds to end by itself, long after its last answer.
STOP_TIMEOUT_SECONDS = 1
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10
LOG_LINES_SHOWN = 30

# What a process needs of the machine, whatever it runs; everything else a function is given by name.
INHERITED_VARIABLES = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "VIRTUAL_ENV")
# functions-framework serves with one gunicorn worker of 4 threads for each CPU; a deployed function has one CPU.
SERVER_VARIABLES = {"WORKERS": "1", "THREADS": "4", "PYTHONUNBUFFERED": "1"}


class FunctionStartError(RuntimeError):
    """A function's process ended, or did not answer, before it was ready; the message ends with its last log lines."""


class FunctionProcess:
    """One function: a port that stays the same, and whichever process serves it at the moment."""

    def __init__(
        self, name: str, function: Function, *, source: Path, data_dir: Path, clock: Clock, janitor: Janitor
    ) -> None:
        self.name = name
        self.function = function
        self.log = data_dir / "logs" / f"{name}.log"
        self._source = source
        self._left_out = left_out(source).as_argument()
        # A home of its own: nothing of the person's own Google configuration can reach the function.
        self._home = data_dir / "home" / name
        self._clock = clock
        self._janitor = janitor
        self._port = ReservedPort()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._settled = threading.Condition()
        self._ready = False
        self._gave_up = False
        self._thread = threading.Thread(target=self._keep_running, name=f"function-{name}", daemon=True)
        self._environment: Mapping[str, str] = {}

    @property
    def url(self) -> str:
        """Where the function is called."""
        return f"http://{HOST}:{self._port.number}"

    @property
    def pid(self) -> int | None:
        """The process that leads the function's group (gunicorn's master), while there is one."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def start(self, environment: Mapping[str, str]) -> None:
        """Start the process with ``environment`` and return at once."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._home.mkdir(parents=True, exist_ok=True)
        inherited = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
        self._environment = {
            **inherited,
            **SERVER_VARIABLES,
            "HOME": str(self._home),
            "K_SERVICE": self.function.service,
            "FUNCTION_TARGET": self.name,
            "CLOUD_RUN_TIMEOUT_SECONDS": str(self.function.timeout_seconds),
            **environment,
        }
        self._thread.start()

    def wait_until_ready(self, timeout: float = START_TIMEOUT_SECONDS) -> None:
        """Wait at most ``timeout`` seconds until the function answers.

        Raises ``FunctionStartError`` with the last lines of its log if it ends first or does not answer in time.
        """
        with self._settled:
            self._settled.wait_for(lambda: self._ready or self._gave_up, timeout)
            if not self._ready:
                raise FunctionStartError(f"Function {self.name} did not start:\n{self.last_log_lines()}")

    def kill(self) -> None:
        """End the function's processes as a crash of its container would: with SIGKILL, whatever they are doing."""
        pid = self.pid
        if pid is not None:
            with self._settled:
                self._ready = False
            _signal_group(pid, signal.SIGKILL)

    def stop(self) -> None:
        """Ask the processes to end, end them if they do not, and start none again."""
        self._stopping.set()
        if (pid := self.pid) is not None:
            _signal_group(pid, signal.SIGTERM)
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT_SECONDS)
        if (pid := self.pid) is not None:
            _signal_group(pid, signal.SIGKILL)
            self._thread.join(STOP_TIMEOUT_SECONDS)
        self._port.release()

    def last_log_lines(self, count: int = LOG_LINES_SHOWN) -> str:
        """Return the last ``count`` lines that the function wrote."""
        if not self.log.exists():
            return "(nothing was logged)"
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])

    def _keep_running(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            answered = self._run_once()
            # One that served and died is started again at once; one that cannot start is given more and more time.
            pause = FIRST_PAUSE_SECONDS if answered else min(pause * 2, LONGEST_PAUSE_SECONDS)
            if not answered:
                self._clock.wait(self._stopping, pause)

    def _run_once(self) -> bool:
        """Run one process to its end; return whether it ever answered."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-c", LAUNCH, self._left_out),
                    *("--target", self.name),
                    *("--source", "main.py"),
                    # A function's own decorator takes precedence over this.
                    *("--signature-type", "cloudevent" if self.function.is_called_by_events else "http"),
                    *("--host", HOST, "--port", str(self._port.number)),
                ],
                cwd=self._source,
                env=dict(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
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
        # Workers whose master was killed end by themselves, but not at once.
        _signal_group(process.pid, signal.SIGKILL)
        self._janitor.ended(process.pid)
        return answered

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> bool:
        waited = threading.Event()
        while process.poll() is None:
            if _answers(self._port.number):
                return True
            waited.wait(0.02)
        return False


class Functions:
    """All functions of the declaration."""

    def __init__(
        self, functions: Mapping[str, Function], *, source: Path, data_dir: Path, clock: Clock, janitor: Janitor
    ) -> None:
        self.processes: dict[str, FunctionProcess] = {
            name: FunctionProcess(name, function, source=source, data_dir=data_dir, clock=clock, janitor=janitor)
            for name, function in functions.items()
        }

    def urls(self) -> dict[str, str]:
        """Return where each function is called; known before they run."""
        return {name: process.url for name, process in self.processes.items()}

    def pids(self) -> dict[str, int]:
        """Return the process that leads each running function's group."""
        return {name: process.pid for name, process in self.processes.items() if process.pid is not None}

    def start(self, environment: Mapping[str, str]) -> None:
        """Start all with ``environment``, side by side, and return at once."""
        for process in self.processes.values():
            process.start(environment)

    def wait_until_ready(self) -> None:
        """Wait until all answer. Raises ``FunctionStartError`` if one does not."""
        for process in self.processes.values():
            process.wait_until_ready()

    def kill(self, name: str) -> None:
        """End the processes of the function ``name`` with SIGKILL; they are started again."""
        self.processes[name].kill()

    def stop(self) -> None:
        """Stop all, side by side."""
        stopping = [threading.Thread(target=process.stop) for process in self.processes.values()]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()


def _answers(port: int) -> bool:
    """Return whether an HTTP server answers on ``port``, by a path that functions-framework keeps from functions."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
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

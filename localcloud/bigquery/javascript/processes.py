"""Starts the processes that run functions in JavaScript, sends them rows, and ends them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import localcloud
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.javascript.types import Type

# Variables of this process that the workers inherit. No other ones, so no credentials.
_INHERITED = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")
# A worker gets one row, then four times as many while it answers this fast. So the limit of time is that of a few rows.
_FAST_SECONDS = 1.0
_GROWTH = 4
_LARGEST_BATCH = 2_048


@dataclass(frozen=True)
class Limits:
    """What functions may use.

    Attributes:
        seconds: The time of one row.
        heap_bytes: The memory of V8's heap, for each function.
        memory_bytes: The memory that one process allocates.
        processes: The number of processes that run functions at once.
        idle: The number of processes that are kept when they are idle.
    """

    seconds: float = 60.0
    heap_bytes: int = 256 << 20
    memory_bytes: int = 2 << 30
    processes: int = 4
    idle: int = 2


@dataclass(frozen=True)
class Program:
    """A function in JavaScript.

    Attributes:
        key: Identifies the function; no other one has the same.
        signature: The name and the types of the parameters, for error messages: ``f(INT64, STRING)``.
        body: The body of the function.
        parameters: The names and types of the parameters.
        result: The type of the result.
    """

    key: str
    signature: str
    body: str
    parameters: tuple[tuple[str, Type], ...]
    result: Type

    def request(self, rows: list[list[Any]]) -> bytes:
        """Return the request that calls the function with these encoded rows."""
        return json.dumps(
            {
                "key": self.key,
                "signature": self.signature,
                "body": self.body,
                "names": [name for name, _ in self.parameters],
                "parameters": [kind.to_json() for _, kind in self.parameters],
                "result": self.result.to_json(),
                "rows": rows,
            }
        ).encode()


class _Worker:
    def __init__(self, limits: Limits) -> None:
        ours, theirs = socket.socketpair()
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        # BigQuery's functions run in UTC.
        environment |= {"PYTHONPATH": str(Path(next(iter(localcloud.__path__))).parent), "TZ": "UTC"}
        # As a file, because the package imports much that a worker does not need.
        program = Path(__file__).with_name("worker.py")
        numbers = (theirs.fileno(), limits.memory_bytes, limits.heap_bytes)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(program), *map(str, numbers)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=environment,
                cwd="/",
                # Ctrl-C in a terminal is for the local cloud, which ends the workers.
                start_new_session=True,
            )
        self._replies = Connection(ours.detach())

    def exchange(self, request: bytes, seconds: float) -> dict[str, Any]:
        """Return the reply to a request.

        Raises:
            TimeoutError: The process did not reply within ``seconds``.
            OSError: The process ended.
            EOFError: The process ended.
        """
        self._replies.send_bytes(request)
        if not self._replies.poll(seconds):
            raise TimeoutError
        reply: dict[str, Any] = json.loads(self._replies.recv_bytes())
        return reply

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._replies.close()
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()


class JavaScriptWorkers:
    """Processes that run functions in JavaScript."""

    def __init__(self, limits: Limits | None = None) -> None:
        """Create the pool without processes; a call starts one if none is idle."""
        self._limits = limits or Limits()
        self._places = threading.Semaphore(self._limits.processes)
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._closed = False

    def call(self, program: Program, rows: list[list[Any]]) -> list[Any]:
        """Return the results of a function, one for each row.

        Args:
            program: The function.
            rows: The encoded arguments of each call.

        Raises:
            QueryError: The function failed, used too much time or memory, or returned a value that has not its type.
        """
        results: list[Any] = []
        with self._places:
            worker = self._borrow()
            try:
                size = 1
                while len(results) < len(rows):
                    began = time.monotonic()
                    results += self._results(worker, program, rows[len(results) : len(results) + size])
                    if time.monotonic() - began < _FAST_SECONDS:
                        size = min(size * _GROWTH, _LARGEST_BATCH)
            except _Ended as ended:
                worker.end()
                raise ended.error from ended
            except BaseException:
                self._give_back(worker)
                raise
            self._give_back(worker)
        return [program.result.decode(each) for each in results]

    def _results(self, worker: _Worker, program: Program, rows: list[list[Any]]) -> list[Any]:
        try:
            reply = worker.exchange(program.request(rows), self._limits.seconds)
        except TimeoutError as error:
            raise _Ended("UDF worker timed out during execution.") from error
        except (OSError, EOFError) as error:
            raise _Ended("UDF out of memory.") from error
        if reply.get("out_of_memory"):
            raise _Ended("UDF out of memory.")
        if "failure" in reply:
            raise QueryError(str(reply["failure"]), location="query")
        values: list[Any] = reply["values"]
        return values

    def _borrow(self) -> _Worker:
        with self._lock:
            return self._idle.pop() if self._idle else _Worker(self._limits)

    def _give_back(self, worker: _Worker) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < self._limits.idle:
                self._idle.append(worker)
                return
        worker.end()

    def close(self) -> None:
        """End the processes that are idle; the others end after their calls."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.end()


class _Ended(Exception):
    """A process had to be ended, or ended."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.error = QueryError(
            f"Resources exceeded during query execution: {why}", reason="resourcesExceeded", location="query"
        )

"""Starts workers, sends them batches, and ends them."""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

import localcloud
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.models.errors import InvalidModel, WorkerEnded
from localcloud.bigquery.ml.models.signature import Signature
from localcloud.bigquery.ml.workers import frames
from localcloud.bigquery.ml.workers.template import LENGTH_BYTES
from localcloud.bigquery.ml.workers.worker import Order

# How often a waiting job looks whether it is cancelled.
CHECK_SECONDS = 0.05
END_SECONDS = 5.0
# TensorFlow Lite is a part of TensorFlow.
_LIBRARIES = {"TENSORFLOW_LITE": "TENSORFLOW"}
# Variables of this process that the workers inherit. No other ones, so no credentials.
_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "TF_ENABLE_ONEDNN_OPTS")


class _Template:
    """A process that has imported a library (see ``template``), started again if it ends."""

    def __init__(self, library: str) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._orders: socket.socket | None = None

    def fork(self, order: Order, sockets: list[socket.socket]) -> None:
        """Fork a worker with the given sockets."""
        content = order.to_json()
        message = len(content).to_bytes(LENGTH_BYTES, "big") + content
        descriptors = [each.fileno() for each in sockets]
        with self._lock:
            orders = self._orders
            if orders is None or self._process is None or self._process.poll() is not None:
                orders = self._start()
            socket.send_fds(orders, [message], descriptors)

    def _start(self) -> socket.socket:
        self._close()
        self._orders, theirs = socket.socketpair()
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        environment["PYTHONPATH"] = str(Path(next(iter(localcloud.__path__))).parent)
        # Only numpy's linear algebra has threads of its own when it is imported; it is not used.
        environment["OPENBLAS_NUM_THREADS"] = "1"
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "localcloud.bigquery.ml.workers.template", self._library],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env=environment,
                cwd="/",
                # Ctrl-C in a terminal is for the local cloud, which ends the workers.
                start_new_session=True,
            )
        return self._orders

    def _close(self) -> None:
        if self._orders is not None:
            self._orders.close()

    def end(self) -> None:
        """End the process and its workers."""
        with self._lock:
            self._close()
            if self._process is not None:
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(END_SECONDS)
                self._process.kill()
                self._process.wait()
            self._process = None


_TEMPLATES: dict[str, _Template] = {}
_TEMPLATES_LOCK = threading.Lock()


def _template(model_type: str) -> _Template:
    """Return the template of a model type. All clouds of a process share it, as they share imported libraries."""
    library = _LIBRARIES.get(model_type, model_type)
    with _TEMPLATES_LOCK:
        return _TEMPLATES.setdefault(library, _Template(library))


@atexit.register
def _end_templates() -> None:
    for template in _TEMPLATES.values():
        template.end()


class Worker:
    """A process with one loaded model, and the sockets to it.

    Attributes:
        order: What it loads.
        signature: The inputs and outputs of the model; None while it is loading.
    """

    def __init__(self, order: Order, channels: int) -> None:
        """Fork the process, which begins to load the model.

        Args:
            order: The order.
            channels: The number of batches that it can predict at once.
        """
        self.order = order
        self.signature: Signature | None = None
        self._ordered_to_end = False
        self._report: dict[str, int] | None = None
        self._lock = threading.Lock()
        pairs = [socket.socketpair() for _ in range(channels + 1)]
        self._link, *self._channels = [ours for ours, _ in pairs]
        self._free = list(self._channels)
        for ours in self._channels:
            ours.settimeout(CHECK_SECONDS)
        self._link.settimeout(END_SECONDS)
        try:
            _template(order.type).fork(order, [theirs for _, theirs in pairs])
        finally:
            for _, theirs in pairs:
                theirs.close()

    def wait_until_loaded(self, check: Callable[[], None]) -> Signature:
        """Return the signature of the model when it is loaded.

        Args:
            check: Raises an error to stop.

        Raises:
            InvalidModel: The files can't be loaded.
            WorkerEnded: The process ended.
        """
        kind, content = self._exchange(self._channels[0], None, check)
        if kind != frames.READY:
            raise InvalidModel(content.to_pybytes().decode(errors="replace"))
        self.signature = Signature.from_json(json.loads(content.to_pybytes()))
        return self.signature

    def predict(self, batch: pa.RecordBatch, schema: pa.Schema, check: Callable[[], None]) -> pa.RecordBatch:
        """Return the outputs of a batch. At most as many threads as the worker has channels call this at once.

        Args:
            batch: The inputs.
            schema: The names and types of the outputs.
            check: Raises an error to stop.

        Raises:
            QueryError: The model can't predict the batch.
            WorkerEnded: The process ended.
        """
        with self._lock:
            channel = self._free.pop()
        kind, content = self._exchange(channel, batch.serialize(), check)
        with self._lock:
            self._free.append(channel)
        if kind == frames.FAILED:
            error = json.loads(content.to_pybytes())
            raise QueryError(str(error["message"]), reason=str(error["reason"]))
        # Check everything: a model may have taken over its process.
        try:
            outputs = pa.ipc.read_record_batch(content, schema)
            outputs.validate(full=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise QueryError(
                f"Model {self.order.name} returned outputs that can't be read.", reason="jobInternalError"
            ) from error
        if outputs.num_rows != batch.num_rows:
            raise QueryError(f"Model {self.order.name} returned {outputs.num_rows} rows for {batch.num_rows} rows.")
        return outputs

    def _exchange(
        self, channel: socket.socket, request: pa.Buffer | None, check: Callable[[], None]
    ) -> tuple[bytes, pa.Buffer]:
        try:
            if request is not None:
                frames.send(channel, frames.ROWS, request, check)
            return frames.receive(channel, check)
        except (EOFError, OSError) as error:
            raise self._ending() from error

    def end(self) -> None:
        """End the process at once."""
        with self._lock:
            self._ordered_to_end = True
        with suppress(OSError):
            self._link.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End the process and close the sockets, which no thread may use any more."""
        self.end()
        for each in (*self._channels, self._link):
            each.close()

    def _ending(self) -> WorkerEnded:
        """Return why the process ended."""
        with self._lock:
            if self._report is None:
                try:
                    self._report = json.loads(self._link.recv(4096) or b"{}")
                except (OSError, ValueError):
                    self._report = {}
            code = self._report.get("exit_code")
            if self._ordered_to_end or code == 0:
                return WorkerEnded(None)
            if code is None:
                return WorkerEnded("ended with the process that started it")
            name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            return WorkerEnded(f"ended with {name}")
